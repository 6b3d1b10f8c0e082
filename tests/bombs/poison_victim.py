"""A recipient that a document kills: ``python -m tests.bombs.poison_victim FOLDER DOCUMENT STARTS``.

Its sink gets SIGSEGV, as a decoder written in C does, whenever the document is in its hands. It is started again, each
time as a process of its own, until one comes to its end, or there were so many starts. Each says what it took of
memory, if it came to its end; then follow the signals of which the others died.
"""

from __future__ import annotations

import asyncio
import os
import resource
import signal
import sys
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Any

from docbus.client.agency import Agency
from docbus.consumers.sinks.folder import FolderSink
from tests.support.cost import resident_bytes
from tests.support.trial import TAY_NINH, settled

if TYPE_CHECKING:
    from collections.abc import Sequence

    from docbus.consumers.sinks.port import Delivery


def poison(document: str) -> None:
    """Make the sink die of a document."""
    deliver = FolderSink._deliver

    @wraps(deliver)
    def deadly(sink: FolderSink, batch: Sequence[Delivery]) -> Any:
        if any(delivery.document_id == document for delivery in batch):
            os.kill(os.getpid(), signal.SIGSEGV)
        return deliver(sink, batch)

    FolderSink._deliver = deadly  # type: ignore[method-assign] # that is the attack


async def receive(folder: Path) -> None:
    """Receive until nothing is under way."""
    async with Agency.open(folder / TAY_NINH) as agency, agency.serving():
        before = resident_bytes()
        await settled(agency)
        print(resident_bytes() - before)  # noqa: T201 - read by the test


def start(folder: Path) -> int:
    """Receive in a process of its own; return the signal of which it died, or 0."""
    # Forked before anything is opened or any thread runs: importing everything anew takes longer than all the rest.
    child = os.fork()
    if not child:
        asyncio.run(receive(folder))
        sys.stdout.flush()
        os._exit(0)
    _, status = os.waitpid(child, 0)
    assert os.WIFSIGNALED(status) or os.WEXITSTATUS(status) == 0, "the recipient failed instead of dying"
    return os.WTERMSIG(status) if os.WIFSIGNALED(status) else 0


if __name__ == "__main__":
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    poison(sys.argv[2])
    signals: list[int] = []
    while 0 not in signals and len(signals) < int(sys.argv[3]):
        signals.append(start(Path(sys.argv[1])))
    print(*signals)  # noqa: T201 - read by the test
