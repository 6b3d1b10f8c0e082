"""What can be read of the bytes that were verified, whether or not anything in them is proven."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from docbus.clock import format_time
from docbus.envelope.envelope import Envelope, decode_envelope
from docbus.envelope.statement import DocumentBody, ReceiptBody, Statement, StatusBody, decode_statement
from docbus.errors import IndeterminateError, MalformedError, VerificationError
from docbus.verification import checks
from docbus.verification.verifier import Verified
from docbus.wire.pae import leaf_digest
from docbus.wire.profiles import PROFILES

if TYPE_CHECKING:
    from docbus.identity.pki.words import AuthorityWord
    from docbus.verification.checks import Check
    from docbus.verification.paths import Basis

Given = Verified | VerificationError | IndeterminateError
"""What the verifier returned or raised."""


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


class Known(NamedTuple):
    """What can be read of the bytes, verified or not."""

    value: bytes
    envelope: Envelope | None
    statement: Statement | None
    verified: Verified | None
    words: tuple[AuthorityWord, ...]

    @classmethod
    def of(cls, result: Given, value: bytes | None, words: tuple[AuthorityWord, ...]) -> Known:
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
        checks.AUTHORITY.number: "" if verified is None else _authority(verified),
        checks.PATH.number: "" if basis is None else _rests_on(basis, words),
        checks.PROOF.number: f"statement {proof.index + 1} of {proof.tree_size} in its batch",
    }


def _authority(verified: Verified) -> str:
    at = verified.statement.head.directory_position
    return f"under directory entry {at}, and the key was granted by entry {verified.grant.granted_at}"


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
