"""What every sink promises (``docbus.consumers.sinks.port``), over every sink."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import pytest

from docbus.consumers.sinks.folder import FolderSink
from docbus.consumers.sinks.handler import IteratorSink
from docbus.consumers.sinks.null import NullSink
from docbus.consumers.sinks.port import AlreadyThere, Conflict, Created, Target
from docbus.envelope.statement import Reference
from tests.support.deliveries import delivery

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from docbus.consumers.sinks.port import Sink

KINDS = ("folder", "iterator", "null")
KEEPING = ("folder",)
"""Sinks that hold what they were given, and so can tell a second copy from the first."""


@asynccontextmanager
async def running(kind: str, folder: Path) -> AsyncIterator[Sink]:
    """Start a sink, with somebody who accepts everything where somebody is needed."""
    if kind == "folder":
        sink: Sink = FolderSink(folder)
        await sink.start()
        yield sink
        await sink.aclose()
    elif kind == "null":
        null = NullSink()
        await null.start()
        yield null
        await null.aclose()
    else:
        handed = IteratorSink()
        await handed.start()

        async def accept() -> None:
            async with handed.deliveries() as deliveries:
                async for incoming in deliveries:
                    await incoming.accept()

        accepting = asyncio.ensure_future(accept())
        yield handed
        await handed.aclose()
        await accepting


@pytest.mark.parametrize("kind", KINDS)
async def test_every_delivery_gets_its_outcome_in_order(kind: str, tmp_path: Path) -> None:
    """A batch of new documents is created, one outcome for each."""
    batch = [delivery(f"doc-{number}") for number in range(5)]

    async with running(kind, tmp_path) as sink:
        outcomes = await sink.deliver(batch)

    assert [Created] * 5 == [type(outcome) for outcome in outcomes]


@pytest.mark.parametrize("kind", KINDS)
async def test_several_batches_follow_each_other(kind: str, tmp_path: Path) -> None:
    """A sink goes on after a batch, an empty one included, and takes at least one delivery at once."""
    async with running(kind, tmp_path) as sink:
        counts = [len(await sink.deliver([delivery(f"{n}-{k}") for k in range(n)])) for n in (1, 0, 2)]

        assert [1, 0, 2] == counts
        assert sink.max_batch >= 1


@pytest.mark.parametrize("kind", KINDS)
async def test_closing_twice_does_nothing(kind: str, tmp_path: Path) -> None:
    """A second close is harmless."""
    async with running(kind, tmp_path) as sink:
        await sink.deliver([delivery()])
        await sink.aclose()

        await sink.aclose()


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("change", ["recall", "update", "replacement"])
async def test_change_is_created_whatever_is_known_of_its_targets(kind: str, change: str, tmp_path: Path) -> None:
    """A change is filed like a document: about one that is filed, refused, before it in the batch, or never came."""
    targets = (
        Target("vn:H26", "old", 1, "filed", reference="vn%3AH26~old~1"),
        Target("vn:H26", "no", 1, "refused", reason="not_competent"),
        Target("vn:H26", "now", 1, "in_batch"),
        Target("vn:H26", "never", 2, "unknown"),
    )
    about = tuple(Reference(one.sender, one.document_id, one.revision) for one in targets)
    async with running(kind, tmp_path) as sink:
        first = await sink.deliver([delivery("old")])
        later = await sink.deliver(
            [delivery("now"), delivery("change", kind=change, concerns=about)._replace(targets=targets)]
        )

    assert [Created] * 3 == [type(outcome) for outcome in [*first, *later]]


@pytest.mark.parametrize("kind", KEEPING)
async def test_change_is_the_same_when_more_is_known_of_its_targets(kind: str, tmp_path: Path) -> None:
    """What the ledger knows is no part of a document, so a change that comes again is already there."""
    change = delivery("change", kind="recall", concerns=(Reference("vn:H26", "old", 1),))
    async with running(kind, tmp_path) as sink:
        outcomes = [
            *await sink.deliver([change._replace(targets=(Target("vn:H26", "old", 1, "unknown"),))]),
            *await sink.deliver([delivery("old")]),
            *await sink.deliver([change._replace(targets=(Target("vn:H26", "old", 1, "filed", "x"),))]),
        ]

    assert [Created, Created, AlreadyThere] == [type(outcome) for outcome in outcomes]


@pytest.mark.parametrize("kind", KEEPING)
async def test_same_document_again_is_already_there(kind: str, tmp_path: Path) -> None:
    """The same document is created once, in whatever statement it comes, also for a sink started later."""
    async with running(kind, tmp_path) as sink:
        first = await sink.deliver([delivery(sequence=1), delivery(sequence=2)])
    async with running(kind, tmp_path) as sink:
        again = await sink.deliver([delivery(sequence=3)])

    assert [Created, AlreadyThere, AlreadyThere] == [type(outcome) for outcome in [*first, *again]]
    assert 1 == len({outcome.reference for outcome in [*first, *again] if isinstance(outcome, Created | AlreadyThere)})


@pytest.mark.parametrize("kind", KEEPING)
@pytest.mark.parametrize("changed", [{"title": "khác"}, {"files": (("Công văn.pdf", b"other"),)}, {"urgency": 3}])
async def test_other_content_under_the_same_name_is_a_conflict(
    kind: str, changed: dict[str, object], tmp_path: Path
) -> None:
    """Nothing is overwritten, and nothing else is passed off as delivered."""
    async with running(kind, tmp_path) as sink:
        await sink.deliver([delivery()])

        outcomes = await sink.deliver([delivery(**changed)])  # type: ignore[arg-type] # by name
        again = await sink.deliver([delivery()])

    assert [Conflict, AlreadyThere] == [type(outcome) for outcome in [*outcomes, *again]]


@pytest.mark.parametrize("kind", KEEPING)
async def test_revisions_and_senders_are_kept_apart(kind: str, tmp_path: Path) -> None:
    """The name is of sender, document id and revision."""
    batch = [delivery(), delivery(revision=2), delivery(sender="vn:H53.31"), delivery("0194")]

    async with running(kind, tmp_path) as sink:
        outcomes = await sink.deliver(batch)

    assert 4 == len({outcome.reference for outcome in outcomes if isinstance(outcome, Created)})


@pytest.mark.parametrize("kind", KEEPING)
async def test_two_sinks_at_once_create_a_document_once(kind: str, tmp_path: Path) -> None:
    """Of two sinks that file the same documents at the same time exactly one creates each."""
    batch = [delivery(f"doc-{number}") for number in range(20)]

    async with running(kind, tmp_path) as one, running(kind, tmp_path) as other:
        answers = await asyncio.gather(one.deliver(batch), other.deliver(batch))

    assert [{Created, AlreadyThere}] * 20 == [{type(a), type(b)} for a, b in zip(*answers, strict=True)]
