"""Packed places order as the log does, and say what was read."""

from __future__ import annotations

from typing import Any

import pytest

from docbus.audit.places import Inbox, Inboxes, Place
from docbus.errors import AuditError


def inbox(agency: str = "vn:H01", partition: int = 0, **changed: Any) -> Inbox:
    """Return an inbox of ten records."""
    values = {"start": 0, "end": 10, "settled": 8, "whole": True, "to_now": True} | changed
    return Inbox(agency=agency, topic=f"docbus.inbox.{agency}", partition=partition, **values)


def test_a_packed_place_comes_back() -> None:
    """Topic, partition and offset survive packing."""
    inboxes = Inboxes([inbox("vn:H02"), inbox("vn:H01", 1), inbox("vn:H01")])

    packed = inboxes.pack(inboxes.rank("docbus.inbox.vn:H01", 1), 12_345_678_901)

    assert inboxes.place(packed) == Place("docbus.inbox.vn:H01", 1, 12_345_678_901)


def test_packed_places_order_as_places_do() -> None:
    """Sorting packed places sorts by topic, partition and offset, whatever order the inboxes were given in."""
    inboxes = Inboxes([inbox("vn:H02"), inbox("vn:H01", 1), inbox("vn:H01")])
    packed = [inboxes.pack(rank, offset) for rank in (2, 0, 1) for offset in (9, 0)]

    assert [inboxes.place(one) for one in sorted(packed)] == sorted(inboxes.place(one) for one in packed)


def test_an_offset_beyond_all_bounds_is_refused() -> None:
    """An offset that would spill into the next inbox is an error, not another place."""
    with pytest.raises(AuditError):
        Inboxes([inbox()]).pack(0, 1 << 44)


def test_what_came_while_bounds_were_taken_is_not_settled() -> None:
    """A record at or behind the early end may refer to what was not read."""
    inboxes = Inboxes([inbox()])

    assert inboxes.settled(inboxes.pack(0, 7))
    assert not inboxes.settled(inboxes.pack(0, 8))


def test_an_agency_that_is_not_read_has_no_inbox() -> None:
    """Inboxes are found by their owner."""
    inboxes = Inboxes([inbox(), inbox(partition=1)])

    assert len(inboxes.of("vn:H01")) == 2
    assert inboxes.of("vn:H02") == ()


def test_inboxes_are_as_many_as_places_can_tell_apart(monkeypatch: pytest.MonkeyPatch) -> None:
    """One inbox more than a packed place can name is an error, not another's place."""
    monkeypatch.setattr("docbus.audit.places.MAX_INBOXES", 2)
    inboxes = [
        Inbox(agency="vn:H01", topic="t", partition=n, start=0, end=0, settled=0, whole=True, to_now=True)
        for n in range(3)
    ]

    assert 2 == len(Inboxes(inboxes[:2]).all)
    with pytest.raises(AuditError, match="at most 2"):
        Inboxes(inboxes)
