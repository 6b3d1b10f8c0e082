"""What an audit may find beyond single records that fail, and what each means for the verdict."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from docbus.audit.places import Place

Weight = Literal["misbehaviour", "incomplete", "notice"]
"""``misbehaviour`` is proven by signatures that contradict each other: the verdict is invalid. ``incomplete`` means
that something is missing or undecided. A ``notice`` changes no verdict."""

MAX_FINDINGS = 1000
"""Findings of one kind that are kept with their particulars; all are counted. Keeps a report within a few megabytes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Kind:
    """A kind of finding."""

    code: str
    weight: Weight
    title: str


FORK = Kind(code="fork", weight="misbehaviour", title="two statements at one position of a stream")
CHAIN_BREAK = Kind(code="chain_break", weight="misbehaviour", title="a statement that does not follow the one before")
LANE_MIX = Kind(code="lane_mix", weight="misbehaviour", title="one epoch in two lanes")
EQUIVOCATION = Kind(code="equivocation", weight="misbehaviour", title="one document id with different contents")
WRONG_ROOT = Kind(code="wrong_root", weight="misbehaviour", title="a receipt for other statements than were sent")
RECEIPT_CONTRADICTION = Kind(
    code="receipt_contradiction", weight="misbehaviour", title="receipts of one recipient that contradict each other"
)
DIRECTORY_HASH = Kind(
    code="directory_hash_mismatch", weight="misbehaviour", title="a statement made under another directory log"
)
FOREIGN_RECALL = Kind(
    code="foreign_recall", weight="misbehaviour", title="a recall, update or replacement of another agency's document"
)
UNDECIDED_CONFLICT = Kind(
    code="undecided_conflict",
    weight="incomplete",
    title="statements that contradict each other, where a key was revoked later",
)
RECEIPTED_MISSING = Kind(
    code="receipted_missing", weight="incomplete", title="statements that were receipted and are not in the inbox"
)
RECEIPT_UNDECIDABLE = Kind(
    code="receipt_undecidable", weight="incomplete", title="a receipt over forked statements that fits none of them"
)
RECEIPT_OVERDUE = Kind(code="receipt_overdue", weight="incomplete", title="receipts that are outstanding for long")
DIRECTORY_BROKEN = Kind(
    code="directory_broken",
    weight="incomplete",
    title="a directory entry that breaks a rule; nothing behind it was used",
)
BEGINNING_GONE = Kind(
    code="beginning_gone",
    weight="incomplete",
    title="records at the beginning of an inbox that are gone, maybe before their time",
)
DIRECTORY_FOREIGN = Kind(
    code="directory_record_foreign",
    weight="notice",
    title="records in the directory's topic that the registrar did not sign; they were passed by",
)
FOREIGN_STATUS = Kind(
    code="foreign_status", weight="notice", title="a status from or to somebody who has no part in it"
)
IMPOSSIBLE_STATUS = Kind(code="impossible_status", weight="notice", title="a status that cannot follow the one before")
OFFSET_GAP = Kind(
    code="offset_gap", weight="notice", title="offsets without a record, as transactions and deletion leave"
)

KINDS = (
    FORK,
    CHAIN_BREAK,
    LANE_MIX,
    EQUIVOCATION,
    WRONG_ROOT,
    RECEIPT_CONTRADICTION,
    DIRECTORY_HASH,
    FOREIGN_RECALL,
    UNDECIDED_CONFLICT,
    RECEIPTED_MISSING,
    RECEIPT_UNDECIDABLE,
    RECEIPT_OVERDUE,
    DIRECTORY_BROKEN,
    BEGINNING_GONE,
    DIRECTORY_FOREIGN,
    FOREIGN_STATUS,
    IMPOSSIBLE_STATUS,
    OFFSET_GAP,
)


@dataclass(frozen=True, slots=True, kw_only=True, order=True)
class Witness:
    """A record that a finding rests on: where it lies and its statement's digest in hex (empty if it has none)."""

    topic: str
    partition: int
    offset: int
    digest: str = ""


@dataclass(frozen=True, slots=True, kw_only=True, order=True)
class Finding:
    """One finding.

    Attributes:
        code: Its kind.
        weight: What it means for the verdict.
        against: Canonical id of the agency whose signatures prove it; None where they prove nothing against one.
        text: What was found, one sentence.
        witnesses: The records it rests on, in the order of their places.
    """

    code: str
    weight: str
    against: str | None
    text: str
    witnesses: tuple[Witness, ...]


class Findings:
    """Collects findings: all are counted, the first of each kind are kept."""

    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()
        self.kept: list[Finding] = []

    def add(self, kind: Kind, against: str | None, text: str, witnesses: tuple[Witness, ...] = ()) -> None:
        """Add one finding."""
        self.counts[kind.code] += 1
        if self.counts[kind.code] <= MAX_FINDINGS:
            self.kept.append(
                Finding(
                    code=kind.code, weight=kind.weight, against=against, text=text, witnesses=tuple(sorted(witnesses))
                )
            )

    def has(self, weight: Weight) -> bool:
        """Tell whether there is a finding of this weight."""
        return any(self.counts[kind.code] for kind in KINDS if kind.weight == weight)

    def sorted(self) -> tuple[Finding, ...]:
        """Return what was kept, the gravest kinds first."""
        order = {kind.code: number for number, kind in enumerate(KINDS)}
        return tuple(sorted(self.kept, key=lambda f: (order[f.code], f.against or "", f.witnesses, f.text)))


def witness(place: Place, digest: bytes = b"") -> Witness:
    """Return a witness for a place and a statement digest."""
    return Witness(topic=place.topic, partition=place.partition, offset=place.offset, digest=digest.hex())
