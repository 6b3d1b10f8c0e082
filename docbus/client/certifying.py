"""An agency's side of being certified: its request, the certificate that comes back, and files to judge it by."""

from __future__ import annotations

from hashlib import sha256
from typing import TYPE_CHECKING, NamedTuple

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import mldsa
from cryptography.hazmat.primitives.serialization import Encoding

from docbus.client.connect import (
    agency_id,
    decrypters_of_settings,
    keys_of_settings,
    read_certificates,
    signer_under,
)
from docbus.client.key_folders import LOCK_NAME
from docbus.errors import ConfigurationError, IdentityError, KeyFileError, MalformedError
from docbus.identity.agency import AgencyId
from docbus.identity.certificates import certificate_set_digest, check_for_registration
from docbus.identity.encryption import Encrypter
from docbus.identity.join import MAX_REQUEST_CHARACTERS, fingerprint_of, make_join_request, read_join_request
from docbus.identity.key_sets import certificates_pem, read_key_set
from docbus.identity.pki.authorities import NO_AUTHORITIES, TrustAnchor, check_anchor
from docbus.identity.pki.crl import MAX_LIST_BYTES
from docbus.identity.pki.issuing import MAX_REQUEST_BYTES, make_request
from docbus.identity.pki.material import read_piece
from docbus.identity.pki.material_file import MAX_FILE_BYTES, MaterialFile, load_material
from docbus.identity.pki.profile import MAX_CERTIFICATE_BYTES, is_authority, is_issued, load_certificate
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
    from docbus.identity.key_sets import AnyPrivateKey
    from docbus.identity.pki.authorities import Authorities
    from docbus.identity.pki.material import Piece
    from docbus.identity.signing import Signer
    from docbus.identity.snapshot import TrustSnapshot
    from docbus.settings import Settings

MAX_GIVEN = 16
"""Certificates that are taken at once: two of the agency's keys, and the authorities above each."""
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
    """Return a certification request, PEM, for the signing key that needs a certificate; two for a hybrid profile.

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
    return make_certification_request(settings, requesting_keys(settings, uri))


def requesting_keys(settings: Settings, uri: str) -> tuple[AnyPrivateKey, ...]:
    """Return the keys that a URI names, in a file or on a token, as the builder of requests wants them.

    Raises:
        DocbusError: As :func:`certification_request`.
    """
    if is_token_uri(uri):
        return (certifying_key(open_token_key(uri)),)
    return read_key_set(settings.key_uri(uri))


def make_certification_request(settings: Settings, keys: Sequence[AnyPrivateKey]) -> bytes:
    """Return a certification request for each key of the agency, PEM, one after the other.

    Raises:
        DocbusError: As :func:`certification_request`.
    """
    return b"".join(make_request(key, agency_id(settings)) for key in keys)


class Usable(NamedTuple):
    """What signs with a key under certificates of an authority, and these, DER, in the profile's order."""

    signer: Signer
    certificates: tuple[bytes, ...]


def check_usable(settings: Settings, uri: str, given: Sequence[x509.Certificate], clock: Clock) -> Usable:
    """Return what signs with a key under a certificate of an authority, if that may be granted to the agency.

    Args:
        settings: Of the agency's folder.
        uri: Of the key.
        given: What the authority has handed out: certificates of authorities among them are left alone, and of a
            hybrid profile both may come in either order.
        clock: For their validity.

    Raises:
        KeyFileError: A certificate is another key's, or one is missing.
        IdentityError: One may not be granted to this agency; the text says why.
    """
    own = [one for one in given if not is_authority(one)]
    # The hybrid profile's own order, which an authority does not know.
    own.sort(key=lambda one: isinstance(one.public_key(), mldsa.MLDSA65PublicKey))
    if not own or not all(map(is_issued, own)):
        raise IdentityError("a certificate that nobody else has issued", hint="`docbus cert request` asks for one.")
    certificates = tuple(one.public_bytes(Encoding.DER) for one in own)
    signer = signer_under(settings, uri, certificates)
    for der, algorithm in zip(certificates, PROFILES[signer.profile].algorithms, strict=True):
        check_for_registration(der, agency_id(settings), algorithm, now_ms=clock.now_ms())
    return Usable(signer, certificates)


def use_certificate(
    settings: Settings, given: Sequence[x509.Certificate], clock: Clock, snapshot: TrustSnapshot | None = None
) -> Certified:
    """Put a certificate for the folder's signing key in the place of the one before, and make the join request anew.

    The former certificate is kept beside it; names, aliases and the encryption key are those of the former request. It
    may be given again, also after a process has died in it.

    Args:
        settings: Of a folder that is to join.
        given: That an authority has issued, as for :func:`check_usable`.
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
        return _use(settings, given, clock, snapshot)


def _use(
    settings: Settings, given: Sequence[x509.Certificate], clock: Clock, snapshot: TrustSnapshot | None
) -> Certified:
    agency, keys = agency_id(settings), keys_of_settings(settings)
    signer, certificates = check_usable(settings, keys.signing, given, clock)
    path = settings.path(keys.certificate)
    current = read_certificates(path)
    digest = certificate_set_digest([sha256(der).digest() for der in current])
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
                certificates=certificates,
                encryption_key=before.encryption.public_key,
                now_ms=clock.now_ms(),
                aliases=before.aliases,
            )
            write_whole(asked, request.encode())
        former = None
        if digest != signer.certificate:
            former = path.with_name(f"{path.stem}-{_mark(digest)}.pem")
            write_whole(former, certificates_pem(current))
            write_whole(path, certificates_pem(certificates))
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


def read_given_certificates(paths: Sequence[Path]) -> list[x509.Certificate]:
    """Return the certificates in files, each in DER or some in PEM, as authorities hand them out.

    Raises:
        ConfigurationError: A file cannot be read, holds none, or more than a path has.
    """
    found: list[x509.Certificate] = []
    for path in paths:
        content = _read(path, MAX_GIVEN * MAX_CERTIFICATE_BYTES)
        if not content.lstrip().startswith(b"-----"):
            found.append(read_certificate(path))
            continue
        try:
            found += [
                load_certificate(one.public_bytes(Encoding.DER)) for one in x509.load_pem_x509_certificates(content)
            ]
        except (ValueError, IdentityError) as error:
            raise ConfigurationError(f"{path} is not a certificate in PEM or DER") from error
    if len(found) > MAX_GIVEN:
        raise ConfigurationError(f"{len(found)} certificates; {MAX_GIVEN} are allowed")
    return found


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
