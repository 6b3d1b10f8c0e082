"""One signature per batch against one signature per document: sealing alone, without storage or brokers."""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING

from docbus.envelope.batch import Draft, Sealer
from docbus.envelope.statement import RECEIPT_TYPE, ReceiptBody, encode_receipt_body
from docbus.identity.signing import KeySigner, generate_signing_key
from docbus.wire.profiles import Profile

if TYPE_CHECKING:
    from docbus.identity.snapshot import TrustSnapshot

BATCH = 512
BATCHES = 20
SINGLES = 2000


class _Anywhere:
    """What sealing asks of a snapshot where nothing is encrypted."""

    position = 1
    head = bytes(32)


def rates() -> tuple[float, float]:
    """Return statements sealed per second in batches of 512 and one by one."""
    key = generate_signing_key(Profile.ES256)
    sealer = Sealer(
        environment="bench",
        sender="vn:H26",
        signer=KeySigner(private_key=key, certificate=os.urandom(32), profile=Profile.ES256),
    )
    body = encode_receipt_body(ReceiptBody(bytes(16), 1, 1, bytes(32), (), bytes(16)))
    draft = Draft(RECEIPT_TYPE, "vn:H53", "receipts", body, 0, None)
    snapshot: TrustSnapshot = _Anywhere()  # type: ignore[assignment] # only position and head are read

    def seal(count: int, batch: int) -> float:
        begun = time.perf_counter()
        for _ in range(count):
            sealer.seal([draft] * batch, epochs={"receipts": bytes(16)}, heads={}, snapshot=snapshot, now_ms=0)
        return count * batch / (time.perf_counter() - begun)

    seal(2, BATCH)
    return seal(BATCHES, BATCH), seal(SINGLES, 1)
