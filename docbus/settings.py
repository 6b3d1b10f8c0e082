"""Settings: one TOML file per folder, environment variables over it, defaults under it.

A folder belongs to an agency, to the registrar or to an auditor; ``docbus.toml`` in it says which. Settings are read
once, here, and handed out as frozen objects. What guards documents (acks, commits, isolation) is fixed in the
transport and is no setting; no private key and no check can be set here.

Precedence: command line, then ``DOCBUS_*`` (``DOCBUS_KAFKA__SASL_PASSWORD``), then the file, then the default.
"""

from __future__ import annotations

import tomllib
from datetime import date, time
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, SecretStr, ValidationError, field_validator, model_validator
from pydantic.functional_validators import AfterValidator
from pydantic_settings import (
    BaseSettings,
    EnvSettingsSource,
    InitSettingsSource,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    SettingsError,
)
from typing_extensions import override

from docbus.documents.calendar import WorkingCalendar
from docbus.documents.deadlines import Deadlines, Stage
from docbus.errors import ConfigurationError
from docbus.identity.time_stamps.der import checked_identifier
from docbus.limits import MAX_PARTS, PART_BYTES
from docbus.transport.time_stamps import MAX_FALLBACKS, wished_address
from docbus.transport.topics import CONTENT_RETENTION_MS, DAY_MS

FILE_NAME = "docbus.toml"
GENESIS_BYTES = 32
DEFAULT_OUTBOX_BYTES = 10 * 1024**3
"""Bytes the outbox may hold before `publish` refuses: hours of a province's documents on any disk."""
DEFAULT_DOCUMENT_BYTES = 4 * 1024**3
"""Bytes of one document: a case file of scanned pages has hundreds of megabytes."""
DEFAULT_SPOOL_BYTES = 16 * 1024**3
"""Bytes of received content that is not filed yet."""
MAX_CONTENT_BYTES = MAX_PARTS * PART_BYTES
"""What the protocol carries in one document, 64 GiB."""
DEFAULT_URGENT_MINUTES = 30
"""Minutes that "at once" lasts for an urgent document: restarts and a failover of brokers take fewer."""
MAX_PORT = 65535
DEFAULT_RETENTION_DAYS = CONTENT_RETENTION_MS // DAY_MS


class _Table(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class ExchangeSettings(_Table):
    """Which exchange this is; the genesis hash is the root of all trust."""

    environment: Annotated[str, Field(min_length=1, max_length=64)]
    genesis: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]

    @property
    def genesis_bytes(self) -> bytes:
        """The pinned hash of the directory's first entry, 32 bytes."""
        return bytes.fromhex(self.genesis)


class AgencySettings(_Table):
    """Who this folder belongs to; the id is canonical, such as ``vn:H37.02.02``."""

    id: str
    name: str


class RegistrarSettings(_Table):
    """The registrar's name and the URIs of its key, and of a key that signs heartbeats alone; one of them at least."""

    name: str
    key: str | None = None
    heartbeat_key: str | None = None

    @model_validator(mode="after")
    def _has_a_key(self) -> RegistrarSettings:
        if self.key is None and self.heartbeat_key is None:
            raise ValueError("key or heartbeat_key is needed")
        return self


class KeySettings(_Table):
    """Keys by URI, never by material; the newest encryption key first, older ones still open old documents.

    The next signing key signs as soon as the directory grants its certificate; ``docbus keys rotate`` writes it. While
    it has none, an authority has been asked for one.
    """

    signing: str
    certificate: Path
    encryption: Annotated[tuple[str, ...], Field(min_length=1)]
    next_signing: str | None = None
    next_certificate: Path | None = None
    next_overlap_minutes: Annotated[int, Field(ge=0, le=366 * 24 * 60)] | None = None

    @model_validator(mode="after")
    def _complete(self) -> KeySettings:
        if self.next_signing is None and self.next_certificate is not None:
            raise ValueError("next_certificate stands there without next_signing, whose certificate it is")
        return self


class EmbeddedSettings(_Table):
    """The embedded transport: one SQLite file shared by all agencies of one host."""

    file: Path


class KafkaServerSettings(_Table):
    """Brokers, TLS and SASL. Files are PEM."""

    bootstrap: Annotated[str, Field(min_length=3)]
    tls: bool = False
    tls_ca: Path | None = None
    tls_certificate: Path | None = None
    tls_key: Path | None = None
    sasl_mechanism: Literal["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"] | None = None
    sasl_username: str | None = None
    sasl_password: SecretStr | None = None
    replication_factor: Annotated[int, Field(ge=1, le=7)] = 3

    @field_validator("bootstrap", mode="before")
    @classmethod
    def _join(cls, value: Any) -> Any:
        return ",".join(value) if isinstance(value, list) else value

    @model_validator(mode="after")
    def _complete(self) -> KafkaServerSettings:
        if (self.tls_certificate is None) != (self.tls_key is None):
            raise ValueError("tls_certificate and tls_key go together")
        sasl = (self.sasl_mechanism, self.sasl_username, self.sasl_password)
        if any(part is not None for part in sasl) and any(part is None for part in sasl):
            raise ValueError("sasl_mechanism, sasl_username and sasl_password go together")
        return self


class SinkSettings(_Table):
    """Where received documents are filed: a directory per document below this folder."""

    folder: Path = Path("documents")


class InboxSettings(_Table):
    """How the inbox is read: alone, or together with other folders of the same agency."""

    shared: bool = False


class ContentSettings(_Table):
    """Large content: where it waits, how much of it is sent and taken, and how long a content topic keeps it."""

    folder: Path = Path("content")
    max_bytes: Annotated[int, Field(ge=1024**2, le=MAX_CONTENT_BYTES)] = DEFAULT_DOCUMENT_BYTES
    spool_bytes: Annotated[int, Field(ge=1024**2)] = DEFAULT_SPOOL_BYTES
    retention_days: Annotated[int, Field(ge=1, le=3650)] = DEFAULT_RETENTION_DAYS

    @model_validator(mode="after")
    def _fits(self) -> ContentSettings:
        if self.spool_bytes < self.max_bytes:
            raise ValueError("spool_bytes is less than max_bytes, so the largest document would never be fetched")
        return self


class OutboxSettings(_Table):
    """How much may wait."""

    max_bytes: Annotated[int, Field(ge=1024**2)] = DEFAULT_OUTBOX_BYTES


class DeadlineSettings(_Table):
    """When something that was sent is overdue; times are Vietnamese, days are added to the calendar or taken out."""

    morning_ends: time = time(12)
    day_ends: time = time(17)
    urgent_minutes: Annotated[int, Field(ge=1, le=7 * 24 * 60)] = DEFAULT_URGENT_MINUTES
    stages: tuple[Stage, ...] = tuple(Stage)
    days_off: tuple[date, ...] = ()
    days_worked: tuple[date, ...] = ()

    @model_validator(mode="after")
    def _consistent(self) -> DeadlineSettings:
        if self.morning_ends.tzinfo is not None or self.day_ends.tzinfo is not None:
            raise ValueError("times are Vietnamese and have no offset")
        if self.morning_ends >= self.day_ends:
            raise ValueError("morning_ends is not before day_ends")
        both = set(self.days_off) & set(self.days_worked)
        if both:
            raise ValueError(f"{min(both)} is both in days_off and in days_worked")
        return self

    @property
    def deadlines(self) -> Deadlines:
        """The rules by which something is overdue."""
        return Deadlines(
            calendar=WorkingCalendar(days_off=self.days_off, days_worked=self.days_worked),
            morning_ends=self.morning_ends,
            day_ends=self.day_ends,
            urgent_ms=self.urgent_minutes * 60 * 1000,
            stages=frozenset(self.stages),
        )


class AccessSettings(_Table):
    """Who is who at the brokers, for the folder that provisions; without this table ACLs and quotas are left alone."""

    agencies: str = "User:{name}"
    registrars: tuple[str, ...] = ()
    auditors: tuple[str, ...] = ()
    agency_write_bytes: Annotated[int, Field(ge=1024)] | None = None
    agency_read_bytes: Annotated[int, Field(ge=1024)] | None = None

    @model_validator(mode="after")
    def _told_apart(self) -> AccessSettings:
        for principal in (self.agencies, *self.registrars, *self.auditors):
            if not principal.startswith("User:") or principal == "User:*":
                raise ValueError(f"{principal!r} is not a principal such as User:registrar")
        try:
            one, other = (self.agencies.format(name=text, code=text) for text in ("a", "b"))
        except (KeyError, IndexError, ValueError):
            one = other = ""
        if one == other:
            raise ValueError("agencies: it must have {name} or {code} in it, and no other braces")
        return self


class CertificateSettings(_Table):
    """Whether the revocation lists of authorities are fetched, from the addresses that certificates name."""

    fetch: bool = True


class MetricsSettings(_Table):
    """Where Prometheus reads figures, as ``host:port``; nowhere if left out."""

    listen: Annotated[str, Field(pattern=r"^(\[[0-9A-Fa-f:.]+\]|[^\s:\[\]]+):\d{1,5}$")] | None = None

    @property
    def address(self) -> tuple[str, int] | None:
        """Host and port."""
        if self.listen is None:
            return None
        host, _, port = self.listen.rpartition(":")
        return host.strip("[]"), int(port)

    @model_validator(mode="after")
    def _port(self) -> MetricsSettings:
        if self.address is not None and not 0 < self.address[1] <= MAX_PORT:
            raise ValueError(f"listen: {self.address[1]} is no port")
        return self


class TimeStampAuthoritySettings(_Table):
    """One time-stamping authority: where it is, whom to believe about its answers, and which policy to ask for."""

    url: Annotated[str, AfterValidator(wished_address)]
    anchor: Path
    policy: Annotated[str, AfterValidator(checked_identifier)] | None = None


class TimeStampSettings(TimeStampAuthoritySettings):
    """Which time-stamping authorities are asked (RFC 3161), in which order, and how often."""

    interval_minutes: Annotated[int, Field(ge=5, le=24 * 60)] = 60
    fallback: Annotated[tuple[TimeStampAuthoritySettings, ...], Field(max_length=MAX_FALLBACKS)] = ()


class _Environment(EnvSettingsSource):
    """``DOCBUS_*`` but for the folder, which is the command line's, and for a transport that the file does not use.

    A password for Kafka in the environment must not get in the way of an embedded exchange.
    """

    def __init__(self, settings_cls: type[BaseSettings], *, transport: str) -> None:
        super().__init__(settings_cls)
        self._left_out = {"folder", "kafka" if transport == "embedded" else "embedded"}

    @override
    def __call__(self) -> dict[str, Any]:
        return {name: value for name, value in super().__call__().items() if name not in self._left_out}


class Settings(BaseSettings):
    """Everything a folder's ``docbus.toml`` may say; paths are absolute once loaded."""

    model_config = SettingsConfigDict(
        frozen=True,
        extra="forbid",
        env_prefix="DOCBUS_",
        env_nested_delimiter="__",
        nested_model_default_partial_update=True,
    )

    folder: Path
    exchange: ExchangeSettings
    agency: AgencySettings | None = None
    registrar: RegistrarSettings | None = None
    keys: KeySettings | None = None
    embedded: EmbeddedSettings | None = None
    kafka: KafkaServerSettings | None = None
    sink: SinkSettings = SinkSettings()
    inbox: InboxSettings = InboxSettings()
    outbox: OutboxSettings = OutboxSettings()
    content: ContentSettings = ContentSettings()
    deadlines: DeadlineSettings = DeadlineSettings()
    access: AccessSettings | None = None
    metrics: MetricsSettings = MetricsSettings()
    timestamps: TimeStampSettings | None = None
    certificates: CertificateSettings = CertificateSettings()

    @model_validator(mode="after")
    def _one_transport(self) -> Settings:
        if (self.embedded is None) == (self.kafka is None):
            raise ValueError("exactly one of the tables [embedded] and [kafka] is needed")
        if self.agency is not None and self.keys is None:
            raise ValueError("[agency] needs the table [keys]")
        return self

    @classmethod
    @override
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Environment variables win over the file, which arrives as initial values."""
        given = init_settings() if isinstance(init_settings, InitSettingsSource) else {}
        return _Environment(settings_cls, transport="embedded" if "embedded" in given else "kafka"), init_settings

    def path(self, path: Path) -> Path:
        """Return a path of the settings as seen from the folder."""
        return path if path.is_absolute() else self.folder / path

    def key_uri(self, uri: str) -> str:
        """Return a key's URI with a relative ``file:`` path seen from the folder."""
        scheme, _, rest = uri.partition(":")
        return f"file:{self.path(Path(rest))}" if scheme == "file" else uri

    @property
    def state(self) -> Path:
        """The database of outbox and ledger."""
        return self.folder / "state.db"


def load_settings(folder: Path) -> Settings:
    """Read ``docbus.toml`` of a folder and the environment.

    Raises:
        ConfigurationError: The file is missing, is not TOML, or has an unknown, missing or wrong setting; the text
            names it.
    """
    path = folder / FILE_NAME
    try:
        table = tomllib.loads(path.read_text("utf-8"))
    except FileNotFoundError:
        raise ConfigurationError(
            f"there is no {FILE_NAME} in {folder}",
            hint="Name the agency's folder with --folder, or make one with `docbus init`.",
        ) from None
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigurationError(f"{path} cannot be read: {error}") from error
    except tomllib.TOMLDecodeError as error:
        raise ConfigurationError(f"{path} is not TOML: {error}", hint="Mend the named line.") from error
    if "folder" in table:
        raise ConfigurationError(f"{path}: unknown setting folder", hint="The folder is where the file lies.")
    try:
        return Settings(folder=folder.absolute(), **table)
    except SettingsError as error:
        raise ConfigurationError(
            f"an environment variable cannot be read: {error}",
            hint='Lists and tables are JSON there, such as ["2027-02-11"].',
        ) from None
    except ValidationError as error:
        raise ConfigurationError(
            f"{path}: {_explain(error)}", hint="docs/reference/configuration.md lists every setting."
        ) from None


def _explain(error: ValidationError) -> str:
    """Name each wrong setting as it stands in the file; never its value, which may be a secret."""
    parts = []
    for problem in error.errors(include_input=False, include_url=False):
        where = ".".join(str(step) for step in problem["loc"]) or "settings"
        unknown = problem["type"] == "extra_forbidden"
        text = "unknown setting" if unknown else problem["msg"].removeprefix("Value error, ")
        parts.append(f"{where}: {text}")
    return "; ".join(parts)
