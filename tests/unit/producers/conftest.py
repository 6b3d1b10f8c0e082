"""An empty outbox for each test."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from docbus.storage.database import Database

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    """Open a new database, and close it afterwards."""
    opened = Database.open(tmp_path / "state.db")
    yield opened
    opened.close()
