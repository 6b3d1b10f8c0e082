"""Pre-authentication encoding and the digests made with it."""

from __future__ import annotations

from hashlib import sha256

from docbus.wire.pae import COMMIT_TYPE, commitment, leaf_digest, length_prefixed, pae


def test_pae_is_that_of_dsse() -> None:
    """The example of the DSSE protocol document."""
    assert b"DSSEv1 29 http://example.com/HelloWorld 11 hello world" == pae(
        b"http://example.com/HelloWorld", b"hello world"
    )


def test_lengths_count_bytes() -> None:
    """A text of two-byte characters has its length in bytes."""
    assert b"DSSEv1 0  4 \xc4\x91\xc4\x90" == pae(b"", "đĐ".encode())


def test_a_leaf_is_hashed_behind_a_zero_byte() -> None:
    """The leaf digest is SHA-256 of 00 and PAE, so that no inner node is a leaf."""
    assert sha256(b"\x00" + pae(b"t", b"statement")).digest() == leaf_digest(b"t", b"statement")


def test_a_commitment_covers_salt_and_plaintext() -> None:
    """It is SHA-256 of the PAE of salt and plaintext."""
    assert sha256(pae(COMMIT_TYPE, bytes(32) + b"plain")).digest() == commitment(bytes(32), b"plain")


def test_no_two_lists_have_the_same_prefixed_form() -> None:
    """Where a part ends is part of the bytes."""
    lists = [(b"ab", b"c"), (b"a", b"bc"), (b"abc",), (b"abc", b""), (b"", b"abc")]

    assert len(lists) == len({length_prefixed(*parts) for parts in lists})
    assert b"\0\0\0\x02ab\0\0\0\x01c" == length_prefixed(b"ab", b"c")
