"""Single values that the ledger keeps in JSON: rows of the table ``ledger_state``, each by its name."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import sqlite3

SINK_STATE = "sink"
"""Since when the DMS takes nothing, and why: written by ``filing``, read by ``overview``."""


def read_value(connection: sqlite3.Connection, name: str) -> Any:
    """Return what was written under a name; None if nothing was."""
    row = connection.execute("SELECT value FROM ledger_state WHERE name = ?", (name,)).fetchone()
    return None if row is None else json.loads(row[0])


def write_value(connection: sqlite3.Connection, name: str, value: object) -> None:
    """Write a value that JSON can hold, in place of what was there."""
    connection.execute("INSERT OR REPLACE INTO ledger_state (name, value) VALUES (?, ?)", (name, json.dumps(value)))
