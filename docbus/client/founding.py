"""Making the folders of a registrar, an agency, an auditor: keys, settings, join request.

Nothing that exists is ever overwritten, and private keys never leave the folder they are made in.
"""

from __future__ import annotations

import errno
import json
import os
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING

from docbus.client.connect import Bus, transport_of
from docbus.client.new_files import PRIVATE_MODE, PUBLIC_MODE, write_new
from docbus.errors import AppendUnknownError, ConfigurationError, DiskFullError, WaitTimeoutError
from docbus.identity.agency import AgencyId
from docbus.identity.certificates import certificate_set_digest
from docbus.identity.encryption import generate_encryption_key
from docbus.identity.join import fingerprint_of, make_join_request
from docbus.identity.key_sets import (
    certificates_pem,
    generate_key_set,
    key_set_pem,
    key_set_signer,
    make_certificates,
    read_certificates_pem,
)
from docbus.identity.signing import generate_signing_key, private_key_pem, registrar_signer_of
from docbus.registry.publish import Registrar
from docbus.settings import FILE_NAME, GENESIS_BYTES, EmbeddedSettings
from docbus.tokens.certifying import certifying_key
from docbus.tokens.making import make_token_key
from docbus.tokens.signer import TokenSigner, open_token_key
from docbus.wire.profiles import Profile

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from docbus.clock import Clock
    from docbus.identity.signing import Signer

FOLDER_MODE = 0o700


@dataclass(frozen=True, slots=True, kw_only=True)
class FoundedRegistrar:
    """A registrar's new folder and the genesis hash, in hex, that every other folder pins."""

    folder: Path
    environment: str
    genesis: str


@dataclass(frozen=True, slots=True, kw_only=True)
class FoundedAgency:
    """An agency's new folder, the join request to hand to the registrar, and what to compare it by.

    Attributes:
        folder: Where keys and settings lie.
        agency: Canonical id.
        request: The join request's file.
        fingerprint: Groups of hex digits that agency and registrar compare by another channel.
        warning: What is unusual about the code, or None.
    """

    folder: Path
    agency: str
    request: Path
    fingerprint: str
    warning: str | None


async def found_registrar(
    folder: Path, *, environment: str, name: str, bus: Bus, clock: Clock, profile: int = Profile.ES256
) -> FoundedRegistrar:
    """Make a registrar's keys and folder, and begin the directory with its genesis entry.

    Raises:
        ConfigurationError: The folder has settings already.
        DirectoryError: The directory topic is not empty.
        TransportError: The bus cannot be reached.
    """
    key = generate_signing_key(profile)
    with _new_folder(folder) as made:
        write_new(made, folder / "keys" / "registrar.pem", private_key_pem(key), PRIVATE_MODE)
        transport = transport_of(bus, Path.cwd(), make=True)
        await transport.start()
        try:
            registrar = await Registrar.init(
                transport, [registrar_signer_of(key)], environment=environment, registrar=name, clock=clock
            )
            genesis = registrar.genesis.hex()
        finally:
            await transport.aclose()
        tables: list[tuple[str, dict[str, object]]] = [
            ("exchange", {"environment": environment, "genesis": genesis}),
            ("registrar", {"name": name, "key": "file:keys/registrar.pem"}),
            _bus_table(bus, folder),
        ]
        _write_settings(made, folder, tables)
    return FoundedRegistrar(folder=folder, environment=environment, genesis=genesis)


def found_agency(
    folder: Path,
    *,
    code: str,
    name: str,
    environment: str,
    genesis: str,
    bus: Bus,
    clock: Clock,
    profile: int = Profile.ES256,
    aliases: Sequence[str] = (),
    signing_key: str | None = None,
    make_signing_key: bool = False,
) -> FoundedAgency:
    """Make an agency's keys, certificate, settings and join request; nothing goes over a network.

    Args:
        folder: New, or without settings.
        code: The agency's official code, such as ``H37.02.02``.
        name: Its name, for people.
        environment: Name of the exchange.
        genesis: Hash of the directory's genesis entry, 64 hex digits, from the registrar.
        bus: How to reach the exchange.
        clock: For the certificate's validity.
        profile: Of a signing key that is made.
        aliases: Other codes of the same agency, such as its older form.
        signing_key: ``pkcs11:`` URI of a signing key on a token; without it one is made in a file.
        make_signing_key: Make that key on the token, which has none of that name.

    Raises:
        AgencyCodeError: Not a code.
        KeyFileError: The token has no such key, or has one that is to be made.
        PinError: The token's PIN is missing, wrong or locked.
        SignerAwayError: The token is not there, or does not answer.
        ConfigurationError: The folder has settings already, or the genesis hash is not one.
    """
    agency = AgencyId.parse(code)
    names = tuple(str(AgencyId.parse(alias)) for alias in aliases)
    pinned = _genesis(genesis)
    encryption = generate_encryption_key()
    with _new_folder(folder) as made:
        if signing_key is None:
            private = generate_key_set(profile)
            certificates = make_certificates(private, str(agency), now_ms=clock.now_ms())
            signer: Signer = key_set_signer(private, certificates)
            write_new(made, folder / "keys" / "signing.pem", key_set_pem(private), PRIVATE_MODE)
        else:
            token_key = make_token_key(signing_key, profile) if make_signing_key else open_token_key(signing_key)
            certificates = make_certificates([certifying_key(token_key)], str(agency), now_ms=clock.now_ms())
            signer = TokenSigner(key=token_key, certificate=sha256(certificates[0]).digest())
        request = make_join_request(
            signer,
            environment=environment,
            genesis=pinned,
            agency=str(agency),
            name=name,
            certificates=certificates,
            encryption_key=encryption.public_key,
            now_ms=clock.now_ms(),
            aliases=names,
        )
        write_new(made, folder / "keys" / "encryption.pem", encryption.pem(), PRIVATE_MODE)
        (folder / "documents").mkdir(exist_ok=True)
        write_new(made, folder / "keys" / "certificate.pem", certificates_pem(certificates), PUBLIC_MODE)
        path = folder / f"{agency.code}.join"
        write_new(made, path, request.encode(), PUBLIC_MODE)
        keys: dict[str, object] = {
            "signing": signing_key or "file:keys/signing.pem",
            "certificate": "keys/certificate.pem",
            "encryption": ["file:keys/encryption.pem"],
        }
        _write_settings(
            made,
            folder,
            [
                ("exchange", {"environment": environment, "genesis": pinned.hex()}),
                ("agency", {"id": str(agency), "name": name}),
                ("keys", keys),
                _bus_table(bus, folder),
                ("sink", {"folder": "documents"}),
            ],
        )
    return FoundedAgency(
        folder=folder,
        agency=str(agency),
        request=path,
        fingerprint=fingerprint_of(request),
        warning=agency.warning,
    )


def found_auditor(folder: Path, *, environment: str, genesis: str, bus: Bus) -> None:
    """Make the folder of an auditor, who has no keys: what it needs is the exchange and the genesis hash.

    Raises:
        ConfigurationError: The folder has settings already, or the genesis hash is not one.
    """
    pinned = _genesis(genesis)
    with _new_folder(folder) as made:
        _write_settings(
            made, folder, [("exchange", {"environment": environment, "genesis": pinned.hex()}), _bus_table(bus, folder)]
        )


def certificate_digest(pem: bytes) -> bytes:
    """Return the digest by which the directory knows a certificate in PEM, or both of a hybrid profile, 32 bytes.

    Raises:
        ConfigurationError: Not a certificate.
    """
    try:
        return certificate_set_digest([sha256(der).digest() for der in read_certificates_pem(pem)])
    except ValueError:
        raise ConfigurationError("not a certificate in PEM") from None


def _genesis(text: str) -> bytes:
    try:
        pinned = bytes.fromhex(text.strip())
    except ValueError:
        pinned = b""
    if len(pinned) != GENESIS_BYTES:
        raise ConfigurationError(
            f"the genesis hash has 64 hex digits, this has {len(text.strip())} characters: {text.strip()[:70]!r}",
            hint="The registrar prints it, and can repeat it: `docbus registrar show`.",
        )
    return pinned


@contextmanager
def _new_folder(folder: Path) -> Iterator[list[Path]]:
    """Make the folder for the block, and yield the list of what :func:`_write` makes in it.

    Settings are written last, so a folder without them was never finished.
    """
    try:
        with _empty_folders_removed(folder):
            folder.mkdir(parents=True, exist_ok=True)
            if (folder / FILE_NAME).exists():
                raise ConfigurationError(
                    f"{folder} has a {FILE_NAME} already", hint="Choose another folder; nothing is overwritten."
                )
            (folder / "keys").mkdir(mode=FOLDER_MODE, exist_ok=True)
            with _cleaned_up() as made:
                yield made
    except FileExistsError as error:
        raise ConfigurationError(
            f"{error.filename} exists already", hint="Choose another folder; nothing is overwritten."
        ) from error
    except OSError as error:
        if error.errno == errno.ENOSPC:
            raise DiskFullError(f"no space left for {folder}") from error
        raise ConfigurationError(f"{folder} cannot be made: {error.strerror}") from error


@contextmanager
def _empty_folders_removed(folder: Path) -> Iterator[None]:
    """Take the folders that the block makes away again if it fails, also those above, as far as they are empty then."""
    wanted = (folder / "documents", folder / "keys", folder, *folder.parents)
    fresh = [path for path in wanted if not path.exists()]
    try:
        yield
    except BaseException:
        for path in fresh:
            # One with something in it stays: what could not be taken away, or somebody else's.
            with suppress(OSError):
                path.rmdir()
        raise


@contextmanager
def _cleaned_up() -> Iterator[list[Path]]:
    """Take the files that the block lists away again if it fails, so that the same command can be given once more.

    They stay if it is not known whether the directory has the keys already: without them it would be nobody's.
    """
    made: list[Path] = []
    try:
        yield made
    except (AppendUnknownError, WaitTimeoutError):
        raise
    except Exception:
        for path in made:
            path.unlink(missing_ok=True)
        raise


def _bus_table(bus: Bus, folder: Path) -> tuple[str, dict[str, object]]:
    """Return the table for a bus; its files are written as seen from the folder, so that both can be moved together."""
    if isinstance(bus, EmbeddedSettings):
        return "embedded", {"file": _seen_from(bus.file, folder)}
    given = bus.model_dump(mode="json", exclude_none=True, exclude_defaults=True, exclude={"sasl_password"})
    for name in ("tls_ca", "tls_certificate", "tls_key"):
        path: Path | None = getattr(bus, name)
        if path is not None:
            given[name] = _seen_from(path, folder)
    return "kafka", given


def _seen_from(path: Path, folder: Path) -> str:
    return os.path.relpath(path.absolute(), folder.absolute())


def _write_settings(made: list[Path], folder: Path, tables: list[tuple[str, dict[str, object]]]) -> None:
    """Write the settings; a TOML basic string has JSON's escapes, and a list of strings is written alike."""
    lines = ["# Settings of docbus; docs/reference/configuration.md lists all of them."]
    for name, values in tables:
        lines += ["", f"[{name}]"]
        lines += [f"{key} = {json.dumps(value, ensure_ascii=False)}" for key, value in values.items()]
        if name == "kafka" and "sasl_username" in values:
            lines.append("# The password is read from DOCBUS_KAFKA__SASL_PASSWORD.")
    write_new(made, folder / FILE_NAME, ("\n".join(lines) + "\n").encode(), PUBLIC_MODE)
