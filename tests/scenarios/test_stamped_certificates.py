"""A time stamp shows that a statement came before its certificate was revoked, and no word of its sender has to."""

from __future__ import annotations

import asyncio
import json
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING, Any

import pytest
import structlog
from cryptography.x509 import ReasonFlags

from docbus.cli import main
from docbus.clock import SystemClock
from docbus.identity.pki.crl import read_list
from docbus.settings import load_settings
from tests.support.agencies import AGENCIES, ENVIRONMENT, found_exchange
from tests.support.certified import certify
from tests.support.stamping import hurry, send, stamped, wish
from tests.support.time_stamps import Authority, serving_authority
from tests.support.trial import until

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

CLOCK = SystemClock()


@pytest.fixture(autouse=True)
def _hurry(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Let an hour, and the pauses, last no time at all; and let no command's log outlive it."""
    structlog.reset_defaults()
    hurry(monkeypatch)
    yield
    structlog.reset_defaults()


async def test_a_time_stamp_shows_that_a_statement_came_before_the_revocation(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Without it an auditor cannot know; with it, under an anchor, the statement is valid for good."""
    await found_exchange(tmp_path, {"tayninh": AGENCIES["tayninh"]})
    (tmp_path / "letter.txt").write_text("Kính gửi", "utf-8")
    genesis = load_settings(tmp_path / "registrar").exchange.genesis
    authority, issued = await certify(
        tmp_path, *AGENCIES["hanoi"], environment=ENVIRONMENT, genesis=genesis, own="hanoi"
    )
    (tmp_path / "clean.crl").write_bytes(authority.list_revocations(days=1))
    assert 0 == await _run("-C", tmp_path / "tayninh", "cert", "import", tmp_path / "clean.crl")
    stamping = Authority(tmp_path / "tsa")
    with serving_authority(stamping) as server:
        wish(tmp_path, server, stamping.anchor)
        async with AsyncExitStack() as stack:
            hanoi = await send(tmp_path, stack, "letter-1")
            await stamped(hanoi)
    second = CLOCK.now_ms() // 1000
    await until(lambda: CLOCK.now_ms() // 1000 > second)
    authority.revoke(issued.serial, ReasonFlags.superseded)
    content = authority.list_revocations(days=1)
    assert {issued.serial} == set(read_list(content).revoked)
    (tmp_path / "crl").write_bytes(content)
    evidence = tmp_path / "letter-1.time-stamp"
    for arguments in (
        ("-C", tmp_path / "hanoi", "export", "time-stamp", "letter-1", "-o", evidence),
        ("-C", tmp_path / "hanoi", "export", "envelope", "letter-1", "-o", tmp_path / "letter-1.envelope"),
        ("-C", tmp_path / "auditor", "export", "trust", "-o", tmp_path / "trust.json"),
    ):
        assert 0 == await _run(*arguments)

    async def verified(*more: str | Path) -> dict[str, Any]:
        capsys.readouterr()
        await _run(
            "-C", tmp_path / "auditor", "verify", tmp_path / "letter-1.envelope", "--trust", tmp_path / "trust.json",
            "--material", tmp_path / "crl", "--output", "json", *more,
        )  # fmt: skip
        found: dict[str, Any] = json.loads(capsys.readouterr().out)
        return found

    bare = await verified()
    unanchored = await verified("--time-stamp", evidence)
    proven = await verified("--time-stamp", evidence, "--anchor", stamping.anchor)

    assert ["indeterminate", "indeterminate", "valid"] == [one["verdict"] for one in (bare, unanchored, proven)]
    assert "revoked_by_authority_later" in {check["code"] for check in bare["checks"]}
    assert any("as its time stamp shows" in note for note in proven["notes"])


async def _run(*arguments: str | Path) -> int:
    """Run a command in a thread, as it has a loop of its own."""
    return await asyncio.to_thread(main, [str(one) for one in arguments])
