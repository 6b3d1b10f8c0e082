"""Reading a long log with several processes comes to the same as reading it with one."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from typing import TYPE_CHECKING

import pytest
from structlog.testing import capture_logs

from docbus.errors import DirectoryError
from docbus.identity import entries
from docbus.identity.replay import DirectoryReplay
from docbus.registry import provers as module
from docbus.registry import reader as reading
from docbus.registry.provers import Provers
from docbus.registry.reader import DirectoryReader
from tests.support.bus import append_entries, found_bus
from tests.support.directory import DirectoryBuilder, grant_of, make_keys, make_registrar_signer

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from docbus.transport.sqlite import SqliteTransport


@pytest.fixture
async def transport(tmp_path: Path) -> AsyncIterator[SqliteTransport]:
    """Return an embedded bus with an empty directory topic."""
    async with found_bus(tmp_path / "bus.db") as found:
        yield found


@pytest.fixture(autouse=True)
def short(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two processes work on a log of a few entries, three of them at a time."""
    monkeypatch.setattr(module, "FROM_ENTRIES", 4)
    monkeypatch.setattr(reading, "FETCH_RECORDS", 3)
    monkeypatch.setattr(module, "processors", lambda: 2)


@pytest.fixture
def applied(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Return how each record was applied, in a list that grows."""
    found: list[str] = []
    proven, verified = DirectoryReplay.apply_proven, DirectoryReplay._verify_registrar

    def noting_proven(replay: DirectoryReplay, *given: object) -> None:
        found.append("proven")
        proven(replay, *given)  # type: ignore[arg-type] # passed through

    def noting_verified(replay: DirectoryReplay, *given: object) -> None:
        found.append("verified")
        verified(replay, *given)  # type: ignore[arg-type] # passed through

    monkeypatch.setattr(DirectoryReplay, "apply_proven", noting_proven)
    monkeypatch.setattr(DirectoryReplay, "_verify_registrar", noting_verified)
    return found


def rotated(builder: DirectoryBuilder) -> None:
    """Let other keys sign from now on."""
    new = make_registrar_signer()
    change = entries.RegistrarRotation(keys=(new.public_key,), threshold=1, heartbeat_keys=())
    signed = builder.value(change, signers=[*builder.signers, new])
    builder.records.append(signed)
    builder.hashes.append(entries.decode_record(signed).hash)
    builder.signers = (new,)


def long_log() -> DirectoryBuilder:
    """Return a log with grants, a change of the registrar's keys in the middle, and heartbeats."""
    builder = DirectoryBuilder()
    for number in range(26, 34):
        builder.grant(f"vn:H{number}")
    rotated(builder)
    for number in range(34, 44):
        builder.grant(f"vn:H{number}")
        builder.append(entries.Heartbeat())
    return builder


async def test_proven_log_is_the_same(transport: SqliteTransport, applied: list[str]) -> None:
    """Snapshot, agencies, and what is kept beside each record are those of one process; most of it is proven."""
    builder = long_log()
    superseded = builder.records[3]
    foreign = builder.value(entries.Heartbeat(), signers=[make_registrar_signer()])
    values = [*builder.records[:6], superseded, foreign, *builder.records[6:]]
    await append_entries(transport, values)
    told: list[tuple[bytes, bytes]] = []
    reader = DirectoryReader(
        transport, builder.genesis, on_entry=lambda value, _at, checked: told.append((value, checked))
    )
    await reader.catch_up(30)
    by_processes = applied.count("proven")
    plain = DirectoryReplay(builder.genesis)
    expected = []
    for value in builder.records:
        plain.apply(value)
        expected.append((value, plain.checked))

    assert plain.snapshot() == reader.replay.snapshot()
    assert list(plain.snapshot().agencies()) == list(reader.replay.snapshot().agencies())
    assert expected == told
    assert 1 == reader.foreign
    assert by_processes > len(values) / 2


async def test_broken_entry_is_refused_in_the_same_words(transport: SqliteTransport) -> None:
    """What stops one process stops several, at the same place, and what is behind it is not applied."""
    builder = long_log()
    broken = builder.value(grant_of(make_keys("vn:H50")), previous=bytes(32))
    await append_entries(transport, [*builder.records, broken, builder.value(grant_of(make_keys("vn:H51")))])
    reader = DirectoryReader(transport, builder.genesis)
    with pytest.raises(DirectoryError) as plain:
        builder.replay().apply(broken)

    with pytest.raises(DirectoryError) as caught:
        await reader.catch_up(30)

    assert plain.value.text == caught.value.text
    assert builder.snapshot() == reader.replay.snapshot()


@pytest.mark.parametrize("trouble", ["none can be started", "another version", "one ends at once", "one processor"])
async def test_without_processes_it_is_verified_all_the_same(
    transport: SqliteTransport, monkeypatch: pytest.MonkeyPatch, applied: list[str], trouble: str
) -> None:
    """Whatever is wrong with other processes costs time alone, and is said in the log."""
    if trouble == "none can be started":
        monkeypatch.setattr(sys, "executable", "/nowhere/python")
    elif trouble == "another version":
        monkeypatch.setattr(module, "IDENTITY", b"another")
    elif trouble == "one ends at once":
        monkeypatch.setattr(sys, "executable", "/bin/true")
    else:
        monkeypatch.setattr(module, "processors", lambda: 1)
    builder = long_log()
    await append_entries(transport, builder.records)
    reader = DirectoryReader(transport, builder.genesis)
    with capture_logs() as logs:
        await reader.catch_up(30)

    assert builder.snapshot() == reader.replay.snapshot()
    assert "proven" not in applied
    said = [one["event"] for one in logs if one["event"].startswith("directory_prover")]
    assert ([] if trouble == "one processor" else ["directory_provers_missing"]) == said


async def test_process_that_dies_proves_nothing_more() -> None:
    """Its records are left to whoever asked, those in its hand as well, and so are later ones that it would get."""
    builder = long_log()
    terms = builder.replay().terms
    assert terms is not None
    good = builder.value(grant_of(make_keys("vn:H50")))
    async with Provers() as provers:
        assert [48] == [len(proof or b"") for proof in await provers.prove(terms, [good])]
        for process in provers._all:
            os.kill(process.pid, signal.SIGKILL)
            await process.wait()
        found = await asyncio.gather(*(provers.prove(terms, [good, good]) for _ in range(3)))

    assert [[None, None]] * 3 == found


async def test_processes_are_bounded_and_end(monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine with many processors does not start as many, and none outlives the reading."""
    monkeypatch.setattr(module, "processors", lambda: 64)
    monkeypatch.setattr(module, "MAX_PROVERS", 2)
    async with Provers() as provers:
        processes = list(provers._all)
        assert 2 == provers.count == len(processes)

    assert all(process.returncode is not None for process in processes)


async def test_answer_is_not_waited_for_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    """A process that does not answer is killed, and its records are left to whoever asked."""
    builder = long_log()
    terms = builder.replay().terms
    assert terms is not None
    async with Provers() as provers:
        for process in provers._all:
            os.kill(process.pid, signal.SIGSTOP)
        monkeypatch.setattr(module, "ANSWER_SECONDS", 0.1)
        assert [None] == await provers.prove(terms, [builder.records[-1]])
