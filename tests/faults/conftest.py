"""Starts the campaign of ``test_every_write`` beside all other tests, which need one core, and puts its tests last."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests.faults.killing import ROOT

if TYPE_CHECKING:
    from tests.faults.campaign import Asked

EVERY_WRITE = Path(__file__).with_name("test_every_write.py")
BESIDE_ITEMS = 1000
"""Other tests from which on the campaign leaves them a core."""


class RunningCampaign:
    """A running campaign, whose results are asked for in any order."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process
        self._found: dict[Asked, str | None] = {}
        self._writes: dict[str, set[tuple[str, ...]]] | None = None

    @property
    def writes(self) -> dict[str, set[tuple[str, ...]]]:
        """Name and moment of the writes of each journey."""
        if self._writes is None:
            self._writes = {journey: {tuple(one) for one in found} for journey, found in self._next()["writes"].items()}
        return self._writes

    def _next(self) -> dict[str, Any]:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        assert line, f"the campaign has ended early, with {self._process.wait()}"
        found: dict[str, Any] = json.loads(line)
        return found

    def error(self, asked: Asked) -> str | None:
        """Return what is wrong after a death at a place."""
        assert self.writes
        while asked not in self._found:
            found = self._next()
            self._found[tuple(found["place"])] = found["error"]
        return self._found[asked]


CAMPAIGN = pytest.StashKey[RunningCampaign]()


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put deaths at every write last, in whatever order the others come."""
    items.sort(key=lambda item: item.path == EVERY_WRITE)


def pytest_collection_finish(session: pytest.Session) -> None:
    """Start a campaign through the places that this run has tests for, in the order of the tests."""
    mine = [item for item in session.items if item.path == EVERY_WRITE]
    if session.config.option.collectonly or sys.platform != "linux" or not mine:
        return
    asked = [
        item.callspec.params["place"]
        for item in mine
        if isinstance(item, pytest.Function) and hasattr(item, "callspec") and "place" in item.callspec.params
    ]
    others = len(session.items) - len(mine)
    jobs = 1 if others >= BESIDE_ITEMS else os.cpu_count() or 1
    folder = tempfile.TemporaryDirectory(prefix="docbus-campaign-")
    session.config.add_cleanup(folder.cleanup)
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.faults.campaign", folder.name, str(jobs)],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    session.config.add_cleanup(lambda: _end(process))
    assert process.stdin is not None
    json.dump(asked, process.stdin)
    process.stdin.close()
    session.config.stash[CAMPAIGN] = RunningCampaign(process)


def _end(process: subprocess.Popen[str]) -> None:
    process.kill()
    process.wait()
    assert process.stdout is not None
    process.stdout.close()
