"""Finding a token, and on it a key, by what a URI says of them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from docbus.errors import KeyFileError, SignerAwayError
from docbus.tokens.public_keys import public_key_of

if TYPE_CHECKING:
    import pkcs11

    from docbus.identity.signing import PublicKey
    from docbus.tokens.beginning import Library
    from docbus.tokens.uri import TokenUri


class TokenAbsentError(SignerAwayError):
    """No slot has the token: it is away, or came after the library had looked, which some do only when they begin.

    Attributes:
        looked_anew: The library had just begun, so that it is the former.
    """

    looked_anew = False


class KeyAbsentError(KeyFileError):
    """The token has no such key; or it was pulled, and its library finds nothing on it any more, as SoftHSM does.

    Attributes:
        looked_anew: The library had just begun, so that it is the former.
    """

    looked_anew = False


def find_token(library: Library, uri: TokenUri) -> pkcs11.Token:
    """Return the token that a URI names.

    Raises:
        TokenAbsentError: It is not there.
        KeyFileError: Several are meant.
    """
    found = [token for slot in library.get_slots(token_present=True) if _is_meant(token := slot.get_token(), uri)]
    if not found:
        raise TokenAbsentError(
            f"{uri.token_text} is not there",
            hint="Put the token back, or correct the key's URI if it has another name.",
        )
    if len(found) > 1:
        raise KeyFileError(
            f"{uri.token_text} means {len(found)} tokens",
            hint="Add serial= to the key's URI, which tells tokens of one label apart.",
        )
    return found[0]


def _is_meant(token: pkcs11.Token, uri: TokenUri) -> bool:
    asked = (
        (uri.token, token.label),
        (uri.serial, token.serial.decode("utf-8", "replace")),
        (uri.manufacturer, token.manufacturer_id),
        (uri.model, token.model),
        (uri.slot_id, token.slot.slot_id),
    )
    return all(wanted is None or wanted == found for wanted, found in asked)


def find_private_key(session: pkcs11.Session, uri: TokenUri) -> Any:
    """Return the private key that a URI names; the session is logged in.

    Raises:
        KeyAbsentError: There is none.
        KeyFileError: There are several.
    """
    from pkcs11 import ObjectClass

    found = _objects(session, uri, ObjectClass.PRIVATE_KEY)
    hint = "Correct object and id in the key's URI; `p11tool --login --list-all-privkeys` shows what is there."
    if not found:
        raise KeyAbsentError(f"{uri.token_text} has no private key that is {uri.key_text}", hint=hint)
    if len(found) > 1:
        raise KeyFileError(f"{uri.token_text} has several keys that are {uri.key_text}", hint=hint)
    return found[0]


def asks_each_time(key: Any) -> bool:
    """Tell whether a private key wants the PIN for each signature, also after a login."""
    from pkcs11 import Attribute
    from pkcs11.exceptions import AttributeTypeInvalid

    try:
        return bool(key[Attribute.ALWAYS_AUTHENTICATE])
    except AttributeTypeInvalid:
        return False


def find_public_key(session: pkcs11.Session, uri: TokenUri) -> PublicKey | None:
    """Return the public half of the key that a URI names, if the token shows it without a PIN.

    Raises:
        KeyFileError: There are several, or it is none that may sign.
    """
    from pkcs11 import ObjectClass

    found = _objects(session, uri, ObjectClass.PUBLIC_KEY)
    if len(found) > 1:
        raise KeyFileError(f"{uri.token_text} has several keys that are {uri.key_text}", hint="Name the key by its id.")
    return public_key_of(found[0], uri) if found else None


def _objects(session: pkcs11.Session, uri: TokenUri, kind: pkcs11.ObjectClass) -> list[Any]:
    from pkcs11 import Attribute

    wanted: dict[Attribute, Any] = {Attribute.CLASS: kind}
    if uri.key_label is not None:
        wanted[Attribute.LABEL] = uri.key_label
    if uri.key_id is not None:
        wanted[Attribute.ID] = uri.key_id
    # To its end: a search that is left open would be in the way of the next.
    return list(session.get_objects(wanted))
