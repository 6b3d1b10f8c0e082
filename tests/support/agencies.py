"""Two agencies, a registrar and an auditor on the embedded transport, in folders as a user has them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from docbus.client.connect import open_registrar, started_transport
from docbus.client.founding import found_agency, found_auditor, found_registrar
from docbus.clock import SystemClock
from docbus.registry import provision
from docbus.settings import EmbeddedSettings, load_settings

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

ENVIRONMENT = "pilot"
AGENCIES = {"hanoi": ("H26", "Hà Nội"), "tayninh": ("000.00.00.H53", "Tây Ninh")}
"""Folder to code and name."""


async def found_exchange(folder: Path, agencies: Mapping[str, tuple[str, str]] = AGENCIES) -> None:
    """Make the folders ``registrar``, ``auditor`` and one for each agency, granted and provisioned, and ``bus.db``."""
    clock, bus = SystemClock(), EmbeddedSettings(file=folder / "bus.db")
    founded = await found_registrar(
        folder / "registrar", environment=ENVIRONMENT, name="Registrar", bus=bus, clock=clock
    )
    async with open_registrar(folder / "registrar", clock=clock) as registrar:
        for name, (code, title) in agencies.items():
            agency = found_agency(
                folder / name,
                code=code,
                name=title,
                environment=ENVIRONMENT,
                genesis=founded.genesis,
                bus=bus,
                clock=clock,
            )
            await registrar.grant(agency.request.read_text("ascii"))
        snapshot = await registrar.load()
    found_auditor(folder / "auditor", environment=ENVIRONMENT, genesis=founded.genesis, bus=bus)
    async with started_transport(load_settings(folder / "auditor")) as transport:
        await provision.apply(transport, await provision.plan(transport, snapshot))
