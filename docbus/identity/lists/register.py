"""The register of expected agencies: who a registrar has decided to expect, and how a join request compares with it.

As a file it is one line of JSON about the list, and one for each agency by code, so that two registers can be compared
with everyday tools. It grants nothing, and nobody but the registrar reads it.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

from docbus.errors import MalformedError
from docbus.identity.agency import parse_canonical
from docbus.identity.nearest import nearest

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from docbus.identity.join import JoinRequest

FORMAT = "docbus-expected-1"


class ExpectedAgency(NamedTuple):
    """One agency that a registrar expects: its canonical id, its name, its former codes, its superior as listed."""

    id: str
    name: str
    aliases: tuple[str, ...]
    parent: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Register:
    """All agencies that a registrar expects.

    Attributes:
        list: Name of the list's file.
        sha256: SHA-256 of the list, in hex.
        imported_at: When it was imported, milliseconds since 1970 UTC.
        agencies: By canonical id, in the order of codes.
    """

    list: str
    sha256: str
    imported_at: int
    agencies: dict[str, ExpectedAgency]
    _owners: dict[str, str] = field(default_factory=dict, init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        """Index the former codes."""
        self._owners.update((alias, one.id) for one in self.agencies.values() for alias in one.aliases)

    def owner_of(self, agency_id: str) -> str | None:
        """Return the agency that has a canonical id as its own, or as a former one."""
        return agency_id if agency_id in self.agencies else self._owners.get(agency_id)


class Change(NamedTuple):
    """One difference between two registers: added, renamed, recoded (former codes), moved (superior) or gone."""

    kind: str
    id: str
    before: str | None
    after: str | None


CHANGES = ("added", "renamed", "recoded", "moved", "gone")


def compare(before: Register | None, after: Iterable[ExpectedAgency]) -> list[Change]:
    """Return what a list changes, by kind and then by code; what is not in ``after`` is gone."""
    old = {} if before is None else before.agencies
    found: dict[str, list[Change]] = {kind: [] for kind in CHANGES}
    seen = set()
    for one in after:
        seen.add(one.id)
        known = old.get(one.id)
        if known is None:
            found["added"].append(Change("added", one.id, None, one.name))
        elif known != one:
            if known.name != one.name:
                found["renamed"].append(Change("renamed", one.id, known.name, one.name))
            if known.aliases != one.aliases:
                shown = (", ".join(known.aliases) or None, ", ".join(one.aliases) or None)
                found["recoded"].append(Change("recoded", one.id, *shown))
            if known.parent != one.parent:
                found["moved"].append(Change("moved", one.id, known.parent, one.parent))
    found["gone"] = [Change("gone", one.id, one.name, None) for one in old.values() if one.id not in seen]
    return [change for changes in found.values() for change in changes]


def differences(register: Register, request: JoinRequest) -> list[str]:
    """Return in sentences how a join request differs from the register; nothing if it is as expected.

    Raises:
        AgencyCodeError: The request's agency is not a canonical id.
    """
    parse_canonical(request.agency)
    expected = register.agencies.get(request.agency)
    if expected is None:
        owner = register.owner_of(request.agency)
        if owner is not None:
            return [f"{request.agency} is a former code of {owner}, {register.agencies[owner].name}"]
        known = nearest(request.agency, register.owner_of)
        near = ", ".join(f"{code} ({register.agencies[owner].name})" for code, owner in known)
        return [f"{request.agency} is not expected" + (f"; similar codes that are: {near}" if near else "")]
    found = []
    if request.name != expected.name:
        found.append(f"the request of {request.agency} has the name {request.name!r}, expected is {expected.name!r}")
    strange = [alias for alias in request.aliases if alias not in expected.aliases]
    if strange:
        found.append(f"the request of {request.agency} has aliases that are not expected: {', '.join(strange)}")
    return found


def dump_register(register: Register) -> Iterator[bytes]:
    """Yield the lines of the register's file."""
    head = {
        "format": FORMAT,
        "list": register.list,
        "sha256": register.sha256,
        "imported_at": register.imported_at,
        "agencies": len(register.agencies),
    }
    yield json.dumps(head, ensure_ascii=False).encode() + b"\n"
    for one in register.agencies.values():
        yield json.dumps(one._asdict(), ensure_ascii=False).encode() + b"\n"


def load_register(lines: Iterable[bytes]) -> Register:
    """Return the register that a file holds.

    Raises:
        MalformedError: It holds none, or not all of one; the text names the line.
    """
    number = 1
    agencies: dict[str, ExpectedAgency] = {}
    try:
        left = iter(lines)
        head = json.loads(next(left, b""))
        _must(head["format"] == FORMAT, _texts([head["list"], head["sha256"]]), type(head["imported_at"]) is int)
        for number, line in enumerate(left, start=2):  # noqa: B007 - it is for the error
            values = json.loads(line)
            one = ExpectedAgency(values["id"], values["name"], tuple(values["aliases"]), values["parent"])
            _must(_texts([one.id, one.name, *one.aliases, one.parent or ""]), one.id not in agencies)
            agencies[one.id] = one
        _must(head["agencies"] == len(agencies))
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise MalformedError(
            f"the register of expected agencies is damaged in line {number}",
            hint="Move the file away, and import the list again.",
        ) from error
    return Register(list=head["list"], sha256=head["sha256"], imported_at=head["imported_at"], agencies=agencies)


def _texts(values: Sequence[object]) -> bool:
    return all(isinstance(value, str) for value in values)


def _must(*conditions: bool) -> None:
    if not all(conditions):
        raise ValueError
