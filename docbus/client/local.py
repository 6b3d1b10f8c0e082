"""What is known in the agency's folder alone, without the bus and without keys."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from docbus.storage.database import Database

if TYPE_CHECKING:
    from collections.abc import Iterator

    from docbus.settings import Settings


@contextmanager
def open_state(settings: Settings) -> Iterator[Database]:
    """Yield the database of outbox and ledger; made if it is not there.

    Raises:
        StorageError: It cannot be opened.
    """
    database = Database.open(settings.state)
    try:
        yield database
    finally:
        database.close()
