"""C1: order of the checks, limits, and what a verifier keeps. Each check's failures are in ``tests/vectors``."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from docbus.envelope.envelope import encode_envelope
from docbus.envelope.statement import Reference, Statement
from docbus.errors import IndeterminateError, VerificationError
from docbus.identity.signing import verify_signatures
from docbus.limits import MAX_CLOCK_SKEW_MS, MAX_ENVELOPE_BYTES
from docbus.verification.batches import MAX_HEADS
from docbus.verification.verifier import DIRECTORY_HASH_FINDING, Verified, Verifier, concerns_sender
from tests.support.letters import seal, snapshot, verify, world
from tests.vectors.building.letters import Letter, write_document, write_receipt
from tests.vectors.building.world import HANOI, HANOI_ROTATED, LANG_SON, NOW, TAY_NINH

if TYPE_CHECKING:
    from docbus.identity.snapshot import TrustSnapshot

LETTER = write_document(world(), "document")
ENVELOPE = seal(LETTER)[0]
VALUE = encode_envelope(ENVELOPE)


def live(value: bytes | None, **changes: Any) -> Verified:
    """Verify as Tây Ninh, with what ``changes`` say."""
    told: dict[str, Any] = {"key": HANOI.encode(), "recipient": TAY_NINH, "snapshot": snapshot(), "now_ms": NOW}
    return Verifier().verify(value, **told | changes)


def refusal(value: bytes | None, **changes: Any) -> tuple[str | None, str]:
    """Return step and code of a refusal."""
    with pytest.raises((VerificationError, IndeterminateError)) as caught:
        live(value, **changes)
    return caught.value.step, caught.value.code


@pytest.fixture
def counted_signatures(monkeypatch: pytest.MonkeyPatch) -> list[object]:
    """Return a list that grows by one with each verification of a batch's signatures."""
    calls: list[object] = []

    def counted(*given: Any) -> None:
        calls.append(given)
        verify_signatures(*given)

    monkeypatch.setattr("docbus.verification.verifier.verify_signatures", counted)
    return calls


def test_what_passes_carries_what_was_checked() -> None:
    """The result has statement, digest, exact bytes, package, keys, grant and no findings."""
    verified = live(VALUE)

    assert LETTER.decoded == verified.statement
    assert (LETTER.digest, VALUE, LETTER.sealed, LETTER.keys) == verified[1:5]
    assert (HANOI, HANOI, ()) == (verified.sender, verified.grant.agency, verified.findings)


@pytest.mark.parametrize("value", [None, b""])
def test_a_record_without_a_value_is_refused(value: bytes | None) -> None:
    """A tombstone carries nothing."""
    assert ("C1.01", "envelope_too_large") == refusal(value)


def test_the_largest_value_is_decoded_and_one_byte_more_is_not() -> None:
    """The size is looked at before anything is decoded."""
    assert ("C1.02", "envelope_malformed") == refusal(bytes(MAX_ENVELOPE_BYTES))
    assert ("C1.01", "envelope_too_large") == refusal(bytes(MAX_ENVELOPE_BYTES + 1))


@pytest.mark.parametrize(
    ("first", "second", "expected"),
    [
        ("payload_type", "certificate", "C1.03"),
        ("certificate", "profile", "C1.04"),
        ("profile", "count", "C1.05"),
        ("count", "index", "C1.06"),
        ("index", "signature", "C1.07"),
    ],
)
def test_cheap_checks_come_first(first: str, second: str, expected: str) -> None:
    """Where two things are wrong, the one with the lower number is reported."""
    block = ENVELOPE.signatures[0]
    wrong: dict[str, dict[str, Any]] = {
        "payload_type": {"payload_type": "other"},
        "certificate": {"signatures": (block._replace(certificate=bytes(32)),)},
        "profile": {"signatures": (block._replace(profile=2), block)},
        "count": {"signatures": (block, block)},
        "index": {"proof": ENVELOPE.proof._replace(index=1)},
        "signature": {"signatures": (block._replace(signature=b""),)},
    }
    both = ENVELOPE._replace(**wrong[second] | wrong[first])

    assert expected == refusal(encode_envelope(both))[0]


def _wrong(what: str) -> bytes:
    """Return the envelope with one thing wrong about it."""
    block = ENVELOPE.signatures[0]
    wrong: dict[str, dict[str, Any]] = {
        "payload type": {"payload_type": "other"},
        "certificate": {"signatures": (block._replace(certificate=bytes(32)),)},
        "profile": {"signatures": (block._replace(profile=2),)},
        "count": {"signatures": (block, block)},
        "index": {"proof": ENVELOPE.proof._replace(index=1)},
        "path": {"proof": ENVELOPE.proof._replace(path=bytes(32 * 20))},
        "signature": {"signatures": (block._replace(signature=block.signature[:-1] + b"\0"),)},
    }
    return encode_envelope(ENVELOPE._replace(**wrong[what]))


@pytest.mark.parametrize(
    ("what", "signatures"),
    [
        ("payload type", 0),
        ("certificate", 0),
        ("profile", 0),
        ("count", 0),
        ("index", 0),
        ("path", 0),
        ("signature", 1),
    ],
)
def test_a_forgery_costs_at_most_one_signature(what: str, signatures: int, counted_signatures: list[object]) -> None:
    """What is wrong before the signature costs none, and a wrong signature costs itself, each time anew."""
    verifier = Verifier()
    for sent in (1, 2, 3):
        with pytest.raises(VerificationError):
            verify(_wrong(what), recipient=TAY_NINH, verifier=verifier)

        assert sent * signatures == len(counted_signatures)


def test_without_a_record_key_none_is_compared() -> None:
    """A single file has no key, and passes."""
    assert LETTER.digest == live(VALUE, key=None).digest


def test_a_clock_may_run_ahead_by_five_minutes() -> None:
    """The limit itself passes, one millisecond more waits."""
    assert LETTER.digest == live(VALUE, now_ms=NOW - MAX_CLOCK_SKEW_MS).digest
    ahead = replace(LETTER, head=LETTER.head._replace(made_at=NOW + MAX_CLOCK_SKEW_MS + 1))

    assert ("C1.21", "made_in_future") == refusal(encode_envelope(seal(ahead)[0]))
    assert ahead.digest == live(encode_envelope(seal(ahead)[0]), now_ms=NOW + 1).digest


def _beating() -> tuple[TrustSnapshot, int]:
    """Return the directory in which everybody may sign, with a heartbeat at its end, and its limit in milliseconds."""
    known = replace(snapshot(), has_heartbeat=True)
    return known, known.made_at + known.freshness_limit_ms + MAX_CLOCK_SKEW_MS


def test_directory_may_be_a_day_and_five_minutes_old() -> None:
    """The limit itself passes; one millisecond more waits, until a newer entry is known."""
    known, limit = _beating()

    assert LETTER.digest == live(VALUE, snapshot=known, now_ms=limit).digest
    assert ("C1.22", "directory_stale") == refusal(VALUE, snapshot=known, now_ms=limit + 1)
    assert LETTER.digest == live(VALUE, snapshot=replace(known, made_at=known.made_at + 1), now_ms=limit + 1).digest


def test_old_directory_still_says_no() -> None:
    """What fails is failed also under a directory that is too old: only a yes needs to know the newest entry."""
    known, limit = _beating()
    forged = ENVELOPE._replace(proof=ENVELOPE.proof._replace(index=1))

    assert "C1.07" == refusal(encode_envelope(forged), snapshot=known, now_ms=limit + 1)[0]
    retired = replace(snapshot(HANOI_ROTATED), has_heartbeat=True)
    assert ("C1.19", "certificate_retired") == refusal(VALUE, snapshot=retired, now_ms=limit + 10_000)


def test_age_of_the_directory_is_nothing_to_an_auditor() -> None:
    """There is no time in what an auditor is asked, so that what was valid stays so in ten years."""
    known, _ = _beating()

    verified = Verifier().verify_recorded(VALUE, key=HANOI.encode(), recipient=TAY_NINH, snapshot=known)

    assert LETTER.digest == verified.digest


def test_validity_of_the_certificate_includes_its_ends() -> None:
    """The first and the last millisecond of the certificate pass, those beside them do not, now as when it was made."""
    grant = live(VALUE).grant
    old = replace(LETTER, head=LETTER.head._replace(made_at=grant.not_before_ms))
    value = encode_envelope(seal(old)[0])

    for now in (grant.not_before_ms, grant.not_after_ms):
        assert old.digest == live(value, now_ms=now).digest
    for now in (grant.not_before_ms - 1, grant.not_after_ms + 1):
        assert ("C1.19", "certificate_expired") == refusal(value, now_ms=now)
    for made_at in (grant.not_before_ms - 1, grant.not_after_ms + 1):
        other = replace(LETTER, head=LETTER.head._replace(made_at=made_at))
        assert ("C1.19", "certificate_expired") == refusal(encode_envelope(seal(other)[0]))


def test_failed_comes_before_indeterminate() -> None:
    """A statement of a revoked key from the future is failed: waiting would not mend it."""
    letter = write_document(world(), "document")
    late = replace(letter, head=letter.head._replace(made_at=NOW * 2, directory_position=99))

    assert ("C1.19", "certificate_retired") == refusal(encode_envelope(seal(late)[0]), snapshot=snapshot(HANOI_ROTATED))


def test_only_proven_statements_are_indeterminate() -> None:
    """A changed statement that claims to be from the future is failed."""
    late = replace(LETTER, head=LETTER.head._replace(made_at=NOW * 2))
    envelope = seal(late)[0]
    changed = envelope._replace(statement=envelope.statement[:-1] + b"\0")

    assert ("C1.08", "signature_invalid") == refusal(encode_envelope(changed))


def test_another_directory_hash_is_a_finding() -> None:
    """The statement passes and the fork is reported, live and recorded."""
    forked = replace(LETTER, head=LETTER.head._replace(directory_hash=bytes(32)))
    value = encode_envelope(seal(forked)[0])
    recorded = Verifier().verify_recorded(value, key=None, recipient=None, snapshot=snapshot())

    assert (DIRECTORY_HASH_FINDING,) == live(value).findings == recorded.findings


@pytest.mark.parametrize("position", [-1, 0])
def test_a_statement_from_before_the_grant_is_refused(position: int) -> None:
    """What a recipient files no auditor may call invalid: both find no authority before the grant."""
    odd = replace(LETTER, head=LETTER.head._replace(directory_position=position))
    value = encode_envelope(seal(odd)[0])

    assert ("C1.19", "authority_missing") == refusal(value)
    with pytest.raises(VerificationError) as caught:
        Verifier().verify_recorded(value, key=None, recipient=None, snapshot=snapshot())
    assert ("C1.19", "authority_missing") == (caught.value.step, caught.value.code)


def test_a_batch_costs_one_signature(counted_signatures: list[object]) -> None:
    """The signature of a batch is verified once, however many of its statements come."""
    verifier = Verifier()
    batch = seal(*[write_receipt(world(), f"counted {index}") for index in range(9)])

    for envelope in batch:
        verify(envelope, recipient=HANOI, verifier=verifier)

    assert 1 == len(counted_signatures)


def test_authority_is_asked_each_time() -> None:
    """A verified batch in the cache does not help a key that has been retired since."""
    verifier = Verifier()
    told: dict[str, Any] = {"key": None, "recipient": TAY_NINH, "now_ms": NOW}
    verifier.verify(VALUE, snapshot=snapshot(), **told)

    with pytest.raises(VerificationError) as caught:
        verifier.verify(VALUE, snapshot=snapshot(HANOI_ROTATED), **told)
    assert "certificate_retired" == caught.value.code


def test_heads_are_kept_up_to_a_limit() -> None:
    """A batch of very many heads does not fill the memory, and all of it verifies."""
    letters = [write_receipt(world(), f"head {index}") for index in range(3 * MAX_HEADS)]
    verifier = Verifier()

    for letter, envelope in zip(letters, seal(*letters), strict=True):
        assert letter.decoded == verify(envelope, recipient=HANOI, verifier=verifier).statement
    (batch,) = verifier._batches._batches.values()
    assert MAX_HEADS == len(batch.heads)


def _statement(letter: Letter, *concerns: Reference) -> Statement:
    return replace(letter, body=letter.body._replace(concerns=concerns)).decoded


def test_a_recall_concerns_only_its_senders_documents() -> None:
    """Every reference must name the sender; other statements concern nobody."""
    own, other = Reference(HANOI, "d", 1), Reference(LANG_SON, "d", 1)

    assert concerns_sender(_statement(LETTER))
    assert concerns_sender(_statement(LETTER, own, own))
    assert not concerns_sender(_statement(LETTER, own, other))
    assert concerns_sender(write_receipt(world(), "receipt").decoded)
