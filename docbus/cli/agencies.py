"""`docbus agency`: what the directory says."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from docbus.cli import options, verify_stamps
from docbus.cli.examples import examples
from docbus.cli.output import Form, line, pairs, table, when, write_json
from docbus.cli.session import Session, begin

if TYPE_CHECKING:
    from docbus.identity.grants import Agency, CertificateGrant
    from docbus.identity.snapshot import TrustSnapshot
    from docbus.identity.time_stamps.verdict import Verdict

At = Annotated[
    str | None,
    typer.Option(metavar="ENTRY|TIME", help="As it was at this entry, or at this time by the registrar's clock."),
]
app = typer.Typer(rich_markup_mode=None, no_args_is_help=True, help="See which agencies the directory has.")


@app.command("list", epilog=examples("docbus agency list", "docbus agency list --below H53 --output json"))
def list_agencies(
    context: typer.Context,
    *,
    below: Annotated[str | None, typer.Option(help="Only this agency and those below it.")] = None,
    closed: Annotated[bool, typer.Option("--closed", help="Closed ones too.")] = False,
    at: At = None,
    output: options.Output = Form.TEXT,
) -> None:
    """List the agencies by their codes, now or as the directory once was."""
    session = begin(context)
    from docbus.identity.agency import AgencyId

    snapshot = read_directory(session, at)
    top = None if below is None else AgencyId.parse(snapshot.resolve(below))
    found: list[tuple[AgencyId, Agency]] = []
    for agency in snapshot.agencies():
        parsed = AgencyId.parse(agency.id)
        if (closed or agency.closed_at is None) and (top is None or parsed == top or top in parsed.ancestors):
            found.append((parsed, agency))
    found.sort(key=lambda one: one[0])
    if output is Form.JSON:
        write_json([_summary(agency) for _, agency in found])
        return
    rows = [(parsed.code, agency.name, _state(agency), ", ".join(agency.roles)) for parsed, agency in found]
    table(("code", "name", "state", "roles"), rows)
    session.note(f"{len(rows)} agencies, directory entry {snapshot.position} of {when(snapshot.made_at)}")


@app.command(
    "show",
    epilog=examples("docbus agency show H37.02.02", "docbus agency show H37.02.02 --at 12 --anchor tsa-ca.pem"),
)
def show(
    context: typer.Context,
    code: Annotated[str, typer.Argument(metavar="CODE", help="Code, canonical id or alias.")],
    *,
    at: At = None,
    anchor: options.Anchor = None,
    policy: options.Policy = None,
    output: options.Output = Form.TEXT,
) -> None:
    """Show one agency: names, keys, and since when they are in force; now or as the directory once was.

    With --anchor it is said, too, by when the directory had come to that entry at latest.
    """
    session = begin(context)
    from docbus.identity.agency import AgencyId
    from docbus.transport import topics

    snapshot = read_directory(session, at)
    agency = snapshot.agency(snapshot.resolve(code))
    if agency is None:  # resolve has just found it
        raise typer.BadParameter(f"{code} is not in the directory")
    grants = [found for digest in agency.certificates if (found := snapshot.certificate(digest)) is not None]
    at_ms = _time_of(snapshot, at)
    dated = None if anchor is None else _dated(session, snapshot.position, anchor, policy)
    if output is Form.JSON:
        write_json(
            _summary(agency)
            | ({} if anchor is None else {"time_stamp": verify_stamps.as_json(dated)})
            | {"certificates": [_certificate(found, at_ms) for found in grants], "encryption_keys": _keys(agency)}
            | {"parent": snapshot.parent(agency.id), "delegations": _delegations(snapshot, agency)}
        )
        return
    parent = snapshot.parent(agency.id)
    pairs(
        {
            "agency": agency.id,
            "name": agency.name,
            "state": _state(agency),
            "parent": None if parent is None else AgencyId.parse(parent).code,
            "aliases": ", ".join(agency.aliases) or None,
            "roles": ", ".join(agency.roles) or None,
            "granted": f"by directory entry {agency.granted_at}",
            "directory": f"entry {snapshot.position} of {when(snapshot.made_at)}",
            "time stamp": verify_stamps.said(dated) if dated is not None else "of no such entry" if anchor else None,
            "inbox": f"{topics.inbox(agency.id)}, {agency.partitions} partition(s)",
        }
    )
    line()
    rows = [
        (c["digest"], c["profile"], c["state"], c["not_before"], c["not_after"])
        for c in (_certificate(found, at_ms) for found in grants)
    ]
    table(("certificate", "profile", "state", "valid from", "until"), rows)
    line()
    table(("encryption key", "state"), [(key["digest"], key["state"]) for key in _keys(agency)])
    delegated = _delegations(snapshot, agency)
    if delegated:
        line()
        terms = [
            (one["delegate"], one["agency"], ", ".join(one["kinds"]) or "all", one["from"], one["until"], one["entry"])
            for one in delegated
        ]
        table(("sends", "for", "kinds", "from", "until", "by entry"), [tuple(map(str, row)) for row in terms])


def _dated(session: Session, position: int, anchor: Path, policy: str | None) -> Verdict | None:
    """Return by when an entry existed at latest; what says so comes later, so the directory is read to its end."""
    from docbus.audit.time_stamps import judge_entry

    return judge_entry(read_directory(session), position, options.anchors_of(anchor), policy=policy)


def read_directory(session: Session, at: str | None = None) -> TrustSnapshot:
    """Return the directory as it stands now, or as it was.

    Args:
        session: Names the folder.
        at: An entry's number, or a time.

    Raises:
        BadParameter: Neither the one nor the other.
        ConfigurationError: The folder's settings.
        TransportError: The bus cannot be reached.
        DirectoryError: The directory does not begin with the pinned entry, or contradicts itself.
    """
    from docbus.client.connect import started_transport
    from docbus.client.folder_directory import fetch_for_folder

    settings = session.settings()
    position = int(at) if at is not None and at.isdecimal() else None
    time_ms = None if at is None or position is not None else options.parse_time(at)

    async def work() -> TrustSnapshot:
        async with started_transport(settings) as transport:
            return await fetch_for_folder(transport, settings, position=position, time_ms=time_ms)

    return session.run(work())


def _state(agency: Agency) -> str:
    if agency.closed_at is None and agency.suspended_at is not None:
        return f"suspended by entry {agency.suspended_at}: {agency.suspension_reason}"
    if agency.closed_at is None:
        return "open"
    successor = f", successor {agency.successor}" if agency.successor else ""
    return f"closed by entry {agency.closed_at}{successor}"


def _summary(agency: Agency) -> dict[str, Any]:
    return {
        "id": agency.id,
        "name": agency.name,
        "aliases": agency.aliases,
        "roles": agency.roles,
        "partitions": agency.partitions,
        "granted_by_entry": agency.granted_at,
        "suspended_by_entry": agency.suspended_at,
        "suspension_reason": agency.suspension_reason,
        "closed_by_entry": agency.closed_at,
        "successor": agency.successor,
        "closing_reason": agency.closing_reason,
    }


def _time_of(snapshot: TrustSnapshot, at: str | None) -> int:
    """Return for when the directory is shown: now, the time that was given, or that of the entry."""
    from docbus.clock import SystemClock

    if at is None:
        return SystemClock().now_ms()
    return snapshot.made_at if at.isdecimal() else options.parse_time(at)


def _in_time(grant: CertificateGrant, at_ms: int) -> str:
    """Say how the time stands to that in which the directory and the certificate itself let it sign."""
    by = f", by entry {grant.overlap_at}"
    if at_ms > grant.not_after_ms:
        return f"ended {when(grant.not_after_ms)}"
    if grant.retires_at_ms is not None and at_ms > grant.retires_at_ms:
        return f"ended {when(grant.retires_at_ms)}{by}"
    if at_ms < grant.not_before_ms:
        return f"not in force before {when(grant.not_before_ms)}"
    return "in force" if grant.retires_at_ms is None else f"in force until {when(grant.retires_at_ms)}{by}"


def _certificate(grant: CertificateGrant, at_ms: int) -> dict[str, Any]:
    from docbus.wire.profiles import PROFILES

    ends = {"revoked": grant.revoked_at, "retired": grant.retired_at, "closed": grant.closed_at}
    state = next((f"{word} by entry {at}" for word, at in ends.items() if at is not None), _in_time(grant, at_ms))
    if grant.reason:
        state += f": {grant.reason}"
    profile = PROFILES.get(grant.profile)
    return {
        "digest": grant.digest.hex(),
        "profile": str(grant.profile) if profile is None else profile.name,
        "state": state,
        "granted_by_entry": grant.granted_at,
        "not_before": when(grant.not_before_ms),
        "not_after": when(grant.not_after_ms),
        "retires_at": None if grant.retires_at_ms is None else when(grant.retires_at_ms),
    }


def _delegations(snapshot: TrustSnapshot, agency: Agency) -> list[dict[str, Any]]:
    return [
        {
            "delegate": one.delegate,
            "agency": one.agency,
            "kinds": one.kinds,
            "from": when(one.not_before_ms),
            "until": when(one.not_after_ms),
            "entry": one.granted_at,
        }
        for one in snapshot.delegations(agency.id)
    ]


def _keys(agency: Agency) -> list[dict[str, Any]]:
    return [
        {
            "digest": encrypter.digest.hex(),
            "granted_by_entry": granted,
            "retired_by_entry": retired,
            "state": "in force" if retired is None else f"retired by entry {retired}",
        }
        for encrypter, granted, retired in agency.encrypters
    ]
