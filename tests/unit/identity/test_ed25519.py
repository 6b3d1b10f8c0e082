"""Ed25519 keys: only points of the prime-order group in their one encoding may sign, and S is below the order."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from docbus.errors import IdentityError, KeyFileError
from docbus.identity import ed25519 as points
from docbus.identity.certificates import check_for_registration, make_certificate
from docbus.identity.ed25519 import FIELD, ORDER, check_ed25519_key, verify_ed25519
from docbus.identity.encryption import generate_encryption_key
from docbus.identity.join import make_join_request, verify_join_request
from docbus.identity.signing import (
    generate_signing_key,
    load_public_key,
    open_registrar_signer,
    private_key_pem,
    profile_of,
    public_key_bytes,
    signer_of,
    verify_signature,
)
from docbus.wire.profiles import Algorithm, Profile
from tests.support.certificates import issue
from tests.support.directory import ENVIRONMENT, NOW_MS
from tests.support.ed25519 import NOT_CANONICAL, SMALL_ORDER, mixed_order_key
from tests.unit.identity.test_keyfile import write_key

if TYPE_CHECKING:
    from pathlib import Path

RFC_8032 = (
    (
        "9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60",
        "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a",
        "",
        (
            "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e065224901555fb8821590a33bacc61e39701cf9b46bd25bf5f0595bbe"
            "24655141438e7a100b"
        ),
    ),
    (
        "4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb",
        "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c",
        "72",
        (
            "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302a"
            "eeb00d291612bb0c00"
        ),
    ),
)
"""Secret key, public key, text and signature of RFC 8032 section 7.1, tests 1 and 2."""


@pytest.mark.parametrize(("secret", "public", "text", "signature"), RFC_8032)
def test_signatures_follow_rfc_8032(secret: str, public: str, text: str, signature: str) -> None:
    """A signer of profile 4 makes the signatures of RFC 8032 section 7.1, and its key passes."""
    key = Ed25519PrivateKey.from_private_bytes(bytes.fromhex(secret))
    check_ed25519_key(bytes.fromhex(public))

    signed = signer_of(key, make_certificate(key, "vn:H26", now_ms=NOW_MS)).sign_all(bytes.fromhex(text))

    assert (bytes.fromhex(signature),) == signed
    verify_signature(Profile.ED25519, key.public_key(), signed[0], bytes.fromhex(text))


def test_keys_made_here_pass() -> None:
    """The check refuses none of the keys that the library makes."""
    for _ in range(20):
        key = generate_signing_key(Profile.ED25519)
        assert Profile.ED25519 == profile_of(key.public_key())


@pytest.mark.parametrize("name", SMALL_ORDER)
def test_the_eight_points_of_small_order_are_refused(name: str) -> None:
    """Each of the eight points whose order divides 8 is refused, although the library loads it."""
    Ed25519PublicKey.from_public_bytes(SMALL_ORDER[name])

    with pytest.raises(IdentityError, match="a point of small order"):
        check_ed25519_key(SMALL_ORDER[name])


def test_there_are_eight_of_them() -> None:
    """The eight encodings are different, and the four steps between the points of order eight lead to the neutral."""
    assert 8 == len(set(SMALL_ORDER.values()))
    of_order_eight = points._decode(SMALL_ORDER["order 8, first"])
    reached = {(points._multiple(factor, of_order_eight).x == 0) for factor in range(8)}

    assert {True, False} == reached
    assert points._is_neutral(points._multiple(8, of_order_eight))
    assert not points._is_neutral(points._multiple(4, of_order_eight))


@pytest.mark.parametrize("name", NOT_CANONICAL)
def test_another_encoding_is_refused(name: str) -> None:
    """A coordinate that is not reduced, or the sign of a coordinate that is 0, would be a second name of a point."""
    with pytest.raises(IdentityError, match=r"not reduced|a coordinate that is 0"):
        check_ed25519_key(NOT_CANONICAL[name])


def test_a_key_of_mixed_order_is_refused() -> None:
    """A genuine key with a point of small order added to it is outside the prime-order group."""
    with pytest.raises(IdentityError, match="outside the group of prime order"):
        check_ed25519_key(mixed_order_key())


def test_what_is_no_point_is_refused() -> None:
    """A coordinate for which the equation has no solution is no key."""
    with pytest.raises(IdentityError, match="no point of the curve"):
        check_ed25519_key((2).to_bytes(32, "little"))


@pytest.mark.parametrize("kind", ["small order", "mixed order", "not canonical"])
def test_such_a_key_is_registered_by_no_certificate(kind: str) -> None:
    """A certificate that an authority has issued for such a key is refused at registration."""
    raw = {
        "small order": SMALL_ORDER["order 8, first"],
        "mixed order": mixed_order_key(),
        "not canonical": NOT_CANONICAL["y = p + 1"],
    }[kind]
    certificate = issue(Ed25519PublicKey.from_public_bytes(raw), "vn:H26")

    with pytest.raises(IdentityError, match="an Ed25519 key"):
        check_for_registration(certificate, "vn:H26", Algorithm.ED25519, now_ms=NOW_MS)


@dataclass(frozen=True)
class _Forger:
    """Signs whatever it is asked to, without a key."""

    signature: bytes
    certificate: bytes = bytes(32)
    profile: int = Profile.ED25519

    def sign(self, _tbs: bytes) -> bytes:
        return self.signature

    def sign_all(self, _tbs: bytes) -> tuple[bytes, ...]:
        return (self.signature,)


def test_the_key_is_looked_at_before_its_own_signature() -> None:
    """A join request whose proof of possession is forged under a key of small order fails by its key."""
    weak = Ed25519PublicKey.from_public_bytes(SMALL_ORDER["order 1"])
    forger = _Forger(SMALL_ORDER["order 1"] + bytes(32))
    weak.verify(forger.signature, b"whatever is signed")
    request = make_join_request(
        forger,
        environment=ENVIRONMENT,
        genesis=bytes(32),
        agency="vn:H26",
        name="Hà Nội",
        certificates=[issue(weak, "vn:H26")],
        encryption_key=generate_encryption_key().public_key,
        now_ms=NOW_MS,
    )

    with pytest.raises(IdentityError, match="a point of small order"):
        verify_join_request(request, environment=ENVIRONMENT, genesis=bytes(32), now_ms=NOW_MS)


@pytest.mark.parametrize("name", {**SMALL_ORDER, **NOT_CANONICAL})
def test_an_unchecked_key_of_small_order_verifies_nothing(name: str) -> None:
    """Forgeries that the library accepts are no signatures here, even under a key that nobody has checked."""
    raw = {**SMALL_ORDER, **NOT_CANONICAL}[name]
    key = Ed25519PublicKey.from_public_bytes(raw)
    forged = [(first + bytes(32), b"text %d" % number) for first in SMALL_ORDER.values() for number in range(16)]
    accepted = [(signature, text) for signature, text in forged if _library_accepts(key, signature, text)]
    assert accepted

    for signature, text in accepted:
        with pytest.raises(InvalidSignature):
            verify_ed25519(key, signature, text)


def _library_accepts(key: Ed25519PublicKey, signature: bytes, text: bytes) -> bool:
    try:
        key.verify(signature, text)
    except InvalidSignature:
        return False
    return True


def test_s_is_below_the_order() -> None:
    """S + L, which satisfies the same equation, is no signature."""
    key = generate_signing_key(Profile.ED25519)
    signature = signer_of(key, make_certificate(key, "vn:H26", now_ms=NOW_MS)).sign(b"signed")
    larger = int.from_bytes(signature[32:], "little") + ORDER
    verify_signature(Profile.ED25519, key.public_key(), signature, b"signed")

    with pytest.raises(InvalidSignature):
        verify_signature(Profile.ED25519, key.public_key(), signature[:32] + larger.to_bytes(32, "little"), b"signed")


def test_it_signs_no_directory(tmp_path: Path) -> None:
    """An Ed25519 key is refused as a registrar's, read as a public one and opened as a private one."""
    key = generate_signing_key(Profile.ED25519)

    with pytest.raises(IdentityError, match="only P-256 and RSA keys may sign the directory"):
        load_public_key(public_key_bytes(key.public_key()))
    with pytest.raises(KeyFileError, match="only P-256 and RSA keys may sign the directory"):
        open_registrar_signer(write_key(tmp_path / "k", private_key_pem(key)))


def test_field_and_order_are_those_of_the_standard() -> None:
    """L and the base point are those of RFC 8032: L times B is the neutral point, and nothing below 8 times B is."""
    base = points._decode((4 * pow(5, -1, FIELD) % FIELD).to_bytes(32, "little"))

    assert points._is_neutral(points._multiple(ORDER, base))
    assert not any(points._is_neutral(points._multiple(factor, base)) for factor in range(1, 9))
