"""From settings to the objects that do the work: transport, keys, directory."""

from __future__ import annotations

import asyncio
import os
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from docbus.client.folder_directory import folder_memory
from docbus.errors import AgencyClosedError, ConfigurationError, IdentityError, KeyFileError
from docbus.identity.certificates import end_of
from docbus.identity.encryption import open_decrypter
from docbus.identity.key_sets import open_signer, read_certificates_pem
from docbus.identity.overlap import is_retired
from docbus.identity.signing import open_registrar_signer
from docbus.registry.last_entry import FILE_NAME, LastEntry
from docbus.registry.publish import Registrar
from docbus.settings import EmbeddedSettings, KafkaServerSettings, load_settings
from docbus.tokens.signer import open_token_registrar_signer, open_token_signer
from docbus.tokens.uri import is_token_uri

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence
    from pathlib import Path

    from docbus.clock import Clock
    from docbus.identity.encryption import Decrypter
    from docbus.identity.grants import CertificateGrant
    from docbus.identity.signing import RegistrarSigner, Signer
    from docbus.identity.snapshot import TrustSnapshot
    from docbus.settings import KeySettings, Settings
    from docbus.transport.port import Transport

Bus = EmbeddedSettings | KafkaServerSettings
SOON_DAYS = 60
"""Days before its end from which on a certificate is worth a word: an authority may take weeks for another."""


def transport_of(bus: Bus, folder: Path, *, make: bool = False) -> Transport:
    """Return the transport of a bus, not started; relative files are seen from the folder.

    The file of an embedded bus is made only by whoever founds an exchange on it, who says ``make``.
    The adapters are imported here, so that a command that needs none does not pay for loading them.
    """
    if isinstance(bus, EmbeddedSettings):
        from docbus.transport.sqlite import SqliteTransport

        return SqliteTransport(bus.file if bus.file.is_absolute() else folder / bus.file, make=make)
    from docbus.transport.kafka import KafkaSettings, KafkaTransport

    def seen(path: Path | None) -> Path | None:
        return None if path is None else folder / path

    return KafkaTransport(
        KafkaSettings(
            bootstrap=bus.bootstrap,
            tls=bus.tls,
            tls_ca=seen(bus.tls_ca),
            tls_certificate=seen(bus.tls_certificate),
            tls_key=seen(bus.tls_key),
            sasl_mechanism=bus.sasl_mechanism,
            sasl_username=bus.sasl_username,
            sasl_password=None if bus.sasl_password is None else bus.sasl_password.get_secret_value(),
            replication_factor=bus.replication_factor,
        )
    )


def open_transport(settings: Settings) -> Transport:
    """Return the transport that the settings name, not started."""
    bus = settings.embedded or settings.kafka
    if bus is None:
        raise ConfigurationError("neither [embedded] nor [kafka] is set")
    return transport_of(bus, settings.folder)


@asynccontextmanager
async def started_transport(settings: Settings) -> AsyncIterator[Transport]:
    """Yield the started transport of the settings and close it afterwards.

    Raises:
        BrokerUnavailableError: It cannot be reached.
    """
    transport = open_transport(settings)
    await transport.start()
    try:
        yield transport
    finally:
        await transport.aclose()


def agency_id(settings: Settings) -> str:
    """Return the canonical id of the agency whose folder this is.

    Raises:
        ConfigurationError: The folder is a registrar's or an auditor's.
    """
    if settings.agency is None:
        raise ConfigurationError(
            f"{settings.folder} is not an agency's folder: its settings have no [agency]",
            hint="Name an agency's folder with --folder.",
        )
    return settings.agency.id


def keys_of_settings(settings: Settings) -> KeySettings:
    """Return what the settings say of the agency's keys.

    Raises:
        ConfigurationError: They say nothing.
    """
    if settings.keys is None:
        raise ConfigurationError(f"the settings in {settings.folder} have no [keys]")
    return settings.keys


def signer_of_settings(settings: Settings) -> Signer:
    """Return the agency's signer.

    Raises:
        KeyFileError: Key or certificate are missing, unreadable, or do not belong together.
    """
    keys = keys_of_settings(settings)
    return _signer(settings, keys.signing, keys.certificate)


def _signer(settings: Settings, uri: str, certificate: Path) -> Signer:
    return signer_under(settings, uri, read_certificates(settings.path(certificate)))


def signer_under(settings: Settings, uri: str, certificates: Sequence[bytes]) -> Signer:
    """Return the signer for a key, in a file or on a token, under a certificate that may be new; for both of a set.

    Raises:
        KeyFileError: A key is unusable, or a certificate is another key's.
    """
    if not is_token_uri(uri):
        return open_signer(settings.key_uri(uri), certificates)
    if len(certificates) != 1:
        raise KeyFileError(
            f"there are {len(certificates)} certificates beside one key on a token",
            hint="Both keys of the hybrid profile are in one file; on a token, use ES256 or RSA-PSS.",
        )
    return open_token_signer(uri, certificates[0])


def registrar_signer(uri: str) -> RegistrarSigner:
    """Return the registrar's signer whose private key a URI names; asks a token for its public half, and may block.

    Raises:
        KeyFileError: The key is missing, unreadable, open to others, or not a signing key.
        SignerAwayError: Its token is not there, or does not answer.
    """
    return open_token_registrar_signer(uri) if is_token_uri(uri) else open_registrar_signer(uri)


def next_signer_of_settings(settings: Settings) -> Signer | None:
    """Return the signer to which a rotation goes over once its certificate is granted, or None.

    Raises:
        KeyFileError: As :func:`signer_of_settings`.
    """
    keys = settings.keys
    if keys is None or keys.next_signing is None or keys.next_certificate is None:
        return None
    return _signer(settings, keys.next_signing, keys.next_certificate)


def certificate_end(settings: Settings) -> int | None:
    """Return when the first certificate ends under which the agency signs, milliseconds; None if it cannot be read."""
    if settings.keys is None:
        return None
    try:
        return min(map(end_of, read_certificates(settings.path(settings.keys.certificate))))
    except (KeyFileError, IdentityError):
        return None


def read_certificates(path: Path) -> tuple[bytes, ...]:
    """Return the certificates in a PEM file, DER: one, or both of a hybrid profile in its order.

    Raises:
        KeyFileError: It cannot be read, or holds none, or more.
    """
    try:
        return read_certificates_pem(path.read_bytes())
    except OSError as error:
        raise KeyFileError(f"the certificate {path} cannot be read: {os.strerror(error.errno or 0)}") from error
    except ValueError as error:
        raise KeyFileError(f"{path} is not a certificate in PEM") from error


def decrypters_of_settings(settings: Settings) -> tuple[Decrypter, ...]:
    """Return the agency's decrypters, the newest first.

    Raises:
        KeyFileError: A key is missing or unreadable.
    """
    uris = () if settings.keys is None else settings.keys.encryption
    return tuple(open_decrypter(settings.key_uri(uri)) for uri in uris)


def check_granted(settings: Settings, certificate: bytes, snapshot: TrustSnapshot, now_ms: int) -> None:
    """Refuse to work with settings or a key that no recipient would believe.

    The end of the certificate itself is not asked for: who verifies has another clock, and the doctor warns in time.

    Raises:
        ConfigurationError: The settings name another exchange, or another agency than the key's.
        AgencyClosedError: The agency is closed.
        IdentityError: The directory does not know the certificate, or it may not sign any more.
    """
    own = agency_id(settings)
    named = settings.exchange.environment
    if snapshot.environment != named:
        raise ConfigurationError(
            f"the directory is that of {snapshot.environment!r}, the settings say environment = {named!r}",
            hint="Correct [exchange] in docbus.toml: recipients refuse what is made for another exchange.",
        )
    agency = snapshot.agency(own)
    if agency is not None and agency.closed_at is not None:
        raise AgencyClosedError(
            f"{own} is closed since directory entry {agency.closed_at}",
            hint=f"Its successor is {agency.successor}." if agency.successor else "It has no successor.",
        )
    grant = snapshot.certificate(certificate)
    if grant is None:
        raise IdentityError(
            f"the directory does not know the certificate of {own}",
            hint="Hand the join request to the registrar, who runs `docbus registrar grant REQUEST`.",
        )
    if grant.agency != own:
        raise ConfigurationError(f"the certificate is granted to {grant.agency}, the settings say {own}")
    if not grant.may_sign or is_retired(grant, now_ms):
        raise IdentityError(
            f"the certificate of {own} may not sign any more",
            hint=_after(grant),
        )


def _after(grant: CertificateGrant) -> str:
    """Return what is to be done by an agency whose key has ended."""
    if grant.revoked_at is not None:
        return (
            f"Directory entry {grant.revoked_at} has revoked it. `docbus keys rotate` makes new keys and the request"
            " for them, which the registrar publishes without an overlap."
        )
    since = grant.overlap_at if grant.retired_at is None else grant.retired_at
    return (
        f"Directory entry {since} has retired it, for another one: `docbus keys rotate` goes on with the rotation; or"
        " name the newer key under [keys]."
    )


def check_decrypters(decrypters: Sequence[Decrypter], snapshot: TrustSnapshot, own: str) -> None:
    """Refuse to receive with keys that open nothing of what others send: all of it would go to quarantine.

    Raises:
        KeyFileError: The newest encryption key that the directory grants the agency is not among them.
    """
    agency = snapshot.agency(own)
    if agency is None or agency.closed_at is not None:
        return
    wanted = agency.encrypter.digest
    if wanted not in {decrypter.digest for decrypter in decrypters}:
        raise KeyFileError(
            f"none of the decryption keys of {own} opens what others encrypt to it, with {wanted.hex()[:16]}…",
            hint="Put the key whose public half the directory has into encryption under [keys], and start again.",
        )


@asynccontextmanager
async def open_registrar(
    folder: Path, *, clock: Clock, keys: Sequence[str] = (), beating: bool = False
) -> AsyncIterator[Registrar]:
    """Yield the registrar whose folder this is, connected.

    Args:
        folder: Where its settings and its key are.
        clock: For the times of entries.
        keys: URIs of keys that sign beside the folder's own.
        beating: Only heartbeats will be signed: the folder's key for them is enough, if it has one.

    Raises:
        ConfigurationError: The folder is not a registrar's.
        KeyFileError: A key is missing or unreadable.
        SignerAwayError: A key's token is not there.
        TransportError: The bus cannot be reached.
    """
    settings = load_settings(folder)
    if settings.registrar is None:
        raise ConfigurationError(
            f"{folder} is not a registrar's folder: its settings have no [registrar]",
            hint="Name the registrar's folder with --folder.",
        )
    own = settings.registrar
    folders = (own.heartbeat_key,) if beating and own.heartbeat_key is not None else (own.key, own.heartbeat_key)
    named = [settings.key_uri(uri) for uri in folders if uri is not None]
    signers = [await asyncio.to_thread(registrar_signer, uri) for uri in (*named, *keys)]
    async with started_transport(settings) as transport, folder_memory(settings) as memory:
        last = LastEntry(settings.folder / FILE_NAME)
        yield Registrar(transport, signers, settings.exchange.genesis_bytes, clock, last, memory=memory)
