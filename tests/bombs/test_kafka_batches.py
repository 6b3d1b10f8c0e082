"""Row 15 of the threats: a batch of some kilobytes that aiokafka would unpack to hundreds of megabytes."""

from __future__ import annotations

import pytest

from docbus.transport.kafka_records import MAX_PLACES, MAX_UNPACKED_BYTES, MAX_UNPACKED_TOTAL_BYTES
from tests.bombs import kafka_attacks
from tests.support.cost import cost_of

MAX_BATCH_COST_BYTES = 8 * MAX_UNPACKED_BYTES
"""Bytes that a bomb may cost: what is unpacked of it, copies of that on the way to a record, and what an import takes.
The bomb itself has 170 times more than one copy."""
MAX_ANSWER_COST_BYTES = 3 * MAX_UNPACKED_TOTAL_BYTES + MAX_BATCH_COST_BYTES
"""Bytes that an answer full of batches may cost: the values that are held, copied once, and the batch in work."""
MAX_CPU_SECONDS = 2.0
"""Seconds of a processor; aiokafka takes four to unpack the bomb of the threat model."""


@pytest.mark.parametrize("codec", kafka_attacks.CODECS)
def test_a_compressed_bomb_costs_no_more_than_a_batch(codec: str) -> None:
    """A batch that unpacks to 256 MiB is an empty record, in the memory of an ordinary batch, by every codec."""
    cost = cost_of(kafka_attacks.bomb, codec)

    assert {"empty": 1} == cost.outcome
    assert cost.peak_bytes < MAX_BATCH_COST_BYTES
    assert cost.cpu_seconds < MAX_CPU_SECONDS


def test_thousands_of_small_bombs_come_in_turns() -> None:
    """Of an answer full of batches that are each within bounds, so much is unpacked at a time as an answer may have."""
    cost = cost_of(kafka_attacks.many_small)

    batches, held = cost.outcome
    assert batches > 1000
    assert {"value": MAX_UNPACKED_TOTAL_BYTES // MAX_UNPACKED_BYTES + 1} == held
    assert cost.peak_bytes < MAX_ANSWER_COST_BYTES
    assert cost.cpu_seconds < MAX_CPU_SECONDS


def test_a_batch_of_two_thousand_million_records_takes_a_bounded_number_of_places() -> None:
    """What a broken batch says of itself is not believed: it takes so many places at most, and no more."""
    cost = cost_of(kafka_attacks.places_without_end)

    assert {"empty": MAX_PLACES} == cost.outcome
    assert cost.peak_bytes < MAX_BATCH_COST_BYTES
    assert cost.cpu_seconds < MAX_CPU_SECONDS
