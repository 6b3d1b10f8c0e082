"""Whether the database of outbox and ledger is sound, how full the outbox is, and who works with it."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING

from docbus.client.directory_memory import read_seen_entry
from docbus.client.doctor.diagnosis import Diagnosis, failed, not_asked, passed, refused, warning
from docbus.client.doctor.file_system import is_there
from docbus.errors import StorageError
from docbus.producers.journey import counts
from docbus.storage.inspection import inspect, reading

if TYPE_CHECKING:
    from pathlib import Path

    from docbus.client.directory_memory import SeenEntry
    from docbus.clock import Clock
    from docbus.settings import Settings

STATE, OUTBOX = "state.db", "outbox"
INSPECT_SECONDS = 20.0
"""Seconds for which damage is looked for; a database of several gigabytes takes longer."""
FULL_SHARE = 0.8
"""Share of the outbox's limit from which on somebody should look, as in the alert of docs/how-to/watch-an-agency.md."""


def state(settings: Settings, clock: Clock, seconds: float = INSPECT_SECONDS) -> list[Diagnosis]:
    """Tell whether the database is sound and has room; nothing is made or brought up to date."""
    path = settings.state
    if not is_there(path):
        absent = "not there: nobody has worked here yet; if it was lost, see docs/how-to/restore-state.md"
        return [not_asked(STATE, absent), not_asked(OUTBOX, "there is none yet")]
    try:
        found = inspect(path, clock, seconds)
    except StorageError as error:
        return [refused(STATE, error), not_asked(OUTBOX, "state.db has to be mended first")]
    size = f"{found.size:,} bytes, schema {found.schema}"
    if found.damage:
        trouble = failed(
            STATE,
            f"it is damaged: {'; '.join(found.damage)}",
            "Stop `docbus run`, keep the file as it is, check the disk, and go on as in docs/how-to/restore-state.md.",
        )
        return [trouble, not_asked(OUTBOX, "state.db has to be mended first")]
    if not found.complete:
        diagnosis = warning(
            STATE,
            f"{size}; no damage was seen in {seconds:g} s, which was not enough to look at all of it",
            f"Let `sqlite3 {shlex.quote(str(path))} 'PRAGMA quick_check'` run to its end in a quiet hour.",
        )
    else:
        diagnosis = passed(STATE, f"{size}, no damage")
    if found.schema != found.newest:
        return [diagnosis, not_asked(OUTBOX, f"the next start brings state.db to schema {found.newest} first")]
    try:
        with reading(path) as connection:
            outgoing = counts(connection)
    except StorageError as error:
        return [diagnosis, refused(OUTBOX, error)]
    return [diagnosis, outbox(outgoing.used_bytes + outgoing.content.kept_bytes, settings.outbox.max_bytes)]


def outbox(used: int, limit: int) -> Diagnosis:
    """Tell how full the outbox is, both in bytes."""
    found = f"{used:,} of {limit:,} bytes"
    remedy = (
        "`docbus status` says what waits, and why; `docbus forget` lets go of large content that everybody has."
        " Or raise max_bytes under [outbox]."
    )
    if used >= limit:
        return failed(OUTBOX, f"{found}: it is full and refuses documents", remedy)
    if used >= FULL_SHARE * limit:
        return warning(OUTBOX, f"{found}: it will soon refuse documents", remedy)
    return passed(OUTBOX, found)


def seen_entry(path: Path) -> SeenEntry | None:
    """Return the newest directory entry that this folder has followed; None if that is not known."""
    try:
        with reading(path) as connection:
            return read_seen_entry(connection)
    except StorageError:
        return None


def working(check: str, holder: str | None, folder: Path) -> Diagnosis:
    """Tell who does some work in a folder.

    Args:
        check: ``sending`` or ``receiving``.
        holder: Who does it, None if nobody.
        folder: Where.
    """
    if holder is None:
        return warning(check, "nobody", f"docbus -C {shlex.quote(str(folder))} run")
    return passed(check, holder)
