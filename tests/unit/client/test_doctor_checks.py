"""Single checks of the doctor, at their bounds."""

from __future__ import annotations

import asyncio
import errno
import os
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from docbus.client.doctor import brokers, folders, keys, standing, state, time, topics
from docbus.client.doctor.access import access, consumer_group, glimpse
from docbus.client.doctor.calendar import calendar
from docbus.client.doctor.diagnosis import Outcome, refused
from docbus.client.doctor.directory import directory, freshness
from docbus.client.doctor.file_system import PROBE_PREFIX, Place, file_system_of, look_at
from docbus.client.doctor.software import software
from docbus.documents.calendar import WorkingCalendar
from docbus.errors import ConfigurationError, DiskFullError, StorageError
from docbus.identity import entries
from docbus.limits import MIB
from docbus.registry.provision import Action, Step
from docbus.settings import Settings
from docbus.transport.topics import DIRECTORY, spec_of
from tests.support.bus import append_entries, found_bus
from tests.support.directory import NOW_MS, DirectoryBuilder, make_registrar_signer
from tests.support.doctor import Brokers
from tests.support.outbox import FakeClock

if TYPE_CHECKING:
    from docbus.identity.snapshot import TrustSnapshot

SOON = 0.01
"""Seconds after which a test does not wait any longer for what never comes."""
MOUNTS = """\
22 27 0:21 / /proc rw,relatime - proc proc rw
27 1 254:0 / / rw,relatime shared:1 - ext4 /dev/vda rw
30 27 0:40 / /srv/docbus rw - nfs4 server:/docbus rw
31 27 8:17 / /srv/with\\040blank rw - xfs /dev/sdb1 rw
32 27 8:18 / /srv/docbus/fast rw - ext4 /dev/sdc1 rw
33 27 8:19 / /srv/docbus/fast rw - btrfs /dev/sdd1 rw
nonsense
"""


def place(**changed: Any) -> Place:
    """Return a folder as it should be, except for what is changed."""
    values: dict[str, Any] = {
        "path": Path("/srv/docbus/h26"),
        "free_bytes": folders.LOW_FREE_BYTES,
        "kind": "ext4",
        "mounted_at": "/srv",
        "sync_ms": 3,
    }
    return Place(**(values | changed))


def settings_of(**changed: Any) -> Settings:
    """Return an auditor's settings on Kafka, with tables added."""
    tables: dict[str, Any] = {
        "exchange": {"environment": "test", "genesis": "00" * 32},
        "kafka": {"bootstrap": "broker1:9092,broker2:9092"},
    }
    return Settings(folder=Path("/srv/docbus/h26"), **(tables | changed))


# --- disk -----------------------------------------------------------------------------------------------

CHECKS_OF_ROOM = {
    "disk": folders.disk,
    "content": lambda found: folders.content(found, made=True),
    "sink": lambda found: folders.sink(found, there=True),
}


@pytest.mark.parametrize("check", CHECKS_OF_ROOM)
def test_room_on_a_disk(check: str) -> None:
    """At the bound there is room; a byte less, somebody should look."""
    judge: Any = CHECKS_OF_ROOM[check]

    enough, less = (judge(place(free_bytes=folders.LOW_FREE_BYTES - missing)) for missing in (0, 1))

    assert (check, Outcome.PASSED, Outcome.WARNING) == (less.check, enough.outcome, less.outcome)
    assert "1.0 GiB free on ext4 mounted at /srv" in enough.found
    assert "1,023 MiB free" in less.found


@pytest.mark.parametrize("check", ["folder", "content", "sink"])
def test_folder_that_cannot_be_written(check: str) -> None:
    """What the system says stands in the answer, with commands that show why."""
    judge: Any = CHECKS_OF_ROOM | {"folder": folders.folder}
    found = judge[check](place(sync_ms=None, trouble="Read-only file system"))

    assert (check, Outcome.FAILED) == (found.check, found.outcome)
    assert found.found.endswith("cannot be written: Read-only file system")
    assert "`ls -ld /srv/docbus/h26`" in (found.remedy or "")


@pytest.mark.parametrize(
    ("kind", "outcome"), [("xfs", Outcome.PASSED), (None, Outcome.PASSED), ("nfs4", Outcome.WARNING)]
)
def test_folder_on_another_machine(kind: str | None, outcome: Outcome) -> None:
    """A network file system warns, one of unknown kind does not."""
    assert outcome is folders.folder(place(kind=kind)).outcome


def test_sink_may_lie_on_another_machine() -> None:
    """Documents may be filed where a document-management system has its disk."""
    assert Outcome.PASSED is folders.sink(place(kind="nfs4"), there=True).outcome


def test_content_folder_need_not_be_there() -> None:
    """It is made when it is needed, and until then its place is looked at."""
    found = folders.content(place(), made=False)

    assert (Outcome.PASSED, True) == (found.outcome, found.found.startswith("to be made below /srv/docbus/h26: "))


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("/home/docbus", ("ext4", "/")),
        ("/srv/docbus/h26", ("nfs4", "/srv/docbus")),
        ("/srv/docbus2", ("ext4", "/")),
        ("/srv/with blank/h26", ("xfs", "/srv/with blank")),
        ("/srv/docbus/fast/h26", ("btrfs", "/srv/docbus/fast")),
    ],
)
def test_file_system_of_a_path(path: str, expected: tuple[str, str]) -> None:
    """The innermost mount counts, and of two at one place the later."""
    assert expected == file_system_of(Path(path), MOUNTS)


def test_file_system_that_is_not_known() -> None:
    """Where there is no such list, nothing is said of the kind."""
    assert file_system_of(Path("/srv"), "") is None


def test_probe_is_removed(tmp_path: Path) -> None:
    """A folder that can be written is as it was afterwards."""
    found = look_at(tmp_path, FakeClock())

    assert (None, 0, []) == (found.trouble, found.sync_ms, list(tmp_path.iterdir()))


@pytest.mark.parametrize("call", ["write", "fsync"])
def test_probe_that_fails_is_removed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, call: str) -> None:
    """A disk that takes nothing, or does not sync, is told from one that works, and nothing is left on it."""

    def fail(*_: object) -> None:
        assert [] == list(tmp_path.glob(f"{PROBE_PREFIX}*"))
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, call, fail)

    found = look_at(tmp_path, FakeClock())

    assert ("No space left on device", None, []) == (found.trouble, found.sync_ms, list(tmp_path.iterdir()))
    assert found.free_bytes > 0


def test_folder_that_is_not_there(tmp_path: Path) -> None:
    """A folder that has gone is a trouble, not an exception."""
    assert "No such file or directory" == look_at(tmp_path / "nowhere", FakeClock()).trouble


# --- state and work -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("used", "outcome"),
    [
        (0, Outcome.PASSED),
        (799, Outcome.PASSED),
        (800, Outcome.WARNING),
        (999, Outcome.WARNING),
        (1000, Outcome.FAILED),
    ],
)
def test_outbox_that_fills_up(used: int, outcome: Outcome) -> None:
    """From four fifths of the limit on somebody should look; at the limit documents are refused."""
    assert outcome is state.outbox(used, 1000).outcome


def test_who_works() -> None:
    """A process that works is named; nobody warns, with the command that starts one."""
    busy, idle = (state.working("sending", holder, Path("/srv/my folder")) for holder in ("process 12 on vm", None))

    assert (Outcome.PASSED, "process 12 on vm") == (busy.outcome, busy.found)
    assert (Outcome.WARNING, "docbus -C '/srv/my folder' run") == (idle.outcome, idle.remedy)


# --- time -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("newest", "outcome"), [(None, Outcome.NOT_ASKED), (0, Outcome.PASSED), (NOW_MS, Outcome.PASSED)]
)
def test_clock_without_somebody_ahead(newest: int | None, outcome: Outcome) -> None:
    """Nothing to compare with is said so; older times say nothing against the clock."""
    assert outcome is time.clock(newest, NOW_MS).outcome


@pytest.mark.parametrize(("year", "outcome"), [(2026, Outcome.PASSED), (2099, Outcome.PASSED), (2100, Outcome.WARNING)])
def test_calendar_that_ends(year: int, outcome: Outcome) -> None:
    """The library knows Tết up to 2100, so that the year before its end passes, and its last one warns."""
    at = round(datetime(year, 6, 1, tzinfo=UTC).timestamp() * 1000)

    found = calendar(WorkingCalendar(), at)

    assert outcome is found.outcome
    assert (outcome is Outcome.WARNING) == found.found.startswith("Tết of 2101 is not known")


def test_calendar_that_an_operator_goes_on_with() -> None:
    """Days off of the settings stand in for what the library does not know."""
    tet = datetime(2101, 1, 31, tzinfo=UTC).date()
    at = round(datetime(2100, 6, 1, tzinfo=UTC).timestamp() * 1000)

    assert Outcome.PASSED is calendar(WorkingCalendar(days_off=[tet]), at).outcome


def test_freshness_that_is_not_judged() -> None:
    """Before the registrar's first heartbeat age says nothing, which somebody should know."""
    assert Outcome.WARNING is freshness(DirectoryBuilder().snapshot(), NOW_MS).outcome


# --- keys of the registrar ------------------------------------------------------------------------------


@pytest.fixture
def shared_out() -> tuple[DirectoryBuilder, TrustSnapshot]:
    """Return a directory with two keys, of which both are needed, and one for heartbeats."""
    builder = DirectoryBuilder(signers=(make_registrar_signer(), make_registrar_signer(), make_registrar_signer()))
    first, second, third = (signer.public_key for signer in builder.signers)
    builder.append(entries.RegistrarRotation(keys=(first, second), threshold=2, heartbeat_keys=(third,)))
    return builder, builder.snapshot()


@pytest.mark.parametrize(
    ("number", "check", "outcome"),
    [
        (0, keys.REGISTRAR, Outcome.PASSED),
        (0, keys.HEARTBEAT, Outcome.PASSED),
        (2, keys.HEARTBEAT, Outcome.PASSED),
        (2, keys.REGISTRAR, Outcome.FAILED),
        (None, keys.HEARTBEAT, Outcome.FAILED),
    ],
)
def test_keys_of_the_registrar(
    shared_out: tuple[DirectoryBuilder, TrustSnapshot], number: int | None, check: str, outcome: Outcome
) -> None:
    """A key for heartbeats signs nothing else, one for everything signs them as well, any other nothing."""
    builder, snapshot = shared_out
    signer = make_registrar_signer() if number is None else builder.signers[number]

    found = standing.registrar_terms(snapshot, check, signer)

    assert (f"{check} in force", outcome) == (found.check, found.outcome)


# --- brokers --------------------------------------------------------------------------------------------


class Silent(Brokers):
    """Brokers that never answer a question."""

    async def bounds(self, topic: str) -> dict[int, tuple[int, int]]:
        await asyncio.Event().wait()
        raise AssertionError

    async def committed(self, group: str, topic: str) -> dict[int, int | None]:
        await asyncio.Event().wait()
        raise AssertionError

    async def compare(self, specs: Any) -> Any:
        await asyncio.Event().wait()


class Unconnected(Silent):
    """Brokers to which no connection is ever made."""

    async def start(self) -> None:
        await asyncio.Event().wait()


@pytest.mark.parametrize("kind", [Silent, Unconnected])
async def test_brokers_that_never_answer(tmp_path: Path, kind: type[Silent]) -> None:
    """Waiting for them ends."""
    transport = kind(tmp_path / "bus.db")

    found = await brokers.brokers(transport, FakeClock(), connect=SOON if kind is Unconnected else 10, question=SOON)

    await transport.aclose()
    assert (Outcome.FAILED, "they do not answer in time") == (found.outcome, found.found)


async def test_time_of_an_answer(tmp_path: Path) -> None:
    """What is measured is one question on a connection that is there."""
    clock = FakeClock()

    class Slow(Brokers):
        async def bounds(self, topic: str) -> dict[int, tuple[int, int]]:
            clock.advance(0.0125)
            return {0: (0, 1)}

    transport = Slow(tmp_path / "bus.db")
    found = await brokers.brokers(transport, clock)
    await transport.aclose()

    assert "they answer; asking where the directory ends takes 12.5 ms" == found.found


async def test_disk_that_is_full_is_no_bus(tmp_path: Path) -> None:
    """An embedded bus that cannot be opened for lack of room is said so."""
    found = await brokers.brokers(Brokers(tmp_path / "bus.db", start=DiskFullError("full")), FakeClock())

    assert (Outcome.FAILED, "full") == (found.outcome, found.found)


async def test_other_questions_end_too(tmp_path: Path) -> None:
    """Rights, groups, topics and the directory are waited for in bounds, and not known is not the same as missing."""
    transport = Silent(tmp_path / "bus.db")
    settings = settings_of()
    specs = [spec_of(DIRECTORY)]

    looked = await glimpse(transport, DIRECTORY, wait=0.0, seconds=SOON)
    read, snapshot = await directory(transport, settings, SOON)

    assert Outcome.WARNING is access(settings, [looked]).outcome
    assert Outcome.WARNING is (await consumer_group(transport, settings, "docbus.inbox.vn.H26", SOON)).outcome
    assert Outcome.WARNING is (await topics.topics(transport, settings, specs, SOON)).outcome
    assert (Outcome.FAILED, None) == (read.outcome, snapshot)


def test_nothing_to_read_is_no_right() -> None:
    """Where no topic was looked at, nothing is said of rights."""
    assert Outcome.NOT_ASKED is access(settings_of(), []).outcome


async def test_directory_that_breaks_a_rule(tmp_path: Path) -> None:
    """What somebody else has put there is worth a word, and a registrar's entry that does not follow fails."""
    builder = DirectoryBuilder()
    settings = settings_of(exchange={"environment": "test", "genesis": builder.genesis.hex()})
    forged = builder.value(entries.Heartbeat(), signers=(make_registrar_signer(),))
    async with found_bus(tmp_path / "bus.db") as transport:
        await append_entries(transport, builder.records)
        good, _ = await directory(transport, settings)
        await append_entries(transport, [forged])
        odd, seen_all = await directory(transport, settings)
        await append_entries(transport, [builder.value(entries.Heartbeat(), position=9)])
        bad, snapshot = await directory(transport, settings)

    assert (Outcome.PASSED, Outcome.WARNING, Outcome.FAILED) == (good.outcome, odd.outcome, bad.outcome)
    assert "1 records that the registrar did not sign" in odd.found
    assert seen_all is not None
    assert None is snapshot
    assert "`docbus registrar show`" in (bad.remedy or "")


def test_steps_that_cannot_be_done_do_not_hide_those_that_can() -> None:
    """Only where nothing else is to be done does a difference of partitions merely warn."""
    spec = spec_of(DIRECTORY)
    left = Step(action=Action.UNCHANGEABLE, topic="a", spec=spec, text="a has 3 partitions")
    create = Step(action=Action.CREATE, topic="b", spec=spec, text="create b")

    outcomes = [topics.compared(settings_of(), 6, steps).outcome for steps in ((left,), (left, create), ())]

    assert [Outcome.WARNING, Outcome.FAILED, Outcome.PASSED] == outcomes


# --- what is said ---------------------------------------------------------------------------------------


def test_error_becomes_a_diagnosis() -> None:
    """An error's hint is the remedy; without one there is another, and be it the page of errors."""
    remedies = [
        refused("check", ConfigurationError("wrong", hint="Mend it.")).remedy,
        refused("check", ConfigurationError("wrong"), "Look there.").remedy,
        refused("check", StorageError("wrong")).remedy,
    ]

    assert ["Mend it.", "Look there.", "See storage_failed in docs/reference/errors.md."] == remedies


def test_versions_are_named() -> None:
    """Whoever is asked for help sees what runs."""
    found = software().found

    assert all(f"{name} " in found for name in ("docbus", "Python", "SQLite"))


def test_amounts_have_units_that_fit() -> None:
    """Below a GiB they are counted in MiB."""
    assert "5 MiB free" in folders.disk(place(free_bytes=5 * MIB)).found
    assert "2.0 GiB free" in folders.disk(place(free_bytes=2048 * MIB)).found
