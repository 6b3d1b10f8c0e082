"""States of agencies for tests, as `docbus status` reads them."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from docbus.client.status import AgencyStatus
from docbus.consumers.overview import overview
from docbus.documents.deadlines import Deadlines
from docbus.producers.journey import counts
from docbus.producers.overdue import overdue
from docbus.storage.database import Database
from tests.support.outbox import NOW_MS, SENDER

if TYPE_CHECKING:
    from pathlib import Path


def status_of(database: Database, at: int = NOW_MS, **changed: Any) -> AgencyStatus:
    """Return what a database says at a time, with a bus that answers."""
    values: dict[str, Any] = {
        "agency": SENDER,
        "name": "Hà Nội",
        "at": at,
        "outbox": database.read_now(counts),
        "outbox_limit_bytes": 1 << 30,
        "certificate_expires_at": at + (1 << 40),
        "overdue": database.read_now(lambda c: overdue(c, Deadlines(), at)),
        "inbox": database.read_now(overview),
        "lag": {0: 0},
        "directory": None,
        "followed": None,
        "directory_trouble": None,
        "trouble": None,
        "sending": None,
        "receiving": None,
        "expiry": None,
    }
    return AgencyStatus(**(values | changed))


def empty_status(folder: Path, **changed: Any) -> AgencyStatus:
    """Return the state of an agency that has done nothing yet."""
    database = Database.open(folder / "state.db")
    try:
        return replace(status_of(database), **changed)
    finally:
        database.close()
