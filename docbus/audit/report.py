"""The result of an audit: frozen values that turn into JSON, and into tables for people."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from collections.abc import Mapping

    from docbus.audit.destroyed_keys import DestroyedKeys
    from docbus.audit.findings import Finding
    from docbus.audit.ranges import Range
    from docbus.audit.time_stamps import DirectoryStamps
    from docbus.identity.pki.words import AuthorityWord

AuditVerdict = Literal["valid", "invalid", "incomplete"]
EXIT_CODES: Mapping[AuditVerdict, int] = {"valid": 0, "invalid": 1, "incomplete": 3}
"""Exit codes of a replay; 2 is wrong usage and 4 that nothing could be read."""


@dataclass(frozen=True, slots=True, kw_only=True)
class InboxSummary:
    """One partition of an inbox: which offsets were read (``end`` not included), and how many records were what."""

    agency: str
    topic: str
    partition: int
    start: int
    end: int
    records: int
    bytes: int
    valid: int
    failed: int
    indeterminate: int


@dataclass(frozen=True, slots=True, kw_only=True)
class StreamSummary:
    """One stream.

    Attributes:
        sender: Canonical id.
        recipient: Canonical id.
        epoch: In hex.
        lane: Its lane.
        first: Lowest position that was read.
        last: Highest position that was read.
        statements: Positions that hold a statement.
        missing: Positions that hold none, up to the highest one.
        holes: The ranges of those, the first ones.
        duplicates: Records that repeat a statement.
        forks: Positions with several statements.
        chain_breaks: Statements that do not follow the one before.
        late: Statements that lie behind one of a higher position.
        undecided: Statements whose key's authority is undecided.
        filed: Statements that the recipient has filed, by receipts that were recomputed.
        refused: Statements that it has refused, and not filed since.
        outstanding: Statements of the other lanes than ``receipts`` that no receipt answers.
        outstanding_ranges: The ranges of those, the first ones.
        overdue: How many of them are older than the time of grace.
        receipts_read: Whether the inbox that receipts would lie in was read.
    """

    sender: str
    recipient: str
    epoch: str
    lane: str
    first: int
    last: int
    statements: int
    missing: int
    holes: tuple[Range, ...]
    duplicates: int
    forks: int
    chain_breaks: int
    late: int
    undecided: int
    filed: int
    refused: int
    outstanding: int
    outstanding_ranges: tuple[Range, ...]
    overdue: int
    receipts_read: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class SenderSummary:
    """All streams of one sender, added up; the columns are those of :class:`StreamSummary`."""

    sender: str
    streams: int
    statements: int
    documents: int
    receipts: int
    statuses: int
    missing: int
    duplicates: int
    forks: int
    chain_breaks: int
    filed: int
    refused: int
    outstanding: int


@dataclass(frozen=True, slots=True, kw_only=True)
class RefusedStatement:
    """A statement that its recipient refused for good."""

    sender: str
    recipient: str
    epoch: str
    sequence: int
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class RejectedRecord:
    """A record that did not verify, or could not be decided."""

    topic: str
    partition: int
    offset: int
    outcome: str
    code: str
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class EndedKey:
    """A key that has ended since, and under which statements are valid by their sender's own word for their time.

    Attributes:
        agency: Canonical id.
        certificate: Digest of the certificate, in hex.
        statements: Valid statements under it.
        why: What ended it: ``retired``, ``overlap_ended``, ``expired``, ``agency_closed`` or ``agency_suspended``.
        at: When, milliseconds since 1970 UTC.
        entry: Directory entry that did; None for the end of a certificate.
    """

    agency: str
    certificate: str
    statements: int
    why: str
    at: int
    entry: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class DocumentStatus:
    """What one recipient reported of one document; ``impossible`` are indexes into ``codes``."""

    sender: str
    document_id: str
    revision: int
    recipient: str
    codes: tuple[int, ...]
    impossible: tuple[int, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditReport:
    """What the records say; lists are cut at their limits, numbers never are.

    Attributes:
        records: Records read.
        bytes: Bytes of their values.
        valid: Records that verified.
        failed: Code to number of records that did not.
        indeterminate: Code to number of records that could not be decided.
        documents: Documents, each revision counted once however many recipients it has.
        inboxes: Every partition that was read.
        senders: Every proven sender.
        streams: Every stream.
        rejected: The first records of each code that did not verify or could not be decided.
        refusals: Reason to number of refused statements.
        refused: The first of those.
        statuses: Code to number of business statuses.
        document_statuses: The first documents with statuses.
        not_known_yet: Records among the indeterminate ones that name an entry behind the end of the directory, and
            whose certificate it does not know: nothing is proven of them, and they are part of no stream.
        signing_times: On what the time of valid statements rests, to their number: ``claimed`` by the sender alone, and
            among those ``claimed_and_key_ended``, whose key has ended since. A replay knows nothing better: evidence of
            a time stamp is asked of a single document.
        ended_keys: The keys of the latter, those with the most statements first.
        finding_counts: Kind to number of findings.
        findings: The first of each kind, the gravest kinds first.
    """

    records: int
    bytes: int
    valid: int
    failed: dict[str, int]
    indeterminate: dict[str, int]
    documents: int
    inboxes: tuple[InboxSummary, ...]
    senders: tuple[SenderSummary, ...]
    streams: tuple[StreamSummary, ...]
    rejected: tuple[RejectedRecord, ...]
    refusals: dict[str, int]
    refused: tuple[RefusedStatement, ...]
    statuses: dict[str, int]
    document_statuses: tuple[DocumentStatus, ...]
    not_known_yet: int
    signing_times: dict[str, int]
    ended_keys: tuple[EndedKey, ...]
    finding_counts: dict[str, int]
    findings: tuple[Finding, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Unreadable:
    """A topic of which nothing more could be read, and from which offset on (None where not even its bounds could)."""

    agency: str
    topic: str
    partition: int | None
    offset: int | None
    code: str
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ReplayReport:
    """A replay: verdict, what it rests on, what could not be read, and what the records say.

    Attributes:
        verdict: ``invalid`` if a record failed or a finding proves misbehaviour; else ``incomplete`` if statements are
            missing, a record is indeterminate, a topic could not be read, or a finding says that something is missing;
            else ``valid``.
        environment: Name of the exchange.
        genesis: Pinned hash of the directory's first entry, in hex.
        directory_position: Last directory entry that was used.
        directory_head: Its hash, in hex.
        as_of: Milliseconds since 1970 UTC against which the age of receipts was measured.
        seconds: How long it took.
        time_stamps: What the time stamps in the directory prove; they are no part of the verdict.
        destroyed_keys: Decryption keys that agencies say they have destroyed; likewise.
        unreadable: What could not be read.
        words: The authorities' lists and responses on which valid records rest.
        audit: What the records say.
    """

    verdict: AuditVerdict
    environment: str
    genesis: str
    directory_position: int
    directory_head: str
    as_of: int
    seconds: float
    time_stamps: DirectoryStamps
    destroyed_keys: DestroyedKeys
    unreadable: tuple[Unreadable, ...]
    words: tuple[AuthorityWord, ...] = ()
    audit: AuditReport

    @property
    def exit_code(self) -> int:
        """Exit code of a command that ends with this report."""
        return EXIT_CODES[self.verdict]

    def to_json(self) -> dict[str, Any]:
        """Return the report as JSON types; what the records say stands beside the rest."""
        content = asdict(self)
        audit: dict[str, Any] = content.pop("audit")
        content["rests_on"] = content.pop("words")
        return content | audit


def verdict_of(audit: AuditReport, weights: frozenset[str], *, unreadable: bool) -> AuditVerdict:
    """Return the verdict.

    Args:
        audit: What the records say.
        weights: Weights of all findings, those beyond the limits of lists included.
        unreadable: Whether something that was asked for could not be read.
    """
    if audit.failed or "misbehaviour" in weights:
        return "invalid"
    missing = any(stream.missing for stream in audit.streams)
    if unreadable or missing or audit.indeterminate or "incomplete" in weights:
        return "incomplete"
    return "valid"
