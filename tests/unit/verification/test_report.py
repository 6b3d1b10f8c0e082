"""The list of all checks, made from one verification."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from docbus.envelope.statement import Attachment, DocumentBody
from docbus.errors import IndeterminateError, VerificationError
from docbus.identity import entries
from docbus.verification import checks
from docbus.verification.opening import Opener
from docbus.verification.outcomes import Manner
from docbus.verification.report import VerificationReport, report_of
from docbus.verification.verifier import DIRECTORY_HASH_FINDING, Verified, Verifier
from docbus.wire.parts import content_size
from tests.support.audit_exchange import CITY, COMMUNE, PROVINCE, Exchange
from tests.support.directory import NOW_MS

if TYPE_CHECKING:
    from docbus.verification.subject import Given

LIVE = Manner(live=True, recipient=PROVINCE, record=True)
AUDITOR = Manner(live=False, recipient=PROVINCE, record=True)


@pytest.fixture(scope="module")
def exchange() -> Exchange:
    """Three agencies with their keys, which take some time to make."""
    return Exchange()


def verify(exchange: Exchange, value: bytes, manner: Manner, **changed: Any) -> Given:
    """Return what the verifier returns or raises."""
    key = CITY.encode() if manner.record else None
    verifier = Verifier()
    snapshot = changed.get("snapshot", exchange.snapshot)
    try:
        if manner.live and manner.recipient is not None:
            now = changed.get("now_ms", NOW_MS)
            return verifier.verify(value, key=key, recipient=manner.recipient, snapshot=snapshot, now_ms=now)
        return verifier.verify_recorded(value, key=key, recipient=manner.recipient, snapshot=snapshot)
    except (VerificationError, IndeterminateError) as error:
        return error


def results(report: VerificationReport) -> dict[str, str]:
    """Return check number to result."""
    return {check.id: check.result for check in report.checks}


def test_every_check_stands_once_in_order(exchange: Exchange) -> None:
    """The report lists the checks of the checklist, whatever happened."""
    (posted,) = exchange.documents(CITY, PROVINCE, 1)
    expected = [check.number for check in checks.CHECKS]

    for value, manner in ((posted.value, LIVE), (posted.value, AUDITOR), (b"x", LIVE)):
        report = report_of(verify(exchange, value, manner), value, manner, exchange.snapshot)

        assert [check.id for check in report.checks] == expected


def test_a_live_verification_passes_all_of_the_first_part(exchange: Exchange) -> None:
    """Without the recipient's key, opening does not apply, and the report says why."""
    (posted,) = exchange.documents(CITY, PROVINCE, 1)

    report = report_of(verify(exchange, posted.value, LIVE), posted.value, LIVE, exchange.snapshot)

    assert report.verdict == "valid"
    assert {number: result for number, result in results(report).items() if result != "passed"} == dict.fromkeys(
        ["C1.23", *(check.number for check in checks.CHECKS if check.number.startswith("C2"))], "not applicable"
    )
    assert report.checks[-1].detail == "needs the recipient's key, which was not given"


def test_an_opened_document_passes_everything(exchange: Exchange) -> None:
    """With the recipient's key every check passes that an envelope can be asked; without large content that is all."""
    (posted,) = exchange.documents(CITY, PROVINCE, 1)
    verified = verify(exchange, posted.value, LIVE)
    assert isinstance(verified, Verified)
    opened = Opener(PROVINCE, [exchange.keys[PROVINCE].encryption_key.decrypter()]).open(verified)

    report = report_of(verified, posted.value, LIVE, exchange.snapshot, opening=opened)

    not_passed = {check.id: (check.result, check.detail) for check in report.checks if check.result != "passed"}
    assert not_passed.pop("C1.23") == ("not applicable", "no authority of the directory has issued the certificate")
    assert report.verdict == "valid"
    assert not_passed == dict.fromkeys(
        ["C2.09", "C2.10", "C2.11", "C2.12"], ("not applicable", "there is no large attachment")
    )


def test_parts_are_not_asked_of_an_envelope(exchange: Exchange) -> None:
    """A document with large content is valid as an envelope, and the report says where the rest is asked."""
    (posted,) = exchange.documents(CITY, PROVINCE, 1)
    verified = verify(exchange, posted.value, LIVE)
    assert isinstance(verified, Verified)
    opened = Opener(PROVINCE, [exchange.keys[PROVINCE].encryption_key.decrypter()]).open(verified)
    body = verified.statement.body
    assert isinstance(body, DocumentBody)
    large = body._replace(attachments=(Attachment(content_size(1), bytes(32)),))
    verified = verified._replace(statement=verified.statement._replace(body=large))

    report = report_of(verified, posted.value, LIVE, exchange.snapshot, opening=opened)

    details = {
        check.id: check.detail for check in report.checks if check.result == "not applicable" and check.id != "C1.23"
    }
    assert report.verdict == "valid"
    assert details == dict.fromkeys(
        ["C2.09", "C2.10", "C2.11", "C2.12"],
        "asked of each part when it is fetched from the sender's content topic",
    )


def test_a_failed_opening_is_invalid(exchange: Exchange) -> None:
    """Another agency's key does not open the batch key; nothing after that is reached."""
    (posted,) = exchange.documents(CITY, PROVINCE, 1)
    verified = verify(exchange, posted.value, LIVE)
    assert isinstance(verified, Verified)
    with pytest.raises(VerificationError) as caught:
        Opener(PROVINCE, [exchange.keys[COMMUNE].encryption_key.decrypter()]).open(verified)

    report = report_of(verified, posted.value, LIVE, exchange.snapshot, opening=caught.value)

    assert report.verdict == "invalid"
    assert [results(report)[number] for number in ("C1.21", "C2.01", "C2.02", "C2.08", "C2.12")] == [
        "passed",
        "failed",
        "not reached",
        "not reached",
        "not reached",
    ]


def test_a_receipt_has_nothing_to_open(exchange: Exchange) -> None:
    """The second part does not apply to a statement without a package."""
    receipt = exchange.receipt(exchange.documents(PROVINCE, CITY, 2))

    report = report_of(verify(exchange, receipt.value, LIVE), receipt.value, LIVE, exchange.snapshot)

    assert report.checks[-1].detail == "the statement has no package"
    assert report.subject is not None
    assert report.subject.document is None
    assert report.subject.content.startswith("receipt for statements 1 to 2 of epoch ")


def test_a_failed_check_stops_the_list(exchange: Exchange) -> None:
    """What came before it passed, what comes after it was not reached; what the bytes claim is not proven."""
    (posted,) = exchange.documents(CITY, PROVINCE, 1)
    value = bytearray(posted.value)
    value[60] ^= 1

    report = report_of(verify(exchange, bytes(value), LIVE), bytes(value), LIVE, exchange.snapshot)

    found = results(report)
    assert report.verdict == "invalid"
    assert [found["C1.07"], found["C1.08"], found["C1.09"], found["C2.01"]] == [
        "passed",
        "failed",
        "not reached",
        "not reached",
    ]
    assert report.subject is None or not report.subject.proven


def test_the_more_exact_code_is_shown(exchange: Exchange) -> None:
    """C1.19 says which authority is missing, and its detail does not repeat the number."""
    (posted,) = exchange.documents(CITY, PROVINCE, 1)
    late = NOW_MS + 10 * 365 * 24 * 60 * 60 * 1000

    report = report_of(verify(exchange, posted.value, LIVE, now_ms=late), posted.value, LIVE, exchange.snapshot)

    (check,) = [check for check in report.checks if check.result == "failed"]
    assert (check.id, check.code, check.detail) == (
        "C1.19",
        "certificate_expired",
        "outside the certificate's validity",
    )
    assert report.subject is not None
    assert report.subject.proven


def test_a_future_statement_is_indeterminate(exchange: Exchange) -> None:
    """Its time has not come; nothing failed."""
    (posted,) = exchange.seal(CITY, exchange.drafts(CITY, [PROVINCE]), now_ms=NOW_MS + 301_000)

    report = report_of(verify(exchange, posted.value, LIVE), posted.value, LIVE, exchange.snapshot)

    assert report.verdict == "indeterminate"
    assert {check.id for check in report.checks if check.result == "indeterminate"} == {"C1.21"}
    assert [check.result for check in report.checks].count("passed") == 20


def test_an_auditor_asks_for_the_directory_before_authority(exchange: Exchange) -> None:
    """With a directory that is behind, authority is not reached, and no clock is asked."""
    (posted,) = exchange.documents(CITY, PROVINCE, 1)
    behind = exchange.directory.replay().snapshot(2)

    report = report_of(verify(exchange, posted.value, AUDITOR, snapshot=behind), posted.value, AUDITOR, behind)

    found = results(report)
    assert (report.verdict, report.exit_code) == ("indeterminate", 3)
    assert [found["C1.18"], found["C1.19"], found["C1.20"], found["C1.21"]] == [
        "passed",
        "not reached",
        "indeterminate",
        "not applicable",
    ]


def test_a_directory_finding_leaves_it_indeterminate(exchange: Exchange) -> None:
    """The sender saw another directory; whether its key had authority there is not known."""
    (posted,) = exchange.documents(CITY, PROVINCE, 1)
    verified = verify(exchange, posted.value, AUDITOR)
    assert isinstance(verified, Verified)
    shown = verified._replace(findings=(DIRECTORY_HASH_FINDING,))

    report = report_of(shown, posted.value, AUDITOR, exchange.snapshot)

    assert (report.verdict, report.findings) == ("indeterminate", (DIRECTORY_HASH_FINDING,))
    assert results(report)["C1.20"] == "indeterminate"


def test_what_was_not_given_is_not_applicable(exchange: Exchange) -> None:
    """Without record and inbox, key and recipient cannot be compared."""
    (posted,) = exchange.documents(CITY, PROVINCE, 1)
    manner = Manner(live=False, recipient=None, record=False)

    report = report_of(verify(exchange, posted.value, manner), posted.value, manner, exchange.snapshot)

    found = {check.id: check for check in report.checks}
    assert (found["C1.14"].result, found["C1.14"].detail) == ("not applicable", "the owner of the inbox was not given")
    assert (found["C1.15"].result, found["C1.15"].detail) == ("not applicable", "there is no record, only its value")


@pytest.mark.parametrize("value", [None, b"", b"x", b"\xc3\x01" + bytes(40)])
def test_bytes_that_are_no_envelope_are_about_nothing(exchange: Exchange, value: bytes | None) -> None:
    """There is no subject, and the verdict is invalid."""
    result = verify(exchange, value or b"", LIVE)

    report = report_of(result, value, LIVE, exchange.snapshot)

    assert (report.verdict, report.subject) == ("invalid", None)


def test_details_name_what_was_found(exchange: Exchange) -> None:
    """Size, certificate and place in the batch are shown."""
    posted = exchange.documents(CITY, PROVINCE, 3)[1]

    report = report_of(verify(exchange, posted.value, AUDITOR), posted.value, AUDITOR, exchange.snapshot)

    details = {check.id: check.detail for check in report.checks}
    certificate = exchange.keys[CITY].signer.certificate.hex()
    assert details["C1.01"] == f"{len(posted.value):,} bytes"
    assert details["C1.04"] == f"{certificate}, granted to {CITY} by directory entry 1"
    assert details["C1.05"] == "ES256"
    assert details["C1.07"] == "statement 2 of 3 in its batch"


def test_the_report_is_json(exchange: Exchange) -> None:
    """Verdict, checks, and who said what to whom, at the top level."""
    (posted,) = exchange.documents(CITY, PROVINCE, 1, document_id="d")

    report = report_of(
        verify(exchange, posted.value, AUDITOR), posted.value, AUDITOR, exchange.snapshot, notes=("note",)
    )
    again = json.loads(json.dumps(report.to_json()))

    assert {name: again[name] for name in ("verdict", "proven", "sender", "recipient", "document_id", "document")} == {
        "verdict": "valid",
        "proven": True,
        "sender": CITY,
        "recipient": PROVINCE,
        "document_id": "d",
        "document": f"{CITY}/d/1",
    }
    assert (again["made_at"], again["directory_position"], again["notes"]) == ("2026-11-23T09:00:00.000Z", 3, ["note"])
    assert again["checks"][0]["id"] == "C1.01"


def test_the_report_names_the_directory_that_was_asked() -> None:
    """Two verdicts on the same bytes, before and after a revocation, say by position and hash which is which."""
    later = Exchange()
    (posted,) = later.documents(CITY, PROVINCE, 1)
    before = later.snapshot
    later.directory.append(
        entries.Revocation(
            agency=CITY, certificate=later.keys[CITY].signer.certificate, reason="stolen", suspected_since=None
        )
    )
    after = later.directory.snapshot()

    reports = [
        report_of(verify(later, posted.value, LIVE, snapshot=snapshot), posted.value, LIVE, snapshot)
        for snapshot in (before, after)
    ]

    assert ["valid", "invalid"] == [report.verdict for report in reports]
    for report, snapshot in zip(reports, (before, after), strict=True):
        assert report.to_json()["trust"] == {
            "environment": "test",
            "genesis": later.directory.genesis.hex(),
            "position": snapshot.position,
            "head": later.directory.hashes[snapshot.position].hex(),
        }
    assert [3, 4] == [report.trust.position for report in reports]
