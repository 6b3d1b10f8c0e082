"""Has stamped what waits for it, off the path of documents: whatever happens here, they flow.

An authority that is away is asked again for ever, with growing pauses; the log says so once, and when it is back.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, NamedTuple

import structlog

from docbus.errors import DocbusError, StorageError, TimeStampError
from docbus.identity.time_stamps.asking import Question
from docbus.producers.pauses import Pause, jitter
from docbus.waiting import wait_for

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Coroutine, Sequence

    from docbus.clock import Clock
    from docbus.identity.time_stamps.anchors import Anchors
    from docbus.identity.time_stamps.gap import Waiting
    from docbus.identity.time_stamps.token import TimeStamp

log = structlog.get_logger(__name__)

LOOK_SECONDS = 10.0
"""Seconds after which it is looked again whether something is due: against an interval of an hour, nothing."""
FIRST_RETRY_SECONDS = 5.0
"""Seconds after the first failure: an authority that restarts is back by then."""
LAST_RETRY_SECONDS = 15 * 60.0
"""Seconds between two attempts at most: after days of outage the gap is filled within a quarter of an hour."""


class AskedAuthority(NamedTuple):
    """An authority that is asked.

    Attributes:
        name: What errors and the log call it, such as its address.
        ask: Asks it; bounded by itself.
        anchors: Whom to believe about its answers.
        policy: The policy that is asked for, and the only one that is accepted; None for any.
    """

    name: str
    ask: Callable[[bytes], Awaitable[bytes]]
    anchors: Anchors
    policy: str | None = None


async def keep_stamping(
    waiting: Waiting,
    authorities: Sequence[AskedAuthority],
    stop: asyncio.Event,
    *,
    clock: Clock,
    wait: Callable[[asyncio.Event, float], Awaitable[object]] = wait_for,
    factor: Callable[[], float] = jitter,
) -> None:
    """Have stamped what is due until ``stop`` is set, which ends it at once.

    Args:
        waiting: What waits, and where tokens are kept.
        authorities: Each is asked if those before it have not stamped; what waits is missing a time stamp only if none
            of them has.
        stop: Ends it; an authority that is being asked is left alone.
        clock: What time it is.
        wait: Waits for the stop or so many seconds.
        factor: Jitter of pauses.
    """
    pause = Pause(factor, first=FIRST_RETRY_SECONDS, longest=LAST_RETRY_SECONDS)
    while not stop.is_set():
        try:
            worked = await _unless(stop, _stamp_next(waiting, authorities, clock))
        except DocbusError as error:
            if not pause.failures:
                log.warning("time_stamp_missing", code=error.code, error=error.text, hint=error.hint)
            pause.fail(clock.monotonic())
            await _record(waiting, error, clock.now_ms())
            await wait(stop, pause.until - clock.monotonic())
        else:
            if worked and pause.succeed():
                log.info("time_stamp_again")
            if not worked:
                await wait(stop, LOOK_SECONDS)


async def _unless(stop: asyncio.Event, work: Coroutine[None, None, bool]) -> bool:
    """Do some work, and give it up if it is to stop; tell whether it was done and there was any."""
    working, stopping = asyncio.ensure_future(work), asyncio.ensure_future(stop.wait())
    try:
        await asyncio.wait({working, stopping}, return_when=asyncio.FIRST_COMPLETED)
    finally:
        stopping.cancel()
        working.cancel()
        await asyncio.wait({working, stopping})
    return not working.cancelled() and working.result()


async def _stamp_next(waiting: Waiting, authorities: Sequence[AskedAuthority], clock: Clock) -> bool:
    """Have stamped what is due; tell whether anything was."""
    unstamped = await waiting.due(clock.now_ms())
    if unstamped is None:
        return False
    await waiting.keep(unstamped, await _first_stamp(unstamped.stamped, authorities, clock))
    return True


async def _first_stamp(stamped: bytes, authorities: Sequence[AskedAuthority], clock: Clock) -> TimeStamp:
    """Return the time stamp of the first authority that gives one that is accepted.

    Raises:
        TimeStampError: None does; the text says why of each.
    """
    errors: list[TimeStampError] = []
    for authority in authorities:
        try:
            stamp = await stamp_by(authority, stamped, clock)
        except TimeStampError as error:
            errors.append(error)
            continue
        if errors:
            log.warning("time_stamp_by_fallback", authority=authority.name, before=[error.text for error in errors])
        return stamp
    first = errors[0]
    if len(errors) == 1:
        raise first
    raise type(first)("; ".join(error.text for error in errors), hint=first.hint) from first


async def stamp_by(authority: AskedAuthority, stamped: bytes, clock: Clock) -> TimeStamp:
    """Return an authority's time stamp of some bytes, verified.

    Raises:
        TimeStampError: It gives none, or one that proves nothing.
        ConfigurationError: The policy is no object identifier.
    """
    question = Question.about(stamped, policy=authority.policy, whose=f"the time-stamping authority {authority.name}")
    answer = await authority.ask(question.encoded)
    return question.accept(answer, authority.anchors, now_ms=clock.now_ms(), policy=authority.policy)


async def _record(waiting: Waiting, error: DocbusError, now_ms: int) -> None:
    try:
        await waiting.fail(error, now_ms)
    except StorageError as full:
        # What could not be stamped still waits where it is; only since when and why is not on disk.
        log.warning("time_stamp_gap_not_kept", error=full.text, hint=full.hint)
