"""What verification says of one record, check by check, for people and for programs.

A verification stops at the first "no"; the report puts that answer back into the whole list, so that a reader sees what
passed before it, what was never reached, and what does not apply and why. Pure: it is made from the result and the
bytes, and asks nothing again.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from docbus.clock import format_time
from docbus.envelope.envelope import Envelope, decode_envelope
from docbus.envelope.statement import DocumentBody, ReceiptBody, Statement, StatusBody, decode_statement
from docbus.errors import IndeterminateError, MalformedError, VerificationError
from docbus.verification import checks
from docbus.verification.verifier import DIRECTORY_HASH_FINDING, Verified
from docbus.wire.pae import leaf_digest
from docbus.wire.profiles import PROFILES

if TYPE_CHECKING:
    from collections.abc import Mapping

    from docbus.envelope.package import Package
    from docbus.identity.pki.words import AuthorityWord
    from docbus.identity.snapshot import TrustSnapshot
    from docbus.verification.checks import Check
    from docbus.verification.paths import Basis

Given = Verified | VerificationError | IndeterminateError
"""What the verifier returned or raised."""
Result = Literal["passed", "failed", "indeterminate", "not reached", "not applicable"]
Verdict = Literal["valid", "invalid", "indeterminate"]
EXIT_CODES: Mapping[Verdict, int] = {"valid": 0, "invalid": 1, "indeterminate": 3}
"""Exit codes of a verifying command; 2 is wrong usage and 4 that the evidence cannot be read."""

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


@dataclass(frozen=True, slots=True, kw_only=True)
class Subject:
    """What the verified bytes are about.

    Attributes:
        proven: Whether the sender is proven; otherwise everything here is only what the bytes claim.
        digest: The statement digest, in hex.
        payload_type: Type of the statement.
        sender: Canonical id.
        on_behalf_of: Canonical id of the agency for which it was sent; None for the sender itself.
        recipient: Canonical id.
        lane: Lane of the stream.
        epoch: Epoch of the stream, in hex.
        sequence: Position in the stream.
        made_at: By the sender's clock, RFC 3339.
        directory_position: Directory entry the statement was made under.
        document: The document that it is, or that a status is about, as ``sender/id/revision``; None for a receipt.
        document_id: Id of that document.
        content: One line about the body.
    """

    proven: bool
    digest: str
    payload_type: str
    sender: str
    on_behalf_of: str | None
    recipient: str
    lane: str
    epoch: str
    sequence: int
    made_at: str
    directory_position: int
    document: str | None
    document_id: str | None
    content: str


class Trust(NamedTuple):
    """The directory that was asked: another verdict about the same bytes may rest on an earlier or a later one.

    ``genesis`` and ``head`` are the hashes of its first and its last entry, in hex; ``position`` is that of the last.
    """

    environment: str
    genesis: str
    position: int
    head: str


@dataclass(frozen=True, slots=True, kw_only=True)
class VerificationReport:
    """Verdict, all checks in the order of their numbers, and what the bytes are about if they can be read so far."""

    verdict: Verdict
    checks: tuple[CheckResult, ...]
    subject: Subject | None
    trust: Trust
    findings: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    words: tuple[AuthorityWord, ...] = ()

    @property
    def exit_code(self) -> int:
        """Exit code of a command that ends with this report."""
        return EXIT_CODES[self.verdict]

    def to_json(self) -> dict[str, Any]:
        """Return the report as JSON types."""
        subject = {} if self.subject is None else asdict(self.subject)
        return {
            "verdict": self.verdict,
            "checks": [asdict(check) for check in self.checks],
            **subject,
            "trust": self.trust._asdict(),
            "findings": list(self.findings),
            "notes": list(self.notes),
            "rests_on": [asdict(word) for word in self.words],
        }


def report_of(
    result: Given,
    value: bytes | None,
    manner: Manner,
    snapshot: TrustSnapshot,
    *,
    opening: Package | VerificationError | None = None,
    notes: tuple[str, ...] = (),
    words: tuple[AuthorityWord, ...] = (),
) -> VerificationReport:
    """Return the report on one verification.

    Args:
        result: What the verifier returned or raised.
        value: The bytes it was given.
        manner: How it was asked.
        snapshot: The directory that the verifier was given.
        opening: What the opener returned or raised; None where it had nothing to open or no key was at hand.
        notes: Sentences to carry along, such as what the trust rests on.
        words: The lists and responses on which C1.23 rests, if it passed.
    """
    known = _Known.of(result, value, words)
    outcomes = {**_first_part(result, manner, known), **_second_part(result, opening, known)}
    if isinstance(result, VerificationError) or isinstance(opening, VerificationError):
        verdict: Verdict = "invalid"
    elif isinstance(result, IndeterminateError) or DIRECTORY_HASH_FINDING in result.findings:
        verdict = "indeterminate"
    else:
        verdict = "valid"
    return VerificationReport(
        verdict=verdict,
        checks=tuple(outcomes[check.number] for check in checks.CHECKS),
        subject=known.subject(proven=outcomes[checks.SENDER.number].result == "passed"),
        trust=Trust(snapshot.environment, snapshot.genesis.hex(), snapshot.position, snapshot.head.hex()),
        findings=result.findings if isinstance(result, Verified) else (),
        notes=(*notes, *(word.warning for word in words if word.warning is not None)),
        words=words,
    )


def _first_part(result: Given, manner: Manner, known: _Known) -> dict[str, CheckResult]:
    stopped_at = None if isinstance(result, Verified) else result.step
    not_asked = _not_asked(result, manner)
    outcomes: dict[str, CheckResult] = {}
    stopped = False
    for check in _LIVE if manner.live else _AUDITOR:
        if check.number == stopped_at and not isinstance(result, Verified):
            outcomes[check.number] = _stopping(check, result)
            stopped = True
        elif check.number in not_asked:
            outcomes[check.number] = _result(check, "not applicable", not_asked[check.number])
        elif stopped:
            outcomes[check.number] = _result(check, "not reached", "")
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


def _second_part(result: Given, opening: Package | VerificationError | None, known: _Known) -> dict[str, CheckResult]:
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


class _Known(NamedTuple):
    """What can be read of the bytes, verified or not."""

    value: bytes
    envelope: Envelope | None
    statement: Statement | None
    verified: Verified | None
    words: tuple[AuthorityWord, ...]

    @classmethod
    def of(cls, result: Given, value: bytes | None, words: tuple[AuthorityWord, ...]) -> _Known:
        """Read as far as the bytes allow."""
        content = value or b""
        try:
            envelope = decode_envelope(content)
        except MalformedError:
            return cls(content, None, None, None, words)
        if isinstance(result, Verified):
            return cls(content, envelope, result.statement, result, words)
        try:
            return cls(content, envelope, decode_statement(envelope.payload_type, envelope.statement), None, words)
        except (MalformedError, KeyError):
            return cls(content, envelope, None, None, words)

    @property
    def body(self) -> DocumentBody | ReceiptBody | StatusBody | None:
        """The statement's body."""
        return None if self.statement is None else self.statement.body

    @property
    def why_without_parts(self) -> str:
        """Why nothing is said of parts: an envelope has none, and not every document has any."""
        if isinstance(self.body, DocumentBody) and self.body.attachments:
            return "asked of each part when it is fetched from the sender's content topic"
        return "there is no large attachment"

    def detail(self, check: Check) -> str:
        """Return what a passed check has found, or nothing where the title says it all."""
        found: dict[str, str] = {checks.SIZE.number: f"{len(self.value):,} bytes"}
        if self.envelope is not None:
            found |= _envelope_details(self.envelope, self.verified, self.words)
        if self.statement is not None:
            found |= _statement_details(self.statement)
        return found.get(check.number, "")

    def subject(self, *, proven: bool) -> Subject | None:
        """Return what the bytes are about, if a statement can be read in them."""
        envelope, statement = self.envelope, self.statement
        if envelope is None or statement is None:
            return None
        head, body = statement.head, statement.body
        document = None
        if isinstance(body, DocumentBody):
            document = head.sender, body.document_id, body.revision
        elif isinstance(body, StatusBody):
            document = body.document.sender, body.document.document_id, body.document.revision
        return Subject(
            proven=proven,
            digest=leaf_digest(envelope.payload_type.encode(), envelope.statement).hex(),
            payload_type=statement.payload_type,
            sender=head.sender,
            on_behalf_of=head.on_behalf_of,
            recipient=head.recipient,
            lane=head.lane,
            epoch=head.epoch.hex(),
            sequence=statement.position.sequence,
            made_at=format_time(head.made_at),
            directory_position=head.directory_position,
            document=None if document is None else f"{document[0]}/{document[1]}/{document[2]}",
            document_id=None if document is None else document[1],
            content=_content(body),
        )


def _envelope_details(
    envelope: Envelope, verified: Verified | None, words: tuple[AuthorityWord, ...]
) -> dict[str, str]:
    first, proof = envelope.signatures[0], envelope.proof
    grant = None if verified is None else verified.grant
    basis = None if verified is None else verified.basis
    whose = "" if grant is None else f", granted to {grant.agency} by directory entry {grant.granted_at}"
    return {
        checks.PAYLOAD_TYPE.number: envelope.payload_type,
        checks.CERTIFICATE.number: first.certificate.hex() + whose,
        checks.PROFILE.number: PROFILES[first.profile].name if first.profile in PROFILES else str(first.profile),
        checks.PATH.number: "" if basis is None else _rests_on(basis, words),
        checks.PROOF.number: f"statement {proof.index + 1} of {proof.tree_size} in its batch",
    }


def _rests_on(basis: Basis, words: tuple[AuthorityWord, ...]) -> str:
    named = "; ".join(word.text for word in words) or ", ".join(f"{digest.hex()[:16]}…" for digest in basis.rests_on)
    return f"as of {format_time(basis.at_ms)}, by what its authority said in {named}"


def _statement_details(statement: Statement) -> dict[str, str]:
    head, body = statement.head, statement.body
    sealed = None if isinstance(body, ReceiptBody) else body.package
    return {
        checks.SENDER.number: head.sender,
        checks.DELEGATION.number: "" if head.on_behalf_of is None else f"for {head.on_behalf_of}",
        checks.ENVIRONMENT.number: head.environment,
        checks.RECIPIENT.number: head.recipient,
        checks.LANE.number: head.lane,
        checks.PACKAGE.number: "no package" if sealed is None else f"{sealed.size:,} bytes",
        checks.DIRECTORY.number: f"entry {head.directory_position}",
    }


def _content(body: DocumentBody | ReceiptBody | StatusBody) -> str:
    if isinstance(body, DocumentBody):
        size = sum(attachment.size for attachment in body.attachments)
        count = len(body.attachments)
        attachments = "1 large attachment" if count == 1 else f"{count:,} large attachments"
        large = f", {attachments} of {size:,} bytes, encrypted" if count else ""
        return f"{body.kind}, urgency {body.urgency}, created {format_time(body.created)}{large}"
    if isinstance(body, StatusBody):
        return f"status {body.code:02} at {format_time(body.at)}"
    refused = f", {len(body.refused)} of them refused" if body.refused else ""
    return f"receipt for statements {body.first} to {body.last} of epoch {body.epoch.hex()}{refused}"
