"""A verifier's caches: what it has seen before never changes what it says."""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from unittest.mock import patch

from hypothesis import given, settings
from hypothesis import strategies as st

from docbus.envelope.envelope import Envelope, encode_envelope
from docbus.errors import IndeterminateError, VerificationError
from docbus.verification import batches
from docbus.verification.verifier import Verifier
from tests.support.letters import seal, verify, world
from tests.vectors.building.letters import Letter, write_receipt
from tests.vectors.building.world import HANOI, NOW

SIZES = (1, 2, 3, 5, 6, 8, 13)
HASH = 32


@cache
def _batch(size: int, variant: int) -> list[Envelope]:
    """Return a batch of receipts with several heads in it; one of the second variant has bad heads, too."""
    letters: list[Letter] = []
    for index in range(size):
        letter = write_receipt(world(), f"cache {size} {variant} {index % 3}", last=index + 1)
        if variant and index % 4 == 1:
            letter = replace(letter, head=letter.head._replace(made_at=NOW + 10**9))
        elif variant and index % 4 == 3:
            letter = replace(letter, raw=letter.statement + b"\0")
        letters.append(letter)
    return seal(*letters)


@st.composite
def _cases(draw: st.DrawFn) -> Envelope:  # noqa: PLR0911 - one return for each kind of change
    batch = _batch(draw(st.sampled_from(SIZES)), draw(st.integers(0, 1)))
    envelope = draw(st.sampled_from(batch))
    proof = envelope.proof
    kind = draw(
        st.sampled_from(["valid", "valid", "valid", "path", "index", "size", "proof", "signature", "statement"])
    )
    if kind == "path" and proof.path:
        at = draw(st.integers(0, len(proof.path) - 1))
        changed = bytearray(proof.path)
        changed[at] ^= 1 << draw(st.integers(0, 7))
        return envelope._replace(proof=proof._replace(path=bytes(changed)))
    if kind == "path":
        return envelope._replace(proof=proof._replace(path=bytes(HASH)))
    if kind == "index":
        return envelope._replace(proof=proof._replace(index=draw(st.integers(-1, proof.tree_size))))
    if kind == "size":
        return envelope._replace(proof=proof._replace(tree_size=draw(st.integers(1, 16))))
    other = draw(st.sampled_from(_batch(draw(st.sampled_from(SIZES)), draw(st.integers(0, 1)))))
    if kind == "proof":
        return envelope._replace(proof=other.proof)
    if kind == "signature":
        return envelope._replace(signatures=other.signatures)
    if kind == "statement":
        return envelope._replace(statement=other.statement)
    return envelope


def _outcome(envelope: Envelope, verifier: Verifier) -> tuple[object, ...]:
    try:
        verified = verify(encode_envelope(envelope), recipient=HANOI, verifier=verifier)
    except (VerificationError, IndeterminateError) as error:
        return type(error).__name__, error.step, error.code, error.text
    return verified.statement, verified.digest, verified.findings


@settings(max_examples=60)
@given(cases=st.lists(_cases(), max_size=40))
def test_one_verifier_says_what_fresh_ones_say(cases: list[Envelope]) -> None:
    """For any sequence of genuine and changed envelopes, batches and heads in the cache change no answer."""
    verifier = Verifier()

    for envelope in cases:
        assert _outcome(envelope, Verifier()) == _outcome(envelope, verifier)


@settings(max_examples=30)
@given(cases=st.lists(_cases(), max_size=40), limit=st.integers(1, 3), heads=st.integers(0, 2))
def test_forgetting_changes_no_answer(cases: list[Envelope], limit: int, heads: int) -> None:
    """Caches that hold next to nothing give the same answers as large ones."""
    verifier = Verifier()

    with (
        patch.object(batches, "MAX_BATCHES", limit),
        patch.object(batches, "MAX_NODES", 12 * limit),
        patch("docbus.verification.verifier.MAX_HEADS", heads),
    ):
        for envelope in cases:
            assert _outcome(envelope, Verifier()) == _outcome(envelope, verifier)
