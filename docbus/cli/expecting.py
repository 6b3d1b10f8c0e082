"""`docbus registrar import` and `expected`: the register of agencies that a registrar expects."""

from __future__ import annotations

import sys
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from docbus.cli import options
from docbus.cli.agencies import read_directory
from docbus.cli.examples import examples
from docbus.cli.exits import ExitCode
from docbus.cli.output import Form, line, plain, table, write_json
from docbus.cli.session import Session, begin

if TYPE_CHECKING:
    from docbus.client.expected import Source
    from docbus.identity.lists.checks import CheckedList
    from docbus.identity.lists.register import Change, ExpectedAgency, Register

SHOWN_FINDINGS = 10
"""Findings of one kind, and changes of one kind, that a person is shown; the report has more."""

app = typer.Typer(rich_markup_mode=None)


class ListForm(StrEnum):
    """In which form a list is."""

    CSV = "csv"
    JSON = "json"


@app.command(
    "import",
    epilog=examples(
        "docbus -C registrar registrar import agencies.json --dry-run",
        "docbus -C registrar registrar import agencies.csv --report report.json",
        "docbus -C registrar registrar import agencies.csv --sound-rows --drop-gone",
    ),
)
def import_list(
    context: typer.Context,
    path: Annotated[Path, typer.Argument(metavar="LIST", help="CSV with a heading, or JSON of getAgenciesList.")],
    *,
    form: Annotated[ListForm | None, typer.Option("--format", help="Found out from the file if left out.")] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what was found and what would change.")] = False,
    sound_rows: Annotated[bool, typer.Option("--sound-rows", help="Leave refused rows out, take the others.")] = False,
    drop_gone: Annotated[
        bool, typer.Option("--drop-gone", help="Take agencies out of the register that the list does not have.")
    ] = False,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask at a terminal.")] = False,
    report: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Write all findings as JSON to a new file, too.")
    ] = None,
    output: options.Output = Form.TEXT,
) -> int:
    """Check a list of agencies, and make it the register of those that are expected.

    A list grants nothing. `docbus registrar grant` compares each join request with the register.
    If one row is refused, or an agency of the register is not in the list, nothing is imported unless you say so.
    """
    session = begin(context)
    from docbus.cli.export import write_file
    from docbus.client.expected import check_file, load_expected, store_expected
    from docbus.clock import SystemClock
    from docbus.identity.lists.register import compare

    _registrars(session)
    source, checked = check_file(path, None if form is None else form.value)
    known = load_expected(session.folder)
    agencies = _with_kept(checked, known)
    changes = compare(known, agencies)
    refusals = _reasons(checked, changes, sound_rows=sound_rows, drop_gone=drop_gone)
    content = _report(source, checked, changes)
    if report is not None:
        write_file(session, report, _json_of(content))
    if output is Form.TEXT:
        _show(source, checked, changes)
    stored = bool(changes) and not refusals and not dry_run
    if stored:
        if not yes and sys.stdin.isatty() and sys.stderr.isatty():
            typer.confirm(f"Import {len(agencies):,} agencies into the register?", abort=True, err=True)
        store_expected(session.folder, source, agencies, now_ms=SystemClock().now_ms())
    if output is Form.JSON:
        write_json({"imported": stored, "reasons": refusals} | content)
    elif not refusals:
        line(f"{len(agencies):,} agencies are expected" if stored else _idle(changes))
    for text in refusals:
        session.warn(f"nothing was imported: {text}")
    return ExitCode.FAILED if refusals else ExitCode.OK


@app.command(
    "expected",
    epilog=examples("docbus -C registrar registrar expected", "docbus -C registrar registrar expected --below H37"),
)
def expected(
    context: typer.Context,
    *,
    below: Annotated[str | None, typer.Option(metavar="CODE", help="Only this agency and those below it.")] = None,
    output: options.Output = Form.TEXT,
) -> None:
    """List the expected agencies that have no grant yet, and count the others."""
    session = begin(context)
    from docbus.client.expected import load_expected
    from docbus.errors import ConfigurationError
    from docbus.identity.agency import AgencyId, parse_canonical

    _registrars(session)
    register = load_expected(session.folder)
    if register is None:
        raise ConfigurationError(
            f"{session.folder} has no register of expected agencies",
            hint="`docbus registrar import LIST` makes it.",
        )
    top = None if below is None else AgencyId.parse(below)

    def inside(agency_id: str) -> bool:
        parsed = parse_canonical(agency_id)
        return top is None or parsed == top or top in parsed.ancestors

    snapshot = read_directory(session)
    wanted = [one for one in register.agencies.values() if inside(one.id)]
    granted = {one.id: one.name for one in snapshot.agencies() if inside(one.id)}
    missing = [one for one in wanted if one.id not in granted]
    renamed = [one for one in wanted if granted.get(one.id, one.name) != one.name]
    strange = [name for name in granted if name not in register.agencies]
    if output is Form.JSON:
        write_json(
            {
                "expected": len(wanted),
                "granted": len(wanted) - len(missing),
                "missing": [one._asdict() for one in missing],
                "granted_with_another_name": [one.id for one in renamed],
                "granted_and_not_expected": strange,
                "list": register.list,
                "imported_at": register.imported_at,
            }
        )
        return
    table(("code", "name", "former codes"), [(one.id, one.name, ", ".join(one.aliases)) for one in missing])
    session.note(f"{len(wanted):,} expected, {len(wanted) - len(missing):,} granted, {len(missing):,} not yet")
    for text, found in (
        ("granted with another name", [one.id for one in renamed]),
        ("granted and not expected", strange),
    ):
        if found:
            session.note(f"{text}: {', '.join(found[:SHOWN_FINDINGS])}{_more(len(found))}")


def compare_with_register(session: Session, text: str, *, unexpected: bool) -> tuple[str, ...]:
    """Compare a join request with the register, if there is one; return commands for former codes it lacks.

    Raises:
        ConfigurationError: The register cannot be read.
        IdentityError: The request is not as expected, and ``unexpected`` does not allow that.
        MalformedError: Not a join request.
    """
    from docbus.client.expected import load_expected
    from docbus.errors import IdentityError
    from docbus.identity.join import read_join_request
    from docbus.identity.lists.register import differences

    register = load_expected(session.folder)
    if register is None:
        return ()
    # Nothing of it is verified yet; the grant verifies this same text.
    request = read_join_request(text)
    found = differences(register, request)
    if found and not unexpected:
        raise IdentityError(
            "; ".join(found),
            hint="Ask the agency which is right, and have the request made again; or import a newer list; or grant it"
            " all the same with --unexpected.",
        )
    for difference in found:
        session.warn(difference)
    known = register.agencies.get(request.agency)
    former = () if known is None else tuple(alias for alias in known.aliases if alias not in request.aliases)
    return tuple(f"docbus registrar alias {request.agency} {alias}" for alias in former)


def _registrars(session: Session) -> None:
    """Refuse a folder that is not a registrar's.

    Raises:
        ConfigurationError: It is not.
    """
    from docbus.errors import ConfigurationError

    if session.settings().registrar is None:
        raise ConfigurationError(
            f"{session.folder} is not a registrar's folder: its settings have no [registrar]",
            hint="Name the registrar's folder with --folder.",
        )


def _with_kept(checked: CheckedList, known: Register | None) -> list[ExpectedAgency]:
    """Return the sound rows, and of agencies whose rows are refused what was known before, by code."""
    from docbus.identity.agency import parse_canonical

    kept = [] if known is None else [known.agencies[one] for one in checked.refused_ids & known.agencies.keys()]
    if not kept:
        return list(checked.agencies)
    return sorted([*checked.agencies, *kept], key=lambda one: parse_canonical(one.id).sort_key)


def _reasons(checked: CheckedList, changes: list[Change], *, sound_rows: bool, drop_gone: bool) -> list[str]:
    """Return in words why nothing may be imported."""
    found = []
    if checked.refused and not sound_rows:
        found.append(f"{len(checked.refused):,} rows are refused; --sound-rows leaves them out")
    gone = sum(change.kind == "gone" for change in changes)
    if gone and not drop_gone:
        found.append(f"the list does not have {gone:,} agencies of the register; --drop-gone takes them out")
    if not checked.agencies:
        found.append("no row of the list can be taken")
    return found


def _idle(changes: list[Change]) -> str:
    return "nothing was imported: " + ("it was only tried" if changes else "the register is the same")


def _report(source: Source, checked: CheckedList, changes: list[Change]) -> dict[str, Any]:
    from docbus.identity.lists.rows import REFUSING

    findings = [{"severity": "error" if one.kind in REFUSING else "hint"} | plain(one) for one in checked.findings]
    return {
        "list": plain(source),
        "rows": checked.total,
        "sound": len(checked.agencies),
        "refused": len(checked.refused),
        "placeholders": checked.placeholders,
        "counts": checked.counts,
        "findings": findings,
        "changes": [change._asdict() for change in changes],
    }


def _json_of(content: dict[str, Any]) -> bytes:
    import json

    from docbus.cli.escape import escaped_json

    return escaped_json(json.dumps(content, ensure_ascii=False, indent=1)).encode() + b"\n"


def _show(source: Source, checked: CheckedList, changes: list[Change]) -> None:
    from docbus.identity.lists.register import CHANGES
    from docbus.identity.lists.rows import KINDS, REFUSING

    columns = ", ".join(name if name == heading else f"{name} ({heading})" for name, heading in source.columns.items())
    line(f"{source.form}; read: {columns}" + (f"; not read: {', '.join(source.unread)}" if source.unread else ""))
    line(
        f"{checked.total:,} rows: {len(checked.agencies):,} sound, {len(checked.refused):,} refused,"
        f" {checked.placeholders:,} placeholders"
    )
    for kind in KINDS:
        count = checked.counts.get(kind, 0)
        if count == 0:
            continue
        line(f"{'refused' if kind in REFUSING else 'hint'}: {kind}, {count:,}")
        for one in [one for one in checked.findings if one.kind == kind][:SHOWN_FINDINGS]:
            line(f"  row {one.row}: {one.text}" + (f" ({one.hint})" if one.hint else ""))
        if count > SHOWN_FINDINGS:
            line(f"  and {count - SHOWN_FINDINGS:,} more")
    for kind in CHANGES:
        found = [change for change in changes if change.kind == kind]
        if not found:
            continue
        line(f"{kind}: {len(found):,}")
        for change in found[:SHOWN_FINDINGS]:
            line(f"  {change.id}  " + " → ".join(part or "none" for part in _parts(change)))
        if len(found) > SHOWN_FINDINGS:
            line(f"  and {len(found) - SHOWN_FINDINGS:,} more")


def _parts(change: Change) -> list[str | None]:
    if change.kind in {"added", "gone"}:
        return [change.after or change.before]
    return [change.before, change.after]


def _more(count: int) -> str:
    return f" and {count - SHOWN_FINDINGS:,} more" if count > SHOWN_FINDINGS else ""
