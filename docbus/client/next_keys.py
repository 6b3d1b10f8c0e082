"""What the settings name as an agency's next keys, and the requests for them: an authority's and the registrar's.

Both requests lie in the agency's folder under the name of the set of keys, and are written whole or not at all. One
that is there for the same keys is left as it is.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm

from docbus.client.certifying import check_usable, make_certification_request, requesting_keys
from docbus.client.connect import agency_id, keys_of_settings, next_signer_of_settings, read_certificates
from docbus.client.key_folders import KeySet, set_of
from docbus.client.settings_file import edit_keys
from docbus.errors import ConfigurationError, KeyFileError, MalformedError
from docbus.identity.agency import AgencyId
from docbus.identity.encryption import open_decrypter
from docbus.identity.join import make_join_request, read_join_request
from docbus.identity.key_sets import certificates_pem
from docbus.identity.keyfile import path_of
from docbus.identity.pki.issuing import split_requests
from docbus.identity.signing import public_key_bytes
from docbus.storage.whole_files import write_whole
from docbus.tokens.uri import is_token_uri

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path
    from typing import Any

    from docbus.clock import Clock
    from docbus.identity.signing import Signer
    from docbus.identity.snapshot import TrustSnapshot
    from docbus.settings import Settings


def awaits_certificate(settings: Settings) -> bool:
    """Tell whether the next signing key has no certificate yet, because an authority is to issue it."""
    keys = keys_of_settings(settings)
    return keys.next_signing is not None and keys.next_certificate is None


def next_set(settings: Settings) -> KeySet | None:
    """Return the set of keys that is next; None if there is none, or its keys lie in no folder of their own."""
    keys = keys_of_settings(settings)
    if keys.next_certificate is not None:
        return set_of(settings.folder, settings.path(keys.next_certificate))
    if keys.next_signing is None or is_token_uri(keys.next_signing):
        return None
    return set_of(settings.folder, path_of(settings.key_uri(keys.next_signing)))


def next_encryption(settings: Settings) -> str:
    """Return the URI of the decryption key that belongs to the next signing key: that of its set, or the newest."""
    listed, made = keys_of_settings(settings).encryption, next_set(settings)
    return made.encryption if made is not None and made.encryption in listed else listed[0]


def request_path(settings: Settings) -> Path:
    """Return where the request for the registrar lies."""
    return settings.folder / f"{_stem(settings)}.join"


def certification_path(settings: Settings) -> Path:
    """Return where the request for the authority lies."""
    return settings.folder / f"{_stem(settings)}.csr.pem"


def check_new_decryption_key(settings: Settings, snapshot: TrustSnapshot | None) -> None:
    """Return unless the key that the request is to name was granted before, which the registrar could not publish.

    Raises:
        ConfigurationError: It was.
    """
    agency = None if snapshot is None else snapshot.agency(agency_id(settings))
    if agency is None:
        return
    digest = open_decrypter(settings.key_uri(next_encryption(settings))).digest
    if any(encrypter.digest == digest for encrypter, _, _ in agency.encrypters):
        raise ConfigurationError(
            f"the decryption key {digest.hex()[:16]}… that would go with the next signing key was granted before",
            hint="Put a new one first in the list `encryption` under [keys], leave the old ones behind it, and give the"
            " command again.",
        )


def write_certification_request(settings: Settings) -> bool:
    """Write the request for the authority, unless it is there for this key; tell whether it was written.

    Raises:
        ConfigurationError: It cannot be written.
        KeyFileError: The next signing key cannot be used.
        PinError: The PIN of its token is missing, wrong or locked.
        SignerAwayError: Its token is not there, or does not answer.
    """
    path, uri = certification_path(settings), keys_of_settings(settings).next_signing
    if uri is None:
        return False
    keys = requesting_keys(settings, uri)
    if _asks_for(path, [public_key_bytes(key.public_key()) for key in keys]):
        return False
    _write(path, make_certification_request(settings, keys))
    return True


def write_request(settings: Settings, clock: Clock) -> bool:
    """Write the request for the registrar, unless it is there for these keys; tell whether it was written.

    Raises:
        ConfigurationError: It cannot be written.
        KeyFileError: A key that the settings name cannot be used.
    """
    path, keys = request_path(settings), keys_of_settings(settings)
    if keys.next_certificate is None or settings.agency is None:
        return False
    certificates = read_certificates(settings.path(keys.next_certificate))
    encryption_key = open_decrypter(settings.key_uri(next_encryption(settings))).public_key
    if _names(path, certificates, encryption_key):
        return False
    following: Signer | None = next_signer_of_settings(settings)
    if following is None:
        return False
    text = make_join_request(
        following,
        environment=settings.exchange.environment,
        genesis=settings.exchange.genesis_bytes,
        agency=agency_id(settings),
        name=settings.agency.name,
        certificates=certificates,
        encryption_key=encryption_key,
        now_ms=clock.now_ms(),
    )
    _write(path, text.encode("ascii"))
    return True


def take_certificate(settings: Settings, given: Sequence[x509.Certificate], clock: Clock) -> Path:
    """Put a certificate that an authority has issued beside the next signing key, and name it; return its file.

    Another one that was named before, and is not granted, makes way for it.

    Raises:
        ConfigurationError: It cannot be written, or the settings cannot be changed.
        KeyFileError: The certificate is another key's.
        IdentityError: It may not be granted to this agency; the text says why.
    """
    keys, made = keys_of_settings(settings), next_set(settings)
    if keys.next_signing is None:
        raise ConfigurationError("no rotation is under way", hint="`docbus keys rotate` begins one.")
    try:
        signer, certificates = check_usable(settings, keys.next_signing, given, clock)
    except KeyFileError as error:
        asked = certification_path(settings).name
        raise KeyFileError(error.text, hint=f"A rotation is under way; {asked} asks for its certificate.") from error
    if made is not None:
        named = made.certificate
    elif keys.next_certificate is not None:
        named = str(keys.next_certificate)
    else:
        named = f"keys/next-{signer.certificate.hex()[:8]}.pem"
    path = settings.folder / named
    _write(path, certificates_pem(certificates))

    def name(table: Any) -> None:
        table["next_certificate"] = named

    edit_keys(settings.folder, name)
    return path


def remove_requests(settings: Settings) -> None:
    """Take away the requests for the next keys, which have done their work: the next ones are not mistaken for them."""
    for path in (request_path(settings), certification_path(settings)):
        path.unlink(missing_ok=True)


def _stem(settings: Settings) -> str:
    made = next_set(settings)
    label = "next" if made is None else made.folder.name
    return f"{AgencyId.parse(agency_id(settings)).code}-{label}"


def _write(path: Path, content: bytes) -> None:
    try:
        write_whole(path, content)
    except OSError as error:
        raise ConfigurationError(f"{path} cannot be written: {error.strerror}") from error


def _names(path: Path, certificates: tuple[bytes, ...], encryption_key: bytes) -> bool:
    """Return whether a request is for these keys; one that is missing or cannot be read is not."""
    try:
        request = read_join_request(path.read_text("ascii"))
    except (OSError, MalformedError, UnicodeDecodeError):
        return False
    return request.signing.certificates == certificates and request.encryption.public_key == encryption_key


def _asks_for(path: Path, public_keys: list[bytes]) -> bool:
    """Return whether requests for an authority are for these keys; what is missing or cannot be read is not."""
    try:
        asked = map(x509.load_pem_x509_csr, split_requests(path.read_bytes()))
        return [public_key_bytes(one.public_key()) for one in asked] == public_keys
    except (OSError, ValueError, UnsupportedAlgorithm):
        return False
