"""The demo that a stranger runs first."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest
import structlog

from tests.support.demo import DEMO, ROOT, load_demo
from tests.support.trial import EXPRESS

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

DEMO_SECONDS = 10.0
"""What the demo may take, by its own measure."""
PROCESS_SECONDS = 50.0
"""Until a demo that hangs is ended."""


def test_demo_shows_what_it_promises(tmp_path: Path) -> None:
    """The demo ends well in its time, having shown many recipients, three attachments, an attack, and the verdict."""
    done = subprocess.run(
        [sys.executable, str(DEMO), "--folder", str(tmp_path / "demo")],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT), "COLUMNS": "200"},
        capture_output=True,
        text=True,
        timeout=PROCESS_SECONDS,
        check=False,
    )

    assert 0 == done.returncode, done.stdout + done.stderr
    shown = done.stdout
    assert "a registrar, 5 agencies, an auditor" in shown
    for claim in (
        "signed receipts came back",
        "every file lies in its recipients' folders, byte for byte",
        "20 MB went to four agencies, their 39 parts were written once",
        "one document had three attachments",
        "one document went to many recipients",
        "H26 refused it and kept it in quarantine, with step and reason",
        "the tampered record is found",
        "no stream has a hole",
        "so the verdict is invalid, exit code 1",
    ):
        assert claim in shown
    assert "✗" not in shown
    assert "Công điện hỏa tốc về phòng, chống bão" in shown
    assert "Look round" in shown
    seconds = float(shown.rpartition("in ")[2].partition(" s")[0])
    assert seconds < DEMO_SECONDS


@pytest.fixture
def demo(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Any]:
    """The demo as a module, told to work in a temporary folder."""
    module = load_demo()
    monkeypatch.setattr(sys, "argv", ["demo.py", "--folder", str(tmp_path / "demo")])
    yield module
    structlog.reset_defaults()


def test_demo_fails_if_a_folder_holds_something_else(
    demo: Any, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Where a claim is false, the demo names it and its exit code is 1."""
    monkeypatch.setattr(demo, "filed", lambda *_: False)

    assert 1 == demo.main()
    assert "Not so: every file lies in its recipients' folders" in " ".join(capsys.readouterr().out.split())


def test_demo_fails_if_nothing_was_tampered_with(
    demo: Any, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The attack is real: without it, nothing comes to the quarantine, and the demo says so."""

    async def leave_alone(transport: Any, inbox: str) -> Any:
        (record, *_) = await transport.read(inbox, EXPRESS, 0, max_records=1, max_bytes=1, wait=0)
        return record

    monkeypatch.setattr(demo, "tamper", leave_alone)
    monkeypatch.setattr(demo, "WAIT_SECONDS", 2.0)

    assert 1 == demo.main()
    assert "Not so: nothing came to docbus.quarantine.vn.H26" in " ".join(capsys.readouterr().out.split())
