"""A journey dies before, within and after every write that docbus does, and goes on as if nothing had been."""

from __future__ import annotations

import re
import sys
from typing import TYPE_CHECKING

import pytest

from tests.faults.campaign import LISTS
from tests.faults.conftest import CAMPAIGN
from tests.faults.seams import all_database_calls

if TYPE_CHECKING:
    from tests.faults.campaign import Asked
    from tests.faults.conftest import RunningCampaign

on_linux = pytest.mark.skipif(sys.platform != "linux", reason="asks /proc what an open file is called")
ELSEWHERE: dict[str, str] = {
    "producers.batch_stamps:BatchStamps.keep database _keep": "no journey asks a time-stamping authority; it is one"
    " transaction, and what was not kept is asked for again: tests/unit/producers/test_batch_stamps.py",
    "producers.batch_stamps:BatchStamps.fail database _fail": "as above; it is what an operator reads, and counts on",
    "client.destruction:_destroy database _note": "a command of its own;"
    " tests/unit/client/test_destruction.py dies there",
    "producers.turns:Turns.attend database end_certificates": "no journey lasts until a key ends;"
    " tests/unit/producers/test_turns.py begins again after it",
    "client.material_memory:MaterialMemory._keep database _write": (
        "one transaction beside every journey: what was not kept is fetched or imported again"
    ),
}
"""Writes to the database that no journey comes to, and what there is to say of a death at them."""
LIMIT_SECONDS = 600
"""Seconds for one test: the first of them may wait until the process beside has come to its place."""


def _places() -> list[Asked]:
    """Return where to die: at each moment of each write the first time, but after it the last time.

    Before the next write of the same line is as good as after this one. ``make crashes`` takes them all.
    """
    return [
        (journey, name, moment, "last" if moment == "after" else "first")
        for journey, listed in LISTS.items()
        for line in listed.read_text("utf-8").splitlines()
        for name, _, moments in [line.rpartition(": ")]
        for moment in moments.split()
    ]


@pytest.fixture
def campaign(request: pytest.FixtureRequest) -> RunningCampaign:
    """Return what was started when the tests were collected."""
    return request.config.stash[CAMPAIGN]


@on_linux
@pytest.mark.timeout(LIMIT_SECONDS)
@pytest.mark.parametrize("place", _places(), ids=lambda place: re.sub(r"[^\w:.()/]+", "-", " ".join(place)))
def test_journey_that_dies_at_a_write_ends_as_any_other(campaign: RunningCampaign, place: Asked) -> None:
    """Whatever was done of the write, the next process brings everything to its end, once, and nothing is left over."""
    assert None is campaign.error(place)


@on_linux
@pytest.mark.timeout(LIMIT_SECONDS)
@pytest.mark.parametrize("journey", LISTS)
def test_list_has_every_write_of_the_journey(campaign: RunningCampaign, journey: str) -> None:
    """A write that is added has its crash tests, or this fails; ``tests.faults.campaign --list`` writes the lists."""
    listed = {(name, moment) for of, name, moment, _ in _places() if of == journey}

    assert set() == {name for name, _ in campaign.writes[journey] if " not wrapped: " in name}
    assert listed == campaign.writes[journey]


def test_every_write_to_the_database_is_listed() -> None:
    """Whatever docbus stores in outbox or ledger, a journey dies there, or it stands here why it need not."""
    listed = {name for _, name, _, _ in _places()}
    stored = set(all_database_calls())

    assert set() == ELSEWHERE.keys() - stored, "exceptions for what is there no more"
    assert set() == listed & ELSEWHERE.keys(), "exceptions for what a journey comes to"
    assert stored == {name for name in listed if " database " in name} | ELSEWHERE.keys()
