"""Encryption to agencies."""

from __future__ import annotations

import ast
from hashlib import sha256
from typing import TYPE_CHECKING

import pytest
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey

from docbus.errors import IdentityError, KeyFileError, MalformedError
from docbus.identity import encryption
from docbus.identity.encryption import (
    MLKEM_BYTES,
    PUBLIC_KEY_BYTES,
    Encrypter,
    check_encryption_key,
    generate_encryption_key,
    open_decrypter,
)
from docbus.identity.signing import generate_signing_key, private_key_pem
from docbus.wire.profiles import Profile
from tests.support.source import modules, tree
from tests.unit.identity.test_keyfile import write_key

if TYPE_CHECKING:
    from pathlib import Path

FIELD = 2**255 - 19


def test_what_is_encrypted_opens() -> None:
    """The holder of the key gets the plaintext back."""
    key = generate_encryption_key()
    encrypter = Encrypter(key.public_key)

    ciphertext = encrypter.encrypt(b"k" * 32, b"context")

    assert 32 + 1136 == len(ciphertext)
    assert b"k" * 32 == key.decrypter().decrypt(ciphertext, b"context")
    assert sha256(key.public_key).digest() == encrypter.digest == key.decrypter().digest


def test_same_plaintext_never_looks_the_same() -> None:
    """Every encryption has its own encapsulated key."""
    encrypter = Encrypter(generate_encryption_key().public_key)

    assert encrypter.encrypt(b"k", b"c") != encrypter.encrypt(b"k", b"c")


@pytest.mark.parametrize(
    "change",
    [
        lambda c: c[:-1] + bytes((c[-1] ^ 1,)),
        lambda c: bytes((c[0] ^ 1,)) + c[1:],
        lambda c: c[:1088] + bytes(32) + c[1120:],
        lambda c: c[:-1],
        lambda c: c + b"\x00",
        lambda _: b"",
        lambda _: bytes(1119),
    ],
)
def test_changed_ciphertext_does_not_open(change: object) -> None:
    """One changed byte, one less, one more, or nothing: the same error, which says no more than that."""
    key = generate_encryption_key()
    ciphertext = Encrypter(key.public_key).encrypt(b"k" * 32, b"context")

    with pytest.raises(MalformedError, match=r"^a wrapped key does not open with this key in this context$"):
        key.decrypter().decrypt(change(ciphertext), b"context")  # type: ignore[operator] # one of the functions above


def test_other_context_or_key_does_not_open() -> None:
    """A ciphertext belongs to its context and its key."""
    key = generate_encryption_key()
    ciphertext = Encrypter(key.public_key).encrypt(b"k", b"context")

    with pytest.raises(MalformedError):
        key.decrypter().decrypt(ciphertext, b"contexts")
    with pytest.raises(MalformedError):
        generate_encryption_key().decrypter().decrypt(ciphertext, b"context")


@pytest.mark.parametrize("length", [0, 32, PUBLIC_KEY_BYTES - 1, PUBLIC_KEY_BYTES + 1])
def test_key_of_another_length_is_refused(length: int) -> None:
    """A key has exactly the length of its two parts."""
    with pytest.raises(IdentityError, match=f"an encryption key of {length} bytes, expected 1216"):
        Encrypter(bytes(length))


@pytest.mark.parametrize("coordinate", sorted(encryption._LOW_ORDER))
def test_small_order_points_are_refused_and_are_such(coordinate: int) -> None:
    """Each listed point is refused; OpenSSL agrees that a secret agreed with it is nought."""
    point = coordinate.to_bytes(32, "little")

    with pytest.raises(IdentityError, match="small order"):
        check_encryption_key(generate_encryption_key().public_key[:MLKEM_BYTES] + point)
    with pytest.raises(ValueError, match="shared key"):
        X25519PrivateKey.generate().exchange(X25519PublicKey.from_public_bytes(point))


@pytest.mark.parametrize("coordinate", [FIELD, FIELD + 1, 2**255, 2**256 - 1])
def test_unreduced_coordinate_is_refused(coordinate: int) -> None:
    """One point has one spelling."""
    with pytest.raises(IdentityError, match="not reduced"):
        check_encryption_key(generate_encryption_key().public_key[:MLKEM_BYTES] + coordinate.to_bytes(32, "little"))


def test_broken_mlkem_part_is_refused_when_parsed() -> None:
    """A coefficient beyond the modulus is noticed (FIPS 203 section 7.2)."""
    encrypter = Encrypter(b"\xff" * MLKEM_BYTES + generate_encryption_key().public_key[MLKEM_BYTES:])

    with pytest.raises(IdentityError, match="ML-KEM-768"):
        encrypter.parse()


def test_decrypter_is_opened_by_uri(tmp_path: Path) -> None:
    """What was stored as two PEM blocks opens what was encrypted to it."""
    key = generate_encryption_key()

    decrypter = open_decrypter(write_key(tmp_path / "k", key.pem()))

    assert key.public_key == decrypter.public_key
    assert b"k" == decrypter.decrypt(Encrypter(key.public_key).encrypt(b"k", b"c"), b"c")


@pytest.mark.parametrize("blocks", ["swapped", "first", "second", "three", "signing"])
def test_other_blocks_are_refused(tmp_path: Path, blocks: str) -> None:
    """Another order, number or kind of keys is not guessed at."""
    pem = generate_encryption_key().pem()
    cut = pem.index(b"-----BEGIN", 10)
    content = {
        "swapped": pem[cut:] + pem[:cut],
        "first": pem[:cut],
        "second": pem[cut:],
        "three": pem + pem[cut:],
        "signing": private_key_pem(generate_signing_key(Profile.ES256)),
    }[blocks]

    with pytest.raises(KeyFileError, match="holds no encryption key"):
        open_decrypter(write_key(tmp_path / "k", content))


@pytest.mark.parametrize("at", [0, 1087, 1088, 1119, 1120, 1151, 1152, 1167])
def test_no_byte_of_a_wrap_has_an_error_of_its_own(at: int) -> None:
    """Whichever part is changed, ML-KEM, X25519, AES-GCM or its tag, the one answer tells nothing apart."""
    key = generate_encryption_key()
    ciphertext = bytearray(Encrypter(key.public_key).encrypt(b"k" * 32, b"context"))
    ciphertext[at] ^= 1

    with pytest.raises(MalformedError) as caught:
        key.decrypter().decrypt(bytes(ciphertext), b"context")

    assert "a wrapped key does not open with this key in this context" == str(caught.value)


def test_nothing_is_decrypted_with_rsa() -> None:
    """There is no padding to ask about: no module names one but those of signatures, nor PKCS #7.

    Responders of authorities sign with RSASSA-PKCS1-v1_5 as a rule; such a signature is verified, never made.
    """
    named = {
        (name, node.attr)
        for name, path in modules().items()
        for node in ast.walk(tree(path))
        if isinstance(node, ast.Attribute) and node.attr in {"PSS", "PKCS1v15", "OAEP", "pkcs7", "PKCS7"}
    }

    responses = "docbus.identity.pki.ocsp"

    assert {("docbus.identity.signing", "PSS"), (responses, "PSS"), (responses, "PKCS1v15")} == named
