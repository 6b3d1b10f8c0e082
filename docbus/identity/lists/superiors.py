"""Who is below whom, by what the rows say and by the form of the codes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from docbus.errors import AgencyCodeError
from docbus.identity.agency import AgencyId
from docbus.identity.lists.rows import SHOWN_ROWS
from docbus.identity.spelling import show

if TYPE_CHECKING:
    from collections.abc import Sequence

    from docbus.identity.lists.rows import Findings, ListedRow, Listing

NOBODY = frozenset({"", "0"})
"""What stands in ``pid`` where an agency has no superior, unless it is a row's id."""


class Superiors:
    """The superior that each row names, checked; must be made when all other rows that are refused are known.

    Args:
        read: The rows whose code could be read, placeholders left out, with their codes and ids.
        listing: The list, for the ids of rows that could not be read.
        findings: What is found is added.
    """

    def __init__(self, read: Sequence[tuple[ListedRow, AgencyId, str]], listing: Listing, findings: Findings) -> None:
        self._findings = findings
        self._says = bool({"pid", "parent"} & listing.columns.keys())
        self._ids: dict[str, int] = {}
        """Every id of the list, also of rows that are refused, to the number of its first row."""
        repeated: dict[str, list[int]] = {}
        self._codes = {agency_id: row.number for row, _, agency_id in read}
        self._agencies = {row.number: agency_id for row, _, agency_id in read}
        for row in listing.rows:
            if row.id and self._ids.setdefault(row.id, row.number) != row.number:
                repeated.setdefault(row.id, [self._ids[row.id]]).append(row.number)
        for row, _, _ in read:
            if row.id in repeated:
                numbers = ", ".join(map(str, repeated[row.id][:SHOWN_ROWS]))
                findings.add(row.number, "id_twice", "id", f"the id {show(row.id)} stands in the rows {numbers}")
        self._strange: set[int] = set()
        """Rows that name a superior which is not in the list."""
        self._above = {row.number: self._named(row) for row, _, _ in read}
        self._break_circles()
        for row, agency, _ in read:
            self._compare(row, agency)

    def of(self, row: ListedRow, agency_id: str) -> str | None:
        """Return the canonical id of the superior that a row names, if that one is taken; None if it names none."""
        above = self._above.get(row.number)
        found = None if above is None else self._agencies.get(above)
        if above is None or (found is not None and above not in self._findings.refused):
            return found
        text = f"the superior of {agency_id} is in row {above}, which is not taken"
        self._findings.add(row.number, "parent_left_out", None, text)
        return None

    def _named(self, row: ListedRow) -> int | None:
        """Return the number of the row that a row names as its superior."""
        if row.parent:
            try:
                above = self._codes.get(str(AgencyId.parse(row.parent)))
            except AgencyCodeError as error:
                self._unknown(row.number, "parent", error.text, error.hint)
                return None
            if above is None:
                self._unknown(row.number, "parent", f"no row that is read has the code {show(row.parent)}", None)
            return above
        if row.pid in self._ids:
            return self._ids[row.pid]
        if row.pid not in NOBODY:
            self._unknown(row.number, "pid", f"no row has the id {show(row.pid)}", "Export the superiors as well.")
        return None

    def _unknown(self, number: int, column: str, text: str, hint: str | None) -> None:
        self._strange.add(number)
        self._findings.add(number, "parent_unknown", column, text, hint)

    def _break_circles(self) -> None:
        """Refuse every row from which the way up comes back to itself."""
        ended: set[int] = set()
        for start in self._above:
            way: dict[int, int] = {}
            at: int | None = start
            while at is not None and at not in ended and at not in way:
                way[at] = len(way)
                at = self._above.get(at)
            if at is not None and at in way:
                for number in list(way)[way[at] :]:
                    self._findings.add(
                        number, "parent_circle", None, f"going up from row {number} leads back to row {number}"
                    )
            ended.update(way)

    def _compare(self, row: ListedRow, agency: AgencyId) -> None:
        """Compare what a row says with the form of its code."""
        if row.number in self._strange:
            return
        superior = agency.parent
        by_form = None if superior is None else str(superior)
        above = self._above[row.number]
        named = None if above is None else self._agencies.get(above)
        if by_form is not None and by_form not in self._codes:
            text = f"{by_form}, the superior of {agency} by its form, is not in the list"
            self._findings.add(row.number, "superior_missing", "code", text)
        elif self._says and by_form != named and (above is None or named is not None) and agency.level is not None:
            shown, formed = (one or "no superior" for one in (named, by_form))
            text = f"for {agency} the row names {shown}, and its form says {formed}"
            self._findings.add(row.number, "hierarchy_differs", None, text)
