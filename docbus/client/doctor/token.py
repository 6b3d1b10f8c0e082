"""Whether the signing key on a token can be used, as far as the token shows it without its PIN."""

from __future__ import annotations

from typing import TYPE_CHECKING

from docbus.client.connect import signer_of_settings
from docbus.client.doctor.diagnosis import Diagnosis, failed, passed, refused, warning
from docbus.errors import ConfigurationError, SignerAwayError
from docbus.identity.signing import public_key_bytes
from docbus.tokens.pins import read_pin
from docbus.tokens.signer import TokenSigner
from docbus.wire.profiles import PROFILES

if TYPE_CHECKING:
    from docbus.identity.signing import Signer
    from docbus.settings import Settings
    from docbus.tokens.look import TokenLook


def token_key(settings: Settings, check: str) -> tuple[Diagnosis, Signer | None]:
    """Tell whether token, key and the file with the PIN are there, and the key is the certificate's.

    No PIN is tried, as tokens lock after a few that are wrong. The certificate of a token that is away can be checked
    all the same.

    Args:
        settings: The folder's, whose signing key is on a token.
        check: Name of the check.
    """
    try:
        signer = signer_of_settings(settings)
        assert isinstance(signer, TokenSigner)  # noqa: S101 - the settings name a token
        if signer.key.uri.pin_file is not None:
            read_pin(signer.key.uri)
        try:
            look = signer.key.module.look(signer.key.uri)
        except SignerAwayError as error:
            return refused(check, error), signer
    except ConfigurationError as error:
        return refused(check, error), None
    return _seen(check, signer, look)


def _seen(check: str, signer: TokenSigner, look: TokenLook) -> tuple[Diagnosis, Signer | None]:
    """Tell whether what a token shows is the key of the certificate, and can be used."""
    key = signer.key
    where = f"{PROFILES[signer.profile].name} on token {look.label}, serial {look.serial}"
    certificate = f"certificate {signer.certificate.hex()[:16]}…"
    if look.pin_locked:
        return failed(check, f"{where}; its PIN is locked", "Let the token's security officer unlock it."), None
    if look.public_key is None:
        return (
            warning(
                check,
                f"{where}; it does not show the public half of {key.uri.key_text}, so that the key may not be there",
                "Put the public half beside the key, under the same label and id; or see whether a document is sent.",
            ),
            signer,
        )
    if public_key_bytes(look.public_key) != public_key_bytes(key.public_key):
        return (
            failed(
                check,
                f"{where}; {key.uri.key_text} does not belong to {certificate}",
                "Check that the key's URI and the certificate are of one agency and one rotation.",
            ),
            None,
        )
    found = f"{where}, belongs to {certificate}"
    if look.pin_doubtful:
        remedy = "Correct the PIN where it comes from before a document is sent: tokens lock after a few wrong ones."
        return warning(check, f"{found}; the last PIN that was tried on it was wrong", remedy), signer
    return passed(check, found), signer
