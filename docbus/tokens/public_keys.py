"""The public half of a key on a token, put together from what the token says of it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import load_der_public_key

from docbus.errors import IdentityError, KeyFileError
from docbus.identity.signing import profile_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from docbus.identity.signing import PublicKey
    from docbus.tokens.uri import TokenUri

ED25519_PARAMETERS = bytes.fromhex("06032b6570")
"""The curve's name, id-Ed25519 (RFC 8410 section 3), in DER, as ``CKA_EC_PARAMS`` has it."""
_ED25519_BYTES = 32
_OCTET_STRING = bytes((4, _ED25519_BYTES))


def public_key_of(found: Any, uri: TokenUri) -> PublicKey:
    """Return a public key of a token, which passes every check that one in a file does.

    Args:
        found: Of python-pkcs11.
        uri: What it was looked for by, for errors.

    Raises:
        KeyFileError: It is none that may sign.
    """
    from pkcs11 import KeyType
    from pkcs11.util.ec import encode_ec_public_key
    from pkcs11.util.rsa import encode_rsa_public_key

    readers: dict[KeyType, Callable[[Any], object]] = {
        KeyType.EC: lambda key: load_der_public_key(encode_ec_public_key(key)),
        KeyType.RSA: lambda key: load_der_public_key(encode_rsa_public_key(key)),
        KeyType.EC_EDWARDS: _ed25519,
    }
    read = readers.get(found.key_type)
    if read is None:
        raise KeyFileError(f"{uri.key_text} on {uri.token_text} is of another kind than EC, RSA and Ed25519")
    try:
        public_key = read(found)
        profile_of(public_key)
    except (ValueError, UnsupportedAlgorithm):
        raise KeyFileError(f"{uri.key_text} on {uri.token_text} is a key that cannot be read") from None
    except IdentityError as error:
        raise KeyFileError(f"{uri.key_text} on {uri.token_text} is {error.text}") from None
    return public_key  # type: ignore[return-value] # profile_of lets only these kinds pass


def _ed25519(found: Any) -> Ed25519PublicKey:
    """Return a key on an Edwards curve, whose point is bare (PKCS #11 3.0) or in an OCTET STRING (SoftHSM, 3.1)."""
    from pkcs11 import Attribute

    point: bytes = found[Attribute.EC_POINT]
    if len(point) == len(_OCTET_STRING) + _ED25519_BYTES:
        point = point.removeprefix(_OCTET_STRING)
    if len(point) != _ED25519_BYTES:
        raise IdentityError("a key on another Edwards curve than Ed25519")
    return Ed25519PublicKey.from_public_bytes(point)
