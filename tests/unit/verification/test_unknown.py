"""C1.04 for an auditor whose directory does not know the certificate, and ends before or behind the entry named."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from docbus.envelope.envelope import encode_envelope
from docbus.errors import IndeterminateError, VerificationError
from docbus.verification.checks import NOT_KNOWN_YET
from docbus.verification.outcomes import Manner
from docbus.verification.report import report_of
from docbus.verification.verifier import DIRECTORY_HASH_FINDING, Verifier
from tests.support.letters import seal, snapshot, world
from tests.vectors.building.letters import make_head, seal_batch, write_document, write_receipt
from tests.vectors.building.world import (
    CUSTOMS,
    CUSTOMS_GRANTED,
    HANOI,
    LANG_SON,
    NOW,
    STRANGER,
    TAY_NINH,
    TAY_NINH_CLOSED,
)

if TYPE_CHECKING:
    from docbus.envelope.envelope import Envelope
    from docbus.envelope.statement import Head

BEFORE = CUSTOMS_GRANTED - 1
"""Last entry of a directory that does not know the certificate of customs."""
NAMED = {"directory_position": CUSTOMS_GRANTED, "directory_hash": world().hashes[CUSTOMS_GRANTED]}
LETTER = write_document(world(), "known later", head=make_head(world(), "known later", sender=CUSTOMS, **NAMED))
ENVELOPE = seal(LETTER)[0]
BLOCK = ENVELOPE.signatures[0]


def answer(envelope: Envelope, *, position: int = BEFORE, **changed: Any) -> tuple[str | None, str]:
    """Return step and code of an auditor's refusal."""
    told: dict[str, Any] = {"key": CUSTOMS.encode(), "recipient": TAY_NINH, "snapshot": snapshot(position)} | changed
    with pytest.raises((VerificationError, IndeterminateError)) as caught:
        Verifier().verify_recorded(encode_envelope(envelope), **told)
    return caught.value.step, caught.value.code


def test_a_certificate_that_is_granted_behind_the_end_is_not_decided() -> None:
    """The text names both entries, and the hint says how a later directory is got."""
    with pytest.raises(IndeterminateError) as caught:
        Verifier().verify_recorded(encode_envelope(ENVELOPE), key=None, recipient=None, snapshot=snapshot(BEFORE))

    assert ("C1.04", "certificate_not_known_yet") == (caught.value.step, caught.value.code)
    assert caught.value.text == (
        f"the directory given ends at entry {BEFORE}; the statement names entry {CUSTOMS_GRANTED}: get a later one"
    )
    assert caught.value.hint is not None


def test_the_later_directory_decides_it() -> None:
    """The same bytes are valid once the directory reaches the grant."""
    verified = Verifier().verify_recorded(
        encode_envelope(ENVELOPE), key=None, recipient=TAY_NINH, snapshot=snapshot(CUSTOMS_GRANTED)
    )

    assert LETTER.digest == verified.digest


def test_a_directory_that_reaches_the_entry_decides_that_it_is_unknown() -> None:
    """One entry makes the difference: from the one that is named on, a key that was never granted is invalid."""
    forged = seal_batch(world(), world().parties[STRANGER].signer, [LETTER])[0]
    own = LETTER.head._replace(certificate=world().parties[STRANGER].signer.certificate)
    signed = seal_batch(world(), world().parties[STRANGER].signer, [replace(LETTER, head=own)])[0]

    assert ("C1.04", NOT_KNOWN_YET) == answer(signed)
    assert ("C1.04", "certificate_unknown") == answer(signed, position=CUSTOMS_GRANTED)
    assert ("C1.10", "certificate_mismatch") == answer(forged)
    assert ("C1.04", "certificate_unknown") == answer(forged, position=CUSTOMS_GRANTED)


def test_a_recipient_still_says_that_it_is_unknown() -> None:
    """Nothing that anybody can send is parked: live, the same bytes fail."""
    with pytest.raises(VerificationError) as caught:
        Verifier().verify(
            encode_envelope(ENVELOPE), key=CUSTOMS.encode(), recipient=TAY_NINH, snapshot=snapshot(BEFORE), now_ms=NOW
        )

    assert ("C1.04", "certificate_unknown") == (caught.value.step, caught.value.code)


@pytest.mark.parametrize(
    ("changed", "expected"),
    [
        ({"signatures": (BLOCK._replace(profile=99),)}, "C1.05"),
        ({"signatures": (BLOCK, BLOCK._replace(certificate=bytes(32)))}, "C1.05"),
        ({"signatures": (BLOCK, BLOCK)}, "C1.06"),
        ({"proof": ENVELOPE.proof._replace(index=1)}, "C1.07"),
        ({"proof": ENVELOPE.proof._replace(path=bytes(32))}, "C1.07"),
        ({"signatures": (BLOCK._replace(certificate=bytes(32)),)}, "C1.10"),
        ({"keys": None}, "C1.17"),
        ({"package": None}, "C1.18"),
    ],
    ids=["profile", "two certificates", "two signatures", "index", "path", "certificate", "keys", "package"],
)
def test_what_needs_no_certificate_fails_first(changed: dict[str, Any], expected: str) -> None:
    """One thing in the envelope is changed, and that is what is said of it."""
    assert expected == answer(ENVELOPE._replace(**changed))[0]


@pytest.mark.parametrize(
    ("changed", "expected"),
    [
        ({"snapshot": replace(snapshot(BEFORE), environment="other")}, "C1.13"),
        ({"recipient": LANG_SON}, "C1.14"),
        ({"key": HANOI.encode()}, "C1.15"),
    ],
    ids=["environment", "recipient", "record key"],
)
def test_where_it_was_found_fails_first(changed: dict[str, Any], expected: str) -> None:
    """The envelope is as it was, and lies where it does not belong."""
    assert expected == answer(ENVELOPE, **changed)[0]


def _of(head: Head) -> Envelope:
    return seal_batch(world(), world().parties[CUSTOMS].signer, [replace(LETTER, head=head)])[0]


def test_a_statement_in_the_wrong_lane_fails_first() -> None:
    """A document in the receipts' lane is none, whoever signed it."""
    assert "C1.16" == answer(_of(LETTER.head._replace(lane="receipts")))[0]


def test_a_receipt_in_the_name_of_another_agency_fails_first() -> None:
    """Only documents are sent for others, under whatever delegation."""
    head = {"sender": CUSTOMS, "certificate": world().parties[CUSTOMS].signer.certificate, **NAMED}
    letter = write_receipt(world(), "for another", head=head | {"on_behalf_of": LANG_SON})
    envelope = seal_batch(world(), world().parties[CUSTOMS].signer, [letter])[0]

    assert "C1.12" == answer(envelope, recipient=HANOI)[0]


def test_an_agency_that_is_closed_for_good_signs_nothing_later() -> None:
    """A closed agency is never opened again, so no later directory makes such a statement valid."""
    assert BEFORE >= TAY_NINH_CLOSED
    of_a_closed_one = LETTER.head._replace(sender=TAY_NINH, recipient=HANOI)
    for_a_closed_one = LETTER.head._replace(on_behalf_of=TAY_NINH)

    assert ("C1.19", "agency_closed") == answer(_of(of_a_closed_one), key=TAY_NINH.encode(), recipient=HANOI)
    assert "C1.12" == answer(_of(for_a_closed_one))[0]


def test_another_hash_at_the_entry_that_is_named_stays_a_finding() -> None:
    """Once the directory reaches the entry, a statement that saw another one there is told apart."""
    value = encode_envelope(_of(LETTER.head._replace(directory_hash=bytes(32))))

    verified = Verifier().verify_recorded(value, key=None, recipient=None, snapshot=snapshot(CUSTOMS_GRANTED))

    assert (DIRECTORY_HASH_FINDING,) == verified.findings


def _results(envelope: Envelope, **changed: Any) -> tuple[dict[str, str], bool, str]:
    told: dict[str, Any] = {"key": None, "recipient": TAY_NINH, "snapshot": snapshot(BEFORE)} | changed
    value = encode_envelope(envelope)
    with pytest.raises((VerificationError, IndeterminateError)) as caught:
        Verifier().verify_recorded(value, **told)
    manner = Manner(live=False, recipient=told["recipient"], record=False)
    report = report_of(caught.value, value, manner, told["snapshot"])
    assert report.subject is not None
    assert report.signing_time is None
    return {check.id: check.result for check in report.checks}, report.subject.proven, report.verdict


UNDECIDABLE = {"C1.05", "C1.06", "C1.08", "C1.11", "C1.19", "C1.20", "C1.23"}


def test_the_report_claims_nothing_that_needs_the_certificate() -> None:
    """Such a statement's sender is not proven, its signature not verified; what was asked has passed."""
    results, proven, verdict = _results(ENVELOPE)

    first = {number: result for number, result in results.items() if number.startswith("C1")}
    assert (verdict, proven) == ("indeterminate", False)
    assert {"C1.04"} == {number for number, result in first.items() if result == "indeterminate"}
    assert {number for number, result in first.items() if result == "not reached"} == UNDECIDABLE
    assert {"C1.15", "C1.21", "C1.22"} == {number for number, result in first.items() if result == "not applicable"}


def test_the_report_of_what_fails_without_the_certificate_does_not_call_it_proven() -> None:
    """A later check has failed, and C1.04 to C1.08 have not passed for that."""
    results, proven, verdict = _results(ENVELOPE._replace(package=None))

    assert (verdict, proven) == ("invalid", False)
    assert [results[number] for number in ("C1.04", "C1.08", "C1.09", "C1.11", "C1.18", "C1.20")] == [
        "indeterminate",
        "not reached",
        "passed",
        "not reached",
        "failed",
        "not reached",
    ]
