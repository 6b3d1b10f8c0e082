from __future__ import annotations

import re
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from tests.faults.harness.schedule import KINDS, faults_of
from tests.support.source import ROOT

if TYPE_CHECKING:
    from pathlib import Path

RUN_SECONDS = 380.0
"""A run takes some 90 seconds on two cores."""


@pytest.mark.timeout(400)
def test_every_invariant_holds_under_faults(kafka: str, tmp_path: Path) -> None:
    """With every kind of fault, on three Kafka nodes, what was accepted is filed once, in order, and receipted."""
    arguments = ["--documents", "3000", "--faults", str(len(KINDS)), "--seed", "5", "--spacing", "1", "--drain", "120"]
    # A process of its own, as it takes itself into a mount namespace of its own.
    command = [sys.executable, "-m", "tests.faults.harness", *arguments, "--rate", "200", "--folder", str(tmp_path)]

    done = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, text=True, timeout=RUN_SECONDS, check=False)

    assert 0 == done.returncode, done.stdout
    for effect in ("records in the inboxes that belong into quarantine", "forks", "holes", "connections of brokers"):
        assert re.search(rf"^ +[1-9][0-9]*  {effect}", done.stdout, re.MULTILINE), done.stdout


def test_schedule_is_that_of_its_seed() -> None:
    """The same seed gives the same faults, another gives others, and every kind comes before any comes again."""
    faults = faults_of(7, 64, 2.0)
    assert faults == faults_of(7, 64, 2.0) != faults_of(8, 64, 2.0)
    assert set(KINDS) == {fault.kind for fault in faults[: len(KINDS)]}
    assert sorted(faults) == faults
