"""Two agencies, a registrar and an auditor on the embedded transport, in folders as a user has them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from docbus.client import trial
from docbus.clock import SystemClock
from docbus.settings import EmbeddedSettings

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

ENVIRONMENT = "pilot"
AGENCIES = {"hanoi": ("H26", "Hà Nội"), "tayninh": ("000.00.00.H53", "Tây Ninh")}
"""Folder to code and name."""


async def found_exchange(folder: Path, agencies: Mapping[str, tuple[str, str]] = AGENCIES) -> None:
    """Make the folders ``registrar``, ``auditor`` and one for each agency, granted and provisioned, and ``bus.db``."""
    bus = EmbeddedSettings(file=folder / "bus.db")
    await trial.found_exchange(folder, agencies.values(), environment=ENVIRONMENT, bus=bus, clock=SystemClock())
    for name, (code, _) in agencies.items():
        # Its settings name everything as seen from the folder, which may be called as one likes.
        (folder / code).rename(folder / name)
