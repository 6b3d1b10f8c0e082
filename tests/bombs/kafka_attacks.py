"""Attacks with batches that a broker hands out, on what aiokafka's fetcher does with them in docbus."""

from __future__ import annotations

import gzip
import sys
import types
from collections import Counter
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

CODECS = {"gzip": 1, "snappy": 2, "lz4": 3, "zstd": 4}
BOMB_BYTES = 256 << 20
"""What each bomb unpacks to."""
FETCHED_AT_ONCE = 1024
"""Records that docbus asks for at a time."""


def _inflater() -> Any:
    """Return a module in place of cramjam, which aiokafka unpacks with where it is installed; docbus does not need it.

    Whatever it is given, it unpacks to the bomb's size, as a real one would with a real bomb.
    """
    made = types.ModuleType("cramjam")
    for name in ("snappy", "lz4", "zstd"):
        codec = types.SimpleNamespace(decompress=lambda _: bytearray(BOMB_BYTES))
        codec.decompress_raw = codec.decompress
        setattr(made, name, codec)
    return made


def _read(raw: bytes) -> dict[str, int]:
    """Return how many records came with a value, and how many came empty, as a consumer's buffer would hold them."""
    # Imported late: what aiokafka finds installed is decided when it is imported.
    from aiokafka.consumer import fetcher  # noqa: PLC0415
    from aiokafka.structs import TopicPartition  # noqa: PLC0415

    from docbus.transport import kafka_consumer  # noqa: PLC0415

    assert kafka_consumer.FETCH_BYTES >= len(raw), "a broker that keeps to the size asked for cannot send this"
    answer = fetcher.PartitionRecords(
        TopicPartition("inbox", 0), fetcher.MemoryRecords(raw), [], 0, None, None, True, fetcher.READ_COMMITTED
    )
    held = [record for record, _ in zip(answer, range(FETCHED_AT_ONCE), strict=False)]
    return dict(Counter("empty" if record.value is None else "value" for record in held))


def bomb(codec: str) -> Callable[[], object]:
    """Return an attack: one batch of one record that unpacks to 256 MiB."""
    sys.modules["cramjam"] = _inflater()
    from tests.support.batches import compressed, encoded  # noqa: PLC0415

    # The other inflaters are stand-ins, to which all bytes are the same bomb.
    packed = gzip.compress(encoded([(None, bytes(BOMB_BYTES), [])])[61:]) if codec == "gzip" else b"packed"
    raw = compressed(encoded([(None, b"", [])]), lambda _: packed, codec=CODECS[codec])
    return lambda: _read(raw)


def many_small() -> Callable[[], object]:
    """Return an attack: an answer full of batches, each of which unpacks to the 1.5 MiB that are allowed for one."""
    from docbus.transport.kafka_records import MAX_UNPACKED_BYTES  # noqa: PLC0415
    from tests.support.batches import compressed, encoded  # noqa: PLC0415

    one = compressed(encoded([(None, bytes(MAX_UNPACKED_BYTES - 32), [])]), gzip.compress)
    count = (4 << 20) // len(one)
    # The first eight bytes of a batch are its first offset; the broker writes them, so no checksum covers them.
    raw = b"".join(number.to_bytes(8, "big") + one[8:] for number in range(count))
    return lambda: [count, _read(raw)]


def places_without_end() -> Callable[[], object]:
    """Return an attack: a broken batch of some bytes that says that it has 2,147,483,648 records."""
    from tests.support.batches import compressed, encoded  # noqa: PLC0415

    head = bytearray(encoded([(None, b"", [])]))
    head[23:27] = (2**31 - 1).to_bytes(4, "big")
    raw = compressed(bytes(head), lambda _: b"broken", codec=0)
    return lambda: _read(raw)
