"""A new key that is made on a token, and never leaves it."""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING, Any

from docbus.errors import IdentityError, KeyFileError
from docbus.identity.signing import NEW_RSA_BITS, profile_of
from docbus.tokens.module import module_of
from docbus.tokens.public_keys import ED25519_PARAMETERS, public_key_of
from docbus.tokens.signer import TOKEN_PROFILES, TokenKey
from docbus.tokens.uri import parse_token_uri
from docbus.wire.profiles import PROFILES, Profile

if TYPE_CHECKING:
    import pkcs11

    from docbus.identity.signing import PublicKey
    from docbus.tokens.uri import TokenUri

_NEW_ID_BYTES = 16


def make_token_key(uri: str, profile: int) -> TokenKey:
    """Make a key pair on a token; the private half can be used there, and not be read.

    Args:
        uri: Its name; without an id it gets a random one.
        profile: ES256, RSA-PSS or Ed25519.

    Raises:
        KeyFileError: The token has such a key already, or makes none of that profile.
        PinError: The PIN is missing, wrong or locked.
        SignerAwayError: The token is not there, or does not answer.
        IdentityError: This version makes no keys of that profile.
    """
    parsed = parse_token_uri(uri)
    if profile not in TOKEN_PROFILES:
        named = PROFILES[profile].name if profile in PROFILES else str(profile)
        raise IdentityError(
            f"a key of the profile {named} cannot be made on a token, only of ES256, RSA-PSS or Ed25519"
        )
    module = module_of(parsed)
    if module.look(parsed).public_key is not None:
        raise KeyFileError(
            f"{parsed.token_text} has {parsed.key_text} already", hint="Choose another object; nothing is overwritten."
        )
    public_key = module.in_session(parsed, lambda session: _make(session, parsed, profile))
    return TokenKey(module=module, uri=parsed, public_key=public_key, profile=profile_of(public_key))


def _make(session: pkcs11.Session, uri: TokenUri, profile: int) -> PublicKey:
    from pkcs11 import Attribute, KeyType, MechanismFlag
    from pkcs11.util.ec import encode_named_curve_parameters

    asked: dict[str, Any] = {
        "id": uri.key_id or secrets.token_bytes(_NEW_ID_BYTES),
        "label": uri.key_label or "docbus",
        "store": True,
        "capabilities": MechanismFlag.SIGN | MechanismFlag.VERIFY,
        "private_template": {Attribute.SENSITIVE: True, Attribute.EXTRACTABLE: False, Attribute.PRIVATE: True},
    }
    if profile == Profile.RSA_PSS_SHA256:
        public, _ = session.generate_keypair(KeyType.RSA, NEW_RSA_BITS, **asked)
    elif profile == Profile.ED25519:
        edwards = {Attribute.EC_PARAMS: ED25519_PARAMETERS}
        public, _ = session.create_domain_parameters(KeyType.EC_EDWARDS, edwards, local=True).generate_keypair(**asked)
    else:
        curve = {Attribute.EC_PARAMS: encode_named_curve_parameters("secp256r1")}
        public, _ = session.create_domain_parameters(KeyType.EC, curve, local=True).generate_keypair(**asked)
    return public_key_of(public, uri)
