from __future__ import annotations

import asyncio

import pytest

from docbus.consumers.sinks.handler import IteratorSink
from docbus.consumers.sinks.port import Created, Reject, Retry
from docbus.errors import DeliveryError, SinkUnavailableError
from tests.support.deliveries import delivery


async def test_decisions_become_outcomes() -> None:
    """What the agency's code says of each document is its outcome, in the order of the batch."""
    sink = IteratorSink()

    async with sink.deliveries() as deliveries:
        outcomes = asyncio.ensure_future(sink.deliver([delivery("1"), delivery("2"), delivery("3")]))
        first, second, third = [await anext(deliveries) for _ in range(3)]
        await third.reject("not_competent", "text")
        await first.accept("DMS-1")
        await second.accept()

        assert [Created("DMS-1"), Created("vn%3AH26~2~1"), Reject("not_competent", "text")] == await outcomes


async def test_leaving_keeps_what_is_decided() -> None:
    """Leaving the iterator delivers nothing of what is undecided, and keeps the rest."""
    sink = IteratorSink()

    async with sink.deliveries() as deliveries:
        outcomes = asyncio.ensure_future(sink.deliver([delivery("1"), delivery("2"), delivery("3")]))
        await (await anext(deliveries)).accept("DMS-1")
        await anext(deliveries)

    assert [Created("DMS-1"), Retry("left undecided"), Retry("left undecided")] == await outcomes


async def test_error_in_the_agencys_code_leaves_its_document_undecided() -> None:
    """An exception between two documents is the same as leaving."""
    sink = IteratorSink()
    outcomes = asyncio.ensure_future(sink.deliver([delivery("1"), delivery("2")]))

    async def break_down() -> None:
        async with sink.deliveries() as deliveries:
            await (await anext(deliveries)).accept()
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await break_down()

    assert [Created, Retry] == [type(outcome) for outcome in await outcomes]


async def test_undecided_documents_come_to_the_next_iterator() -> None:
    """A second block goes on where the first was left."""
    sink = IteratorSink()
    async with sink.deliveries() as deliveries:
        left = asyncio.ensure_future(sink.deliver([delivery("1")]))
        await anext(deliveries)
    await left

    async with sink.deliveries() as deliveries:
        outcomes = asyncio.ensure_future(sink.deliver([delivery("1")]))
        incoming = await anext(deliveries)
        await incoming.accept()

        assert ("1", [Created("vn%3AH26~1~1")]) == (incoming.delivery.document_id, await outcomes)


async def test_nobody_iterating_makes_the_sink_unavailable() -> None:
    """Documents wait, and the reason says for what."""
    with pytest.raises(SinkUnavailableError, match="nobody iterates"):
        await IteratorSink(attend_seconds=0.0).deliver([delivery()])


async def test_second_iterator_is_refused() -> None:
    """Two iterators would each get some of the documents."""
    sink = IteratorSink()
    async with sink.deliveries():
        with pytest.raises(DeliveryError, match="already"):
            async with sink.deliveries():
                pass


async def test_closing_ends_the_iteration() -> None:
    """When receiving ends, the loop over the deliveries ends."""
    sink = IteratorSink()
    async with sink.deliveries() as deliveries:
        waiting = asyncio.ensure_future(anext(deliveries))
        await asyncio.sleep(0)
        await sink.aclose()

        with pytest.raises(StopAsyncIteration):
            await waiting


async def test_document_is_decided_once() -> None:
    """A second decision is an error, and the first one holds."""
    sink = IteratorSink()
    async with sink.deliveries() as deliveries:
        outcomes = asyncio.ensure_future(sink.deliver([delivery()]))
        incoming = await anext(deliveries)
        await incoming.accept("DMS-1")
        with pytest.raises(DeliveryError, match="decided already"):
            await incoming.reject("not_competent")

        assert ([Created("DMS-1")], Created("DMS-1")) == (await outcomes, incoming.outcome)


@pytest.mark.parametrize("code", ["", "Not Competent", "x" * 65, "mã"])
async def test_rejection_needs_a_code(code: str) -> None:
    """What travels in clear in a receipt is a stable code, not a sentence."""
    sink = IteratorSink()
    async with sink.deliveries() as deliveries:
        outcomes = asyncio.ensure_future(sink.deliver([delivery()]))
        incoming = await anext(deliveries)
        with pytest.raises(DeliveryError, match="not a code"):
            await incoming.reject(code)

    assert [Retry("left undecided")] == await outcomes
