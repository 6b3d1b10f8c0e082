"""Whether the private keys of a folder can be used: readable, for their owner alone, and the right ones."""

from __future__ import annotations

from typing import TYPE_CHECKING

from docbus.client.connect import registrar_signer, signer_of_settings
from docbus.client.doctor.diagnosis import Diagnosis, failed, passed, refused
from docbus.client.doctor.token import token_key
from docbus.errors import ConfigurationError, SignerAwayError
from docbus.identity.encryption import open_decrypter
from docbus.tokens.uri import is_token_uri
from docbus.wire.profiles import PROFILES

if TYPE_CHECKING:
    from docbus.identity.encryption import Decrypter
    from docbus.identity.signing import RegistrarSigner, Signer
    from docbus.settings import Settings

SIGNING, DECRYPTION, REGISTRAR, HEARTBEAT = "signing key", "decryption keys", "registrar key", "heartbeat key"
_NAMED = "Name files that this user may read under [keys] in docbus.toml."


def signing_key(settings: Settings) -> tuple[Diagnosis, Signer | None]:
    """Tell whether the key can sign, and is the certificate's; return it as well."""
    if settings.keys is not None and is_token_uri(settings.keys.signing):
        return token_key(settings, SIGNING)
    try:
        signer = signer_of_settings(settings)
    except ConfigurationError as error:
        return refused(SIGNING, error, _NAMED), None
    profile = PROFILES[signer.profile].name
    return passed(SIGNING, f"{profile}, belongs to certificate {signer.certificate.hex()[:16]}…"), signer


def decryption_keys(settings: Settings) -> tuple[Diagnosis, tuple[Decrypter, ...]]:
    """Tell whether all decryption keys can be used; return those that can."""
    uris = () if settings.keys is None else settings.keys.encryption
    usable: list[Decrypter] = []
    troubles: list[ConfigurationError] = []
    for uri in uris:
        try:
            usable.append(open_decrypter(settings.key_uri(uri)))
        except ConfigurationError as error:
            troubles.append(error)
    if troubles:
        found = "; ".join(error.text for error in troubles)
        remedies = dict.fromkeys(error.hint or _NAMED for error in troubles)
        return failed(DECRYPTION, found, "; ".join(remedies)), tuple(usable)
    names = ", ".join(f"{key.digest.hex()[:16]}…" for key in usable)
    return passed(DECRYPTION, f"{len(usable)}: {names}"), tuple(usable)


def registrar_key(settings: Settings, check: str, uri: str) -> tuple[Diagnosis, RegistrarSigner | None]:
    """Tell whether a registrar's key can sign; return it as well.

    Args:
        settings: The folder's.
        check: ``REGISTRAR`` or ``HEARTBEAT``.
        uri: Which key.
    """
    try:
        signer = registrar_signer(settings.key_uri(uri))
    except (ConfigurationError, SignerAwayError) as error:
        return refused(check, error, "Name a file that this user may read under [registrar] in docbus.toml."), None
    return passed(check, f"{PROFILES[signer.profile].name}, {signer.key.hex()[:16]}…"), signer
