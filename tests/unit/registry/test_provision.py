"""Topics as the directory asks for them."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from docbus.identity import entries
from docbus.registry import provision
from docbus.registry.provision import Action, apply, intended, plan
from docbus.transport import topics
from tests.support.bus import found_bus
from tests.support.directory import DirectoryBuilder

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from docbus.identity.snapshot import TrustSnapshot
    from docbus.transport.sqlite import SqliteTransport


@pytest.fixture
async def transport(tmp_path: Path) -> AsyncIterator[SqliteTransport]:
    """Return an embedded bus without any topic."""
    async with found_bus(tmp_path / "bus.db", directory=False) as found:
        yield found


@pytest.fixture(scope="module")
def snapshot() -> TrustSnapshot:
    """Return a directory with one plain agency, one with three partitions, and one that is closed."""
    builder = DirectoryBuilder()
    builder.grant("vn:H26")
    builder.grant("vn2016:000.00.00.H53", partitions=3)
    builder.grant("vn:H27")
    builder.append(entries.Closure(agency="vn:H27", successor="vn:H26", reason="merged"))
    return builder.snapshot()


def test_topics_of_open_agencies_are_intended(snapshot: TrustSnapshot) -> None:
    """The directory and five topics of each open agency; only inboxes have the partitions of the grant."""
    partitions = {spec.name: spec.partitions for spec in intended(snapshot)}

    assert {
        "docbus.directory": 1,
        "docbus.inbox.vn.H26": 1,
        "docbus.content.vn.H26": 1,
        "docbus.quarantine.vn.H26": 1,
        "docbus.dead-letter.vn.H26": 1,
        "docbus.ledger.vn.H26": 1,
        "docbus.inbox.vn2016.000.00.00.H53": 3,
        "docbus.content.vn2016.000.00.00.H53": 1,
        "docbus.quarantine.vn2016.000.00.00.H53": 1,
        "docbus.dead-letter.vn2016.000.00.00.H53": 1,
        "docbus.ledger.vn2016.000.00.00.H53": 1,
    } == partitions


async def test_plan_changes_nothing(transport: SqliteTransport, snapshot: TrustSnapshot) -> None:
    """A plan says what is missing, in order, and leaves it missing."""
    steps = await plan(transport, snapshot)

    assert [spec.name for spec in intended(snapshot)] == [step.topic for step in steps]
    assert {Action.CREATE} == {step.action for step in steps}
    assert "create docbus.inbox.vn2016.000.00.00.H53 with 3 partitions" in [step.text for step in steps]
    assert {None} == set((await transport.describe([step.topic for step in steps])).values())


async def test_applied_plan_leaves_nothing_to_do(transport: SqliteTransport, snapshot: TrustSnapshot) -> None:
    """After applying, the topics are as intended, and planning again finds nothing."""
    done = await apply(transport, await plan(transport, snapshot))

    assert tuple(spec.name for spec in intended(snapshot)) == done.created
    assert ((), ()) == (done.configured, done.left)
    assert [] == await plan(transport, snapshot)


async def test_only_what_differs_is_configured(transport: SqliteTransport, snapshot: TrustSnapshot) -> None:
    """A setting that somebody changed is named with both values and set right; the rest is not touched."""
    await apply(transport, await plan(transport, snapshot))
    inbox = topics.spec_of("docbus.inbox.vn.H26")
    await transport.configure([replace(inbox, configuration={"retention.ms": "1000"})])

    steps = await plan(transport, snapshot)
    done = await apply(transport, steps)

    assert [("docbus.inbox.vn.H26", Action.CONFIGURE)] == [(step.topic, step.action) for step in steps]
    assert f"retention.ms 1000 -> {inbox.configuration['retention.ms']}" in steps[0].text
    assert ("docbus.inbox.vn.H26",) == done.configured
    assert [] == await plan(transport, snapshot)


async def test_partitions_are_left_and_named(transport: SqliteTransport, snapshot: TrustSnapshot) -> None:
    """A number of partitions that differs is reported and never changed."""
    await transport.create([topics.spec_of("docbus.inbox.vn.H26", partitions=2)])
    await apply(transport, await plan(transport, snapshot))

    steps = await plan(transport, snapshot)
    done = await apply(transport, steps)
    state = (await transport.describe(["docbus.inbox.vn.H26"]))["docbus.inbox.vn.H26"]

    assert [Action.UNCHANGEABLE] == [step.action for step in steps]
    assert "docbus.inbox.vn.H26 has 2 partitions, the directory asks for 1" in steps[0].text
    assert tuple(steps) == done.left
    assert state is not None
    assert 2 == state.partitions


async def test_topics_of_a_closed_agency_stay(transport: SqliteTransport) -> None:
    """When an agency is closed its topics remain with their records: they are evidence."""
    builder = DirectoryBuilder()
    builder.grant("vn:H26")
    await apply(transport, await plan(transport, builder.snapshot()))
    builder.append(entries.Closure(agency="vn:H26", successor=None, reason="dissolved"))

    done = await apply(transport, await plan(transport, builder.snapshot()))

    assert ((), (), ()) == (done.created, done.configured, done.left)
    assert None is not (await transport.describe(["docbus.inbox.vn.H26"]))["docbus.inbox.vn.H26"]


async def test_plan_that_was_done_meanwhile_does_no_harm(transport: SqliteTransport, snapshot: TrustSnapshot) -> None:
    """Applying the same plan twice creates nothing the second time."""
    steps = await plan(transport, snapshot)
    await apply(transport, steps)

    assert () == (await apply(transport, steps)).created


async def test_large_directories_go_in_chunks(
    transport: SqliteTransport, snapshot: TrustSnapshot, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However many topics there are, a call has a bounded number of them, and none is left out."""
    monkeypatch.setattr(provision, "CHUNK_TOPICS", 2)

    done = await apply(transport, await plan(transport, snapshot))

    assert len(intended(snapshot)) == len(done.created)
    assert [] == await plan(transport, snapshot)
