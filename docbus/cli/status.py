"""`docbus status`: the agency at a glance."""

from __future__ import annotations

from typing import TYPE_CHECKING

import typer

from docbus.cli import options
from docbus.cli.examples import examples
from docbus.cli.exits import code_of
from docbus.cli.output import Form, line, pairs, plain, table, when, write_json
from docbus.cli.session import begin

if TYPE_CHECKING:
    from docbus.client.status import AgencyStatus
    from docbus.consumers.overview import LedgerOverview
    from docbus.producers.journey import OutboxCounts

app = typer.Typer(rich_markup_mode=None)


@app.command("status", epilog=examples("docbus -C h26 status", "docbus -C h26 status --output json"))
def status(context: typer.Context, *, output: options.Output = Form.TEXT) -> int:
    """Show what waits, what is missing, and what was set aside.

    Works without the brokers too, then without lag and directory, and with exit code 5.
    """
    session = begin(context)
    from docbus.client.status import folder_status
    from docbus.clock import SystemClock

    found = session.run(folder_status(session.settings(), SystemClock()))
    if output is Form.JSON:
        trouble = found.trouble
        shown = None if trouble is None else {"code": trouble.code, "text": trouble.text, "hint": trouble.hint}
        write_json(plain(found) | {"trouble": shown})
    else:
        _show(found)
    return 0 if found.trouble is None else code_of(found.trouble)


def _show(found: AgencyStatus) -> None:
    line(f"{found.agency}  {found.name}  at {when(found.at)}")
    if found.trouble is not None:
        line(f"  trouble with the bus: {found.trouble.text}")
        if found.trouble.hint:
            line(f"    {found.trouble.hint}")
    directory = found.directory
    known = "not read" if directory is None else f"entry {directory.position} of {when(directory.made_at)}"
    lag = "not known" if found.lag is None else f"{sum(found.lag.values()):,} records not decided yet"
    nobody = "nobody; `docbus run` does both"
    work = {"sending": found.sending or nobody, "receiving": found.receiving or nobody}
    pairs({"directory": known} | work | _outbox(found.outbox) | {"inbox": lag} | _inbox(found.inbox))
    _tables(found)


def _outbox(outbox: OutboxCounts) -> dict[str, str | None]:
    oldest = outbox.oldest_accepted_at
    unanswered = outbox.oldest_sent_at
    return {
        "outbox": f"{outbox.accepted:,} accepted and not sent"
        + (f", the oldest since {when(oldest)}" if oldest is not None else ""),
        "  sent, no receipt yet": f"{outbox.sent:,}"
        + (f", the oldest since {when(unanswered)}" if outbox.sent and unanswered is not None else ""),
        "  received": f"{outbox.received:,}",
        "  refused": f"{outbox.refused:,}" if outbox.refused else None,
        "  failed": f"{outbox.failed:,}" if outbox.failed else None,
        "  receipts to send": f"{outbox.receipts_waiting:,}" if outbox.receipts_waiting else None,
        "  bytes": f"{outbox.used_bytes:,}",
    }


def _inbox(inbox: LedgerOverview) -> dict[str, str | None]:
    sink = inbox.sink
    return {
        "  documents": f"{inbox.documents:,} decided, {inbox.refused:,} refused",
        "  streams": f"{inbox.streams:,} open, from {inbox.senders:,} agencies",
        "  statements missing": f"{inbox.missing:,}" if inbox.missing else None,
        "  waiting": f"{inbox.parked:,} records" if inbox.parked else None,
        "  findings": f"{inbox.findings:,}" if inbox.findings else None,
        "  sink": None
        if sink is None
        else f"unavailable since {when(sink.since)}, {sink.attempts:,} attempts: {sink.error}",
        "quarantine": _aside(inbox, "quarantine"),
        "dead letters": _aside(inbox, "dead-letter"),
    }


def _aside(inbox: LedgerOverview, topic: str) -> str:
    found = [one for one in inbox.set_aside if one.topic == topic]
    if not found:
        return "0"
    reasons = ", ".join(f"{one.reason} {one.count:,}" for one in found)
    return f"{sum(one.count for one in found):,} ({reasons}); the last at {when(max(one.at for one in found))}"


def _tables(found: AgencyStatus) -> None:
    """Print details of what is not as it should be."""
    outbox, inbox = found.outbox, found.inbox
    if outbox.undelivered:
        line()
        open_copies = [
            (u.document_id, u.recipient.rpartition(":")[2], u.state, when(u.since)) for u in outbox.undelivered
        ]
        table(("not answered yet", "by", "state", "since"), open_copies)
    if outbox.blocked:
        line()
        rows = [
            (b.recipient, b.lane, f"{b.unsent:,}", f"{b.failures:,}", when(b.failed_at), b.error)
            for b in outbox.blocked
        ]
        table(("cannot be sent to", "lane", "unsent", "attempts", "last", "why"), rows)
    if inbox.holes:
        line()
        holes = [(h.sender, h.lane, h.epoch.hex()[:8], f"{h.first} to {h.last}") for h in inbox.holes]
        table(("missing from", "lane", "epoch", "statements"), holes)
    if inbox.waiting:
        line()
        waiting = [(w.sender, f"{w.records:,}", when(w.since), f"{w.code}: {w.detail}") for w in inbox.waiting]
        table(("waiting, from", "records", "since", "why"), waiting)
    if inbox.newest_findings:
        line()
        findings = [(when(f.at), f.sender, f.code, f.detail) for f in inbox.newest_findings]
        table(("found at", "against", "finding", "what"), findings)
