"""An agency's side of being certified: its request, the certificate that comes back, and files to judge it by."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding

from docbus.client.connect import agency_id, decrypters_of_settings, keys_of_settings, signer_under
from docbus.client.key_folders import LOCK_NAME
from docbus.errors import ConfigurationError, IdentityError, KeyFileError, MalformedError
from docbus.identity.agency import AgencyId
from docbus.identity.certificates import check_for_registration
from docbus.identity.encryption import Encrypter
from docbus.identity.join import MAX_REQUEST_CHARACTERS, fingerprint_of, make_join_request, read_join_request
from docbus.identity.keyfile import read_private_keys
from docbus.identity.pki.authorities import NO_AUTHORITIES, TrustAnchor, check_anchor
from docbus.identity.pki.crl import MAX_LIST_BYTES
from docbus.identity.pki.issuing import MAX_REQUEST_BYTES, make_request
from docbus.identity.pki.material import read_piece
from docbus.identity.pki.material_file import MAX_FILE_BYTES, MaterialFile, load_material
from docbus.identity.pki.profile import MAX_CERTIFICATE_BYTES, is_issued, load_certificate
from docbus.storage.locks import hold
from docbus.storage.whole_files import write_whole
from docbus.tokens.certifying import certifying_key
from docbus.tokens.signer import open_token_key
from docbus.tokens.uri import is_token_uri
from docbus.wire.profiles import PROFILES

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from docbus.clock import Clock
    from docbus.identity.join import JoinRequest
    from docbus.identity.pki.authorities import Authorities
    from docbus.identity.pki.material import Piece
    from docbus.identity.signing import PrivateKey, Signer
    from docbus.identity.snapshot import TrustSnapshot
    from docbus.settings import Settings

MARK_DIGITS = 8
"""Hex digits of a certificate's digest in the names of its files: an agency has few."""


class Certified(NamedTuple):
    """A certificate that an agency's folder signs under from now on, and the join request with it.

    Attributes:
        certificate: Its file, which settings name.
        former: Where the one before lies now; None if this one was there already.
        request: The new join request; those before it are gone.
        fingerprint: Of the join request, for the telephone.
    """

    certificate: Path
    former: Path | None
    request: Path
    fingerprint: str


def certification_request(settings: Settings) -> bytes:
    """Return a certification request, PEM, for the signing key that needs a certificate.

    That is the next one, if a rotation waits for its certificate, and otherwise the one that the folder signs with.

    Raises:
        ConfigurationError: The folder is not an agency's.
        KeyFileError: Its key cannot be used, or cannot sign a request.
        PinError: The PIN of its token is missing, wrong or locked.
        SignerAwayError: Its token is not there, or does not answer.
    """
    keys = keys_of_settings(settings)
    waits = keys.next_signing is not None and keys.next_certificate is None
    uri = keys.next_signing if waits and keys.next_signing is not None else keys.signing
    return make_certification_request(settings, requesting_key(settings, uri))


def requesting_key(settings: Settings, uri: str) -> PrivateKey:
    """Return the key that a URI names, in a file or on a token, as the builder of requests wants it.

    Raises:
        DocbusError: As :func:`certification_request`.
    """
    if is_token_uri(uri):
        return certifying_key(open_token_key(uri))
    found = read_private_keys(settings.key_uri(uri))
    if len(found) != 1 or not isinstance(
        found[0], ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey | ed25519.Ed25519PrivateKey
    ):
        raise KeyFileError(
            f"{uri} holds no single signing key that could ask for a certificate",
            hint="A signing key is P-256, RSA or Ed25519, alone in its file.",
        )
    return found[0]


def make_certification_request(settings: Settings, key: PrivateKey) -> bytes:
    """Return a certification request for a key of the agency, PEM.

    Raises:
        DocbusError: As :func:`certification_request`.
    """
    return make_request(key, agency_id(settings))


def check_usable(settings: Settings, uri: str, certificate: x509.Certificate, clock: Clock) -> Signer:
    """Return what signs with a key under a certificate of an authority, if that may be granted to the agency.

    Raises:
        KeyFileError: The certificate is another key's.
        IdentityError: It may not be granted to this agency; the text says why.
    """
    if not is_issued(certificate):
        raise IdentityError("a certificate that nobody else has issued", hint="`docbus cert request` asks for one.")
    der = certificate.public_bytes(Encoding.DER)
    signer = signer_under(settings, uri, [der])
    algorithm = PROFILES[signer.profile].algorithms[0]
    check_for_registration(der, agency_id(settings), algorithm, now_ms=clock.now_ms())
    return signer


def use_certificate(
    settings: Settings, certificate: x509.Certificate, clock: Clock, snapshot: TrustSnapshot | None = None
) -> Certified:
    """Put a certificate for the folder's signing key in the place of the one before, and make the join request anew.

    The former certificate is kept beside it; names, aliases and the encryption key are those of the former request. It
    may be given again, also after a process has died in it.

    Args:
        settings: Of a folder that is to join.
        certificate: That an authority has issued.
        clock: For its validity and the request.
        snapshot: The directory, if it can be read: an agency that works already is not made to stop.

    Raises:
        ConfigurationError: The folder is not an agency's, has no join request any more, cannot be written, or signs
            under a certificate that is granted.
        KeyFileError: The certificate is another key's.
        IdentityError: It may not be granted to this agency; the text says why.
        LockedError: Another process changes the keys of this folder.
    """
    with hold(settings.folder / LOCK_NAME, "changing keys", clock):
        return _use(settings, certificate, clock, snapshot)


def _use(settings: Settings, certificate: x509.Certificate, clock: Clock, snapshot: TrustSnapshot | None) -> Certified:
    agency, keys = agency_id(settings), keys_of_settings(settings)
    signer = check_usable(settings, keys.signing, certificate, clock)
    path = settings.path(keys.certificate)
    current = read_certificate(path)
    digest = current.fingerprint(SHA256())
    if snapshot is not None and snapshot.certificate(digest) is not None and digest != signer.certificate:
        raise ConfigurationError(
            f"the directory grants the certificate that is to be replaced, {digest.hex()[:16]}…",
            hint="An agency that was granted goes over by `docbus keys rotate --authority`, and signs on meanwhile.",
        )
    before = _former_request(settings, agency)
    asked = joining_path(settings, _mark(signer.certificate))
    try:
        if digest != signer.certificate or not asked.exists():
            request = make_join_request(
                signer,
                environment=settings.exchange.environment,
                genesis=settings.exchange.genesis_bytes,
                agency=agency,
                name=before.name,
                certificates=[certificate.public_bytes(Encoding.DER)],
                encryption_key=before.encryption.public_key,
                now_ms=clock.now_ms(),
                aliases=before.aliases,
            )
            write_whole(asked, request.encode())
        former = None
        if digest != signer.certificate:
            former = path.with_name(f"{path.stem}-{_mark(digest)}.pem")
            write_whole(former, current.public_bytes(Encoding.PEM))
            write_whole(path, certificate.public_bytes(Encoding.PEM))
        # Last, so that one is there at every moment; a run that died before this is made good by the next one.
        for kept in path.parent.glob(f"{path.stem}-*.pem"):
            mark = kept.stem.removeprefix(f"{path.stem}-")
            if len(mark) == MARK_DIGITS and mark != _mark(signer.certificate):
                joining_path(settings, mark).unlink(missing_ok=True)
    except OSError as error:
        raise ConfigurationError(
            f"{error.filename} cannot be written: {error.strerror}", hint="Check owner and rights of the folder."
        ) from error
    return Certified(path, former, asked, fingerprint_of(asked.read_text("ascii")))


def remove_granted_request(settings: Settings, certificate: bytes) -> None:
    """Take away the request by which a certificate, by its digest, was granted: the next ones stand out."""
    joining_path(settings, _mark(certificate)).unlink(missing_ok=True)


def joining_path(settings: Settings, mark: str) -> Path:
    """Return where the join request with a certificate of an authority lies, by the beginning of its digest."""
    return settings.folder / f"{AgencyId.parse(agency_id(settings)).code}-{mark}.join"


def _mark(digest: bytes) -> str:
    return digest.hex()[:MARK_DIGITS]


def read_certificate(path: Path) -> x509.Certificate:
    """Return the certificate in a file, PEM or DER.

    Raises:
        ConfigurationError: The file cannot be read, or holds none.
    """
    content = _read(path, 2 * MAX_CERTIFICATE_BYTES)
    try:
        is_text = content.startswith(b"-----")
        der = x509.load_pem_x509_certificate(content).public_bytes(Encoding.DER) if is_text else content
        return load_certificate(der)
    except (ValueError, IdentityError) as error:
        raise ConfigurationError(f"{path} is not a certificate in PEM or DER") from error


def authorities_in(anchors: Sequence[Path], below: Sequence[Path]) -> Authorities:
    """Return the authorities whose certificates lie in files; those below are below any of the anchors.

    Raises:
        ConfigurationError: A file cannot be read, or holds no certificate.
        IdentityError: A certificate is no authority's.
    """
    found = NO_AUTHORITIES
    intermediates = tuple(read_certificate(path).public_bytes(Encoding.DER) for path in below)
    for path in anchors:
        der = read_certificate(path).public_bytes(Encoding.DER)
        try:
            digest = check_anchor(der, intermediates)
        except IdentityError as error:
            raise IdentityError(f"{path}: {error.text}") from error
        found = found.with_anchor(
            TrustAnchor(digest=digest, name=path.name, certificate=der, intermediates=intermediates, named_at=0)
        )
    return found


def read_request_file(path: Path) -> bytes:
    """Return a certification request, of bounded size, unread.

    Raises:
        ConfigurationError: The file cannot be read, or is too large.
    """
    return _read(path, MAX_REQUEST_BYTES)


def read_material_file(path: Path) -> Piece:
    """Return the revocation list or OCSP response in a file, PEM or DER.

    Raises:
        ConfigurationError: The file cannot be read, or holds neither.
        IdentityError: It holds one that cannot be used.
    """
    content = _read(path, 2 * MAX_LIST_BYTES)
    try:
        if content.startswith(b"-----"):
            content = x509.load_pem_x509_crl(content).public_bytes(Encoding.DER)
        return read_piece(content)
    except ValueError as error:
        raise ConfigurationError(f"{path} is not a revocation list in PEM or DER") from error
    except MalformedError as error:
        raise ConfigurationError(f"{path}: {error.text}") from error
    except IdentityError as error:
        raise IdentityError(f"{path}: {error.text}", hint=error.hint) from error


def read_given(path: Path) -> MaterialFile:
    """Return the validation material in a file: one of ``docbus export material``, or a list or response itself.

    Raises:
        ConfigurationError: The file cannot be read, or holds neither.
        IdentityError: It holds something that cannot be used.
    """
    content = _read(path, MAX_FILE_BYTES)
    if not content.lstrip().startswith(b"{"):
        return MaterialFile((read_material_file(path),))
    try:
        return load_material(content)
    except MalformedError as error:
        raise ConfigurationError(f"{path}: {error.text}") from error


def _read(path: Path, limit: int) -> bytes:
    try:
        with path.open("rb") as file:
            content = file.read(limit + 1)
    except OSError as error:
        raise ConfigurationError(f"{path} cannot be read: {error.strerror}", hint="Check its path.") from error
    if len(content) > limit:
        raise ConfigurationError(f"{path} has more than {limit:,} bytes")
    return content


def _former_request(settings: Settings, agency: str) -> JoinRequest:
    path = settings.folder / f"{AgencyId.parse(agency).code}.join"
    try:
        before = read_join_request(_read(path, MAX_REQUEST_CHARACTERS).decode())
    except (ConfigurationError, UnicodeDecodeError, MalformedError) as error:
        raise ConfigurationError(
            f"the join request {path}, which has the agency's names, cannot be read",
            hint="It was made by `docbus init`; make a new folder if it is gone.",
        ) from error
    if Encrypter(before.encryption.public_key).digest not in {one.digest for one in decrypters_of_settings(settings)}:
        raise KeyFileError(f"the encryption key in {path} is none of this folder's")
    return before
