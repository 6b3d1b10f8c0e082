"""From an authority that is away to evidence that an outsider checks with `openssl`."""

from __future__ import annotations

import asyncio
import json
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING, Any

import pytest
import structlog

from docbus import Agency
from docbus.cli import main
from docbus.errors import ConfigurationError
from tests.support.agencies import found_exchange
from tests.support.stamping import beat, hurry, send, stamped, wish
from tests.support.time_stamps import NAME, Authority, Serving, answer_with, granting, serving_authority
from tests.support.trial import until

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path / "tsa")


@pytest.fixture
def server(authority: Authority) -> Iterator[Serving]:
    with serving_authority(authority) as started:
        yield started


@pytest.fixture(autouse=True)
def _hurry(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Let an hour, and the pauses, last no time at all; and let no command's log outlive it."""
    structlog.reset_defaults()
    hurry(monkeypatch)
    yield
    structlog.reset_defaults()


@pytest.fixture
async def exchange(tmp_path: Path, authority: Authority, server: Serving) -> Path:
    """An exchange whose registrar and whose agency in Hà Nội wish time stamps."""
    await found_exchange(tmp_path)
    wish(tmp_path, server, authority.anchor)
    (tmp_path / "letter.txt").write_text("Kính gửi", "utf-8")
    return tmp_path


async def run(*arguments: str | Path) -> int:
    """Run a command in a thread, as it has a loop of its own."""
    return await asyncio.to_thread(main, [str(one) for one in arguments])


async def test_documents_flow_while_the_authority_is_away(
    exchange: Path, server: Serving, authority: Authority, capsys: pytest.CaptureFixture[str]
) -> None:
    """The gap is seen in status, and filled once the authority is back; the evidence then says the later time."""
    server.answering = answer_with(b"busy", status=503)
    async with AsyncExitStack() as stack:
        hanoi = await send(exchange, stack, "letter-1")

        async def has_gap() -> bool:
            stamps = (await hanoi.status()).time_stamps
            return stamps is not None and stamps.gap is not None

        await until(has_gap)
        capsys.readouterr()
        assert 0 == await run("-C", exchange / "hanoi", "status")
        assert "answers with status 503" in capsys.readouterr().out
        assert 0 != await run("-C", exchange / "hanoi", "export", "time-stamp", "letter-1", "-o", exchange / "early")
        assert "waits for its time stamp" in capsys.readouterr().err

        server.answering = granting(authority)

        async def is_filled() -> bool:
            stamps = (await hanoi.status()).time_stamps
            return stamps is not None and stamps.gap is None and not stamps.waiting and stamps.stamps > 0

        await until(is_filled)
    assert 0 == await run("-C", exchange / "hanoi", "status")
    assert "the last at 20" in capsys.readouterr().out

    evidence = await export(exchange)
    assert "Verification: OK" in authority.verify(evidence / "stamped.bin", evidence / "token.tst")


async def export(exchange: Path) -> Path:
    """Write envelope, trust bundle and evidence of the letter, and return the folder of the last."""
    evidence = exchange / "letter-1.time-stamp"
    for arguments in (
        ("-C", exchange / "hanoi", "export", "time-stamp", "letter-1", "-o", evidence),
        ("-C", exchange / "hanoi", "export", "envelope", "letter-1", "-o", exchange / "letter-1.envelope"),
        ("-C", exchange / "auditor", "export", "trust", "-o", exchange / "trust.json"),
    ):
        assert 0 == await run(*arguments)
    return evidence


async def stamped_letter(exchange: Path) -> Path:
    """Send a letter, have it stamped, and return the folder with its evidence."""
    async with AsyncExitStack() as stack:
        hanoi = await send(exchange, stack, "letter-1")
        await stamped(hanoi)
    return await export(exchange)


async def verified(
    exchange: Path, capsys: pytest.CaptureFixture[str], *arguments: str | Path
) -> tuple[int, dict[str, Any]]:
    """Return exit code and what is said about the time stamp of the letter."""
    capsys.readouterr()
    code = await run(
        "-C", exchange / "auditor", "verify", exchange / "letter-1.envelope", "--trust", exchange / "trust.json",
        "--output", "json", *arguments,
    )  # fmt: skip
    found = json.loads(capsys.readouterr().out)
    assert "valid" == found["verdict"]
    return code, found["time_stamp"]


async def test_evidence_is_verified_by_whoever_has_the_anchor(
    exchange: Path, authority: Authority, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Passed under the right anchor, undecided under another, not checked without one, failed where it was changed."""
    evidence = await stamped_letter(exchange)
    stranger = Authority(tmp_path / "stranger", name="Somebody else")
    given = ("--time-stamp", evidence)

    code, found = await verified(exchange, capsys, *given, "--anchor", authority.anchor)
    assert (0, "passed", f"CN={NAME}") == (code, found["outcome"], found["authority"])
    code, found = await verified(exchange, capsys, *given, "--anchor", stranger.anchor)
    assert (3, "indeterminate", "authority_unknown") == (code, found["outcome"], found["reason"])
    code, found = await verified(exchange, capsys, *given)
    assert (0, "indeterminate", "anchor_missing") == (code, found["outcome"], found["reason"])
    code, found = await verified(exchange, capsys, *given, "--anchor", authority.anchor, "--policy", "1.2.3")
    assert (1, "failed", "policy_differs") == (code, found["outcome"], found["reason"])

    content = json.loads((evidence / "time-stamp.json").read_bytes())
    (evidence / "time-stamp.json").write_text(json.dumps(content | {"agency": "vn:H99"}))
    code, found = await verified(exchange, capsys, *given, "--anchor", authority.anchor)
    assert (1, "failed", "owner_differs") == (code, found["outcome"], found["reason"])
    assert "vn:H99" in found["evidence_of"]
    (evidence / "time-stamp.json").write_text(json.dumps(content | {"count": content["count"] + 1}))
    code, found = await verified(exchange, capsys, *given, "--anchor", authority.anchor)
    assert (1, "failed", "imprint_differs") == (code, found["outcome"], found["reason"])


async def test_the_second_authority_stamps_while_the_first_is_away(
    exchange: Path, server: Serving, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Nothing waits, the evidence names who has stamped, and the doctor says which of them answers."""
    server.answering = answer_with(b"busy", status=503)
    second = Authority(tmp_path / "second", name="Second authority")
    with serving_authority(second) as other:
        with (exchange / "hanoi" / "docbus.toml").open("a") as file:
            file.write(f'\n[[timestamps.fallback]]\nurl = "{other.url}"\nanchor = "{second.anchor}"\n')
        evidence = await stamped_letter(exchange)
        capsys.readouterr()
        assert 1 == await run("-C", exchange / "hanoi", "doctor")
    told = capsys.readouterr().out

    assert "answers with status 503" in told
    assert "answers as CN=Second authority" in told
    code, found = await verified(exchange, capsys, "--time-stamp", evidence, "--anchor", second.anchor)
    assert (0, "passed", "CN=Second authority") == (code, found["outcome"], found["authority"])


async def test_an_envelope_from_elsewhere_finds_its_time_stamp(
    exchange: Path, authority: Authority, capsys: pytest.CaptureFixture[str]
) -> None:
    """What the outbox has let go of, the recipient still has, and the token is found by it."""
    await stamped_letter(exchange)
    (envelope,) = (exchange / "tayninh" / "documents").rglob("envelope.bin")
    again = exchange / "again"

    code = await run("-C", exchange / "hanoi", "export", "time-stamp", "--envelope", envelope, "-o", again)

    assert 0 == code
    assert "Verification: OK" in authority.verify(again / "stamped.bin", again / "token.tst")


async def test_the_directory_is_dated_for_whoever_has_the_anchor(
    exchange: Path, authority: Authority, capsys: pytest.CaptureFixture[str]
) -> None:
    """Heartbeats carry tokens, the audit shows by when an entry existed, and `openssl` says the same."""
    await beat(exchange, entries=3)
    capsys.readouterr()

    code = await run("-C", exchange / "auditor", "replay", "--anchor", authority.anchor, "--output", "json")
    found = json.loads(capsys.readouterr().out)["time_stamps"]
    assert (0, {}, f"CN={NAME}") == (code, found["reasons"], found["authority"])
    assert found["passed"] == found["tokens"] > 0
    assert found["entry"] is not None
    assert 0 == await run("-C", exchange / "auditor", "replay")
    assert "time stamps: anchor_missing" in capsys.readouterr().out
    assert 0 == await run("-C", exchange / "registrar", "status")
    assert f"by CN={NAME}" in capsys.readouterr().out

    shown = ("-C", exchange / "auditor", "agency", "show", "H26", "--at", "1")
    assert 0 == await run(*shown, "--anchor", authority.anchor)
    assert "passed: existed at latest at" in capsys.readouterr().out
    assert 0 == await run(*shown)
    assert "time stamp" not in capsys.readouterr().out

    folder = exchange / "entry"
    assert 0 == await run("-C", exchange / "auditor", "export", "entry-time-stamp", "1", "-o", folder)
    assert "Verification: OK" in authority.verify(folder / "stamped.bin", folder / "token.tst")
    assert 1 == await run("-C", exchange / "auditor", "export", "entry-time-stamp", "999", "-o", exchange / "none")
    assert "entry 999 is covered by no time stamp" in capsys.readouterr().err


async def test_a_registrar_whose_authority_is_away_beats_on(
    exchange: Path, server: Serving, capsys: pytest.CaptureFixture[str]
) -> None:
    """Heartbeats need no authority, and the registrar's status says since when there is none."""
    server.answering = answer_with(b"<html>")
    await beat(exchange, entries=1, gap=True)
    capsys.readouterr()

    assert 0 == await run("-C", exchange / "registrar", "status", "--output", "json")

    found = json.loads(capsys.readouterr().out)
    assert "time_stamp_refused" == found["gap"]["code"]
    assert found["directory"]["stamped_entry"] is None


async def test_the_doctor_asks_the_authority(
    exchange: Path, server: Serving, authority: Authority, capsys: pytest.CaptureFixture[str]
) -> None:
    """What is wrong with an authority is found before anybody waits for it."""
    assert await run("-C", exchange / "hanoi", "doctor") in {0, 1}
    assert f"answers as CN={NAME}" in capsys.readouterr().out

    server.answering = answer_with(b"", status=404)
    assert 1 == await run("-C", exchange / "hanoi", "doctor")
    assert "answers with status 404" in capsys.readouterr().out


async def test_a_missing_anchor_is_told_before_anything_begins(exchange: Path, authority: Authority) -> None:
    """A setting that can never work is no outage: whoever begins to send is told, and nothing accepted is lost."""
    authority.anchor.unlink()
    async with Agency.open(exchange / "hanoi") as hanoi:
        accepted = await hanoi.publish(exchange / "letter.txt", to=["000.00.00.H53"], id="letter-1")

        with pytest.raises(ConfigurationError, match="tsa-ca.pem cannot be read"):
            await hanoi.run(stop=asyncio.Event())

        assert "accepted" == (await hanoi.track(accepted.document_id)).legs[0].state


async def test_the_verdict_on_time_is_told_in_words(
    exchange: Path, authority: Authority, capsys: pytest.CaptureFixture[str]
) -> None:
    """People read the same as programs: of the document, and of the directory entry it was signed under."""
    evidence = await stamped_letter(exchange)
    await beat(exchange, entries=3)
    (exchange / "trust.json").unlink()
    assert 0 == await run("-C", exchange / "auditor", "export", "trust", "-o", exchange / "trust.json")
    verify = ("-C", exchange / "auditor", "verify", exchange / "letter-1.envelope", "--trust", exchange / "trust.json")
    capsys.readouterr()

    assert 0 == await run(*verify, "--time-stamp", evidence, "--anchor", authority.anchor)
    dated = capsys.readouterr().out
    assert 0 == await run(*verify, "--time-stamp", evidence)
    undated = capsys.readouterr().out

    assert "time stamp: passed: its signature existed at latest at 20" in dated
    assert "under which it was made: passed: existed at latest at 20" in dated
    assert "time stamp: indeterminate: not checked: no anchor was given" in undated


async def test_what_cannot_be_exported_is_told(exchange: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A folder that is there, a file that is none, evidence that is missing, a document or a file and not both."""
    await stamped_letter(exchange)
    export_stamp = ("-C", exchange / "hanoi", "export", "time-stamp")
    verify, nothing = ("-C", exchange / "auditor", "verify"), exchange / "nothing"
    for arguments, said in (
        ((*export_stamp, "letter-1", "-o", exchange / "hanoi"), "cannot be made"),
        ((*export_stamp, "--envelope", nothing, "-o", nothing), "cannot be read"),
        ((*export_stamp, "-o", nothing), "name either a document or"),
        ((*export_stamp, "letter-1", "--envelope", nothing, "-o", nothing), "name either a document or"),
        (
            (*verify, exchange / "letter-1.envelope", "--trust", exchange / "trust.json", "--time-stamp", nothing),
            "cannot be read",
        ),
    ):
        capsys.readouterr()
        assert 0 != await run(*arguments)
        assert said in capsys.readouterr().err, arguments


async def test_a_registrar_without_its_bus_still_has_a_status(
    exchange: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """What the folder knows is told while the directory cannot be read, and the exit code says that it cannot."""
    (exchange / "bus.db").rename(exchange / "away.db")
    capsys.readouterr()

    assert 5 == await run("-C", exchange / "registrar", "status")

    assert "trouble with the bus" in capsys.readouterr().out
