"""Time stamps on their way from the authority into the directory log."""

from __future__ import annotations

import asyncio
import errno
import os
from typing import TYPE_CHECKING

import pytest
from structlog.testing import capture_logs

from docbus.errors import AuthorityUnavailableError, DiskFullError, StorageError
from docbus.identity.entries import decode_record
from docbus.identity.time_stamps import log
from docbus.identity.time_stamps.anchors import Anchors
from docbus.identity.time_stamps.asking import Question
from docbus.identity.time_stamps.gap import Gap
from docbus.identity.time_stamps.log import carried_stamps, newest_stamp
from docbus.identity.time_stamps.stamped import stamped_entry
from docbus.identity.time_stamps.token import decode_response, describe
from docbus.identity.time_stamps.verdict import Outcome, judge
from docbus.registry.beating import keep_beating
from docbus.registry.follow import fetch_directory
from docbus.registry.heartbeat_stamps import FOLDER_NAME, GAP_NAME, MAX_GAP_BYTES, TOKEN_NAME, HeartbeatStamps, read_gap
from docbus.registry.publish import Registrar
from tests.support.bus import found_bus
from tests.support.directory import ENVIRONMENT, make_registrar_signer
from tests.support.outbox import FakeClock
from tests.support.time_stamps import Authority

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from docbus.identity.snapshot import TrustSnapshot
    from docbus.identity.time_stamps.token import TimeStamp
    from docbus.transport.sqlite import SqliteTransport

HOUR_MS = 60 * 60 * 1000


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("tsa"))


class Office:
    """A registrar with a folder for time stamps."""

    def __init__(self, transport: SqliteTransport, registrar: Registrar, folder: Path, authority: Authority) -> None:
        self.transport = transport
        self.registrar = registrar
        self.folder = folder
        self.authority = authority
        self.clock = FakeClock(ms=authority.now_ms)
        self.stamps = HeartbeatStamps(folder, HOUR_MS)

    async def see(self) -> bytes | None:
        return self.stamps.see(await self.registrar.load(), self.registrar.newest_entry)

    async def snapshot(self) -> TrustSnapshot:
        return (await fetch_directory(self.transport, self.registrar.genesis))[0]

    def stamp(self, stamped: bytes) -> TimeStamp:
        return describe(decode_response(self.authority.answer(Question.about(stamped).encoded)))

    async def stamp_due(self) -> bool:
        unstamped = await self.stamps.due(self.clock.ms)
        if unstamped is not None:
            await self.stamps.keep(unstamped, self.stamp(unstamped.stamped))
        return unstamped is not None

    async def beat(self, waits: int) -> None:
        """Let the heart look so often, and the authority be asked in between."""
        stop = asyncio.Event()
        left = waits

        async def wait(_stop: asyncio.Event, _seconds: float) -> None:
            nonlocal left
            left -= 1
            await self.stamp_due()
            if not left:
                stop.set()

        def opened() -> object:
            return _Opened(self.registrar)

        await keep_beating(opened, stop, clock=self.clock, stamps=self.stamps, wait=wait)  # type: ignore[arg-type] # as much as is used


class _Opened:
    def __init__(self, registrar: Registrar) -> None:
        self._registrar = registrar

    async def __aenter__(self) -> Registrar:
        return self._registrar

    async def __aexit__(self, *_: object) -> None:
        pass


@pytest.fixture
async def office(tmp_path: Path, authority: Authority) -> AsyncIterator[Office]:
    folder = tmp_path / "registrar"
    folder.mkdir()
    clock = FakeClock(ms=authority.now_ms)
    async with found_bus(tmp_path / "bus.db", directory=False) as transport:
        registrar = await Registrar.init(
            transport, [make_registrar_signer()], environment=ENVIRONMENT, registrar="Registrar", clock=clock
        )
        yield Office(transport, registrar, folder, authority)


async def test_a_heartbeat_carries_the_stamp_of_an_entry_before_it(office: Office, authority: Authority) -> None:
    """The first heartbeat is stamped, and the second carries the token, which an outsider can verify."""
    with capture_logs():
        await office.beat(3)

    snapshot = await office.snapshot()
    carried = newest_stamp(snapshot)
    anchors = Anchors.load(authority.anchor.read_bytes(), "tsa-ca.pem")
    assert carried is not None
    assert (2, 1) == (carried.carrier, carried.position)
    assert carried.stamp is not None
    assert snapshot.hash_at(1) == carried.stamp.imprint
    assert 2 == snapshot.position, "no entry is made but the one that carries the token"
    values = (await fetch_directory(office.transport, office.registrar.genesis))[1]
    entry = decode_record(values[1]).entry
    assert Outcome.PASSED is judge(carried.token, stamped_entry(entry), anchors).outcome


async def test_one_token_an_hour_is_enough(office: Office) -> None:
    """As long as the last one is not an hour old, no other is asked for."""
    await office.registrar.heartbeat()
    await office.see()
    assert await office.stamp_due()
    await office.registrar.heartbeat(await office.see())
    assert await office.see() is None

    assert not await office.stamp_due()
    office.clock.advance(3590)
    assert not await office.stamp_due()
    office.clock.advance(20)
    assert await office.stamp_due()


async def test_a_clock_that_was_set_back_stops_nothing(office: Office) -> None:
    """A last stamp from the future is no reason to wait for it."""
    await office.registrar.heartbeat()
    await office.see()
    await office.stamp_due()
    await office.registrar.heartbeat(await office.see())
    await office.see()

    office.clock.advance(-7200)

    assert await office.stamp_due()


async def test_nothing_is_stamped_before_the_first_heartbeat(office: Office) -> None:
    """A directory whose registrar does not beat has nothing that could carry a token."""
    await office.see()

    assert not await office.stamp_due()


async def test_a_token_waits_for_its_heartbeat_through_a_restart(office: Office) -> None:
    """What was granted and not published is published by the next process."""
    await office.registrar.heartbeat()
    await office.see()
    await office.stamp_due()
    office.stamps = HeartbeatStamps(office.folder, HOUR_MS)

    token = await office.see()

    assert token is not None
    assert not await office.stamp_due(), "one is at hand already"
    await office.registrar.heartbeat(token)
    assert await office.see() is None
    assert not (office.folder / FOLDER_NAME / TOKEN_NAME).exists()


async def test_a_process_that_died_after_publishing_does_not_publish_again(office: Office) -> None:
    """A token that the log has already is known by its imprint."""
    await office.registrar.heartbeat()
    await office.see()
    await office.stamp_due()
    token = await office.see()
    await office.registrar.heartbeat(token)
    office.stamps = HeartbeatStamps(office.folder, HOUR_MS)

    assert await office.see() is None


@pytest.mark.parametrize("content", [b"", b"garbage"])
async def test_a_damaged_token_is_asked_for_again(content: bytes, office: Office) -> None:
    """What waits in the folder is no treasure: another one costs a question."""
    await office.registrar.heartbeat()
    (office.folder / FOLDER_NAME).mkdir()
    (office.folder / FOLDER_NAME / TOKEN_NAME).write_bytes(content)
    office.stamps = HeartbeatStamps(office.folder, HOUR_MS)

    assert await office.see() is None
    assert await office.stamp_due()


async def test_a_token_of_another_log_is_not_published(office: Office) -> None:
    """A folder that was put together from two registrars' does no harm to the log."""
    await office.registrar.heartbeat()
    (office.folder / FOLDER_NAME).mkdir()
    (office.folder / FOLDER_NAME / TOKEN_NAME).write_bytes(office.stamp(b"something else").token)
    office.stamps = HeartbeatStamps(office.folder, HOUR_MS)

    assert await office.see() is None


async def test_tokens_that_prove_nothing_stand_in_the_log_and_are_told_apart(office: Office) -> None:
    """A reader of the log sees each token, with the entry that it is about, or that it is about none."""
    await office.registrar.heartbeat()
    await office.registrar.heartbeat(b"no token")
    await office.registrar.heartbeat(office.stamp(b"another log").token)

    found = list(carried_stamps(await office.snapshot()))

    assert [(3, None, True), (2, None, False)] == [(one.carrier, one.position, one.stamp is not None) for one in found]
    assert newest_stamp(await office.snapshot()) is None


async def test_the_newest_token_is_looked_for_so_far(office: Office, monkeypatch: pytest.MonkeyPatch) -> None:
    """A registrar that fills the log with tokens about nothing costs its readers little."""
    await office.registrar.heartbeat()
    await office.see()
    await office.stamp_due()
    await office.registrar.heartbeat(await office.see())
    await office.registrar.heartbeat(b"no token")
    snapshot = await office.snapshot()

    assert newest_stamp(snapshot) is not None
    monkeypatch.setattr(log, "MAX_NEWEST_TOKENS", 1)
    assert newest_stamp(snapshot) is None


async def test_tokens_of_a_past_position_are_those_before_it(office: Office) -> None:
    """A snapshot at an earlier entry does not know what came later."""
    await office.registrar.heartbeat()
    await office.see()
    await office.stamp_due()
    await office.registrar.heartbeat(await office.see())
    await office.registrar.load()
    replay = office.registrar._reader.replay

    assert [] == list(replay.snapshot(1).time_stamps())
    assert [2] == [carrier for carrier, _ in replay.snapshot(2).time_stamps()]


async def test_the_gap_is_on_disk_until_it_is_filled(office: Office) -> None:
    """Since when, how often and why: another process can read it, and it ends with a token."""
    await office.registrar.heartbeat()
    await office.see()
    for seconds in (0, 60):
        office.clock.advance(seconds)
        await office.stamps.fail(AuthorityUnavailableError("nobody there"), office.clock.ms)

    assert read_gap(office.folder) == Gap(
        since=office.clock.ms - 60_000,
        attempts=2,
        tried_at=office.clock.ms,
        code="time_stamp_authority_unavailable",
        text="nobody there",
    )
    await office.stamp_due()
    assert read_gap(office.folder) is None


async def test_a_gap_that_another_machine_has_filled_is_none(office: Office) -> None:
    """A registrar may beat on two machines; what one has had stamped, the other one does not miss."""
    await office.registrar.heartbeat()
    await office.see()
    await office.stamps.fail(AuthorityUnavailableError("nobody there"), office.clock.ms)
    snapshot = await office.registrar.load()
    assert snapshot.position == 1
    newest = office.registrar.newest_entry
    assert newest is not None
    await office.registrar.heartbeat(office.stamp(stamped_entry(newest)).token)
    await office.see()

    assert not await office.stamp_due()
    assert read_gap(office.folder) is None


@pytest.mark.parametrize("content", [b"", b"[]", b'{"since": 1}', b"{" + b" " * MAX_GAP_BYTES + b"}"])
async def test_a_damaged_gap_is_none(content: bytes, office: Office) -> None:
    """Of a file that nobody can read, nothing is believed, and no more than so many bytes are read."""
    (office.folder / FOLDER_NAME).mkdir()
    (office.folder / FOLDER_NAME / GAP_NAME).write_bytes(content)

    assert read_gap(office.folder) is None


@pytest.mark.parametrize(("number", "kind"), [(errno.ENOSPC, DiskFullError), (errno.EACCES, StorageError)])
async def test_a_disk_that_takes_nothing_is_told(
    number: int, kind: type[Exception], office: Office, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A token that could not be written is not taken for kept."""
    await office.registrar.heartbeat()
    await office.see()

    def full(_descriptor: int) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(kind, match=TOKEN_NAME):
        await office.stamp_due()
    monkeypatch.undo()

    assert await office.see() is None
    assert await office.stamp_due()
