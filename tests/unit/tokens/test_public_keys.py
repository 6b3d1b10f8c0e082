"""Public keys as tokens show them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from pkcs11 import Attribute, KeyType, MechanismFlag, ObjectClass

from docbus.errors import KeyFileError
from docbus.identity.signing import generate_signing_key
from docbus.tokens.making import make_token_key
from docbus.tokens.public_keys import ED25519_PARAMETERS, public_key_of
from docbus.tokens.signer import open_token_key
from docbus.tokens.uri import TokenUri
from docbus.wire.profiles import Profile
from tests.support.ed25519 import NOT_CANONICAL, SMALL_ORDER

if TYPE_CHECKING:
    from tests.support.softhsm import SoftHSM

URI = TokenUri(token="H26", key_label="docbus")
ED448_PARAMETERS = bytes.fromhex("06032b6571")
GENUINE = generate_signing_key(Profile.ED25519).public_key().public_bytes_raw()  # type: ignore[union-attr]


class Shown(dict[Attribute, bytes]):
    """A public key as another maker's library shows it."""

    def __init__(self, key_type: KeyType, point: bytes) -> None:
        super().__init__({Attribute.EC_POINT: point})
        self.key_type = key_type


def put_point_on(softhsm: SoftHSM, point: bytes) -> str:
    """Put the public half of an Ed25519 key onto the token, and return its URI."""
    maker = make_token_key(softhsm.uri("H26", "maker"), Profile.ED25519)
    template: dict[Attribute, Any] = {
        Attribute.CLASS: ObjectClass.PUBLIC_KEY,
        Attribute.KEY_TYPE: KeyType.EC_EDWARDS,
        Attribute.EC_PARAMS: ED25519_PARAMETERS,
        Attribute.EC_POINT: bytes((4, len(point))) + point,
        Attribute.LABEL: "docbus",
        Attribute.TOKEN: True,
        Attribute.PRIVATE: False,
    }
    maker.module.in_session(maker.uri, lambda session: session.create_object(template))
    return softhsm.uri("H26")


def test_genuine_point_on_a_token_is_a_key(token: SoftHSM) -> None:
    """The valid case of what follows."""
    assert Ed25519PublicKey.from_public_bytes(GENUINE) == open_token_key(put_point_on(token, GENUINE)).public_key


@pytest.mark.parametrize("point", [*SMALL_ORDER.values(), *NOT_CANONICAL.values()], ids=[*SMALL_ORDER, *NOT_CANONICAL])
def test_weak_point_on_a_token_is_refused(token: SoftHSM, point: bytes) -> None:
    """A token may hold anything: its key is looked at as one in a file is."""
    with pytest.raises(KeyFileError, match="the key object=docbus on the token token=H26 is an Ed25519 key"):
        open_token_key(put_point_on(token, point))


def test_key_on_another_edwards_curve_is_refused(token: SoftHSM) -> None:
    """Ed448 is of the same kind for a token."""
    maker = make_token_key(token.uri("H26", "maker"), Profile.ED25519)
    maker.module.in_session(
        maker.uri,
        lambda session: session.create_domain_parameters(
            KeyType.EC_EDWARDS, {Attribute.EC_PARAMS: ED448_PARAMETERS}, local=True
        ).generate_keypair(store=True, label="docbus", id=b"2", capabilities=MechanismFlag.SIGN | MechanismFlag.VERIFY),
    )

    with pytest.raises(KeyFileError, match="another Edwards curve than Ed25519"):
        open_token_key(token.uri("H26"))


@pytest.mark.parametrize("before", [b"", b"\x04\x20"])
def test_point_may_be_bare_or_in_an_octet_string(before: bytes) -> None:
    """Versions of the standard differ, and so do libraries."""
    shown = public_key_of(Shown(KeyType.EC_EDWARDS, before + GENUINE), URI)

    assert Ed25519PublicKey.from_public_bytes(GENUINE) == shown


@pytest.mark.parametrize("point", [b"\x04\x21" + GENUINE, b"\x03\x20" + GENUINE, GENUINE[1:], b""])
def test_anything_else_is_no_point(point: bytes) -> None:
    """One byte makes it another thing."""
    with pytest.raises(KeyFileError, match="another Edwards curve than Ed25519"):
        public_key_of(Shown(KeyType.EC_EDWARDS, point), URI)


def test_key_of_another_kind_is_refused() -> None:
    """A key for Diffie-Hellman signs nothing."""
    with pytest.raises(KeyFileError, match="of another kind than EC, RSA and Ed25519"):
        public_key_of(Shown(KeyType.DH, b""), URI)
