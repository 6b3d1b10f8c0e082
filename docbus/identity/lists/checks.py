"""Looks at each row of a list by itself, and beside all others.

Nothing is corrected, and one form of a code is never computed from the other: what is wrong is said, with its row, and
the row is not taken. Hints leave the row as it is.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from docbus.errors import AgencyCodeError, IdentityError
from docbus.identity.agency import AgencyId
from docbus.identity.lists.register import ExpectedAgency
from docbus.identity.lists.rows import MAX_CELL_CHARACTERS, SHOWN_ROWS, Finding, Findings, ListedRow, Listing
from docbus.identity.lists.superiors import Superiors
from docbus.identity.spelling import check_title, is_plain, name_characters, odd_letters, odd_spaces

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

PLACEHOLDER = "W00"
"""Level 1 of codes that stand for nobody: 174 of 123,265 in the national directory."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckedList:
    """What a list comes to.

    Attributes:
        agencies: One for each row that can be taken, by code.
        findings: What is wrong or odd, by row.
        counts: How many findings of each kind there are, also of those that are not kept.
        refused: Numbers of the rows that cannot be taken.
        refused_ids: Agencies whose rows cannot be taken, where their code can be read.
        placeholders: How many rows are set apart.
        total: How many rows the list has.
    """

    agencies: tuple[ExpectedAgency, ...]
    findings: tuple[Finding, ...]
    counts: dict[str, int]
    refused: frozenset[int]
    refused_ids: frozenset[str]
    placeholders: int
    total: int


class _Read(NamedTuple):
    """A row with the codes that could be read from it."""

    row: ListedRow
    agency: AgencyId
    id: str
    key: tuple[str, tuple[str, ...], str]
    former: tuple[str, ...]


def check_list(listing: Listing) -> CheckedList:
    """Return what of a list can be taken, and what was found; takes the findings of the listing over."""
    findings = listing.findings
    read: list[_Read] = []
    placeholders = 0
    for row in listing.rows:
        found = _read_row(row, findings)
        if found is None:
            continue
        if found.key[1][0] == PLACEHOLDER:
            placeholders += 1
            findings.add(row.number, "placeholder", "code", f"{found.agency.code} is a placeholder")
        else:
            read.append(found)
    _compare_codes(read, findings)
    superiors = Superiors([(one.row, one.agency, one.id) for one in read], listing, findings)
    taken = [one for one in read if one.row.number not in findings.refused]
    agencies = [
        ExpectedAgency(one.id, one.row.name, one.former, superiors.of(one.row, one.id))
        for one in sorted(taken, key=lambda one: one.key)
    ]
    _compare_names(taken, {agency.id: agency.parent for agency in agencies}, findings)
    return CheckedList(
        agencies=tuple(agencies),
        findings=tuple(sorted(findings.kept, key=lambda finding: finding.row)),
        counts=dict(findings.counts),
        refused=frozenset(findings.refused),
        refused_ids=frozenset(one.id for one in read if one.row.number in findings.refused),
        placeholders=placeholders,
        total=listing.total,
    )


def _read_row(row: ListedRow, findings: Findings) -> _Read | None:
    """Look at one row by itself; None if its code cannot be read, so that nothing else can be said about it."""
    cells = [("code", row.code), ("name", row.name), *row.former]
    cells += [("id", row.id), ("pid", row.pid), ("parent", row.parent)]
    for column, value in cells:
        if len(value) > MAX_CELL_CHARACTERS:
            text = f"{column} has {len(value)} characters; {MAX_CELL_CHARACTERS} are allowed"
            findings.add(row.number, "cell_too_long", column, text)
            return None
    _check_name(row, findings)
    if not row.code:
        findings.add(row.number, "code_missing", "code", "the row has no code")
        return None
    agency = _code(row.number, "code", row.code, findings)
    former = []
    for column, value in row.former:
        # Lists repeat the code where an agency never had another one.
        other = None if value == row.code else _code(row.number, column, value, findings)
        if other is not None and other not in former:
            former.append(other)
    if agency is None:
        return None
    warning = agency.warning
    if warning:
        findings.add(row.number, "code_unusual", "code", warning)
    key = agency.sort_key
    for one in former:
        if {agency.scheme, one.scheme} == {"vn", "vn2016"} and one.sort_key[1] != key[1]:
            text = f"{agency.code} and {one.code} are not the same groups turned round"
            findings.add(
                row.number, "mapping_unusual", None, text, "That is no rule; look whether the right row has it."
            )
    return _Read(row, agency, str(agency), key, tuple(map(str, former)))


def _code(number: int, column: str, text: str, findings: Findings) -> AgencyId | None:
    try:
        return AgencyId.parse(text)
    except AgencyCodeError as error:
        characters = any(not is_plain(c) or c.islower() for c in text)
        kind = f"{'code' if column == 'code' else 'former'}_{'characters' if characters else 'malformed'}"
        findings.add(number, kind, column, error.text, error.hint)
        return None


def _check_name(row: ListedRow, findings: Findings) -> None:
    if not row.name:
        findings.add(row.number, "name_missing", "name", "the row has no name")
        return
    try:
        check_title(row.name, "the name")
    except IdentityError as error:
        findings.add(row.number, "name_characters", "name", error.text, error.hint)
        return
    if letters := odd_letters(row.name):
        text = f"the name has {name_characters(row.name, letters)}"
        findings.add(row.number, "name_letters", "name", text, "Type the name again.")
    if spaces := odd_spaces(row.name):
        text = f"the name has an unusual space or several at position {spaces[0] + 1}"
        findings.add(row.number, "name_spaces", "name", text)


def _compare_codes(read: Sequence[_Read], findings: Findings) -> None:
    """Find codes that several rows have; each of the rows is refused, as nothing says which is right."""
    first, repeated = _places((one.id, one.row.number) for one in read)
    _, former = _places((other, one.row.number) for one in read for other in one.former)
    for one in read:
        number = one.row.number
        if one.id in repeated:
            text = f"{one.id} is the code of {_others(repeated[one.id], number)} as well"
            findings.add(number, "code_twice", "code", text, "Leave the right row, or give the other one its own code.")
        for other in one.former:
            if other in first:
                text = f"the former code {other} is the code of {_others(repeated.get(other, [first[other]]), number)}"
                findings.add(number, "former_is_code", None, text, "A code names one agency; decide which.")
            if other in former:
                text = f"{other} is a former code of {_others(former[other], number)} as well"
                findings.add(number, "former_twice", None, text, "A code names one agency; decide which.")


def _compare_names(taken: Sequence[_Read], parents: dict[str, str | None], findings: Findings) -> None:
    """Find names that stand twice below one superior: the one that is listed, or else that of the code's form."""
    _, by_name = _places((" ".join(one.row.name.casefold().split()), at) for at, one in enumerate(taken))
    for places in by_name.values():
        same = [taken[at] for at in places]
        _, repeated = _places((parents[one.id] or str(one.agency.parent or ""), one.row.number) for one in same)
        for above, numbers in repeated.items():
            where = f"below {above}" if above else "at level 1"
            for number in numbers:
                text = f"{_others(numbers, number)} {where} has the same name"
                findings.add(number, "name_twice", "name", text, "Is it one agency with two codes?")


def _places(pairs: Iterable[tuple[str, int]]) -> tuple[dict[str, int], dict[str, list[int]]]:
    """Return where each text stands first, and of those that stand several times all places."""
    first: dict[str, int] = {}
    repeated: dict[str, list[int]] = {}
    for text, number in pairs:
        if first.setdefault(text, number) != number:
            repeated.setdefault(text, [first[text]]).append(number)
    return first, repeated


def _others(numbers: Sequence[int], number: int) -> str:
    others = [other for other in numbers if other != number]
    shown = ", ".join(map(str, others[:SHOWN_ROWS]))
    more = f" and {len(others) - SHOWN_ROWS} more" if len(others) > SHOWN_ROWS else ""
    return f"row{'s' if len(others) > 1 else ''} {shown}{more}"
