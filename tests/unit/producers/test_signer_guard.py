"""A signer that is away holds up nothing but signing."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest
from structlog.testing import capture_logs

from docbus.clock import SystemClock
from docbus.errors import PinError, SignerAwayError
from docbus.producers.pauses import FIRST_PAUSE, LONGEST_PAUSE, Pause
from docbus.producers.signer_guard import SignerGuard
from tests.support.outbox import (
    ANNA,
    NOW_MS,
    PATIENCE,
    FakeClock,
    FakeSealer,
    FakeTransport,
    begin,
    document,
    make_drain,
    rows,
    sealing,
    states,
    take_in,
    until,
)

if TYPE_CHECKING:
    from docbus.storage.database import Database


class Absent:
    """A signer that is away until a test brings it back."""

    def __init__(self) -> None:
        self.error: Exception | None = SignerAwayError("the token is not there", hint="Put it back.")
        self.asked = 0

    def sealer(self) -> FakeSealer:
        sealer = FakeSealer()
        sealer.before = self._sign
        return sealer

    def _sign(self) -> None:
        self.asked += 1
        if self.error is not None:
            raise self.error


def test_signer_is_left_alone_for_longer_and_longer() -> None:
    """Pauses grow up to half a minute; since when it is away stays, and the log is no flood."""
    clock = FakeClock()
    guard = SignerGuard(clock, Pause(lambda: 1.0))
    waits = []
    with capture_logs() as logs:
        for _ in range(12):
            guard.away(SignerAwayError("gone", hint="Put it back."))
            waits.append(guard.wait())
            clock.advance(guard.wait() or 0.0)
            assert None is guard.wait()
        trouble = guard.trouble
        guard.back()

    assert (FIRST_PAUSE, LONGEST_PAUSE) == (waits[0], waits[-1])
    assert sorted(waits) == waits
    assert ("gone", "Put it back.", NOW_MS) == trouble
    assert [1, 2, 4, 8] == [one["failures"] for one in logs if one["event"] == "signer.away"]
    assert "signer.back" == logs[-1]["event"]
    assert (None, None) == (guard.trouble, guard.wait())


def test_nothing_is_lost_while_the_signer_is_away(database: Database) -> None:
    """What waits is neither sealed nor failed; it is sealed once, in its order, when the signer is back."""
    absent = Absent()
    step = sealing(database, absent.sealer())
    begin(database)
    take_in(database, document("a"), document("b"))

    away = [step.seal_next() for _ in range(3)]
    during = states(database)
    absent.error = None
    step.signer._pause.until = 0.0
    batch = step.seal_next()

    assert [([], 0)] * 3 == away
    assert 2 == absent.asked, "in the pause after a failure nobody asks it"
    assert {0} == {state for _, _, state in during}
    assert [1, 2] == [copy.sequence for copy in batch.copies]
    assert None is step.signer.trouble


def test_a_pin_that_is_refused_is_not_waited_out(database: Database) -> None:
    """What only a person can mend ends the work, and leaves what waits."""
    absent = Absent()
    absent.error = PinError("wrong")
    step = sealing(database, absent.sealer())
    begin(database)
    take_in(database, document("a"))

    with pytest.raises(PinError):
        step.seal_next()

    assert [("a", ANNA, 0)] == states(database)


def test_trouble_ends_when_nothing_is_left_to_be_signed(database: Database) -> None:
    """What waited is gone, so that nobody knows any more whether the signer is away, and nothing is held up by it."""
    absent = Absent()
    step = sealing(database, absent.sealer())
    begin(database)
    take_in(database, document("a"))
    step.seal_next()
    database.write_now(lambda connection: connection.execute("UPDATE copy SET state = 5"))
    step.signer._pause.until = 0.0

    step.seal_next()

    assert (None, 1) == (step.signer.trouble, absent.asked)


async def test_drain_that_ends_says_why_it_sent_nothing(database: Database) -> None:
    """Emptying the outbox once is no success while something waits for the signer."""
    take_in(database, document("a"))

    with pytest.raises(SignerAwayError, match="the token is not there") as raised:
        await make_drain(database, FakeTransport(), Absent().sealer()).drain()

    assert "Put it back." == raised.value.hint
    assert [("a", ANNA, 0)] == states(database)


async def test_running_drain_goes_on_by_itself(database: Database) -> None:
    """It says that the signer is away, sends what was sealed before all the same, and sends the rest afterwards."""
    transport, absent = FakeTransport(), Absent()
    take_in(database, document("before"))
    absent.error = None
    sealer = absent.sealer()
    stop = asyncio.Event()
    drain = make_drain(database, transport, sealer, clock=SystemClock())
    running = asyncio.create_task(drain.run(stop))
    await until(lambda: transport.sequences(ANNA) == [1])
    absent.error = SignerAwayError("the token is not there")
    await asyncio.to_thread(take_in, database, document("meanwhile"))
    drain.wake()
    await until(lambda: drain.signer_trouble is not None)
    trouble = drain.signer_trouble
    absent.error = None
    await until(lambda: transport.sequences(ANNA) == [1, 2])
    stop.set()
    async with asyncio.timeout(PATIENCE):
        await running

    assert trouble is not None
    assert "the token is not there" == trouble.text
    assert None is drain.signer_trouble


async def test_stop_does_not_wait_for_the_signer(database: Database) -> None:
    """A stop leaves what cannot be signed in the outbox, at once."""
    stop = asyncio.Event()
    stop.set()
    take_in(database, document("a"))

    async with asyncio.timeout(PATIENCE):
        await make_drain(database, FakeTransport(), Absent().sealer()).run(stop)

    assert [(0,)] == rows(database, "SELECT state FROM copy")
