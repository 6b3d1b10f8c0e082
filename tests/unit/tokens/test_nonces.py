"""Nonces that come again."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import pytest
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature

from docbus.errors import KeyFileError
from docbus.tokens import nonces
from docbus.tokens.nonces import MAX_NONCES, NonceWatch

if TYPE_CHECKING:
    from collections.abc import Iterator


def signature(nonce: int) -> bytes:
    return encode_dss_signature(nonce + 1, 7)


def test_a_nonce_that_comes_again_is_noticed() -> None:
    """Another text under the same r gives the private key away: the signature is not handed out."""
    watch = NonceWatch()
    watch.note(signature(1), b"one")
    watch.note(signature(2), b"two")

    with pytest.raises(KeyFileError, match="used a nonce of ECDSA twice"):
        watch.note(signature(1), b"three")


def test_the_same_text_may_have_the_same_nonce() -> None:
    """A token that draws nonces after RFC 6979 signs the same text twice alike."""
    watch = NonceWatch()

    watch.note(signature(1), b"one")
    watch.note(signature(1), b"one")


def test_so_many_are_remembered() -> None:
    """The oldest is forgotten, so that memory is bounded; the others are not."""
    watch = NonceWatch()
    for number in range(MAX_NONCES + 1):
        watch.note(signature(number), b"%d" % number)

    assert MAX_NONCES == len(watch._seen)
    watch.note(signature(0), b"another")
    with pytest.raises(KeyFileError):
        watch.note(signature(MAX_NONCES), b"another")


class Yielding(dict[int, bytes]):
    """Lets other threads go on where it is asked for its oldest key."""

    def __iter__(self) -> Iterator[int]:
        keys = [*super().__iter__()]
        time.sleep(0)
        return iter(keys)


def test_threads_that_sign_at_the_same_time_share_the_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    """None fails because another one has forgotten the oldest just now."""
    monkeypatch.setattr(nonces, "MAX_NONCES", 2)
    watch = NonceWatch()
    watch._seen = Yielding()

    def note(thread: int) -> None:
        for number in range(500):
            watch.note(signature(thread * 1_000 + number), b"text")

    with ThreadPoolExecutor(8) as threads:
        list(threads.map(note, range(8)))

    assert 2 == len(watch._seen)
