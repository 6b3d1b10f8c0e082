"""Having stamped what waits, whatever the authority does."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest
from structlog.testing import capture_logs

from docbus.errors import AuthorityUnavailableError, DiskFullError
from docbus.identity.time_stamps.anchors import Anchors
from docbus.identity.time_stamps.asking import Question
from docbus.identity.time_stamps.gap import Gap
from docbus.producers.stamping import (
    FIRST_RETRY_SECONDS,
    LAST_RETRY_SECONDS,
    LOOK_SECONDS,
    AskedAuthority,
    keep_stamping,
)
from tests.support.outbox import FakeClock
from tests.support.time_stamps import OTHER_POLICY, POLICY, Authority

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, MutableMapping
    from pathlib import Path

    from docbus.errors import DocbusError
    from docbus.identity.time_stamps.token import TimeStamp

    Ask = Callable[[bytes], Awaitable[bytes]]

BOUND = 20.0


@dataclass(frozen=True)
class Piece:
    stamped: bytes


@dataclass
class Waits:
    """A list of pieces that wait, kept in memory."""

    pieces: list[bytes]
    kept: list[TimeStamp] = field(default_factory=list)
    gap: Gap | None = None
    full: int = 0
    readonly: bool = False

    async def due(self, now_ms: int) -> Piece | None:
        return Piece(self.pieces[0]) if self.pieces else None

    async def keep(self, unstamped: object, stamp: TimeStamp) -> None:
        if self.full:
            self.full -= 1
            raise DiskFullError("no space left on the device")
        self.pieces.pop(0)
        self.kept.append(stamp)
        self.gap = None

    async def fail(self, error: DocbusError, now_ms: int) -> None:
        if self.readonly:
            raise DiskFullError("no space left on the device")
        self.gap = Gap.after(self.gap, error, now_ms)


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("tsa"))


class Stamping:
    """The loop with a clock of its own, which is the authority's at its start; waiting lets time pass at once."""

    def __init__(self, authority: Authority, waits: Waits) -> None:
        self.anchors = Anchors.load(authority.anchor.read_bytes(), "tsa-ca.pem")
        self.logged: list[MutableMapping[str, Any]] = []
        self.waits = waits
        self.clock = FakeClock(ms=authority.now_ms)
        self.pauses: list[float] = []

    async def run(self, *asked: Ask | AskedAuthority, until: Callable[[], bool]) -> list[str]:
        """Run until so far, with authorities that are asked in turn, and return what was logged."""
        authorities = [
            one if isinstance(one, AskedAuthority) else AskedAuthority("http://tsa.example", one, self.anchors)
            for one in asked
        ]
        stop = asyncio.Event()

        async def wait(_stop: asyncio.Event, seconds: float) -> None:
            self.pauses.append(seconds)
            # Only how long is waited passes, not what time it is: the authority's clock stands still meanwhile.
            self.clock.seconds += seconds
            if until():
                stop.set()

        with capture_logs() as lines:
            async with asyncio.timeout(BOUND):
                await keep_stamping(self.waits, authorities, stop, clock=self.clock, wait=wait, factor=lambda: 1.0)
        self.logged = lines
        return [line["event"] for line in lines]


async def test_everything_that_waits_is_stamped(authority: Authority) -> None:
    """One after the other without a pause, and then it is looked again now and then."""
    waits = Waits([b"one", b"two"])
    stamping = Stamping(authority, waits)

    logged = await stamping.run(authority.ask, until=lambda: len(stamping.pauses) == 2)

    assert [] == logged
    assert 2 == len(waits.kept)
    assert [LOOK_SECONDS, LOOK_SECONDS] == stamping.pauses


async def test_an_outage_is_waited_out_with_growing_pauses(authority: Authority) -> None:
    """An authority that is away is asked again for ever, seldom, and the log says so once and once more at the end."""
    waits = Waits([b"one"])
    stamping = Stamping(authority, waits)
    asked = 0

    async def away_for_long(query: bytes) -> bytes:
        nonlocal asked
        asked += 1
        if asked <= 20:
            raise AuthorityUnavailableError("nobody there")
        return authority.answer(query)

    logged = await stamping.run(away_for_long, until=lambda: bool(waits.kept))

    assert ["time_stamp_missing", "time_stamp_again"] == logged
    assert FIRST_RETRY_SECONDS == stamping.pauses[0]
    assert sorted(stamping.pauses[:20]) == stamping.pauses[:20]
    assert LAST_RETRY_SECONDS == max(stamping.pauses)


async def test_the_gap_says_since_when_how_often_and_why(authority: Authority) -> None:
    """What an operator asks about an outage is recorded with every attempt, and gone with the first success."""
    waits = Waits([b"one"])
    stamping = Stamping(authority, waits)
    began = stamping.clock.ms

    async def away(_query: bytes) -> bytes:
        stamping.clock.ms += 1000
        raise AuthorityUnavailableError("nobody there")

    await stamping.run(away, until=lambda: len(stamping.pauses) == 3)
    gap = waits.gap
    stamping.clock.ms = authority.now_ms
    await stamping.run(authority.ask, until=lambda: bool(waits.kept))

    assert gap == Gap(
        since=began + 1000,
        attempts=3,
        tried_at=began + 3000,
        code="time_stamp_authority_unavailable",
        text="nobody there",
    )
    assert waits.gap is None


def _about_other_bytes(authority: Authority, _query: bytes) -> bytes:
    return authority.answer(Question.about(b"something else").encoded)


def _old(authority: Authority, _query: bytes) -> bytes:
    return authority.answer(Question.about(b"one").encoded)


def _unknown(authority: Authority, query: bytes) -> bytes:
    return Authority(authority.folder / "unknown", name="Somebody else").answer(query)


@pytest.mark.parametrize(
    ("bad", "why"),
    [
        (lambda authority, query: b"<html>", "no RFC 3161 response"),
        (lambda authority, query: authority.answer(query)[:-1], "no RFC 3161 response"),
        (lambda authority, query: authority.answer(query) + b"!", "no RFC 3161 response"),
        (_about_other_bytes, "it is about other bytes"),
        (_old, "another nonce"),
        (_unknown, "no chain leads from CN=Somebody else"),
    ],
    ids=["garbage", "cut-short", "too-long", "other-bytes", "other-nonce", "other-authority"],
)
async def test_a_bad_answer_is_refused_and_asked_for_again(
    bad: Callable[[Authority, bytes], bytes], why: str, authority: Authority
) -> None:
    """Nothing of it is kept, the reason is recorded, and the next answer is as good as ever."""
    waits = Waits([b"one"])
    stamping = Stamping(authority, waits)
    gaps: list[Gap | None] = []

    async def first_bad(query: bytes) -> bytes:
        gaps.append(waits.gap)
        return bad(authority, query) if len(gaps) == 1 else authority.answer(query)

    logged = await stamping.run(first_bad, until=lambda: bool(waits.kept))

    assert ["time_stamp_missing", "time_stamp_again"] == logged
    assert 1 == len(waits.kept)
    assert gaps[1] is not None
    assert "time_stamp_refused" == gaps[1].code
    assert why in gaps[1].text


async def test_an_authority_whose_certificate_has_expired_is_refused(authority: Authority) -> None:
    """Until it has another one, nothing of it is kept."""
    expired = Authority(authority.folder / "old", valid=(-timedelta(days=9), -timedelta(days=2)))
    waits = Waits([b"one"])
    stamping = Stamping(expired, waits)

    await stamping.run(expired.ask, until=lambda: waits.gap is not None)

    assert [] == waits.kept
    assert waits.gap is not None
    assert "was not valid at" in waits.gap.text


async def test_a_full_disk_costs_the_token_and_not_what_waits(authority: Authority) -> None:
    """What could not be kept is asked for again, and stamped once there is room."""
    waits = Waits([b"one"], full=2)
    stamping = Stamping(authority, waits)

    logged = await stamping.run(authority.ask, until=lambda: bool(waits.kept))

    assert ["time_stamp_missing", "time_stamp_again"] == logged
    assert 1 == len(waits.kept)


async def test_a_gap_that_cannot_be_written_is_logged(authority: Authority) -> None:
    """A disk on which not even the gap fits ends nothing."""
    waits = Waits([b"one"], full=1, readonly=True)
    stamping = Stamping(authority, waits)

    logged = await stamping.run(authority.ask, until=lambda: bool(waits.kept))

    assert ["time_stamp_missing", "time_stamp_gap_not_kept", "time_stamp_again"] == logged


async def _nobody_there(_query: bytes) -> bytes:
    raise AuthorityUnavailableError("the first one cannot be reached")


async def test_the_next_authority_stamps_where_the_first_one_is_away(authority: Authority, tmp_path: Path) -> None:
    """There is no gap, the token names who has stamped, and the log says why the first one has not."""
    second = Authority(tmp_path / "second", name="Second authority")
    waits = Waits([b"one"])
    stamping = Stamping(authority, waits)
    other = AskedAuthority("http://second.example", second.ask, Anchors.load(second.anchor.read_bytes(), "second.pem"))

    logged = await stamping.run(_nobody_there, other, until=lambda: bool(waits.kept))

    assert ["time_stamp_by_fallback"] == logged
    assert ("http://second.example", ["the first one cannot be reached"]) == (
        stamping.logged[0]["authority"],
        stamping.logged[0]["before"],
    )
    assert ["CN=Second authority"] == [stamp.authority for stamp in waits.kept]
    assert waits.gap is None


async def test_an_answer_that_proves_nothing_leads_to_the_next_authority(authority: Authority, tmp_path: Path) -> None:
    """Each authority is believed by its own anchor alone; the second one's does not vouch for the first."""
    second = Authority(tmp_path / "second", name="Second authority")
    waits = Waits([b"one"])
    stamping = Stamping(authority, waits)
    own = Anchors.load(second.anchor.read_bytes(), "second.pem")

    await stamping.run(
        AskedAuthority("http://first.example", authority.ask, own),
        AskedAuthority("http://second.example", second.ask, own),
        until=lambda: bool(waits.kept),
    )

    assert ["CN=Second authority"] == [stamp.authority for stamp in waits.kept]
    assert "the answer of the time-stamping authority http://first.example is not accepted" in str(stamping.logged)


async def test_the_gap_says_why_of_each_authority(authority: Authority) -> None:
    """Only where none has stamped there is a gap, with the words of all."""
    waits = Waits([b"one"])
    stamping = Stamping(authority, waits)

    async def garbage(_query: bytes) -> bytes:
        return b"<html>"

    logged = await stamping.run(_nobody_there, garbage, until=lambda: waits.gap is not None)

    assert ["time_stamp_missing"] == logged
    assert waits.gap is not None
    assert waits.gap.text == (
        "the first one cannot be reached; the answer of the time-stamping authority http://tsa.example is not accepted:"
        " it is no RFC 3161 response: 6 bytes that begin with '<html>'"
    )


async def test_the_policy_is_asked_for(tmp_path: Path) -> None:
    """An authority with two policies stamps under the one that is wished, which is not the one it takes by itself."""
    authority = Authority(tmp_path / "tsa", policies=(OTHER_POLICY,))
    waits = Waits([b"one"])
    stamping = Stamping(authority, waits)

    await stamping.run(
        AskedAuthority("http://tsa.example", authority.ask, stamping.anchors, OTHER_POLICY),
        until=lambda: not waits.pieces,
    )
    waits.pieces[:] = [b"two"]
    await stamping.run(authority.ask, until=lambda: not waits.pieces)

    assert [OTHER_POLICY, POLICY] == [stamp.policy for stamp in waits.kept]


async def test_a_policy_that_the_authority_has_not_is_named(authority: Authority) -> None:
    """The authority refuses it, and the gap says which policy was asked for."""
    waits = Waits([b"one"])
    stamping = Stamping(authority, waits)

    await stamping.run(
        AskedAuthority("http://tsa.example", authority.ask, stamping.anchors, OTHER_POLICY),
        until=lambda: waits.gap is not None,
    )

    assert waits.gap is not None
    assert f"http://tsa.example refused, asked for the policy {OTHER_POLICY}, with status 2" in waits.gap.text


async def test_it_stops_at_once(authority: Authority) -> None:
    """Whoever is told to stop before it begins asks nobody."""
    stop = asyncio.Event()
    stop.set()
    waits = Waits([b"one"])
    stamping = Stamping(authority, waits)

    asked = [AskedAuthority("http://tsa.example", authority.ask, stamping.anchors)]
    await keep_stamping(waits, asked, stop, clock=stamping.clock)

    assert [] == waits.kept
