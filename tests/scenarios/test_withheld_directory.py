"""A broker withholds a revocation from one agency, and somebody has the revoked key."""

from __future__ import annotations

from typing import TYPE_CHECKING

from structlog.testing import capture_logs

from docbus.client import agency as client
from docbus.client.agency import Agency
from docbus.client.connect import open_registrar, open_transport, signer_of_settings
from docbus.clock import SystemClock
from docbus.identity.freshness import Freshness
from docbus.limits import MAX_CLOCK_SKEW_MS
from docbus.settings import load_settings
from docbus.transport import topics
from tests.support.hostile import FrozenDirectory, sealed_by
from tests.support.trial import HANOI, PATIENCE, TAY_NINH, letter, until

if TYPE_CHECKING:
    import pytest

    from docbus.identity.signing import Signer
    from docbus.settings import Settings
    from docbus.transport.port import Transport
    from tests.support.trial import Exchange

EVENTS = {"directory_old", "directory_stale", "directory_fresh"}
"""What the log says of a directory that grows old."""


class ForwardClock(SystemClock):
    """The machine's clock, put forward by the test for everybody alike."""

    def __init__(self) -> None:
        self.ahead_ms = 0

    def now_ms(self) -> int:
        """Return milliseconds since 1970."""
        return super().now_ms() + self.ahead_ms


class Thief:
    """Signs with Hanoi's key and writes to Tây Ninh's inbox; names a directory entry that the victim knows."""

    def __init__(self, wire: Transport, victim: Agency, signer: Signer, clock: ForwardClock) -> None:
        self._wire = wire
        self._victim = victim
        self._signer = signer
        self._clock = clock

    async def writes(self, document_id: str) -> None:
        """Put a document of his own into the inbox."""
        record = sealed_by(
            self._signer,
            self._victim.snapshot,
            document_id,
            sender=HANOI,
            recipient=TAY_NINH,
            now_ms=self._clock.now_ms(),
        )
        await self._wire.append([record])


async def test_revocation_that_is_withheld_is_noticed(exchange: Exchange, monkeypatch: pytest.MonkeyPatch) -> None:
    """Within the limit only the alarm tells; after it nothing the key signs is filed; when the log goes on, it acts.

    What came when the directory was too old is parked as indeterminate, and goes to quarantine as soon as the
    revocation is known.
    """
    clock = ForwardClock()
    stolen = signer_of_settings(load_settings(exchange.folder / HANOI))
    registrar_folder = exchange.folder / "registrar"
    async with open_registrar(registrar_folder, clock=clock) as registrar:
        beaten = await registrar.heartbeat()
    brokers: list[FrozenDirectory] = []

    def hostile(settings: Settings) -> Transport:
        brokers.append(FrozenDirectory(open_transport(settings), shown=beaten.position + 1))
        return brokers[-1]  # type: ignore[return-value] # everything it does not do itself, the real one does

    monkeypatch.setattr(client, "open_transport", hostile)
    with capture_logs() as lines:
        async with (
            Agency.open(exchange.folder / TAY_NINH, clock=clock) as tay_ninh,
            exchange.bus() as wire,
            tay_ninh.serving(),
        ):
            thief = Thief(wire, tay_ninh, stolen, clock)

            def logged() -> list[str]:
                return [line["event"] for line in lines if line["event"] in EVENTS]

            async def freshness() -> Freshness | None:
                directory = (await tay_ninh.status()).directory
                return None if directory is None else directory.freshness

            async with open_registrar(registrar_folder, clock=clock) as registrar:
                await registrar.revoke(stolen.certificate, reason="token lost")
                await registrar.heartbeat()

            # Minutes later: nobody can know.
            await thief.writes("1-soon")
            await until(lambda: exchange.ids_filed(TAY_NINH) == ["1-soon"])
            unnoticed = logged(), await freshness()

            # After a quarter of an hour there is an alarm, and documents are still filed.
            clock.ahead_ms += tay_ninh.snapshot.freshness_alarm_ms + 1
            await until(lambda: bool(logged()))
            await thief.writes("2-alarmed")
            await until(lambda: sorted(exchange.ids_filed(TAY_NINH)) == ["1-soon", "2-alarmed"])
            alarmed = logged(), await freshness()

            # After the limit nothing is believed any more.
            clock.ahead_ms += tay_ninh.snapshot.freshness_limit_ms + MAX_CLOCK_SKEW_MS
            await until(lambda: len(logged()) == 2)
            await thief.writes("3-stale")

            async def is_parked() -> bool:
                return bool((await tay_ninh.status()).inbox.parked)

            await until(is_parked)
            (waiting,) = (await tay_ninh.status()).inbox.waiting
            stale = logged(), await freshness()

            # The log goes on: the revocation acts at once.
            async with open_registrar(registrar_folder, clock=clock) as registrar:
                await registrar.heartbeat()
            brokers[0].thaw()
            (kept,) = await wire.read(
                topics.quarantine(tay_ninh.id), 0, 0, max_records=10, max_bytes=1 << 24, wait=PATIENCE
            )
            await until(lambda: len(logged()) == 3)

            async def is_empty() -> bool:
                return not await is_parked()

            await until(is_empty)
            well = logged(), await freshness()

    headers = dict(kept.headers)
    assert ([], Freshness.FRESH) == unnoticed
    assert (["directory_old"], Freshness.OLD) == alarmed
    assert (["directory_old", "directory_stale"], Freshness.STALE) == stale
    assert ("indeterminate", "directory_stale") == (waiting.cause, waiting.code)
    assert (b"C1.19", b"certificate_revoked") == (headers["docbus_step"], headers["docbus_reason"])
    assert (["directory_old", "directory_stale", "directory_fresh"], Freshness.FRESH) == well
    assert ["1-soon", "2-alarmed"] == sorted(exchange.ids_filed(TAY_NINH))


async def test_genuine_documents_wait_out_a_silent_registrar(exchange: Exchange) -> None:
    """Where the registrar was silent for too long, accepting and sealing go on, and one heartbeat files what waited."""
    clock = ForwardClock()
    async with open_registrar(exchange.folder / "registrar", clock=clock) as registrar:
        await registrar.heartbeat()
    async with (
        Agency.open(exchange.folder / HANOI, clock=clock) as hanoi,
        Agency.open(exchange.folder / TAY_NINH, clock=clock) as tay_ninh,
        hanoi.serving(),
        tay_ninh.serving(),
    ):
        clock.ahead_ms += hanoi.snapshot.freshness_limit_ms + MAX_CLOCK_SKEW_MS + 1
        document = (await hanoi.publish(letter(), to=[TAY_NINH])).document_id
        await hanoi.wait(document, until="sent", timeout=PATIENCE)

        async def is_parked() -> bool:
            return bool((await tay_ninh.status()).inbox.parked)

        await until(is_parked)
        before = exchange.ids_filed(TAY_NINH)
        async with open_registrar(exchange.folder / "registrar", clock=clock) as registrar:
            await registrar.heartbeat()
        await hanoi.wait(document, until="received", timeout=PATIENCE)

    assert [] == before
    assert [document] == exchange.ids_filed(TAY_NINH)
    assert 0 == (await exchange.audit()).exit_code
