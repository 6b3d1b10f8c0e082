"""`docbus status`: the agency at a glance."""

from __future__ import annotations

from typing import TYPE_CHECKING

import typer

from docbus.cli import options, stamps
from docbus.cli.examples import examples
from docbus.cli.exits import ExitCode, code_of
from docbus.cli.output import Form, line, pairs, plain, table, when, write_json
from docbus.cli.session import begin

if TYPE_CHECKING:
    from docbus.client.directory_state import DirectoryState
    from docbus.client.expiry import ContentExpiry
    from docbus.client.registrar_status import RegistrarStatus
    from docbus.client.status import AgencyStatus
    from docbus.consumers.content_overview import AwaitedContent, AwaitedDocument
    from docbus.consumers.overview import LedgerOverview
    from docbus.errors import DocbusError
    from docbus.identity.time_stamps.gap import Gap
    from docbus.producers.content import ContentCounts
    from docbus.producers.journey import OutboxCounts
    from docbus.producers.overdue import OverdueStage

app = typer.Typer(rich_markup_mode=None)

MINUTE_MS = 60_000
HOUR_MS = 60 * MINUTE_MS
DAY_MS = 24 * HOUR_MS
_FRESHNESS = {
    "not judged": "; the registrar signs no heartbeats, so a revocation that is withheld is not noticed",
    "fresh": "",
    "old": "; OLD: the registrar has stopped, or somebody withholds what it publishes",
    "stale": "; TOO OLD to believe anything under it: what arrives is parked until the directory goes on",
}
"""What is said of each :class:`~docbus.identity.snapshot.Freshness`."""


@app.command("status", epilog=examples("docbus -C h26 status", "docbus -C h26 status --output json"))
def status(context: typer.Context, *, output: options.Output = Form.TEXT) -> int:
    """Show what waits, what is missing, and what was set aside.

    Works without the brokers too, then without lag and directory, and with exit code 5.
    The exit code is 1 if the directory cannot be followed, or is not the one that was seen before.
    In a registrar's folder it shows the directory, and whether that is time-stamped.
    """
    session = begin(context)
    from docbus.client.registrar_status import registrar_status
    from docbus.client.status import AgencyStatus, folder_status
    from docbus.clock import SystemClock

    settings = session.settings()
    found: AgencyStatus | RegistrarStatus
    if settings.agency is None and settings.registrar is not None:
        found = session.run(registrar_status(settings, SystemClock()))
    else:
        found = session.run(folder_status(settings, SystemClock()))
    if output is Form.JSON:
        trouble = found.trouble
        shown = None if trouble is None else {"code": trouble.code, "text": trouble.text, "hint": trouble.hint}
        write_json(plain(found) | {"trouble": shown})
    elif isinstance(found, AgencyStatus):
        _show(found)
    else:
        _show_registrar(found)
    if found.trouble is not None:
        return code_of(found.trouble)
    contradicted = isinstance(found, AgencyStatus) and found.directory_trouble is not None
    return ExitCode.FAILED if contradicted else ExitCode.OK


def _show_registrar(found: RegistrarStatus) -> None:
    line(f"registrar  {found.registrar}  of {found.environment}  at {when(found.at)}")
    _show_trouble(found.trouble)
    stamped = _stamped(found.directory, found.at)
    if stamped is None and found.stamping and found.directory is not None:
        stamped = "no entry yet; `docbus registrar run` asks for time stamps"
    pairs(
        {
            "directory": _directory(found.directory),
            "  time-stamped": stamped,
            "  TIME STAMPS MISSING": _gap(found.gap, found.at),
        }
    )


def _stamped(directory: DirectoryState | None, now_ms: int) -> str | None:
    at = None if directory is None else directory.stamped_at
    return stamps.directory_stamp(directory, None if at is None else _age(max(0, now_ms - at)))


def _gap(gap: Gap | None, now_ms: int) -> str | None:
    return stamps.missing(gap, None if gap is None else _age(max(0, now_ms - gap.since)))


def _show_trouble(trouble: DocbusError | None) -> None:
    if trouble is not None:
        line(f"  trouble with the bus: {trouble.text}")
        if trouble.hint:
            line(f"    {trouble.hint}")


def _show(found: AgencyStatus) -> None:
    line(f"{found.agency}  {found.name}  at {when(found.at)}")
    _show_trouble(found.trouble)
    lag = "not known" if found.lag is None else f"{sum(found.lag.values()):,} records not decided yet"
    nobody = "nobody; `docbus run` does both"
    work = {"sending": found.sending or nobody, "receiving": found.receiving or nobody}
    inbox = _inbox(found.inbox) | {"  content expires from": _expiry(found.expiry)}
    outbox = _outbox(found.outbox, found.outbox_limit_bytes) | _overdue(found.overdue)
    behind = (
        (found.sending or found.receiving)
        and found.directory is not None
        and found.followed is not None
        and found.followed < found.directory.position
    )
    suspended = None
    if found.directory is not None and found.directory.suspended_by is not None:
        suspended = (
            f"by entry {found.directory.suspended_by}: {found.directory.suspension_reason};"
            " nothing is signed until the registrar reinstates this agency"
        )
    revoked = None
    if found.directory is not None and found.directory.revoked_by is not None:
        revoked = (
            f"by entry {found.directory.revoked_by}: {found.directory.revocation_reason};"
            " nothing is signed under that key; `docbus keys rotate` makes new ones"
        )
    following = {
        "  SUSPENDED": suspended,
        "  KEY REVOKED": revoked,
        "  TROUBLE": found.directory_trouble,
        "  followed here": f"to entry {found.followed}, not further" if behind else None,
    }
    pairs(
        {"directory": _directory(found.directory), "  time-stamped": _stamped(found.directory, found.at)}
        | following
        | {"certificate": _certificate(found), **_standing(found), "  SIGNER AWAY": _signer(found)}
        | work
        | outbox
        | {
            "time stamps": stamps.batches(found.time_stamps),
            "  MISSING": _gap(None if found.time_stamps is None else found.time_stamps.gap, found.at),
        }
        | {"inbox": lag}
        | inbox
    )
    _tables(found)


def _directory(directory: DirectoryState | None) -> str:
    """Say how far the directory is known, and how old that is; what an old one means, in words."""
    if directory is None:
        return "not read"
    text = f"entry {directory.position} of {when(directory.made_at)}, {_age(directory.age_ms)} old"
    return text + _FRESHNESS[directory.freshness]


def _age(milliseconds: int) -> str:
    """Return a length of time in the unit that fits."""
    for name, unit in (("day", DAY_MS), ("hour", HOUR_MS), ("minute", MINUTE_MS)):
        if milliseconds >= 2 * unit or (name != "day" and milliseconds >= unit):
            count = milliseconds // unit
            return f"{count:,} {name}{'' if count == 1 else 's'}"
    return "less than a minute"


def _certificate(found: AgencyStatus) -> str:
    """Say until when the agency can sign."""
    from docbus.client.connect import SOON_DAYS

    ends = found.certificate_expires_at
    if ends is None:
        return "cannot be read"
    left = (ends - found.at) // DAY_MS
    return f"until {when(ends)}" + (f"; SOON: {left:,} days are left" if left < SOON_DAYS else "")


def _standing(found: AgencyStatus) -> dict[str, str | None]:
    """Say how the certificate stands with its authority; nothing where it is self-made."""
    standing = found.standing
    said: dict[str, str | None] = {f"  FORGOTTEN {number}": text for number, text in enumerate(found.forgotten, 1)}
    if standing is None:
        return said
    label = {"failed": "  NOT BELIEVED", "indeterminate": "  NOT KNOWN"}.get(standing.outcome.value, "  its authority")
    text = standing.text if standing.code is None else f"{standing.code}: {standing.text}"
    if standing.outcome.value == "failed":
        text += "; others refuse what is signed under it"
    if standing.nobody_asks is not None:
        text += f"; nobody asks about it: {standing.nobody_asks}"
    return {label: text} | said


def _signer(found: AgencyStatus) -> str | None:
    """Say why nothing can be signed."""
    trouble = found.signer_trouble
    if trouble is None:
        return None
    since = "" if trouble.since is None else f", since {when(trouble.since)}"
    return f"{trouble.text}{since}; what is accepted waits for it"


def _outbox(outbox: OutboxCounts, limit: int) -> dict[str, str | None]:
    used = outbox.used_bytes + outbox.content.kept_bytes
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
        "  bytes": f"{used:,} of {limit:,}" + ("; FULL: it refuses documents" if used >= limit else ""),
        "  large content": _uploads(outbox.content),
    }


def _overdue(stages: tuple[OverdueStage, ...]) -> dict[str, str | None]:
    """Say what has not come as far as it should have; nothing where everything is in time."""
    return {
        f"  OVERDUE, not {one.stage}": f"{one.count:,}, the first since {when(one.due_at)}" if one.count else None
        for one in stages
    }


def _uploads(content: ContentCounts) -> str | None:
    """Say how much large content is kept, and how much of it is still to be uploaded."""
    if not content.kept_bytes:
        return None
    text = f"{content.kept_bytes:,} bytes kept until everybody has it, and a day longer"
    if content.uploads:
        documents = "1 document" if content.uploads == 1 else f"{content.uploads:,} documents"
        text += f", {documents} to upload, {content.uploaded / content.size:.0%} of {content.size:,} bytes done"
    if content.error is not None:
        text += f"; in vain at {when(content.failed_at)}: {content.error}"
    return text


def _expiry(expiry: ContentExpiry | None) -> str | None:
    """Say when content that was not fetched begins to expire."""
    if expiry is None or expiry.expires_at is None:
        return None
    whose = f"of {expiry.sender}" + ("" if expiry.document_id is None else f", document {expiry.document_id}")
    if expiry.document_id is None:
        whose += ", if the oldest record not decided has any"
    return f"{when(expiry.expires_at)} {whose}" + ("; SOON: fetch it before then" if expiry.soon else "")


def _inbox(inbox: LedgerOverview) -> dict[str, str | None]:
    sink = inbox.sink
    return {
        "  documents": f"{inbox.documents:,} decided, {inbox.refused:,} refused",
        "  streams": f"{inbox.streams:,} open, from {inbox.senders:,} agencies",
        "  duplicates": f"{inbox.duplicates:,} records, each receipted again and filed once"
        if inbox.duplicates
        else None,
        "  statements missing": f"{inbox.missing:,}" if inbox.missing else None,
        "  waiting": f"{inbox.parked:,} records" if inbox.parked else None,
        "  content to fetch": _awaited(inbox.content),
        "  findings": f"{inbox.findings:,}" if inbox.findings else None,
        "  sink": None
        if sink is None
        else f"unavailable since {when(sink.since)}, {sink.attempts:,} attempts: {sink.error}",
        "quarantine": _aside(inbox, "quarantine"),
        "dead letters": _aside(inbox, "dead-letter"),
        "  decided, to be done": f"{inbox.requested:,}" if inbox.requested else None,
    }


def _awaited(content: AwaitedContent) -> str | None:
    if not content.documents:
        return None
    documents = "1 document" if content.documents == 1 else f"{content.documents:,} documents"
    return f"{documents}, {content.have / content.size:.0%} of {content.size:,} bytes here"


def _aside(inbox: LedgerOverview, topic: str) -> str:
    found = [one for one in inbox.set_aside if one.topic == topic]
    if not found:
        return "0"
    reasons = ", ".join(f"{one.reason} {one.count - one.settled:,}" for one in found if one.count > one.settled)
    open_ones = sum(one.count - one.settled for one in found)
    settled = sum(one.settled for one in found)
    return (
        f"{open_ones:,} open"
        + (f" ({reasons})" if reasons else "")
        + (f", {settled:,} settled" if settled else "")
        + f"; the last at {when(max(one.at for one in found))}"
    )


def _tables(found: AgencyStatus) -> None:
    """Print details of what is not as it should be."""
    outbox, inbox = found.outbox, found.inbox
    late = [
        (o.document_id, _code(o.recipient), f"not {s.stage}", when(o.due_at)) for s in found.overdue for o in s.first
    ]
    if late:
        line()
        table(("overdue", "by", "what", "was due"), late)
    if outbox.undelivered:
        line()
        open_copies = [(u.document_id, _code(u.recipient), u.state, when(u.since)) for u in outbox.undelivered]
        table(("not answered yet", "by", "state", "since"), open_copies)
    if outbox.newest_refused:
        line()
        refused = [
            (r.document_id, _code(r.recipient), r.state, r.reason or "", when(r.settled_at))
            for r in outbox.newest_refused
        ]
        table(("not taken", "by", "state", "why", "at"), refused)
    if outbox.content.kept:
        line()
        kept = [(k.document_id, str(k.revision), f"{k.size:,}", f"{k.unanswered:,}") for k in outbox.content.kept]
        table(("large content kept of", "revision", "bytes", "recipients without it"), kept)
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
    if inbox.content.documents:
        line()
        awaited = [
            (d.document_id, d.sender, f"{d.have / d.size:.0%} of {d.size:,}", when(d.since), _why(d))
            for d in inbox.content.oldest
        ]
        table(("content of", "from", "here", "since", "why it waits"), awaited)
    if inbox.newest_findings:
        line()
        findings = [(when(f.at), f.sender, f.code, f.detail) for f in inbox.newest_findings]
        table(("found at", "against", "finding", "what"), findings)


def _code(agency: str) -> str:
    return agency.rpartition(":")[2]


def _why(document: AwaitedDocument) -> str:
    if document.code is None:
        if document.have == document.size:
            return "all here; waits for a document before it"
        return "being fetched" if document.have else "waits for its turn, or for room"
    return f"{document.code}: {document.detail}; {document.attempts:,} attempts"
