"""What all commands that publish in the directory have in common."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from docbus.cli.output import Form, pairs, write_json

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from contextlib import AbstractAsyncContextManager

    from docbus.cli.session import Session
    from docbus.registry.appending import Published
    from docbus.registry.publish import Registrar

Reason = Annotated[str, typer.Option(help="Why, for people, now and in years.")]
Code = Annotated[str, typer.Argument(metavar="CODE", help="The agency's code, canonical id or alias.")]


def opened_registrar(session: Session, *, beating: bool = False) -> AbstractAsyncContextManager[Registrar]:
    """Return what connects the registrar of the folder, with all keys that are at hand.

    Args:
        session: Names the folder and further keys.
        beating: Only heartbeats are to be signed, for which a key of their own is enough.
    """
    from docbus.client.connect import open_registrar
    from docbus.clock import SystemClock

    return open_registrar(session.folder, clock=SystemClock(), keys=session.registrar_keys, beating=beating)


def publish_change(
    session: Session, output: Form, change: Callable[[Registrar], Awaitable[Published]], *, beating: bool = False
) -> None:
    """Publish one change and say what stands now."""

    async def work() -> Published:
        async with opened_registrar(session, beating=beating) as registrar:
            return await change(registrar)

    published = session.run(work())
    for warning in published.warnings:
        session.warn(warning)
    if output is Form.JSON:
        write_json({"entry": published.position, "hash": published.hash, "warnings": published.warnings})
    else:
        pairs({"entry": str(published.position), "hash": published.hash.hex()})
