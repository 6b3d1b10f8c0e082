"""Whatever a broker delivers and wherever the process dies, documents are filed once and receipted truly."""

from __future__ import annotations

import asyncio
import tempfile
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from docbus.envelope.envelope import decode_envelope, encode_envelope
from docbus.transport import topics
from docbus.transport.sqlite import SqliteTransport
from docbus.wire.tree import root_of
from tests.support.audit_exchange import CITY, COMMUNE, Exchange, Posted
from tests.support.inbox import ME, Inbox, unavailable
from tests.support.outbox import FakeClock

if TYPE_CHECKING:
    from collections.abc import Sequence

LENGTH = 6
"""Documents of each sender."""


class Crash(BaseException):
    """The process dies here."""


@cache
def _pool() -> tuple[Exchange, dict[str, list[Posted]]]:
    """Sealed once for all examples, because keys are expensive."""
    exchange = Exchange()
    return exchange, {sender: exchange.documents(sender, ME, LENGTH) for sender in (CITY, COMMUNE)}


SENDERS = st.sampled_from([CITY, COMMUNE])
ACTS = st.one_of(
    st.tuples(st.just("post"), st.lists(st.tuples(SENDERS, st.integers(0, LENGTH - 1)), min_size=1, max_size=6)),
    st.tuples(st.just("tamper"), st.tuples(SENDERS, st.integers(0, LENGTH - 1))),
    st.tuples(
        st.sampled_from(["receive", "die in the sink", "die in the ledger", "sink down", "lose ledger"]), st.none()
    ),
)


def _tampered(posted: Posted) -> bytes:
    envelope = decode_envelope(posted.value)
    assert envelope.package is not None
    return encode_envelope(envelope._replace(package=envelope.package[:-1] + bytes([envelope.package[-1] ^ 1])))


async def _act(inbox: Inbox, pool: dict[str, list[Posted]], kind: str, about: Any) -> None:
    if kind == "post":
        await inbox.post(*(pool[sender][at] for sender, at in about))
    elif kind == "tamper":
        sender, at = about
        await inbox.post_value(_tampered(pool[sender][at]), sender.encode())
    elif kind == "lose ledger":
        inbox.lose_ledger()
    else:
        await _receive(inbox, kind)


async def _receive(inbox: Inbox, kind: str) -> None:
    def die() -> None:
        raise Crash

    if kind == "sink down":
        inbox.sink.script = [unavailable(), unavailable()]
    elif kind == "die in the sink":
        inbox.sink.after = die
    elif kind == "die in the ledger":
        commit = inbox.bus.subscribe

        def dying(*given: Any, **named: Any) -> Any:
            subscription = commit(*given, **named)

            async def no_commit(_: object) -> None:
                raise Crash

            subscription.commit = no_commit  # type: ignore[method-assign] # the process dies after its ledger
            return subscription

        inbox.bus.subscribe = dying  # type: ignore[method-assign] # undone below
    try:
        await inbox.receive()
    except Crash:
        pass
    finally:
        inbox.sink.after = lambda: None
        inbox.sink.script = []
        vars(inbox.bus).pop("subscribe", None)


async def _run(acts: Sequence[tuple[str, Any]]) -> None:
    exchange, pool = _pool()
    clock = FakeClock()
    with tempfile.TemporaryDirectory() as root:
        bus = SqliteTransport(Path(root) / "bus.db", clock)
        await bus.start()
        folder = Path(root) / "agency"
        folder.mkdir()
        inbox = Inbox(folder=folder, bus=bus, clock=clock, exchange=exchange)
        try:
            await inbox.found()
            for kind, about in acts:
                await _act(inbox, pool, kind, about)
            await inbox.receive()
            await _check(inbox, pool, acts)
        finally:
            await bus.aclose()


async def _check(inbox: Inbox, pool: dict[str, list[Posted]], acts: Sequence[tuple[str, Any]]) -> None:
    posted = {place for kind, about in acts if kind == "post" for place in about}
    filed = sorted((delivery.sender, delivery.position.sequence) for delivery in inbox.sink.filed.values())
    assert sorted((sender, at + 1) for sender, at in posted) == filed
    assert len(inbox.sink.order) == len(set(inbox.sink.order))

    said = inbox.meaning()
    assert {(sender, pool[sender][0].sealed.epoch, number): None for sender, number in filed} == said
    for sender, receipt in inbox.receipts():
        covered = pool[sender][receipt.first - 1 : receipt.last]
        assert root_of([one.sealed.digest for one in covered]) == receipt.root

    missing = []
    for sender in pool:
        numbers = {number for who, number in filed if who == sender}
        missing += [number for number in range(1, max(numbers, default=0)) if number not in numbers]
    assert sorted(missing) == sorted(n for first, last, _ in inbox.holes() for n in range(first, last + 1))
    assert {"package_mismatch"} >= set(await inbox.reasons())
    if any(kind in {"post", "tamper"} for kind, _ in acts):
        assert (await inbox.bus.bounds(topics.inbox(ME)))[0][1] == inbox.next_offset()


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(ACTS, max_size=10))
def test_every_document_is_filed_once_and_receipted(acts: list[tuple[str, Any]]) -> None:
    """Duplicates, reordering, damage, crashes, a sink that is down and a lost ledger change nothing in the end."""
    asyncio.run(_run(acts))
