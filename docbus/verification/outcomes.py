"""The whole list of checks with an outcome each, made from the one answer at which a verification ended."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, NamedTuple

from docbus.envelope.statement import DocumentBody
from docbus.errors import VerificationError
from docbus.verification import checks
from docbus.verification.unknown import NEED_THE_CERTIFICATE
from docbus.verification.verifier import DIRECTORY_HASH_FINDING, Verified

if TYPE_CHECKING:
    from docbus.envelope.package import Package
    from docbus.errors import IndeterminateError
    from docbus.identity.snapshot import TrustSnapshot
    from docbus.verification.checks import Check
    from docbus.verification.subject import Given, Known

Result = Literal["passed", "failed", "indeterminate", "not reached", "not applicable"]

_OPENING = tuple(check for check in checks.CHECKS if check.number.startswith("C2"))
_LIVE = tuple(check for check in checks.CHECKS if check not in _OPENING)
# An auditor asks for the directory first, because authority is asked as of the position the statement names.
_AUDITOR = (
    *_LIVE[: _LIVE.index(checks.AUTHORITY)],
    checks.DIRECTORY,
    checks.AUTHORITY,
    checks.TIME,
    checks.FRESHNESS,
    checks.PATH,
)


class Manner(NamedTuple):
    """How the verification was asked for, which decides what applies.

    ``live`` is as a recipient, now; otherwise as an auditor. ``recipient`` is the owner of the inbox the envelope was
    found in, None where that is not known. ``record`` tells whether the record around the envelope was at hand.
    """

    live: bool
    recipient: str | None
    record: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckResult:
    """One check with its outcome; ``code`` is the more exact one where a failed check has several."""

    id: str
    code: str
    title: str
    result: Result
    detail: str


def first_part(result: Given, manner: Manner, known: Known, snapshot: TrustSnapshot) -> dict[str, CheckResult]:
    """Return the outcomes of C1 by their numbers."""
    stopped_at = None if isinstance(result, Verified) else result.step
    not_asked = _not_asked(result, manner)
    undecidable = _undecidable(result, manner, known, snapshot)
    outcomes: dict[str, CheckResult] = {}
    stopped = False
    for check in _LIVE if manner.live else _AUDITOR:
        if check.number == stopped_at and not isinstance(result, Verified):
            outcomes[check.number] = _stopping(check, result)
            # What needs no certificate was asked before that answer was given.
            stopped = result.code != checks.NOT_KNOWN_YET
        elif check.number in not_asked:
            outcomes[check.number] = _result(check, "not applicable", not_asked[check.number])
        elif stopped or check in undecidable:
            outcomes[check.number] = (
                _not_decided(check) if check is checks.CERTIFICATE else _result(check, "not reached", "")
            )
        elif check is checks.DIRECTORY and isinstance(result, Verified) and DIRECTORY_HASH_FINDING in result.findings:
            outcomes[check.number] = CheckResult(
                id=check.number,
                code=DIRECTORY_HASH_FINDING,
                title=check.title,
                result="indeterminate",
                detail=f"the sender saw another entry {result.statement.head.directory_position} than stands here",
            )
        else:
            outcomes[check.number] = _result(check, "passed", known.detail(check))
    return outcomes


def _undecidable(result: Given, manner: Manner, known: Known, snapshot: TrustSnapshot) -> frozenset[Check]:
    """Return the checks that could not be asked, as the directory at hand does not know the certificate (ADR 0029)."""
    if manner.live or isinstance(result, Verified) or known.envelope is None or known.statement is None:
        return frozenset()
    went_on = result.code == checks.NOT_KNOWN_YET or (result.step or "") > checks.CERTIFICATE.number
    if not went_on or snapshot.certificate(known.envelope.signatures[0].certificate) is not None:
        return frozenset()
    own = known.statement.head.on_behalf_of is None
    return NEED_THE_CERTIFICATE - {checks.DELEGATION} if own else NEED_THE_CERTIFICATE


def _not_decided(check: Check) -> CheckResult:
    return CheckResult(
        id=check.number,
        code=checks.NOT_KNOWN_YET,
        title=check.title,
        result="indeterminate",
        detail="the directory given does not know it, and ends before the entry that the statement names",
    )


def _not_asked(result: Given, manner: Manner) -> dict[str, str]:
    """Return why checks do not apply, by their numbers."""
    found: dict[str, str] = {}
    if manner.recipient is None:
        found[checks.RECIPIENT.number] = "the owner of the inbox was not given"
    if not manner.record:
        found[checks.RECORD_KEY.number] = "there is no record, only its value"
    if not manner.live:
        for check in (checks.TIME, checks.FRESHNESS):
            found[check.number] = "for an auditor the order in the log decides, not a clock"
    if isinstance(result, Verified) and result.basis is None:
        found[checks.PATH.number] = "no authority of the directory has issued the certificate"
    return found


def second_part(result: Given, opening: Package | VerificationError | None, known: Known) -> dict[str, CheckResult]:
    """Return the outcomes of C2 by their numbers."""
    if not isinstance(result, Verified):
        return {check.number: _result(check, "not reached", "") for check in _OPENING}
    if result.package is None:
        return {check.number: _result(check, "not applicable", "the statement has no package") for check in _OPENING}
    if opening is None:
        why = "needs the recipient's key, which was not given"
        return {check.number: _result(check, "not applicable", why) for check in _OPENING}
    outcomes: dict[str, CheckResult] = {}
    stopped = False
    for check in _OPENING:
        if isinstance(opening, VerificationError) and check.number == opening.step:
            outcomes[check.number] = _stopping(check, opening)
            stopped = True
        elif check is checks.RECIPIENTS and not isinstance(known.body, DocumentBody):
            outcomes[check.number] = _result(check, "not applicable", "only a document commits to its recipients")
        elif check in checks.OF_PARTS and not stopped:
            outcomes[check.number] = _result(check, "not applicable", known.why_without_parts)
        else:
            outcomes[check.number] = _result(check, "not reached" if stopped else "passed", "")
    return outcomes


def _result(check: Check, result: Result, detail: str) -> CheckResult:
    return CheckResult(id=check.number, code=check.code, title=check.title, result=result, detail=detail)


def _stopping(check: Check, error: VerificationError | IndeterminateError) -> CheckResult:
    return CheckResult(
        id=check.number,
        code=error.code,
        title=check.title,
        result="failed" if isinstance(error, VerificationError) else "indeterminate",
        detail=error.text.removeprefix(f"{check.number} {error.code}: "),
    )
