"""What a token shows to whoever has no PIN."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from docbus.tokens.search import find_public_key

if TYPE_CHECKING:
    import pkcs11

    from docbus.identity.signing import PublicKey
    from docbus.tokens.uri import TokenUri


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenLook:
    """A token, seen from outside.

    Attributes:
        label: Of the token.
        serial: Of the token.
        public_key: Of the key that was asked for; None if the token does not show it.
        pin_locked: No PIN lets anybody in any more.
        pin_doubtful: The last PIN that somebody has tried was wrong.
    """

    label: str
    serial: str
    public_key: PublicKey | None
    pin_locked: bool
    pin_doubtful: bool


def look_at(token: pkcs11.Token, session: pkcs11.Session, uri: TokenUri) -> TokenLook:
    """Return what can be seen of a token and a key in a session, also without a PIN.

    Raises:
        KeyFileError: Several keys are meant, or the key is none that may sign.
    """
    from pkcs11 import TokenFlag

    return TokenLook(
        label=token.label,
        serial=serial_of(token),
        public_key=find_public_key(session, uri),
        pin_locked=bool(token.flags & TokenFlag.USER_PIN_LOCKED),
        pin_doubtful=bool(token.flags & (TokenFlag.USER_PIN_COUNT_LOW | TokenFlag.USER_PIN_FINAL_TRY)),
    )


def name_of(token: pkcs11.Token) -> str:
    """Return by what a token is known in this process, whatever slot it is in."""
    return f"{serial_of(token)} {token.label}"


def serial_of(token: pkcs11.Token) -> str:
    """Return a token's serial number, which some makers fill with anything."""
    return token.serial.decode("utf-8", "replace")
