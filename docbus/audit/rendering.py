"""The report as plain tables, which a command line shows as it likes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from docbus.audit import ranges
from docbus.audit.findings import KINDS
from docbus.clock import format_time

if TYPE_CHECKING:
    from collections.abc import Sequence

    from docbus.audit.destroyed_keys import AuditedDestruction
    from docbus.audit.findings import Finding
    from docbus.audit.report import AuditReport, ReplayReport, StreamSummary
    from docbus.audit.time_stamps import DirectoryStamps

MAX_ROWS = 50
"""Rows of one table; the JSON report has the rest."""
SHOWN_RANGES = 5
"""Ranges of holes that a row shows."""
_TITLES = {kind.code: kind.title for kind in KINDS}


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """A table: rows of text under column names, and how many further rows were left out."""

    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    left_out: int = 0


def tables(report: ReplayReport) -> tuple[Table, ...]:
    """Return the totals, senders, streams with something wrong, records that failed, findings; empty ones left out."""
    made = (
        _totals(report),
        _senders(report),
        _streams(report),
        _ended_keys(report),
        _table(
            "Records that failed or could not be decided",
            ("place", "outcome", "code", "what"),
            [(f"{r.topic}/{r.partition}@{r.offset}", r.outcome, r.code, r.text) for r in report.audit.rejected],
        ),
        _table(
            "What authorities have said of certificates",
            ("list or response", "made", "speaks until", "note"),
            [
                (word.what, word.made_at, word.speaks_until, "a later one should exist" if word.is_outdated else "")
                for word in report.words
            ],
        ),
        _table(
            "Could not be read",
            ("topic", "from offset", "code", "what"),
            [(u.topic, "" if u.offset is None else str(u.offset), u.code, u.text) for u in report.unreadable],
        ),
        _table(
            "Destroyed decryption keys, by the agencies' own acts",
            ("agency", "key", "retired by entry", "at", "by", "reason", "outcome"),
            [_destroyed(one) for one in report.destroyed_keys.records],
        ),
        _table(
            "Ledgers that could not be read for them",
            ("agency", "what"),
            [(agency, text) for agency, text in report.destroyed_keys.unread],
        ),
        _table(
            "Findings",
            ("kind", "against", "what", "records"),
            [_finding(found) for found in report.audit.findings],
        ),
    )
    return tuple(table for table in made if table.rows)


def verdict_line(report: ReplayReport) -> str:
    """Return one sentence with the verdict and why."""
    audit = report.audit
    reasons = [f"{number:,} failed ({code})" for code, number in audit.failed.items()]
    reasons += [f"{number:,} times {_TITLES[code]}" for code, number in audit.finding_counts.items() if _counts(code)]
    missing = sum(stream.missing for stream in audit.streams)
    if missing:
        reasons.append(f"{missing:,} statements missing")
    undecided = sum(audit.indeterminate.values()) - audit.not_known_yet
    if undecided:
        reasons.append(f"{undecided:,} records indeterminate")
    if audit.not_known_yet:
        reasons.append(
            f"{audit.not_known_yet:,} records that name an entry behind the end of the directory,"
            f" {report.directory_position}, whose certificates it does not know"
        )
    if report.unreadable:
        reasons.append(f"{len(report.unreadable):,} topics not read to the end")
    outdated = sum(word.is_outdated for word in report.words)
    if outdated:
        reasons.append(f"{outdated:,} lists or responses of authorities should have a later one")
    claimed = audit.signing_times["claimed_and_key_ended"]
    if claimed:
        reasons.append(f"{claimed:,} statements made before the end of their keys by their senders' word alone")
    head = f"{report.verdict}: {audit.records:,} records, {audit.valid:,} valid"
    return f"{head}; {'; '.join(reasons)}" if reasons else head


def _counts(code: str) -> bool:
    return any(kind.code == code and kind.weight != "notice" for kind in KINDS)


def _totals(report: ReplayReport) -> Table:
    audit = report.audit
    streams = audit.streams
    rows = [
        ("records", f"{audit.records:,}"),
        ("bytes", f"{audit.bytes:,}"),
        ("valid", f"{audit.valid:,}"),
        *((f"failed: {code}", f"{number:,}") for code, number in audit.failed.items()),
        *((f"indeterminate: {code}", f"{number:,}") for code, number in audit.indeterminate.items()),
        ("signed when, by its sender's word", f"{audit.signing_times['claimed']:,}"),
        *_ended(audit),
        ("documents", f"{audit.documents:,}"),
        ("streams", f"{len(streams):,}"),
        ("statements missing", f"{sum(stream.missing for stream in streams):,}"),
        ("duplicates", f"{sum(stream.duplicates for stream in streams):,}"),
        ("forks", f"{sum(stream.forks for stream in streams):,}"),
        ("arrived late", f"{sum(stream.late for stream in streams):,}"),
        ("filed, by receipt", f"{sum(stream.filed for stream in streams):,}"),
        *((f"refused: {reason}", f"{number:,}") for reason, number in audit.refusals.items()),
        ("receipts outstanding", f"{sum(stream.outstanding for stream in streams):,}"),
        *((f"status {code}", f"{number:,}") for code, number in audit.statuses.items()),
        ("directory entry", f"{report.directory_position} ({report.directory_head[:16]}…)"),
        *_time_stamps(report.time_stamps),
        ("seconds", f"{report.seconds:.1f}"),
    ]
    return _table("Totals", ("what", "number"), rows)


def _time_stamps(found: DirectoryStamps) -> list[tuple[str, str]]:
    rows = [(f"time stamps: {reason}", f"{number:,}") for reason, number in found.reasons.items()]
    if found.entry is not None and found.at is not None:
        text = f"{found.entry} existed at latest at {format_time(found.at)} by {found.authority}"
        rows += [("time stamps: passed", f"{found.passed:,}"), ("time-stamped to entry", text)]
    return rows


def _ended(audit: AuditReport) -> list[tuple[str, str]]:
    number = audit.signing_times["claimed_and_key_ended"]
    return [("  of these, key ended since", f"{number:,}")] if number else []


def _ended_keys(report: ReplayReport) -> Table:
    return _table(
        "Keys that have ended since: that what they signed was made before rests on the sender's word alone",
        ("agency", "certificate", "statements", "ended at", "what ended it", "entry"),
        [
            (
                key.agency,
                f"{key.certificate[:16]}…",
                f"{key.statements:,}",
                format_time(key.at),
                key.why,
                "" if key.entry is None else str(key.entry),
            )
            for key in report.audit.ended_keys
        ],
    )


def _senders(report: ReplayReport) -> Table:
    columns = ("sender", "statements", "documents", "receipts", "missing", "duplicates", "forks", "filed", "refused")
    rows = []
    for found in report.audit.senders:
        numbers = (
            found.statements,
            found.documents,
            found.receipts,
            found.missing,
            found.duplicates,
            found.forks,
            found.filed,
            found.refused,
            found.outstanding,
        )
        rows.append((found.sender, *(f"{number:,}" for number in numbers)))
    return _table("Senders", (*columns, "outstanding"), rows)


def _streams(report: ReplayReport) -> Table:
    wrong = [s for s in report.audit.streams if s.missing or s.forks or s.chain_breaks or s.overdue or s.undecided]
    return _table(
        "Streams with something wrong",
        ("stream", "lane", "positions", "what"),
        [(_name(s), s.lane, f"{s.first} to {s.last}", _wrong(s)) for s in wrong],
    )


def _name(stream: StreamSummary) -> str:
    return f"{stream.sender} → {stream.recipient} ({stream.epoch[:8]})"


def _wrong(stream: StreamSummary) -> str:
    parts = []
    if stream.missing:
        more = " …" if len(stream.holes) > SHOWN_RANGES else ""
        parts.append(f"{stream.missing:,} missing: {ranges.text(stream.holes[:SHOWN_RANGES])}{more}")
    for number, what in (
        (stream.forks, "forked"),
        (stream.chain_breaks, "not following the one before"),
        (stream.undecided, "undecided"),
        (stream.overdue, "without a receipt for long"),
    ):
        if number:
            parts.append(f"{number:,} {what}")
    return "; ".join(parts)


def _destroyed(one: AuditedDestruction) -> tuple[str, ...]:
    return (
        one.agency,
        "" if one.key is None else f"{one.key[:16]}…",
        "" if one.retired_by is None else str(one.retired_by),
        "" if one.made_at is None else format_time(one.made_at),
        one.operator or "",
        one.reason or "",
        f"{one.outcome} ({one.code})" if one.code else one.outcome,
    )


def _finding(found: Finding) -> tuple[str, ...]:
    places = ", ".join(f"{w.topic}/{w.partition}@{w.offset}" for w in found.witnesses)
    return found.code, found.against or "", found.text, places


def _table(title: str, columns: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> Table:
    return Table(title=title, columns=columns, rows=tuple(rows[:MAX_ROWS]), left_out=max(len(rows) - MAX_ROWS, 0))
