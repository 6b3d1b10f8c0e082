"""`docbus cert fetch`, `import` and `lists`: what authorities say of the certificates that they have issued."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, TypeVar

import typer

from docbus.cli import options
from docbus.cli.examples import examples
from docbus.cli.exits import ExitCode
from docbus.cli.output import Form, line, table, when, write_json
from docbus.cli.session import Session, begin

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from docbus.client.collecting import Collected
    from docbus.client.material_memory import MaterialMemory
    from docbus.identity.snapshot import TrustSnapshot

app = typer.Typer(rich_markup_mode=None)
T = TypeVar("T")


@app.command("fetch", epilog=examples("docbus -C h26 cert fetch"))
def fetch(context: typer.Context, *, output: options.Output = Form.TEXT) -> int:
    """Fetch the authorities' revocation lists now, from the addresses in the certificates that they have issued.

    `docbus run` does so every hour, unless the settings say `fetch = false` under [certificates].
    """
    session = begin(context)
    from docbus.client.collecting import collect, wanted_of
    from docbus.client.connect import agency_id

    own = agency_id(session.settings())

    async def work(snapshot: TrustSnapshot, memory: MaterialMemory) -> Collected:
        return await collect(wanted_of(snapshot, own), memory, snapshot)

    found: Collected = _with_memory(session, work)
    if output is Form.JSON:
        write_json(found)
    else:
        rows = [(uri, "new", "") for uri in found.new] + [(uri, "known", "") for uri in found.known]
        table(("address", "outcome", "detail"), [*rows, *((uri, "failed", text) for uri, text in found.failed)])
    return ExitCode.RETRY if found.failed else ExitCode.OK


@app.command("import", epilog=examples("docbus -C h26 cert import ca.crl", "docbus -C h26 cert import ca.crl a.ocsp"))
def bring(
    context: typer.Context,
    files: Annotated[list[Path], typer.Argument(help="Revocation lists, or OCSP responses; PEM or DER.")],
    *,
    output: options.Output = Form.TEXT,
) -> None:
    """Bring revocation lists of the directory's authorities into the folder; a running `docbus run` has them at once.

    A list is taken if an authority of the directory has signed it, and it is no older than one that is known.
    """
    session = begin(context)
    from docbus.client.certifying import read_material_file
    from docbus.client.collecting import question_of
    from docbus.errors import IdentityError
    from docbus.identity.pki.crl import RevocationList

    pieces = [(path, read_material_file(path)) for path in files]

    async def work(snapshot: TrustSnapshot, memory: MaterialMemory) -> list[tuple[str, bool]]:
        done = []
        for path, piece in pieces:
            if isinstance(piece, RevocationList):
                new = await memory.keep_list(piece, snapshot)
            else:
                asked = question_of(piece, snapshot)
                if asked is None:
                    raise IdentityError(f"{path} is not an authority's word on a certificate in force")
                new = await memory.keep_response(piece, *asked)
            done.append((str(path), new))
        return done

    done = _with_memory(session, work)
    if output is Form.JSON:
        write_json([{"file": path, "new": new} for path, new in done])
    else:
        for path, new in done:
            line(f"{path}: {'new' if new else 'known already'}")


@app.command("lists", epilog=examples("docbus -C h26 cert lists"))
def lists(context: typer.Context, *, output: options.Output = Form.TEXT) -> None:
    """Show which revocation lists the folder knows, and until when each is good."""
    session = begin(context)
    import asyncio

    from docbus.client.local import open_state
    from docbus.client.material_memory import MaterialMemory
    from docbus.clock import SystemClock
    from docbus.identity.pki.crl import RevocationList

    with open_state(session.settings()) as database:
        memory = MaterialMemory(database, SystemClock())
        asyncio.run(memory.load())
    found = sorted(
        (one for one in memory.current.pieces.values() if isinstance(one, RevocationList)),
        key=lambda one: (one.issuer, one.number),
    )
    if output is Form.JSON:
        write_json(
            [
                {
                    "digest": one.digest,
                    "authority": one.parsed.issuer.rfc4514_string(),
                    "number": one.number,
                    "made_at": one.this_update_ms,
                    "ends_at": one.next_update_ms,
                    "revoked": len(one.revoked),
                }
                for one in found
            ]
        )
        return
    table(
        ("authority", "number", "made", "good until", "revoked"),
        [
            (
                one.parsed.issuer.rfc4514_string(),
                str(one.number),
                when(one.this_update_ms),
                when(one.next_update_ms),
                f"{len(one.revoked):,}",
            )
            for one in found
        ],
    )


def _with_memory(session: Session, work: Callable[[TrustSnapshot, MaterialMemory], Awaitable[T]]) -> T:
    """Run something with the directory as it is now, and with what the folder keeps."""
    from docbus.client.connect import agency_id, started_transport
    from docbus.client.local import open_state
    from docbus.client.material_memory import MaterialMemory
    from docbus.clock import SystemClock
    from docbus.registry.follow import fetch_snapshot

    settings = session.settings()
    agency_id(settings)

    async def run() -> T:
        with open_state(settings) as database:
            memory = MaterialMemory(database, SystemClock())
            await memory.load()
            async with started_transport(settings) as transport:
                snapshot = await fetch_snapshot(transport, settings.exchange.genesis_bytes)
            return await work(snapshot, memory)

    return session.run(run())
