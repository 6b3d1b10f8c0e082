"""What the errors of PKCS #11 mean: mend the configuration, or wait until the token is back."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from docbus.errors import DocbusError, KeyFileError, PinError, SignerAwayError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from docbus.tokens.uri import TokenUri

_UNUSABLE = (
    "AttributeReadOnly",
    "AttributeTypeInvalid",
    "AttributeValueInvalid",
    "FunctionNotSupported",
    "KeySizeRange",
    "KeyTypeInconsistent",
    "MechanismInvalid",
    "MechanismParamInvalid",
    "SessionReadOnly",
    "TemplateIncomplete",
    "TemplateInconsistent",
    "TokenWriteProtected",
)
"""The token is there, and will never do this with this key."""
_NOT_PERMITTED = "0x68"
"""CKR_KEY_FUNCTION_NOT_PERMITTED, for which python-pkcs11 has no class: the text of its general one ends with it."""
_PIN = ("PinExpired", "PinIncorrect", "PinInvalid", "PinLenRange", "PinLocked", "UserPinNotInitialized")


def docbus_error(error: Exception, uri: TokenUri) -> DocbusError:
    """Return what an error of python-pkcs11 asks for; whatever is not known to last is waited out."""
    name = type(error).__name__
    if name in _PIN:
        return PinError(
            f"{uri.token_text} does not take the PIN ({name}); it is not tried again, as tokens lock after a few",
            hint="Correct the PIN where it comes from, then start docbus again; a locked token is for its security"
            " officer.",
        )
    if name in _UNUSABLE or str(error).endswith(_NOT_PERMITTED):
        return KeyFileError(
            f"{uri.token_text} cannot do that with {uri.key_text} ({name})",
            hint="It has to be a private key for signing: EC on P-256 with CKM_ECDSA, RSA with"
            " CKM_SHA256_RSA_PKCS_PSS, or Ed25519 with CKM_EDDSA.",
        )
    return SignerAwayError(
        f"{uri.token_text} does not answer ({name})", hint="Put the token back; what waits goes on by itself."
    )


@contextmanager
def translated(uri: TokenUri) -> Iterator[None]:
    """Raise what the errors of python-pkcs11 mean. The PIN is in none of them: their texts are left out.

    Raises:
        DocbusError: As :func:`docbus_error` says.
    """
    from pkcs11.exceptions import PKCS11Error

    try:
        yield
    except PKCS11Error as error:
        raise docbus_error(error, uri) from None
