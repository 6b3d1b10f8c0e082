"""A whole exchange in one folder: for demonstrations, tests and benchmarks, never for real agencies.

Here one hand holds the registrar's keys and every agency's, which is what a real exchange must not have.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from docbus.client.connect import open_registrar, started_transport
from docbus.client.founding import found_agency, found_auditor, found_registrar
from docbus.registry import provision
from docbus.settings import load_settings

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from docbus.client.connect import Bus
    from docbus.clock import Clock


async def found_exchange(
    folder: Path, agencies: Iterable[tuple[str, str]], *, environment: str, bus: Bus, clock: Clock
) -> str:
    """Found a registrar, agencies and an auditor in folders of their own, grant the agencies, create all topics.

    Args:
        folder: Gets the folders ``registrar`` and ``auditor``, and one for each agency, named by its code.
        agencies: Code and name of each.
        environment: Name of the exchange.
        bus: Where it runs.
        clock: For certificates and entries.

    Returns:
        The genesis hash, in hex.

    Raises:
        DirectoryError: The bus has a directory already.
        TransportError: The bus cannot be reached.
    """
    founded = await found_registrar(
        folder / "registrar", environment=environment, name="Registrar", bus=bus, clock=clock
    )
    async with open_registrar(folder / "registrar", clock=clock) as registrar:
        for code, name in agencies:
            agency = found_agency(
                folder / code,
                code=code,
                name=name,
                environment=environment,
                genesis=founded.genesis,
                bus=bus,
                clock=clock,
            )
            await registrar.grant(agency.request.read_text("ascii"))
        snapshot = await registrar.load()
    found_auditor(folder / "auditor", environment=environment, genesis=founded.genesis, bus=bus)
    async with started_transport(load_settings(folder / "auditor")) as transport:
        await provision.apply(transport, await provision.plan(transport, snapshot))
    return founded.genesis
