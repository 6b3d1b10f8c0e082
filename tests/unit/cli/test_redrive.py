from __future__ import annotations

import asyncio
import sys
from typing import TYPE_CHECKING

import pytest

from docbus import Agency
from docbus.consumers.sinks.folder import FolderSink
from docbus.consumers.sinks.port import Reject
from docbus.transport import topics
from docbus.transport.port import NewRecord
from tests.support.trial import until

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence
    from pathlib import Path

    from docbus.consumers.sinks.port import Delivery, Outcome
    from tests.unit.cli.conftest import Result

SECONDS = 20.0
REDELIVER = ("-C", "H37.02.02", "redeliver")
LETTERS = ("letter-1", "letter-2", "letter-3")


class Refusing(FolderSink):
    """Refuses what comes; a folder's sink by name, so that a command may file where it would have."""

    async def deliver(self, batch: Sequence[Delivery]) -> list[Outcome]:
        return [Reject("not_competent", "the register has no such procedure") for _ in batch]


async def _refuse(exchange: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(FolderSink, "deliver", Refusing.deliver)
        async with Agency.open(exchange / "H26") as sender, Agency.open(exchange / "H37.02.02") as recipient:
            for name in LETTERS:
                await sender.publish(exchange / "letter.txt", to=["H37.02.02"], id=name)
            async with sender.serving(), recipient.serving():
                for name in LETTERS:
                    await sender.wait(name, until="received", timeout=SECONDS)


async def _until(exchange: Path, holds: Callable[[Agency], Awaitable[bool]]) -> None:
    """Let both agencies work until something holds of the sender; fails if it does not in time."""
    async with (
        Agency.open(exchange / "H26") as sender,
        Agency.open(exchange / "H37.02.02") as recipient,
        sender.serving(),
        recipient.serving(),
    ):
        await until(lambda: holds(sender))


@pytest.fixture
def refused(exchange: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Let H37.02.02 refuse three letters of H26."""
    asyncio.run(_refuse(exchange, monkeypatch))
    return exchange


@pytest.fixture
def junk(exchange: Path, docbus: Callable[..., Result], append: Callable[[Sequence[NewRecord]], None]) -> Path:
    """Put random bytes into the quarantine of H26."""
    append([NewRecord(topic=topics.inbox("vn:H26"), key=b"vn:H99", value=b"junk")])
    found = docbus("-C", "H26", "publish", "letter.txt", "--to", "H26", "--wait", "received", "--timeout", 20)
    assert 0 == found.code, found.err
    return exchange


def filed(exchange: Path) -> list[str]:
    """Return the documents in the folder of H37.02.02."""
    return sorted(path.name for path in (exchange / "H37.02.02" / "documents").glob("*/"))


def test_redelivery_without_a_receiver_files_and_receipts(refused: Path, docbus: Callable[..., Result]) -> None:
    """The command itself files where nobody receives; the sender then sees the document as received."""
    assert [] == filed(refused)

    done = docbus(
        "-C", "H37.02.02", "redeliver", "--document", "letter-2", "--reason", "procedure added", "--output=json"
    )

    assert 0 == done.code, done.err
    assert [("dead-letter", 1, "done", "filed")] == [
        (one["topic"], one["number"], one["outcome"], one["code"]) for one in done.json
    ]
    assert 1 == len(filed(refused))

    async def received(sender: Agency) -> bool:
        return (await sender.track("letter-2")).legs[0].state == "received"

    asyncio.run(_until(refused, received))
    found = docbus("-C", "auditor", "replay", "--verify")
    assert 0 == found.code, found.out + found.err


def test_doing_it_twice_does_nothing_more(refused: Path, docbus: Callable[..., Result]) -> None:
    """The second time says when, by whom and with what outcome, with exit code 0, and signs nothing."""
    arguments = ("-C", "H37.02.02", "dead-letter", "redeliver", 0, "--reason", "again", "--operator", "lan")
    first = docbus(*arguments)
    before = len(docbus("-C", "H37.02.02", "acts", "--output", "json").json)

    second = docbus(*arguments)

    assert (0, 0) == (first.code, second.code), first.err + second.err
    assert "already" in second.out
    assert "redelivered by lan at 20" in second.out
    assert "filed" in second.out
    assert 1 == before == len(docbus("-C", "H37.02.02", "acts", "--output", "json").json)
    assert 1 == len(filed(refused))


def test_dry_run_touches_nothing(refused: Path, docbus: Callable[..., Result]) -> None:
    """All that would be done is shown; no act is signed, and nothing is filed."""
    found = docbus(*REDELIVER, "--sender", "H26", "--reason", "x", "--dry-run", "--output", "json")

    assert 0 == found.code, found.err
    assert [(0, "to do"), (1, "to do"), (2, "to do")] == [(one["number"], one["outcome"]) for one in found.json]
    assert [] == docbus("-C", "H37.02.02", "acts", "--output", "json").json
    assert [] == filed(refused)


def test_bulk_acts_share_one_signature_and_are_verified(refused: Path, docbus: Callable[..., Result]) -> None:
    """Each record has its act with operator, reason, sender and document; all of them pass."""
    done = docbus(
        "-C", "H37.02.02", "redeliver", "--newer-than", "1h", "--reason", "register was down", "--operator", "lan"
    )
    found = docbus("-C", "H37.02.02", "acts", "--output", "json").json

    assert 0 == done.code, done.err
    assert 3 == len(filed(refused))
    assert [("passed", "redeliver", "lan", "register was down", "vn:H26", name) for name in LETTERS] == [
        (
            one["verdict"],
            one["act"]["action"],
            one["act"]["operator"],
            one["act"]["reason"],
            one["act"]["sender"],
            one["act"]["document_id"],
        )
        for one in found
    ]
    assert "passed" in docbus("-C", "H37.02.02", "acts").out


def test_nothing_selected_says_how(refused: Path, docbus: Callable[..., Result]) -> None:
    """Without a selection, and with one that fits nothing, nothing is done, and the error says what to give."""
    none = docbus(*REDELIVER, "--reason", "x")
    unknown = docbus(*REDELIVER, "--document", "letter-9", "--reason", "x")
    contradicting = docbus(
        "-C", "H37.02.02", "redeliver", "--document", "letter-1", "--older-than", "1d", "--reason", "x"
    )
    unexplained = docbus(*REDELIVER, "--all", "--reason", "  ")

    assert (1, 1, 1, 1) == (none.code, unknown.code, contradicting.code, unexplained.code)
    assert "nothing is selected" in none.err
    assert "letter-9" in unknown.err
    assert "a reason is needed" in unexplained.err
    assert 2 == docbus(*REDELIVER, "--all").code
    assert 2 == docbus(*REDELIVER, "--older-than", "2 hours", "--reason", "x").code
    assert [] == docbus("-C", "H37.02.02", "acts", "--output", "json").json


def test_lists_show_what_is_open(refused: Path, docbus: Callable[..., Result]) -> None:
    """What was decided about is listed only with --all, with its state; the overview tells open from settled."""
    docbus("-C", "H37.02.02", "dead-letter", "reject", 0, "--reason", "a test")
    docbus("-C", "H37.02.02", "dead-letter", "redeliver", 1, "--reason", "mended")

    still = docbus("-C", "H37.02.02", "dead-letter", "ls", "--output", "json").json
    every = docbus("-C", "H37.02.02", "dead-letter", "ls", "--all", "--output", "json").json

    assert [("letter-3", "open")] == [(one["document_id"], one["state"]) for one in still]
    assert ["rejected", "redelivered", "open"] == [one["state"] for one in every]
    assert "1 open (not_competent 1), 2 settled" in docbus("-C", "H37.02.02", "status").out
    assert [] == docbus("-C", "H37.02.02", "dead-letter", "ls", "--sender", "H37.02.02", "--output", "json").json
    assert ["letter-3"] == [
        one["document_id"]
        for one in docbus("-C", "H37.02.02", "dead-letter", "ls", "--all", "--last", 1, "--output", "json").json
    ]


def test_what_is_rejected_stays_so(refused: Path, docbus: Callable[..., Result]) -> None:
    """A rejected record cannot be redelivered by number, which is told; in bulk it is left out."""
    docbus("-C", "H37.02.02", "dead-letter", "reject", 0, "--reason", "a test", "--operator", "lan")

    named = docbus("-C", "H37.02.02", "dead-letter", "redeliver", 0, "--reason", "x")
    bulk = docbus(*REDELIVER, "--all", "--reason", "x", "--output", "json")

    assert 1 == named.code
    assert "it was rejected by lan at 20" in named.err
    again = docbus(*REDELIVER, "--all", "--reason", "x", "--output", "json")
    assert (0, [(1, "done"), (2, "done")]) == (bulk.code, [(one["number"], one["outcome"]) for one in bulk.json])
    assert (0, ["already", "already"]) == (again.code, [one["outcome"] for one in again.json if one["number"]])
    assert 2 == len(filed(refused))


def test_rejection_reaches_the_sender(refused: Path, docbus: Callable[..., Result]) -> None:
    """The sender's journey has status 02 with the operator's reason."""
    docbus("-C", "H37.02.02", "dead-letter", "reject", 0, "--reason", "agreed by telephone")

    async def told(sender: Agency) -> bool:
        statuses = (await sender.track("letter-1")).legs[0].statuses
        return "agreed by telephone" in [status.note for status in statuses]

    asyncio.run(_until(refused, told))


def test_release_in_vain_is_exit_code_1(junk: Path, docbus: Callable[..., Result]) -> None:
    """Random bytes stay refused, which the exit code says; rejecting them is kept."""
    released = docbus("-C", "H26", "quarantine", "release", 0, "--reason", "let us see", "--output", "json")
    rejected = docbus("-C", "H26", "quarantine", "reject", 0, "--reason", "rubbish", "--output", "json")

    assert (1, "in vain", "envelope_malformed") == (
        released.code,
        released.json[0]["outcome"],
        released.json[0]["code"],
    )
    assert (0, "done", "rejected") == (rejected.code, rejected.json[0]["outcome"], rejected.json[0]["code"])


def test_evidence_cannot_be_released(
    exchange: Path, docbus: Callable[..., Result], append: Callable[[Sequence[NewRecord]], None]
) -> None:
    """A fork is refused by name before anything is signed."""
    headers = (("docbus_reason", b"stream_fork"), ("docbus_step", b"C2"))
    append([NewRecord(topic=topics.quarantine("vn:H26"), key=b"vn:H37.02.02", value=b"x", headers=headers)])

    found = docbus("-C", "H26", "quarantine", "release", 0, "--reason", "x")

    assert 1 == found.code
    assert "is evidence" in found.err
    assert [] == docbus("-C", "H26", "acts", "--output", "json").json


def test_agency_with_a_program_of_its_own_is_told_to_wait(
    refused: Path, docbus: Callable[..., Result], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where another sink files, no command files into a folder: the request waits for the program."""

    async def serve() -> None:
        async with Agency.open(refused / "H37.02.02") as agency, agency.deliveries():
            pass

    asyncio.run(serve())

    found = docbus(*REDELIVER, "--all", "--reason", "x", "--wait", 0.5)

    assert 5 == found.code
    assert "else the next that starts" in found.err
    assert [] == filed(refused)


@pytest.mark.parametrize("receiving", [True, False])
def test_two_terminals_at_once_do_it_once(refused: Path, docbus: Callable[..., Result], *, receiving: bool) -> None:
    """Two commands at the same time both end well, and each document is filed once, whoever does the work."""

    async def work() -> None:
        async with Agency.open(refused / "H37.02.02") as agency, agency.serving(receive=receiving):
            found = [
                await asyncio.create_subprocess_exec(
                    *_command(refused, operator), stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
                )
                for operator in ("lan", "minh")
            ]
            outputs = await asyncio.gather(*[process.communicate() for process in found])
            assert [0, 0] == [process.returncode for process in found], outputs

    asyncio.run(work())

    assert 3 == len(filed(refused))
    every = docbus("-C", "H37.02.02", "dead-letter", "ls", "--all", "--output", "json").json
    assert ["redelivered"] * 3 == [one["state"] for one in every]
    assert 1 == len({one["act"]["operator"] for one in every})


def _command(exchange: Path, operator: str) -> list[str]:
    arguments = ["redeliver", "--all", "--reason", "mended", "--operator", operator]
    return [sys.executable, "-m", "docbus", "-C", str(exchange / "H37.02.02"), *arguments]
