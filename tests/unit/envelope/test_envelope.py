"""The envelope: limits reached and exceeded by one, and the pieces it is joined from."""

from __future__ import annotations

from typing import Any

import pytest

from docbus.envelope.envelope import (
    Envelope,
    Hint,
    Keys,
    Proof,
    Signature,
    decode_envelope,
    encode_envelope,
    join,
    put_back,
    put_front,
    put_payload_type,
    put_signatures,
)
from docbus.errors import MalformedError
from docbus.limits import (
    MAX_HINTED_OFFSETS,
    MAX_HINTS,
    MAX_PACKAGE_BYTES,
    MAX_PATH_HASHES,
    MAX_SIGNATURE_BYTES,
    MAX_STATEMENT_BYTES,
    MAX_WRAP_BYTES,
)

SIGNATURE = Signature(1, bytes(32), b"signature")
ENVELOPE = Envelope(
    statement=b"statement",
    proof=Proof(2, 1, bytes(32)),
    payload_type="type",
    signatures=(SIGNATURE,),
    package=b"package",
    keys=Keys(b"batch key", b"content key"),
    hints=(Hint(0, "docbus.content.vn.H26", 1, (7, 8)),),
)
LIMITS: list[tuple[dict[str, Any], dict[str, Any]]] = [
    ({"statement": bytes(MAX_STATEMENT_BYTES)}, {"statement": bytes(MAX_STATEMENT_BYTES + 1)}),
    ({"package": bytes(MAX_PACKAGE_BYTES)}, {"package": bytes(MAX_PACKAGE_BYTES + 1)}),
    (
        {"proof": Proof(1 << 20, 0, bytes(32 * MAX_PATH_HASHES))},
        {"proof": Proof(1 << 20, 0, bytes(32 * MAX_PATH_HASHES + 32))},
    ),
    ({"proof": Proof(1, 0, b"")}, {"proof": Proof(1, 0, bytes(31))}),
    ({"proof": Proof(1 << MAX_PATH_HASHES, 0, b"")}, {"proof": Proof((1 << MAX_PATH_HASHES) + 1, 0, b"")}),
    ({"proof": Proof(1, 0, b"")}, {"proof": Proof(0, 0, b"")}),
    ({"signatures": (SIGNATURE, SIGNATURE)}, {"signatures": (SIGNATURE, SIGNATURE, SIGNATURE)}),
    ({"signatures": (SIGNATURE,)}, {"signatures": ()}),
    (
        {"signatures": (SIGNATURE._replace(signature=bytes(MAX_SIGNATURE_BYTES)),)},
        {"signatures": (SIGNATURE, SIGNATURE._replace(signature=bytes(MAX_SIGNATURE_BYTES + 1)))},
    ),
    ({"keys": Keys(bytes(MAX_WRAP_BYTES), b"")}, {"keys": Keys(bytes(MAX_WRAP_BYTES + 1), b"")}),
    ({"keys": Keys(b"", bytes(MAX_WRAP_BYTES))}, {"keys": Keys(b"", bytes(MAX_WRAP_BYTES + 1))}),
    ({"hints": ENVELOPE.hints * MAX_HINTS}, {"hints": ENVELOPE.hints * (MAX_HINTS + 1)}),
]


@pytest.mark.parametrize(("inside", "outside"), LIMITS)
def test_limits(inside: dict[str, Any], outside: dict[str, Any]) -> None:
    """What lies on a limit is read, what lies one beyond it is not."""
    expected = ENVELOPE._replace(**inside)

    assert expected == decode_envelope(encode_envelope(expected))
    with pytest.raises(MalformedError):
        decode_envelope(encode_envelope(ENVELOPE._replace(**outside)))


@pytest.mark.parametrize("package", [b"p", b"package" * 100])
@pytest.mark.parametrize("keys", [None, ENVELOPE.keys])
@pytest.mark.parametrize("hints", [(), ENVELOPE.hints])
def test_joined_pieces_are_the_envelope(package: bytes, keys: Keys | None, hints: tuple[Hint, ...]) -> None:
    """What the outbox stores in three pieces is, joined, the encoded envelope."""
    envelope = ENVELOPE._replace(package=package, keys=keys, hints=hints)
    types, blocks = put_payload_type("type"), put_signatures(envelope.signatures)
    front = put_front(envelope.statement, envelope.proof, types, blocks, len(package))

    assert encode_envelope(envelope) == join(front, package, put_back(keys, hints))


def test_an_envelope_without_package_is_two_pieces() -> None:
    """No package is a size of zero, and nothing between the pieces."""
    envelope = ENVELOPE._replace(package=None, keys=None, hints=())
    types, blocks = put_payload_type("type"), put_signatures(envelope.signatures)
    front = put_front(envelope.statement, envelope.proof, types, blocks, 0)

    assert encode_envelope(envelope) == join(front, None, put_back(None))


def test_no_package_is_not_an_empty_package() -> None:
    """Both come back as they were."""
    for package in (None, b""):
        envelope = ENVELOPE._replace(package=package)

        assert envelope == decode_envelope(encode_envelope(envelope))


def test_offsets_of_all_hints_are_bounded_together() -> None:
    """Each hint within its own bound, they may not have more offsets together than one may have."""
    half = tuple(range(MAX_HINTED_OFFSETS // 2))
    hints = tuple(Hint(number, "docbus.content.vn.H26", 0, half) for number in range(2))
    most = ENVELOPE._replace(hints=hints)

    assert most == decode_envelope(encode_envelope(most))
    with pytest.raises(MalformedError, match="offsets"):
        decode_envelope(encode_envelope(ENVELOPE._replace(hints=(*hints, Hint(2, "docbus.content.vn.H26", 0, (1,))))))
