"""Whether the brokers can be reached, and how long they take to answer."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from docbus.client.doctor.diagnosis import Diagnosis, failed, passed, refused
from docbus.errors import BrokerUnavailableError, DocbusError
from docbus.transport.topics import DIRECTORY

if TYPE_CHECKING:
    from docbus.clock import Clock
    from docbus.settings import Settings
    from docbus.transport.port import Transport

CHECK = "brokers"
CONNECT_SECONDS = 30.0
"""Seconds for connecting, and for finding out why that failed."""
QUESTION_SECONDS = 20.0
"""Seconds for one question to the brokers."""


def missing_file(settings: Settings) -> Diagnosis | None:
    """Tell that the file of the embedded transport is not there, as opening it would make it; None if it is."""
    if settings.embedded is None:
        return None
    path = settings.path(settings.embedded.file)
    try:
        if path.stat().st_size:
            return None
        what = f"the bus file {path} is empty"
    except OSError as error:
        what = f"the bus file {path} cannot be found: {error.strerror}"
    return failed(CHECK, what, "Put the file back, or correct file under [embedded]: `docbus registrar init` made it.")


async def brokers(
    transport: Transport, clock: Clock, *, connect: float = CONNECT_SECONDS, question: float = QUESTION_SECONDS
) -> Diagnosis:
    """Start a transport and tell how long it takes to answer.

    Args:
        transport: Not started.
        clock: Measures.
        connect: Seconds for connecting.
        question: Seconds for an answer.
    """
    silent = failed(CHECK, "they do not answer in time", "Look at the brokers, and at the network between.")
    try:
        async with asyncio.timeout(connect):
            await transport.start()
    except TimeoutError:
        return silent
    except DocbusError as error:
        return refused(CHECK, error, "Look at [kafka] or [embedded] in docbus.toml.")
    try:
        async with asyncio.timeout(question):
            # The first question may open a connection of its own, so that only the second tells how long one takes.
            await transport.bounds(DIRECTORY)
            began = clock.monotonic()
            await transport.bounds(DIRECTORY)
            took = (clock.monotonic() - began) * 1000
    except TimeoutError:
        return silent
    except BrokerUnavailableError as error:
        return refused(CHECK, error)
    except DocbusError:
        # An answer as well; what is wrong with the directory, the check of that name says.
        return passed(CHECK, "they answer")
    return passed(CHECK, f"they answer; asking where the directory ends takes {took:,.1f} ms")
