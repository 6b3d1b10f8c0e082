"""`docbus registrar keys`: the registrar's own keys, and how they are exchanged."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from docbus.cli import options
from docbus.cli.examples import examples
from docbus.cli.output import Form, pairs, table, write_json
from docbus.cli.registering import opened_registrar, publish_change
from docbus.cli.session import begin

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from docbus.identity.registrar_terms import RegistrarTerms
    from docbus.registry.appending import Published
    from docbus.registry.publish import Registrar

app = typer.Typer(
    rich_markup_mode=None, no_args_is_help=True, help="The registrar's own keys: show, make and exchange them."
)
MIN_PREFIX = 8
"""Hex digits that name a key; 32 bits tell those of one registrar apart."""


@app.command("show", epilog=examples("docbus -C registrar registrar keys show"))
def show(context: typer.Context, *, output: options.Output = Form.TEXT) -> None:
    """Show whose signatures the next entry needs, and which of these keys are here."""
    session = begin(context)

    async def work() -> tuple[RegistrarTerms, frozenset[bytes]]:
        async with opened_registrar(session) as registrar:
            return (await registrar.load()).registrar, registrar.held

    terms, held = session.run(work())
    rows = [
        (key.hex(), what, key in held)
        for keys, what in ((terms.keys, "every entry"), (terms.heartbeat_keys, "heartbeats"))
        for key in keys
    ]
    if output is Form.JSON:
        keys = [{"key": key, "signs": what, "here": here} for key, what, here in rows]
        write_json({"threshold": terms.threshold, "keys": keys})
        return
    pairs({"needed": f"{terms.threshold} of {len(terms.keys)}"})
    table(("key", "signs", "here"), [(key, what, "yes" if here else "no") for key, what, here in rows])


@app.command(
    "new",
    epilog=examples(
        "docbus registrar keys new /media/usb/registrar-2.pem",
        'docbus registrar keys new "pkcs11:token=R;object=docbus?module-path=/usr/lib/…" --public registrar-2.pub.pem',
    ),
)
def new(
    context: typer.Context,
    file: Annotated[
        str,
        typer.Argument(
            help="File for the private key, the public one lies beside it as .pub.pem; or a pkcs11: URI on a token."
        ),
    ],
    *,
    public: Annotated[Path | None, typer.Option(help="File for the public half of a key on a token.")] = None,
    output: options.Output = Form.TEXT,
) -> None:
    """Make a key for the registrar, which is none of its keys until `keys change` names it."""
    session = begin(context)
    from docbus.client.registrar_keys import make_registrar_key, make_registrar_token_key
    from docbus.tokens.uri import is_token_uri

    if is_token_uri(file) != (public is not None):
        raise typer.BadParameter("--public goes with a pkcs11: URI, and a pkcs11: URI with --public")
    made = make_registrar_key(Path(file)) if public is None else make_registrar_token_key(file, public)
    found = {"key": made.key.hex(), "private": file, "public": str(made.public)}
    if output is Form.JSON:
        write_json(found)
    else:
        pairs(found)
    session.note(
        f"Next: docbus -C FOLDER registrar --key {file} keys change --add {made.public},"
        f" or for heartbeats alone: docbus -C FOLDER registrar keys change --add-heartbeat {made.public}"
    )


@app.command(
    "change",
    epilog=examples(
        "docbus -C registrar registrar --key b.pem keys change --add b.pub.pem --add c.pub.pem --threshold 2",
        "docbus -C registrar registrar --key b.pem keys change --add d.pub.pem --drop 3f2a90c1",
        "docbus -C registrar registrar keys change --add-heartbeat online.pub.pem",
    ),
)
def change(
    context: typer.Context,
    *,
    add: Annotated[list[Path] | None, typer.Option(help="PEM file of another public key; may be repeated.")] = None,
    add_heartbeat: Annotated[
        list[Path] | None,
        typer.Option(help="PEM file of a public key that may sign heartbeats, and nothing else."),
    ] = None,
    drop: Annotated[
        list[str] | None, typer.Option(metavar="KEY", help="A key that `keys show` lists, or how it begins, to retire.")
    ] = None,
    threshold: Annotated[
        int | None, typer.Option(min=1, help="How many keys every entry needs; as before unless given.")
    ] = None,
    output: options.Output = Form.TEXT,
) -> None:
    """Exchange the registrar's keys; from the next entry on the new ones sign.

    As many of the keys before as were asked for have to be here, and as many of the new ones: name those that are not
    the folder's own with --key, as in `docbus registrar --key FILE keys change …`. A key that was retired never comes
    back.
    """
    session = begin(context)
    if not (add or add_heartbeat or drop or threshold):
        raise typer.BadParameter("nothing to change; give --add, --add-heartbeat, --drop or --threshold")
    from docbus.client.registrar_keys import read_registrar_key
    from docbus.identity.signing import public_key_bytes

    added = [read_registrar_key(path) for path in add or ()]
    beating = [read_registrar_key(path) for path in add_heartbeat or ()]

    async def work(registrar: Registrar) -> Published:
        terms = (await registrar.load()).registrar
        gone = [_named(name, {**terms.keys, **terms.heartbeat_keys}) for name in drop or ()]

        def left(keys: Mapping[bytes, object], more: Sequence[bytes]) -> list[bytes]:
            return [*(public_key_bytes(key) for digest, key in keys.items() if digest not in gone), *more]

        return await registrar.rotate_registrar(
            left(terms.keys, added),
            threshold=threshold or terms.threshold,
            heartbeat_keys=left(terms.heartbeat_keys, beating),
        )

    publish_change(session, output, work)
    if drop:
        session.note('If a key of this folder was retired, name another in docbus.toml: [registrar] key = "file:…"')


def _named(name: str, known: Mapping[bytes, object]) -> bytes:
    """Return the key that begins so.

    Raises:
        BadParameter: None does, or several.
    """
    found = [key for key in known if len(name) >= MIN_PREFIX and key.hex().startswith(name.lower())]
    if len(found) != 1:
        raise typer.BadParameter(f"{name!r} names {len(found)} of the registrar's keys; `keys show` lists them")
    return found[0]
