from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from docbus.consumers import attempts
from docbus.consumers.attempts import CONDEMNED_AT, MAX_SUSPECTS, PORTIONS, Attempts, Suspect, acquit, suspect
from docbus.consumers.holding import StopReceiving
from docbus.errors import SinkUnavailableError
from docbus.transport.port import Record

if TYPE_CHECKING:
    from pathlib import Path


def records(*offsets: int, partition: int = 0) -> list[Record]:
    return [
        Record(topic="t", partition=partition, offset=offset, timestamp_ms=0, key=None, value=b"", headers=())
        for offset in offsets
    ]


def reopened(folder: Path) -> tuple[Attempts, list[attempts.Span]]:
    made = Attempts(folder)
    return made, made.open()


async def test_note_outlives_the_process_that_made_it(tmp_path: Path) -> None:
    """What is in hand when a process dies is read by the next one, by partition; what came to its end is not."""
    first, found = reopened(tmp_path)
    assert [] == found
    with first.working("done", records(1, 2)):
        pass
    with first.working("in hand", records(7, 5) + records(3, partition=2)):
        _, found = reopened(tmp_path)

    assert [(0, 5, 7), (2, 3, 3)] == found
    assert [] == reopened(tmp_path)[1]


@pytest.mark.parametrize("error", [SinkUnavailableError("down"), StopReceiving(), asyncio.CancelledError()])
async def test_error_that_is_dealt_with_takes_the_note_back(tmp_path: Path, error: BaseException) -> None:
    """A DMS that is away, a stop and a cancellation are nobody's fault."""
    made, _ = reopened(tmp_path)
    with pytest.raises(type(error)), made.working("hand", records(1)):
        raise error
    assert [] == reopened(tmp_path)[1]


async def test_unexpected_error_leaves_the_note(tmp_path: Path) -> None:
    """An error that ends the process counts like a signal."""
    made, _ = reopened(tmp_path)
    with pytest.raises(RuntimeError), made.working("hand", records(4)):
        raise RuntimeError
    assert [(0, 4, 4)] == reopened(tmp_path)[1]


async def test_long_work_is_not_what_kills(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """After some seconds of work the note is taken back, so that a slow DMS and a restart condemn nobody."""
    monkeypatch.setattr(attempts, "ALIVE_SECONDS", 0.0)
    made, _ = reopened(tmp_path)
    with made.working("hand", records(4)):
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        assert [] == reopened(tmp_path)[1]


@pytest.mark.parametrize("rubbish", [b"\x00" * 40, b"[1]\n", b'{"a": 1}\n', b'{"a": [[1]]}\n', b"{"])
async def test_rubbish_in_the_file_says_nothing(tmp_path: Path, rubbish: bytes) -> None:
    """Whatever a power cut has left in the file, the next process starts."""
    (tmp_path / attempts.FILE_NAME).write_bytes(rubbish)
    assert [] == reopened(tmp_path)[1]


def test_record_that_kills_is_found_and_condemned() -> None:
    """A record that kills in every portion is alone after four deaths and condemned after seven, and no other is."""
    suspects: list[Suspect] = []
    culprit, first, deaths = 777, 0, 0
    while not any(one.condemned for one in suspects):
        portion = PORTIONS[min(suspects[0].deaths, len(PORTIONS)) - 1] if suspects else 1024
        while culprit >= first + portion:
            suspects = acquit(suspects, [(0, first, first + portion - 1)])
            first += portion
        suspects = suspect(suspects, [(0, first, first + portion - 1)])
        deaths += 1
    assert (CONDEMNED_AT + 1, [Suspect(0, culprit, culprit, CONDEMNED_AT)]) == (deaths, suspects)


@given(st.lists(st.integers(0, 63), min_size=1, max_size=40))
def test_deaths_on_ever_other_records_condemn_nobody(offsets: list[int]) -> None:
    """As long as no record is alone in hand at three deaths in a row, nobody is condemned."""
    suspects = suspect([], [(0, 0, 63)])
    for last, offset in zip([-1, *offsets], offsets, strict=False):
        if last == offset:
            continue
        suspects = suspect(suspects, [(0, offset, offset)])
        suspects = acquit(suspects, [(0, offset, offset)])
    assert not any(one.condemned for one in suspects)


def test_number_of_suspects_is_bounded() -> None:
    """The oldest suspects are forgotten."""
    suspects: list[Suspect] = []
    for offset in range(MAX_SUSPECTS + 10):
        suspects = suspect(suspects, [(0, 10 * offset, 10 * offset)])
    assert (MAX_SUSPECTS, 100) == (len(suspects), suspects[0].first)


def test_acquittal_goes_from_the_front() -> None:
    """Of a portion that was suspected, what has come to its end is suspected no more."""
    suspects = [Suspect(0, 10, 19, 1), Suspect(1, 10, 19, 1), Suspect(0, 40, 49, 2)]
    assert [Suspect(0, 14, 19, 1), *suspects[1:]] == acquit(suspects, [(0, 8, 13)])
    assert suspects[1:] == acquit(suspects, [(0, 8, 19)])
    assert suspects == acquit(suspects, [(0, 20, 30)])


async def test_death_is_counted_once(tmp_path: Path) -> None:
    """A process that ends before it takes anything in hand does not leave the note to be counted again."""
    first, _ = reopened(tmp_path)
    with first.working("hand", records(1, 2, 3)):
        second, found = reopened(tmp_path)
        assert [(0, 1, 3)] == found
        second.forgive()
        assert [] == reopened(tmp_path)[1]


def test_only_what_is_near_is_read_slowly(tmp_path: Path) -> None:
    """Suspects count where the next fetch may bring them: not far ahead, not behind, and not in others' partitions."""
    made = Attempts(tmp_path)
    made.suspects = [Suspect(0, 10_000, 10_099, 1), Suspect(1, 0, 9, 3)]
    assert [] == made.near({0}, lambda _: 100)
    assert made.suspects[:1] == made.near({0}, lambda _: 9_000) == made.near({0}, lambda _: 10_050)
    assert [] == made.near({0}, lambda _: 10_100)
    assert made.suspects[1:] == made.near({1}, lambda _: 0)
    assert (64, 1, None) == tuple(
        made.portion(records(offset, partition=partition)) for partition, offset in ((0, 10_000), (1, 9), (1, 10))
    )
