"""Two agencies as two processes: the commands of the tutorial, as a shell runs them."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import signal
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from docbus.client.trial import found_exchange
from docbus.clock import SystemClock
from docbus.settings import EmbeddedSettings

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).parents[2]
PROGRAM = (sys.executable, "-m", "docbus")
SECONDS = 20
"""For one command; most take half of one."""


def _environment() -> dict[str, str]:
    """Find docbus from any folder, installed or not."""
    return os.environ | {"PYTHONPATH": str(ROOT)}


def _run(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*PROGRAM, *arguments],
        cwd=folder,
        env=_environment(),
        capture_output=True,
        text=True,
        timeout=SECONDS,
        check=False,
    )


@contextmanager
def _serving(folder: Path, agency: str) -> Iterator[subprocess.Popen[str]]:
    """Run an agency for the block, from the moment it says that it serves; it is ended in any case."""
    with subprocess.Popen(
        [*PROGRAM, "-C", agency, "run"],
        cwd=folder,
        env=_environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            assert process.stderr is not None
            assert any("inbox_begins" in line for line in iter(process.stderr.readline, ""))
            yield process
        finally:
            process.kill()


def test_document_goes_from_one_process_to_the_other(tmp_path: Path) -> None:
    """Published here, filed there, answered by a receipt and a status; a second reader is refused; SIGTERM ends it."""
    agencies = [("H26", "UBND thành phố Hà Nội"), ("H37.02.02", "Sở Tư pháp")]
    bus = EmbeddedSettings(file=tmp_path / "bus.db")
    asyncio.run(found_exchange(tmp_path, agencies, environment="test", bus=bus, clock=SystemClock()))
    (tmp_path / "thư.txt").write_text("Kính gửi", "utf-8")
    shutil.copytree(tmp_path / "H37.02.02", tmp_path / "copy")

    with _serving(tmp_path, "H37.02.02") as recipient:
        sent = _run(
            tmp_path, "-C", "H26", "publish", "thư.txt", "--to", "H37.02.02", "--id", "one", "--wait", "received"
        )
        again = _run(tmp_path, "-C", "H37.02.02", "run")
        elsewhere = _run(tmp_path, "-C", "copy", "run")
        report = _run(tmp_path, "-C", "H37.02.02", "report", "one", "--from-sender", "H26", "--status", "03")
        recipient.send_signal(signal.SIGTERM)
        out, err = recipient.communicate(timeout=SECONDS)
    audit = _run(tmp_path, "-C", "auditor", "replay", "--verify", "--output", "json")
    filed = [path.read_text("utf-8") for path in (tmp_path / "H37.02.02" / "documents").glob("*/files/*")]
    assert 0 == sent.returncode, sent.stderr
    assert 5 == again.returncode
    assert "is held for" in again.stderr
    assert f"process {recipient.pid}" in again.stderr
    assert 5 == elsewhere.returncode
    assert f"process {recipient.pid}" in elsewhere.stderr
    assert 0 == report.returncode
    assert (0, "") == (recipient.returncode, out), err
    assert "SIGTERM" in err
    assert ["Kính gửi"] == filed
    assert 0 == audit.returncode, audit.stdout
    assert {"03": 1} == json.loads(audit.stdout)["statuses"]
