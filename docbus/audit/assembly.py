"""Makes the report, once everything has been read."""

from __future__ import annotations

from typing import TYPE_CHECKING

from docbus.audit import findings as kinds
from docbus.audit import ranges
from docbus.audit.findings import Findings, Kind, Witness
from docbus.audit.receipt_audit import MAX_RANGES, MAX_WITNESSES, ReceiptAudit
from docbus.audit.report import (
    AuditReport,
    DocumentStatus,
    InboxSummary,
    RejectedRecord,
    SenderSummary,
    StreamSummary,
)
from docbus.audit.scope import Scope, called
from docbus.audit.signing_times import MAX_ENDED_KEYS, ended_keys, signing_times
from docbus.verification.checks import NOT_KNOWN_YET

if TYPE_CHECKING:
    from collections.abc import Sequence

    from docbus.audit.documents import Journey
    from docbus.audit.reducer import Reducer
    from docbus.audit.streams import Stream, StreamId

MAX_DOCUMENTS = 10_000
"""Documents with statuses that are listed; all statuses are counted."""


class Assembly:
    """Goes over a reducer's state once.

    Args:
        reducer: Everything has been added.
        unread: Agencies of whose inboxes something could not be read.
        findings: Those that were made while reading.
    """

    def __init__(
        self, reducer: Reducer, *, unread: frozenset[str] = frozenset(), findings: Findings | None = None
    ) -> None:
        self._reducer = reducer
        self._scope = Scope(reducer, unread)
        self.findings = Findings() if findings is None else findings
        self._receipts = ReceiptAudit(reducer, self._scope, self.findings)

    def report(self) -> AuditReport:
        """Return what the records say."""
        reducer = self._reducer
        order = sorted(range(len(reducer.ids)), key=lambda number: reducer.ids[number])
        streams = tuple(self._stream(reducer.ids[number], reducer.streams[number]) for number in order)
        for name in sorted(reducer.receipts.keys() - reducer.numbers.keys()):
            self._receipts.judge_unseen(name, reducer.receipts[name])
        self._equivocations()
        self._remarks()
        journeys = reducer.statuses.journeys(self._scope.report_place, visible=self._scope.fully_read)
        for journey in journeys:
            self._impossible(journey)
        counts = reducer.inbox_counts
        ended = ended_keys(reducer)
        return AuditReport(
            records=sum(count.records for count in counts),
            bytes=sum(count.bytes for count in counts),
            valid=sum(count.valid for count in counts),
            failed=dict(sorted(reducer.failed.items())),
            indeterminate=dict(sorted(reducer.indeterminate.items())),
            documents=len(reducer.contents),
            inboxes=self._inboxes(),
            senders=self._senders(streams),
            streams=streams,
            rejected=self._rejected(),
            refusals=dict(sorted(self._receipts.reasons.items())),
            refused=tuple(self._receipts.refused),
            statuses={f"{code:02}": number for code, number in sorted(reducer.statuses.codes.items())},
            document_statuses=tuple(_status(journey) for journey in journeys[:MAX_DOCUMENTS]),
            not_known_yet=reducer.indeterminate[NOT_KNOWN_YET],
            signing_times=signing_times(ended, reducer),
            ended_keys=ended[:MAX_ENDED_KEYS],
            finding_counts=dict(sorted(self.findings.counts.items())),
            findings=self.findings.sorted(),
        )

    def _stream(self, name: StreamId, stream: Stream) -> StreamSummary:
        holes = stream.holes(whole=self._scope.whole(name.recipient))
        undecided = stream.undecided()
        filed, refused = self._receipts.judge(name, stream)
        outstanding: list[ranges.Range] = []
        if stream.lanes != {"receipts"}:
            answered = ranges.merge([*filed, *((sequence, sequence) for sequence in refused), *undecided])
            outstanding = ranges.subtract(stream.held(), answered)
        seen = self._scope.fully_read(name.sender)
        overdue = stream.old(outstanding) if seen else 0
        if overdue:
            text = f"{overdue} statements of {called(name)} without a receipt for over 24 hours"
            self.findings.add(kinds.RECEIPT_OVERDUE, None, text)
        return StreamSummary(
            sender=name.sender,
            recipient=name.recipient,
            epoch=name.epoch.hex(),
            lane=", ".join(sorted(stream.lanes)),
            first=stream.first,
            last=stream.last,
            statements=stream.count,
            missing=ranges.size(holes),
            holes=tuple(holes[:MAX_RANGES]),
            duplicates=stream.duplicates,
            forks=len(stream.forks),
            chain_breaks=self._contradictions(name, stream),
            late=stream.late(),
            undecided=len(undecided),
            filed=ranges.size(filed),
            refused=len(refused),
            outstanding=ranges.size(outstanding),
            outstanding_ranges=tuple(outstanding[:MAX_RANGES]),
            overdue=overdue,
            receipts_read=seen,
        )

    def _contradictions(self, name: StreamId, stream: Stream) -> int:
        """Add where a sender contradicts itself in one stream; return the number of chain breaks."""
        for sequence, branches in sorted(stream.forks.items()):
            self._conflict(
                kinds.FORK,
                name,
                f"{len(branches)} statements at position {sequence} of {called(name)}",
                [self._scope.witness(branch.place, digest) for digest, branch in branches.items()],
                decided=sum(not branch.undecided for branch in branches.values()) > 1,
            )
        breaks = stream.chain_breaks()
        for found in breaks:
            self._conflict(
                kinds.CHAIN_BREAK,
                name,
                f"statement {found.sequence} of {called(name)} does not follow the one before it",
                [self._scope.witness(stream.place(found.sequence, found.digest), found.digest)],
                decided=not found.undecided,
            )
        if len(stream.lanes) > 1:
            text = f"{called(name)} is in the lanes {', '.join(sorted(stream.lanes))}"
            self.findings.add(kinds.LANE_MIX, name.sender, text)
        return len(breaks)

    def _conflict(self, kind: Kind, name: StreamId, text: str, witnesses: list[Witness], *, decided: bool) -> None:
        """Add a contradiction; against the sender only if it surely was the sender who signed."""
        named = tuple(sorted(witnesses)[:MAX_WITNESSES])
        if decided:
            self.findings.add(kind, name.sender, text, named)
        else:
            self.findings.add(kinds.UNDECIDED_CONFLICT, None, f"{text} ({kind.code})", named)

    def _equivocations(self) -> None:
        for document, bodies in sorted(self._reducer.contents.equivocations.items()):
            self.findings.add(
                kinds.EQUIVOCATION,
                document.sender,
                f"{document.sender} sent {len(bodies)} different documents as {document.document_id}, "
                f"revision {document.revision}; the digests are those of their bodies",
                tuple(sorted(self._scope.witness(place, digest) for digest, place in bodies.items())[:MAX_WITNESSES]),
            )

    def _remarks(self) -> None:
        reducer = self._reducer
        for remark in reducer.remarks:
            place = self._scope.statement_place(remark.stream, remark.sequence, remark.digest)
            sender = reducer.ids[remark.stream].sender
            against = sender if remark.kind.weight == "misbehaviour" else None
            self.findings.add(remark.kind, against, remark.text, (self._scope.witness(place, remark.digest),))
        self.findings.counts.update(reducer.remarks_dropped)

    def _impossible(self, journey: Journey) -> None:
        document = journey.document
        for index in journey.impossible:
            report = journey.reports[index]
            before = "nothing" if index == 0 else f"{journey.reports[index - 1].code:02}"
            text = f"status {report.code:02} after {before} for document {document.document_id} of {document.sender}"
            witnesses = (self._scope.witness(self._scope.report_place(report)),)
            self.findings.add(kinds.IMPOSSIBLE_STATUS, journey.recipient, text, witnesses)

    def _senders(self, streams: Sequence[StreamSummary]) -> tuple[SenderSummary, ...]:
        by_sender: dict[str, list[StreamSummary]] = {}
        for stream in streams:
            by_sender.setdefault(stream.sender, []).append(stream)
        summaries = []
        for sender, found in by_sender.items():
            count = self._reducer.sender_counts[sender]
            summaries.append(
                SenderSummary(
                    sender=sender,
                    streams=len(found),
                    statements=sum(stream.statements for stream in found),
                    documents=count.documents,
                    receipts=count.receipts,
                    statuses=count.statuses,
                    missing=sum(stream.missing for stream in found),
                    duplicates=sum(stream.duplicates for stream in found),
                    forks=sum(stream.forks for stream in found),
                    chain_breaks=sum(stream.chain_breaks for stream in found),
                    filed=sum(stream.filed for stream in found),
                    refused=sum(stream.refused for stream in found),
                    outstanding=sum(stream.outstanding for stream in found),
                )
            )
        return tuple(summaries)

    def _inboxes(self) -> tuple[InboxSummary, ...]:
        reducer = self._reducer
        return tuple(
            InboxSummary(
                agency=inbox.agency,
                topic=inbox.topic,
                partition=inbox.partition,
                start=inbox.start,
                end=inbox.end,
                records=count.records,
                bytes=count.bytes,
                valid=count.valid,
                failed=count.failed,
                indeterminate=count.indeterminate,
            )
            for inbox, count in zip(reducer.inboxes.all, reducer.inbox_counts, strict=True)
        )

    def _rejected(self) -> tuple[RejectedRecord, ...]:
        place_of = self._reducer.inboxes.place
        return tuple(
            RejectedRecord(**place_of(place)._asdict(), outcome=outcome, code=code, text=text)
            for place, outcome, code, text in sorted(self._reducer.rejected)
        )


def _status(journey: Journey) -> DocumentStatus:
    return DocumentStatus(
        **journey.document._asdict(),
        recipient=journey.recipient,
        codes=tuple(report.code for report in journey.reports),
        impossible=journey.impossible,
    )
