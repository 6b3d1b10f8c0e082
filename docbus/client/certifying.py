"""An agency's side of being certified: its request, the certificate that comes back, and files to judge it by."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, NamedTuple

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding

from docbus.client.connect import agency_id, decrypters_of_settings, keys_of_settings, signer_under
from docbus.client.new_files import PUBLIC_MODE, write_new
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
    from docbus.settings import Settings

_SIGNING = ec.EllipticCurvePrivateKey, rsa.RSAPrivateKey, ed25519.Ed25519PrivateKey


class Certified(NamedTuple):
    """A certificate that an agency's folder signs under from now on, and the join request with it.

    Attributes:
        certificate: Its file, which settings name.
        former: Where the one before lies now.
        request: The new join request.
        fingerprint: Of the join request, for the telephone.
    """

    certificate: Path
    former: Path
    request: Path
    fingerprint: str


def certification_request(settings: Settings) -> bytes:
    """Return a certification request for the folder's signing key, PEM.

    Raises:
        ConfigurationError: The folder is not an agency's.
        KeyFileError: Its key cannot be used, or cannot sign a request.
        PinError: The PIN of its token is missing, wrong or locked.
        SignerAwayError: Its token is not there, or does not answer.
    """
    agency, keys = agency_id(settings), keys_of_settings(settings)
    if is_token_uri(keys.signing):
        return make_request(certifying_key(open_token_key(keys.signing)), agency)
    found = read_private_keys(settings.key_uri(keys.signing))
    if len(found) != 1 or not isinstance(
        found[0], ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey | ed25519.Ed25519PrivateKey
    ):
        raise KeyFileError(
            f"{keys.signing} holds no single signing key that could ask for a certificate",
            hint="A signing key is P-256, RSA or Ed25519, alone in its file.",
        )
    return make_request(found[0], agency)


def use_certificate(settings: Settings, certificate: x509.Certificate, clock: Clock) -> Certified:
    """Put a certificate for the folder's signing key in the place of the one before, and make the join request anew.

    The former certificate is kept beside it; names, aliases and the encryption key are those of the former request.

    Raises:
        ConfigurationError: The folder is not an agency's, has no join request any more, or cannot be written.
        KeyFileError: The certificate is another key's.
        IdentityError: It may not be granted to this agency; the text says why.
    """
    agency, keys = agency_id(settings), keys_of_settings(settings)
    if not is_issued(certificate):
        raise IdentityError("a certificate that nobody else has issued", hint="`docbus cert request` asks for one.")
    der = certificate.public_bytes(Encoding.DER)
    signer = signer_under(settings, keys.signing, der)
    check_for_registration(der, agency, PROFILES[signer.profile].algorithms[0], now_ms=clock.now_ms())
    before = _former_request(settings, agency)
    request = make_join_request(
        signer,
        environment=settings.exchange.environment,
        genesis=settings.exchange.genesis_bytes,
        agency=agency,
        name=before.name,
        certificate=der,
        encryption_key=before.encryption.public_key,
        now_ms=clock.now_ms(),
        aliases=before.aliases,
    )
    mark = signer.certificate.hex()[:8]
    path = settings.path(keys.certificate)
    asked = settings.folder / f"{AgencyId.parse(agency).code}-{mark}.join"
    made: list[Path] = []
    try:
        write_new(made, asked, request.encode(), PUBLIC_MODE)
        former = _replace(made, path, certificate.public_bytes(Encoding.PEM), mark)
    except OSError as error:
        for one in made:
            one.unlink(missing_ok=True)
        raise ConfigurationError(
            f"{error.filename} cannot be made: {error.strerror}", hint="It may be in use already; nothing was changed."
        ) from error
    return Certified(path, former, asked, fingerprint_of(request))


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


def _replace(made: list[Path], path: Path, pem: bytes, mark: str) -> Path:
    """Put a new file in the place of one that stays beside it; there is one under the name at every moment.

    Raises:
        OSError: It cannot be done; nothing was replaced.
    """
    former, fresh = path.with_name(f"{path.stem}-before-{mark}.pem"), path.with_name(f"{path.stem}-{mark}.pem")
    write_new(made, fresh, pem, PUBLIC_MODE)
    os.link(path, former)
    made.append(former)
    fresh.replace(path)
    return former
