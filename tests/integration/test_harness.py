from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.faults.harness import __main__ as harness
from tests.faults.harness.schedule import KINDS, faults_of

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.timeout(400)
def test_every_invariant_holds_under_faults(kafka: str, tmp_path: Path) -> None:
    """With every kind of fault, on three Kafka nodes, what was accepted is filed once, in order, and receipted."""
    arguments = ["--documents", "3000", "--faults", str(len(KINDS)), "--seed", "5", "--spacing", "1", "--drain", "200"]

    assert 0 == harness.main([*arguments, "--rate", "200", "--folder", str(tmp_path)])


def test_schedule_is_that_of_its_seed() -> None:
    """The same seed gives the same faults, another gives others, and every kind comes before any comes again."""
    faults = faults_of(7, 64, 2.0)
    assert faults == faults_of(7, 64, 2.0) != faults_of(8, 64, 2.0)
    assert set(KINDS) == {fault.kind for fault in faults[: len(KINDS)]}
    assert sorted(faults) == faults
