"""Two levels of key wrapping."""

from __future__ import annotations

from typing import Any

import pytest

from docbus.envelope import keys
from docbus.envelope.keys import KeyRing, wrap_content_key, wrap_context
from docbus.errors import MalformedError
from tests.support.letters import world
from tests.vectors.building.world import HANOI, LANG_SON, TAY_NINH

CONTEXT: dict[str, Any] = {"environment": "vectors", "sender": HANOI, "recipient": TAY_NINH}
KEY = bytes(range(32))


def _wrap(key: bytes = KEY, recipient: str = TAY_NINH) -> bytes:
    encrypter = world().parties[recipient].encrypter
    return encrypter.encrypt(key, wrap_context(1, "vectors", HANOI, TAY_NINH, encrypter.digest))


def _ring(*recipients: str) -> KeyRing:
    return KeyRing([world().parties[recipient].decrypter for recipient in recipients])


def test_a_batch_key_opens_and_opens_again() -> None:
    """The first opening and the remembered one give the same key."""
    ring, wrap = _ring(TAY_NINH), _wrap()

    assert [KEY, KEY] == [ring.batch_key(wrap, **CONTEXT) for _ in range(2)]


def test_any_of_the_recipients_keys_opens() -> None:
    """After a rotation what was wrapped to the old key still opens."""
    assert KEY == _ring(LANG_SON, TAY_NINH).batch_key(_wrap(), **CONTEXT)


@pytest.mark.parametrize("field", ["environment", "sender", "recipient"])
def test_another_context_does_not_open(field: str) -> None:
    """A wrap is bound to environment, sender and recipient, also if it has been opened before."""
    ring, wrap = _ring(TAY_NINH), _wrap()
    ring.batch_key(wrap, **CONTEXT)

    with pytest.raises(MalformedError, match="no key of the recipient"):
        ring.batch_key(wrap, **CONTEXT | {field: "other"})


def test_another_key_does_not_open() -> None:
    """Nobody but the recipient opens a batch key."""
    with pytest.raises(MalformedError, match="no key of the recipient"):
        _ring(LANG_SON).batch_key(_wrap(), **CONTEXT)


@pytest.mark.parametrize("wrap", [b"", bytes(10), bytes(1168)])
def test_bytes_that_are_no_wrap_do_not_open(wrap: bytes) -> None:
    """Too few bytes and zeros are refused like any wrap that does not open."""
    with pytest.raises(MalformedError, match="no key of the recipient"):
        _ring(TAY_NINH).batch_key(wrap, **CONTEXT)


@pytest.mark.parametrize("size", [0, 16, 31, 33])
def test_a_batch_key_has_32_bytes(size: int) -> None:
    """Another size is refused every time."""
    ring, wrap = _ring(TAY_NINH), _wrap(bytes(size))

    for _ in range(2):
        with pytest.raises(MalformedError, match="no key of the recipient"):
            ring.batch_key(wrap, **CONTEXT)


def test_content_keys_open_under_their_batch_key_only() -> None:
    """AES-KW notices another key, another size and a changed bit."""
    wrap = wrap_content_key(KEY, KEY[::-1])

    assert 40 == len(wrap)
    assert KEY[::-1] == KeyRing.content_key(KEY, wrap)
    for key, changed in ((KEY[::-1], wrap), (KEY, wrap[:-1]), (KEY, b""), (KEY, bytes((wrap[0] ^ 1,)) + wrap[1:])):
        with pytest.raises(MalformedError):
            KeyRing.content_key(key, changed)
    with pytest.raises(MalformedError, match="32 bytes"):
        KeyRing.content_key(KEY, wrap_content_key(KEY, bytes(24)))


def test_opened_keys_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """The oldest opened key is forgotten, and opens again when it is asked for."""
    monkeypatch.setattr(keys, "MAX_OPENED_KEYS", 2)
    ring = _ring(TAY_NINH)
    wraps = [_wrap(bytes((number,)) * 32) for number in range(3)]

    for _ in range(2):
        assert [bytes((n,)) * 32 for n in range(3)] == [ring.batch_key(wrap, **CONTEXT) for wrap in wraps]
        assert 2 == len(ring._opened)


def test_the_context_is_injective() -> None:
    """Suite, names and key each change the context, and no name runs into the next."""
    made = {
        wrap_context(*parts)
        for parts in (
            (1, "e", "s", "r", bytes(32)),
            (2, "e", "s", "r", bytes(32)),
            (1, "es", "", "r", bytes(32)),
            (1, "e", "sr", "", bytes(32)),
            (1, "e", "s", "r", bytes(31)),
        )
    }

    assert 5 == len(made)
