"""Row 25 of the threats: a record that kills whoever touches it, at every start again."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
from typing import TYPE_CHECKING

from docbus.consumers.attempts import CONDEMNED_AT
from docbus.documents.document import Document
from docbus.transport import topics
from tests.support.cost import ROOT
from tests.support.trial import AGENCIES, HANOI, PATIENCE, TAY_NINH, found, id_of, letter

if TYPE_CHECKING:
    from pathlib import Path

LETTERS = 100
POISON = "letter-042"
MAX_COST_BYTES = 64 << 20
"""Bytes that receiving a hundred letters may take, with a crash loop behind it: the same as without one."""
MAX_STARTS = 2 * CONDEMNED_AT


async def test_a_record_that_kills_by_a_signal_ends_in_quarantine(tmp_path: Path) -> None:
    """Seven processes die of one record; the eighth sets it aside as crash_loop, and files all others."""
    exchange = await found(tmp_path, AGENCIES[:2])
    names = [f"letter-{number:03}" for number in range(LETTERS)]
    async with exchange.agency(HANOI) as hanoi, hanoi.serving(receive=False):
        await hanoi.publish_documents(
            [Document(document_id=name, title=name, files=(letter(),), recipients=(id_of(TAY_NINH),)) for name in names]
        )
        for name in names:
            await hanoi.wait(name, until="sent", timeout=PATIENCE)

    done = await asyncio.to_thread(
        subprocess.run,
        [sys.executable, "-m", "tests.bombs.poison_victim", str(tmp_path), POISON, str(MAX_STARTS)],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=2 * PATIENCE,
        check=False,
    )
    assert 0 == done.returncode, done.stderr[-2000:]
    peak_bytes, signals = done.stdout.splitlines()

    assert [str(signal.SIGSEGV.value)] * (CONDEMNED_AT + 1) + ["0"] == signals.split()
    assert int(peak_bytes) < MAX_COST_BYTES
    assert {*names} - {POISON} == set(exchange.ids_filed(TAY_NINH))
    (record,) = await exchange.records(topics.quarantine(id_of(TAY_NINH)))
    assert b"crash_loop" == dict(record.headers)["docbus_reason"]
