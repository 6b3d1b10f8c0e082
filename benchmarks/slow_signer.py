"""How many documents a second go out under a key that signs five times a second, as smart cards do.

``.venv/bin/python -m benchmarks.slow_signer`` uses an embedded bus in a temporary folder, and nothing else is needed;
``--kafka host:port`` uses brokers without a directory yet. What is measured is accepted durably, encrypted, signed and
acknowledged, for documents of 1 KB to one recipient.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import structlog

from benchmarks.exchange import AGENCIES, CALL, RECIPIENT, SENDER, WAIT_SECONDS
from docbus.client.agency import Agency
from docbus.client.running import relax_collector
from docbus.client.trial import found_exchange
from docbus.clock import SystemClock
from docbus.documents.document import Document
from docbus.documents.file import File
from docbus.settings import EmbeddedSettings, KafkaServerSettings

if TYPE_CHECKING:
    from docbus.client.connect import Bus
    from docbus.identity.signing import Signer

SIZE = 1024
COUNT = 20_000
AIM = 2_000
"""Documents a second, with five signatures a second."""


@dataclass
class SlowSigner:
    """Signs as another does, and takes its time: as long as a token does that signs so often a second."""

    signer: Signer
    rate: float
    signatures: int = 0
    busy: float = 0.0

    @property
    def certificate(self) -> bytes:
        """The other's."""
        return self.signer.certificate

    @property
    def profile(self) -> int:
        """The other's."""
        return self.signer.profile

    def sign(self, tbs: bytes) -> bytes:
        """Sign, slowly."""
        return self.sign_all(tbs)[0]

    def sign_all(self, tbs: bytes) -> tuple[bytes, ...]:
        """Sign, slowly."""
        begun = time.perf_counter()
        signatures = self.signer.sign_all(tbs)
        time.sleep(max(0.0, 1 / self.rate - (time.perf_counter() - begun)))
        self.signatures += 1
        self.busy += time.perf_counter() - begun
        return signatures


async def measure(folder: Path, bus: Bus, rate: float, count: int) -> tuple[float, SlowSigner]:
    """Return the seconds from the first call of ``publish`` until all is sent, and the signer."""
    await found_exchange(folder, AGENCIES, environment="bench", bus=bus, clock=SystemClock())
    content = os.urandom(SIZE)
    async with Agency.open(folder / SENDER) as sender:
        # Below what measures how long a signature takes.
        timed = sender._keys._timed  # noqa: SLF001
        assert timed is not None  # noqa: S101 - opening has chosen a signer
        slow = timed._signer = SlowSigner(timed._signer, rate)  # noqa: SLF001
        documents = [
            Document(
                document_id=f"{index:08}",
                title="Báo cáo",
                files=(File(name="báo cáo.pdf", media_type="application/pdf", content=content),),
                recipients=("vn:" + RECIPIENT,),
            )
            for index in range(count)
        ]
        relax_collector()
        begun = time.perf_counter()
        async with sender.serving(receive=False):
            for start in range(0, count, CALL):
                await sender.publish_documents(documents[start : start + CALL])
            await sender.wait(documents[-1].document_id, until="sent", timeout=WAIT_SECONDS)
            return time.perf_counter() - begun, slow


def main() -> None:
    """Measure once, and print a line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rate", type=float, default=5.0, help="signatures a second")
    parser.add_argument("--kafka", help="host:port; an embedded bus without it")
    parser.add_argument("--documents", type=int, default=COUNT)
    options = parser.parse_args()
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger("error"))
    with tempfile.TemporaryDirectory(prefix="docbus-bench-") as name:
        bus: Bus = EmbeddedSettings(file=Path(name) / "bus.db")
        if options.kafka:
            bus = KafkaServerSettings(bootstrap=options.kafka, replication_factor=1)
        seconds, slow = asyncio.run(measure(Path(name), bus, options.rate, options.documents))
    count = options.documents
    print(
        f"{count:,} documents of {SIZE} bytes in {seconds:.1f} s: {count / seconds:,.0f} a second"
        f" (aim {AIM:,}); {slow.signatures} signatures, {count / slow.signatures:,.0f} documents each;"
        f" the signer was busy for {slow.busy / seconds:.0%} of the time"
    )


if __name__ == "__main__":
    main()
