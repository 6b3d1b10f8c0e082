"""A slow signer gets larger batches."""

from __future__ import annotations

from typing import TYPE_CHECKING

from docbus.producers.outbox import MAX_BATCH_STATEMENTS
from docbus.producers.signing_pace import MAX_SLOW_BATCH_STATEMENTS, SLOW_SIGNATURE_SECONDS, TimedSigner
from tests.support.outbox import FakeClock, FakeSealer, FakeTransport, document, make_drain, take_in

if TYPE_CHECKING:
    from docbus.storage.database import Database


class Tired:
    """Takes as long for a signature as a test says."""

    certificate = bytes(32)
    profile = 1

    def __init__(self, clock: FakeClock) -> None:
        self.clock = clock
        self.seconds = 0.0

    def sign(self, tbs: bytes) -> bytes:
        return self.sign_all(tbs)[0]

    def sign_all(self, tbs: bytes) -> tuple[bytes, ...]:
        self.clock.advance(self.seconds)
        return (b"signed " + tbs,)


def test_the_last_signature_decides_how_large_the_next_batch_is() -> None:
    """A key in memory has batches of the usual size, a slow one larger ones, as long as it is slow."""
    clock = FakeClock()
    tired = Tired(clock)
    timed = TimedSigner(tired, clock)
    sizes = [timed.batch_statements]
    for seconds in (0.0, SLOW_SIGNATURE_SECONDS - 0.001, SLOW_SIGNATURE_SECONDS + 0.001, 0.2, 0.001):
        tired.seconds = seconds
        timed.sign(b"root")
        sizes.append(timed.batch_statements)

    usual, larger = MAX_BATCH_STATEMENTS, MAX_SLOW_BATCH_STATEMENTS
    assert [usual, usual, usual, larger, larger, usual] == sizes


def test_it_signs_as_the_other_does() -> None:
    """Signatures, certificate and profile are those of the signer that is measured."""
    tired = Tired(FakeClock())
    timed = TimedSigner(tired, tired.clock)

    assert (b"signed root", (b"signed root",)) == (timed.sign(b"root"), timed.sign_all(b"root"))
    assert (tired.certificate, tired.profile) == (timed.certificate, timed.profile)


async def test_batches_of_a_slow_signer_are_larger(database: Database) -> None:
    """So many statements go under one signature and no more; the rest follows in the next batch."""
    take_in(database, *[document(f"{number:05}") for number in range(MAX_SLOW_BATCH_STATEMENTS + 1)])
    sealer = FakeSealer()

    sent = await make_drain(
        database, FakeTransport(), sealer, batch_statements=lambda: MAX_SLOW_BATCH_STATEMENTS
    ).drain()

    assert [MAX_SLOW_BATCH_STATEMENTS, 1] == sealer.batches
    assert MAX_SLOW_BATCH_STATEMENTS + 1 == sent
