"""One ciphertext, two keys: AES-GCM opens it under both, docbus under the one it commits to."""

from __future__ import annotations

import pytest
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from docbus.envelope.package import content_context, decrypt, encrypt
from docbus.errors import MalformedError
from tests.vectors.building.two_keys import SALT_BYTES, chunk_of_two_keys, derive, message_of_two_keys

FIRST, SECOND = b"1" * 32, b"2" * 32
SALT, CONTEXT = b"s" * SALT_BYTES, b"context"


def test_the_chunk_is_genuine_under_both_keys() -> None:
    """The attack is real: without a commitment there would be two plaintexts, and no error."""
    keys = [derive(key, SALT, CONTEXT) for key in (FIRST, SECOND)]
    chunk = chunk_of_two_keys(*keys)

    one, other = (AESGCM(derived.key).decrypt(derived.nonce, chunk, None) for derived in keys)

    assert one != other


def test_what_is_derived_here_is_what_the_library_derives() -> None:
    """The commitment in front of an honest ciphertext is the one that this test computes."""
    _, ciphertext = encrypt(b"plaintext", b"s" * 32, FIRST, CONTEXT)

    assert ciphertext[24:56] == derive(FIRST, ciphertext[:24], CONTEXT).commitment


@pytest.mark.parametrize(("committed", "other"), [(FIRST, SECOND), (SECOND, FIRST)])
def test_it_opens_under_the_committed_key_alone(committed: bytes, other: bytes) -> None:
    """Nothing but the commitment differs between the two messages, and it decides."""
    message = message_of_two_keys(FIRST, SECOND, commits_to=committed, salt=SALT, context=CONTEXT)

    assert 16 == len(decrypt(message, committed, CONTEXT))
    with pytest.raises(MalformedError):
        decrypt(message, other, CONTEXT)


@pytest.mark.parametrize(
    "other", [("f", "vn:H26", "d", 1), ("e", "vn:H53", "d", 1), ("e", "vn:H26", "c", 1), ("e", "vn:H26", "d", 2)]
)
def test_a_key_and_salt_that_come_again_encrypt_another_document_otherwise(other: tuple[str, str, str, int]) -> None:
    """A generator that repeats itself, as in a machine that is resumed twice, repeats no nonce under one AES key."""
    first = derive(FIRST, SALT, content_context("e", "vn:H26", "d", 1))
    second = derive(FIRST, SALT, content_context(*other))

    assert first.key != second.key
    assert first.nonce != second.nonce
