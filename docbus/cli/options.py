"""Options that several commands share, and what their values mean."""

from __future__ import annotations

import os
import re
from datetime import UTC, date, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal, NamedTuple

import typer

from docbus.cli.output import Form
from docbus.identity.profile_names import ProfileName

if TYPE_CHECKING:
    from collections.abc import Sequence

    from docbus.client.connect import Bus
    from docbus.identity.time_stamps.anchors import Anchors

PASSWORD_VARIABLE = "DOCBUS_KAFKA__SASL_PASSWORD"  # noqa: S105 - the name of a variable, not a password

Output = Annotated[Form, typer.Option("--output", help="text for people, json for programs.")]

Anchor = Annotated[
    Path | None,
    typer.Option("--anchor", metavar="PEM", help="Root of a time-stamping authority that you believe, to check it by."),
]
Policy = Annotated[
    str | None, typer.Option("--policy", metavar="OID", help="Only policy of that authority to accept, such as 1.2.3.")
]
Material = Annotated[
    list[Path] | None,
    typer.Option(
        metavar="FILE",
        help="What authorities say: a file of `docbus export material`, a revocation list or an OCSP response;"
        " may be repeated.",
    ),
]

SigningProfile = Annotated[ProfileName, typer.Option("--profile", help="What the new signing key signs with.")]
BusFile = Annotated[Path | None, typer.Option("--bus", help="File of the embedded transport, shared on one host.")]
Kafka = Annotated[str | None, typer.Option("--kafka", metavar="HOST:PORT", help="Brokers, separated by commas.")]
Tls = Annotated[bool, typer.Option("--tls", help="TLS with the authorities of the operating system.")]
TlsCa = Annotated[Path | None, typer.Option("--tls-ca", help="PEM file of the brokers' authority; turns TLS on.")]
TlsCertificate = Annotated[Path | None, typer.Option("--tls-certificate", help="PEM file of a client certificate.")]
TlsKey = Annotated[Path | None, typer.Option("--tls-key", help="PEM file of its key.")]
SaslMechanism = Annotated[
    Literal["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"] | None,
    typer.Option("--sasl-mechanism", help="How to log in to the brokers."),
]
SaslUsername = Annotated[
    str | None, typer.Option("--sasl-username", help=f"User; the password is read from {PASSWORD_VARIABLE}.")
]
ReplicationFactor = Annotated[
    int, typer.Option("--replication-factor", min=1, max=7, help="Replicas of topics; 1 on a single broker.")
]


def anchors_of(path: Path | None) -> Anchors | None:
    """Return the authorities that a file names; None where none is given.

    Raises:
        ConfigurationError: It cannot be used.
    """
    from docbus.client.time_stamping import read_anchors

    return None if path is None else read_anchors(path)


def bus_of(
    *,
    file: Path | None,
    kafka: str | None,
    tls: bool,
    tls_ca: Path | None,
    tls_certificate: Path | None,
    tls_key: Path | None,
    sasl_mechanism: Literal["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"] | None,
    sasl_username: str | None,
    replication_factor: int,
) -> Bus:
    """Return how to reach the exchange.

    Raises:
        TyperException: The options contradict each other.
    """
    from docbus.settings import EmbeddedSettings, KafkaServerSettings

    if (file is None) == (kafka is None):
        raise typer.BadParameter("give either --bus FILE or --kafka HOST:PORT")
    if file is not None:
        return EmbeddedSettings(file=file.absolute())
    if (tls_certificate is None) != (tls_key is None):
        raise typer.BadParameter("--tls-certificate and --tls-key go together")
    if (sasl_mechanism is None) != (sasl_username is None):
        raise typer.BadParameter("--sasl-mechanism and --sasl-username go together")
    password = os.environ.get(PASSWORD_VARIABLE)
    if sasl_username is not None and not password:
        raise typer.BadParameter(f"--sasl-username needs the password in the variable {PASSWORD_VARIABLE}")
    return KafkaServerSettings(
        bootstrap=kafka or "",
        tls=tls,
        tls_ca=_absolute(tls_ca),
        tls_certificate=_absolute(tls_certificate),
        tls_key=_absolute(tls_key),
        sasl_mechanism=sasl_mechanism,
        sasl_username=sasl_username,
        sasl_password=password if sasl_username is not None else None,  # type: ignore[arg-type] # made a secret
        replication_factor=replication_factor,
    )


def _absolute(path: Path | None) -> Path | None:
    return None if path is None else path.absolute()


def key_uri(text: str) -> str:
    """Return the URI of a key that is named by URI, or by the path of its file from here."""
    return text if re.match(r"[a-z][a-z0-9+.-]+:", text) else f"file:{Path(text).absolute()}"


def document_kinds(kinds: Sequence[str]) -> tuple[str, ...]:
    """Return kinds of documents, each known.

    Raises:
        BadParameter: One is not.
    """
    from docbus.documents.document import KINDS

    for kind in kinds:
        if kind not in KINDS:
            raise typer.BadParameter(f"{kind!r} is no kind of document; there are {', '.join(KINDS)}")
    return tuple(kinds)


class Offset(NamedTuple):
    """A point in every partition, by offset."""

    offset: int


class Moment(NamedTuple):
    """A point in every partition, by time: milliseconds since 1970-01-01T00:00:00Z."""

    milliseconds: int


_DAY = re.compile(r"\d{4}-\d{2}-\d{2}")


def parse_time(text: str) -> int:
    """Return milliseconds since 1970 of a time such as ``2026-11-23T09:00:00Z``, or of a day, which begins in UTC.

    Raises:
        BadParameter: It is none, or does not say in which time zone.
    """
    try:
        if _DAY.fullmatch(text):
            moment = datetime.combine(date.fromisoformat(text), datetime.min.time(), UTC)
        else:
            moment = datetime.fromisoformat(text)
    except ValueError:
        raise typer.BadParameter(f"{text!r} is not a time; write it like 2026-11-23T09:00:00Z") from None
    if moment.tzinfo is None:
        raise typer.BadParameter(f"{text!r} does not say in which time zone; add Z for UTC, or +07:00")
    return int(moment.timestamp() * 1000)


def parse_known_at(text: str, now_ms: int) -> int:
    """Return milliseconds since 1970 of a time at which something was there for sure.

    A day alone is refused: its beginning would be too early for most of what came in it, and where it ends depends on
    the time zone.

    Args:
        text: As for :func:`parse_time`, with a time of day.
        now_ms: Milliseconds since 1970 UTC.

    Raises:
        BadParameter: It is no such time, or has not come yet.
    """
    if _DAY.fullmatch(text):
        raise typer.BadParameter(
            f"{text!r} is a day, and --known-at needs a time: {text}T23:59:59Z for its end in UTC,"
            f" {text}T23:59:59+07:00 for its end in Vietnam"
        )
    known_at = parse_time(text)
    if known_at > now_ms:
        raise typer.BadParameter(f"{text!r} has not come yet; --known-at is when the envelope was there already")
    return known_at


_AGE = re.compile(r"([0-9]{1,9})([smhd])")
_UNIT_MS = {"s": 1_000, "m": 60_000, "h": 3_600_000, "d": 86_400_000}


def parse_age(text: str) -> int:
    """Return milliseconds of an age such as ``30m``, ``2h`` or ``7d``.

    Raises:
        BadParameter: It is none.
    """
    found = _AGE.fullmatch(text)
    if found is None:
        raise typer.BadParameter(f"{text!r} is not an age; write it like 45s, 30m, 2h or 7d")
    return int(found[1]) * _UNIT_MS[found[2]]


def age_text(milliseconds: int) -> str:
    """Return an age as :func:`parse_age` reads it, in the largest unit that has no remainder."""
    units = sorted(_UNIT_MS.items(), key=lambda unit: -unit[1])
    name, size = next((one for one in units if milliseconds % one[1] == 0), units[-1])
    return f"{-(-milliseconds // size)}{name}"


def parse_point(text: str) -> Offset | Moment:
    """Return a point of the log: ``earliest``, an offset, or a time.

    Raises:
        BadParameter: It is none of these.
    """
    if text == "earliest":
        return Offset(0)
    if re.fullmatch(r"[0-9]{1,18}", text):
        return Offset(int(text))
    try:
        return Moment(parse_time(text))
    except typer.BadParameter as error:
        raise typer.BadParameter(f"{error}; or give an offset, or earliest") from None


class DocumentName(NamedTuple):
    """A document's id and revision as written on the command line."""

    document_id: str
    revision: int


def parse_document(text: str) -> DocumentName:
    """Return id and revision of ``ID`` or ``ID@REVISION``; an id that ends like the latter needs its ``@1``."""
    found = re.fullmatch(r"(.+)@([0-9]{1,9})", text, re.DOTALL)
    return DocumentName(found[1], int(found[2])) if found else DocumentName(text, 1)


def parse_foreign_document(text: str) -> tuple[str, DocumentName]:
    """Return code and document of ``CODE/ID`` or ``CODE/ID@REVISION``; codes have no slash, ids may.

    Raises:
        BadParameter: There is no code, or no id.
    """
    code, slash, rest = text.partition("/")
    if not slash or not code or not rest:
        raise typer.BadParameter(f"{text!r} is not CODE/ID, such as H26/01a2b3c4 or H26/01a2b3c4@2")
    return code, parse_document(rest)
