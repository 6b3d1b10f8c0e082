"""Rows 11, 17 and 18 of the threats, and Avro files of row 16: small inputs that promise much."""

from __future__ import annotations

from tests.bombs import wire_attacks
from tests.support.cost import cost_of

MAX_COST_BYTES = 16 << 20
"""Bytes that any of these may cost: some copies of the largest envelope, and what a first import takes. One of the
bombs that gets through takes 300 MB or more."""
MAX_CPU_SECONDS = 5.0
"""Seconds of a processor for all tries of a test together, several thousand here and there."""


def test_forged_proofs_are_refused_before_they_cost_anything() -> None:
    """Proofs that are none, one of a million hashes among them, are refused by number, and leave nothing in memory."""
    cost = cost_of(wire_attacks.forged_proofs)

    assert {"C1.01", "C1.02", "C1.07", "C1.08"} == set(cost.outcome)
    assert 18 * 20 == sum(cost.outcome.values())
    assert cost.peak_bytes < MAX_COST_BYTES
    assert cost.cpu_seconds < MAX_CPU_SECONDS


def test_a_promise_costs_no_more_than_what_is_there() -> None:
    """A count or length of up to 2^62 at any place of any input of any kind costs what is there, and no more."""
    cost = cost_of(wire_attacks.promises)

    assert {"envelope", "statement", "package", "part", "act", "directory"} <= set(cost.outcome)
    assert sum(cost.outcome.values()) > 20_000
    assert cost.peak_bytes < MAX_COST_BYTES
    assert cost.cpu_seconds < MAX_CPU_SECONDS


def test_an_envelope_of_nothing_but_items_is_refused() -> None:
    """Envelopes of the largest size that are all hints, offsets or signatures are refused without making them."""
    cost = cost_of(wire_attacks.many_items)

    assert 3 == cost.outcome
    assert cost.peak_bytes < MAX_COST_BYTES
    assert cost.cpu_seconds < MAX_CPU_SECONDS


def test_no_schema_comes_from_outside() -> None:
    """Another fingerprint or type is refused without a file, a socket or a compiler; no schema may grow or recurse."""
    cost = cost_of(wire_attacks.schemas)

    assert {"C1.02": 8 * 20, "C1.03": 5 * 20} == cost.outcome["said"]
    assert [] == cost.outcome["opened"]
    assert ["recursive", "nulls", "empty records", "map", "double"] == cost.outcome["endless"]
    assert cost.peak_bytes < MAX_COST_BYTES
    assert cost.cpu_seconds < MAX_CPU_SECONDS


def test_avro_files_are_not_read() -> None:
    """A file whose block unpacks to 300 MB is refused by every reader that meets it, packed as it came."""
    cost = cost_of(wire_attacks.containers)

    packed, refused = cost.outcome
    assert (True, 1) == (packed < 400_000, refused)
    assert cost.peak_bytes < MAX_COST_BYTES
    assert cost.cpu_seconds < MAX_CPU_SECONDS
