"""One exchange for each journey: a registrar, three agencies, an auditor."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.support import trial

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
async def exchange(tmp_path: Path) -> trial.Exchange:
    """Found an exchange on an embedded bus."""
    return await trial.found(tmp_path)
