"""`docbus run`, `send` and `receive`: what works as long as it is not stopped."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated

import typer

from docbus.cli import options
from docbus.cli.examples import examples
from docbus.cli.session import Session, begin

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from docbus.cli.options import Moment, Offset
    from docbus.transport.port import Transport

app = typer.Typer(rich_markup_mode=None)

STOP_SECONDS = 30.0
"""Seconds that a stop may take in all. Draining and filing end by themselves within half of it; what is left after
that is done by the next start, as after a crash."""
SIGNALS = (signal.SIGTERM, signal.SIGINT)

From = Annotated[
    str | None,
    typer.Option(
        "--from",
        metavar="POINT",
        help="Receive from here instead of where the ledger ends: earliest, an offset, or a time.",
    ),
]


@app.command("run", epilog=examples("docbus -C h26 run", "docbus -C h26 run --from 2026-11-23T00:00:00+07:00"))
def run(context: typer.Context, *, start: From = None) -> None:
    """Send what is published and file what arrives, until SIGTERM or Ctrl-C.

    Stopping sends what is accepted and finishes what is being filed; a second signal stops at once, and loses nothing.
    """
    _serve(context, "sends and receives", send=True, receive=True, start=start)


@app.command("send", epilog=examples("docbus -C h26 send"))
def send(context: typer.Context) -> None:
    """Send what is published, until SIGTERM or Ctrl-C; one process for each outbox."""
    _serve(context, "sends", send=True, receive=False, start=None)


@app.command("receive", epilog=examples("docbus -C h26 receive", "docbus -C h26 receive --from earliest"))
def receive(context: typer.Context, *, start: From = None) -> None:
    """File what arrives, until SIGTERM or Ctrl-C; receipts wait in the outbox for `docbus send`."""
    _serve(context, "receives", send=False, receive=True, start=start)


def _serve(context: typer.Context, does: str, *, send: bool, receive: bool, start: str | None) -> None:
    session = begin(context, serving=True)
    point = None if start is None else options.parse_point(start)
    from docbus.client.agency import Agency
    from docbus.client.running import relax_allocator, relax_collector

    async def work() -> None:
        stop = asyncio.Event()
        relax_allocator()
        with stopping(stop, session):
            async with Agency.open(session.folder) as agency:
                from docbus.transport import topics

                offsets = None
                if point is not None:
                    offsets = await offsets_of(agency.transport, topics.inbox(agency.id), point)
                relax_collector()
                session.note(f"{agency.id} ({agency.name}) {does}; stop with Ctrl-C")
                await agency.run(stop=stop, send=send, receive=receive, start=offsets)
        session.note("stopped")

    session.run(work())


async def offsets_of(transport: Transport, topic: str, point: Offset | Moment) -> Mapping[int, int]:
    """Return the offset in every partition that a point means; one beyond the end means the end.

    Raises:
        TransportError: The topic is missing or cannot be read.
    """
    bounds = await transport.bounds(topic)
    if isinstance(point, options.Moment):
        found = await transport.offset_at(topic, point.milliseconds)
        return {partition: found.get(partition, end) for partition, (_, end) in bounds.items()}
    return {partition: min(max(point.offset, first), end) for partition, (first, end) in bounds.items()}


@contextmanager
def stopping(stop: asyncio.Event, session: Session) -> Iterator[None]:
    """Set ``stop`` at the first signal, and leave at once at the second, or when stopping takes too long."""
    loop = asyncio.get_running_loop()
    limit: asyncio.TimerHandle | None = None

    def leave(number: int) -> None:
        sys.stdout.flush()
        os._exit(128 + number)

    def asked(number: int) -> None:
        nonlocal limit
        if stop.is_set():
            leave(number)
            return
        session.note(f"{signal.Signals(number).name}: finishing what is in hand; again to stop at once")
        stop.set()
        limit = loop.call_later(STOP_SECONDS, leave, number)

    for number in SIGNALS:
        loop.add_signal_handler(number, asked, number)
    try:
        yield
    finally:
        if limit is not None:
            limit.cancel()
        for number in SIGNALS:
            loop.remove_signal_handler(number)
