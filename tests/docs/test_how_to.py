"""What the how-to pages tell a reader to do works, on an exchange like the reader's."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import re
import shutil
import sqlite3
import subprocess
import sys
import tomllib
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING

import pytest

from docbus import Agency, DocumentReference, Reject, StatusCode
from docbus.clock import SystemClock
from docbus.consumers.sinks.folder import FolderSink
from docbus.identity.lists.rows import HEADINGS, KINDS
from docbus.settings import AccessSettings
from docbus.transport import topics
from docbus.transport.port import NewRecord
from tests.support.agencies import found_exchange
from tests.support.kafka_tls import SECURITY
from tests.support.pages import ROOT, environment, missing_lines, programs, run_steps
from tests.support.stamping import beat, hurry, send, stamped, wish
from tests.support.time_stamps import Authority, serving_authority
from tests.support.trial import LOOK_SECONDS

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from docbus import Delivery
    from tests.support.softhsm import SoftHSM

HANOI = "vn:H26"
TAYNINH = "000.00.00.H53"
PROGRAM_SECONDS = 30
LETTER = "letter.txt"
JOIN = "docs/how-to/join-a-dms.md"
CHANGE = "docs/how-to/recall-update-replace.md"
IMPORT = "docs/how-to/import-an-agency-list.md"
KAFKA = "docs/how-to/run-on-kafka.md"
LARGE = "docs/how-to/send-large-documents.md"
TOKEN = "docs/how-to/keep-the-signing-key-on-a-token.md"
LARGE_BYTES = 2_000_000


class _SlowClock(SystemClock):
    """Five minutes behind."""

    def now_ms(self) -> int:
        return super().now_ms() - 300_000


SLOW = _SlowClock()


@pytest.fixture
def exchange(tmp_path: Path) -> Path:
    """An exchange of two agencies, and a letter."""
    asyncio.run(found_exchange(tmp_path))
    (tmp_path / LETTER).write_text("Kính gửi Ủy ban nhân dân tỉnh Tây Ninh.\n", "utf-8")
    return tmp_path


async def deliver(exchange: Path) -> None:
    """Let the letter go from Hà Nội to Tây Ninh, with its receipt."""
    async with AsyncExitStack() as stack:
        hanoi, tayninh = [
            await stack.enter_async_context(Agency.open(exchange / name)) for name in ("hanoi", "tayninh")
        ]
        await hanoi.publish(exchange / LETTER, to=[TAYNINH], id="letter-1")
        for agency in (hanoi, tayninh):
            await stack.enter_async_context(agency.serving())
        await hanoi.wait("letter-1", until="received", timeout=PROGRAM_SECONDS)


async def set_something_aside(exchange: Path) -> None:
    """Put one record into Tây Ninh's quarantine; a document its system refuses and a late one into its dead letters."""
    async with AsyncExitStack() as stack:
        hanoi, tayninh = [
            await stack.enter_async_context(Agency.open(exchange / name)) for name in ("hanoi", "tayninh")
        ]
        await hanoi.transport.append(
            [NewRecord(topic=topics.inbox(tayninh.id), key=HANOI.encode(), value=b"no envelope")]
        )
        await hanoi.publish(exchange / LETTER, to=[TAYNINH], id="letter-1")
        await stack.enter_async_context(hanoi.serving())
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(FolderSink, "deliver", _refuse)
            async with tayninh.serving():
                # Accepted in time, by a clock that is slow.
                async with Agency.open(exchange / "hanoi", clock=SLOW) as slow:
                    moment = SLOW.now_ms() + PROGRAM_SECONDS * 1000
                    await slow.publish(exchange / LETTER, to=[TAYNINH], id="late", not_after=moment)
                for name in ("letter-1", "late"):
                    await hanoi.wait(name, until="received", timeout=PROGRAM_SECONDS)


async def _refuse(_sink: FolderSink, batch: Sequence[Delivery]) -> list[Reject]:
    return [Reject("not_competent") for _ in batch]


def wrong_lines(page: str, exchange: Path) -> list[tuple[str, str]]:
    """Run a page; return the lines that it shows and that were not printed, with what was."""
    printed = run_steps(page, exchange)
    assert printed
    return [(line, text) for step, text in printed for line in missing_lines(step, text)]


def start(exchange: Path, page: str, name: str) -> subprocess.Popen[str]:
    """Start a program of a page."""
    (exchange / name).write_text(programs(page)[name], "utf-8")
    return subprocess.Popen(
        [sys.executable, "-W", "error", name],
        cwd=exchange,
        env=environment(exchange),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


@contextlib.contextmanager
def running(exchange: Path, page: str, name: str) -> Iterator[subprocess.Popen[str]]:
    """Run a program of a page beside the block, which asks it to stop; nothing is left of it afterwards."""
    process = start(exchange, page, name)
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


@contextlib.contextmanager
def serving(exchange: Path, agency: str) -> Iterator[None]:
    """Let an agency work as `docbus run` does, as long as the block runs."""
    process = subprocess.Popen(
        [sys.executable, "-m", "docbus", "-q", "-C", agency, "run"],
        cwd=exchange,
        env=environment(exchange),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        yield
    finally:
        process.kill()
        process.wait()


def archived(exchange: Path) -> list[bytes]:
    """Return the first file of each document that the sink for large documents has filed."""
    return [file.read_bytes() for file in exchange.glob("archive/*/0")]


def test_what_was_set_aside_is_mended(exchange: Path) -> None:
    """The commands find what was set aside, with step and reason, and redeliver, release and reject it."""
    asyncio.run(set_something_aside(exchange))

    assert [] == wrong_lines("docs/how-to/look-at-what-was-set-aside.md", exchange)


def test_audit_works_offline(exchange: Path) -> None:
    """The commands replay an exchange, and verify one envelope from two files."""
    asyncio.run(deliver(exchange))

    assert [] == wrong_lines("docs/how-to/audit-offline.md", exchange)


@pytest.mark.loopback  # the authority answers over HTTP
def test_time_stamps_are_shown_to_others(exchange: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The commands export what an authority has stamped, and docbus, an auditor and `openssl` verify it."""
    authority = Authority(exchange / "tsa")
    shutil.copy(authority.anchor, exchange / "tsa-ca.pem")
    hurry(monkeypatch)
    with serving_authority(authority) as server:
        wish(exchange, server, exchange / "tsa-ca.pem")
        asyncio.run(stamp_letter(exchange))

        assert [] == wrong_lines("docs/how-to/time-stamp.md", exchange)


async def stamp_letter(exchange: Path) -> None:
    """Send the letter, have it stamped, and let the registrar's heartbeats carry a time stamp."""
    async with AsyncExitStack() as stack:
        hanoi = await send(exchange, stack, "letter-1")
        await stamped(hanoi)
    await beat(exchange, entries=3)


def test_keys_are_rotated_and_revoked(exchange: Path) -> None:
    """The commands rotate an agency to new keys with which it publishes, and a revocation ends that."""
    assert [] == wrong_lines("docs/how-to/rotate-or-revoke-a-key.md", exchange)


def test_installation_is_checked(exchange: Path) -> None:
    """The commands check folders of each kind, and name a key that is open to others with the remedy."""
    assert [] == wrong_lines("docs/how-to/check-an-installation.md", exchange)


def test_registrar_is_run(exchange: Path) -> None:
    """The commands share the registrar's keys out, suspend, move and delegate, and print what the page shows."""
    assert [] == wrong_lines("docs/how-to/run-the-registrar.md", exchange)


def test_authority_is_used(exchange: Path) -> None:
    """The commands found an authority, certify an agency, exchange, revoke, and verify offline what was judged."""
    assert [] == wrong_lines("docs/how-to/use-an-authority.md", exchange)


def test_brokers_of_the_page_are_those_of_the_tests() -> None:
    """The settings that keep agencies apart are those with which the hostile agency is refused."""
    (shown,) = re.findall(r"^```properties\n(.*?)^```$", (ROOT / KAFKA).read_text("utf-8"), re.DOTALL | re.MULTILINE)

    assert SECURITY == dict(line.split("=", 1) for line in shown.splitlines())


def test_access_of_the_page_can_be_read() -> None:
    """The table that the page shows is one that the settings take, and names the principals of its certificates."""
    tables = re.findall(r"^```toml\n(.*?)^```$", (ROOT / KAFKA).read_text("utf-8"), re.DOTALL | re.MULTILINE)
    (shown,) = (text for text in tables if "[access]" in text)

    found = AccessSettings(**tomllib.loads(shown)["access"])

    assert ("User:{name}", 10_000_000) == (found.agencies, found.agency_write_bytes)


def test_state_is_restored(exchange: Path) -> None:
    """Without a backup the ledger is rebuilt; with one, the outbox begins new epochs."""
    asyncio.run(deliver(exchange))

    assert [] == wrong_lines("docs/how-to/restore-state.md", exchange)


def test_what_was_published_is_changed(exchange: Path) -> None:
    """The commands recall, update and replace, show the answers, and the recipient's marks."""
    assert [] == wrong_lines(CHANGE, exchange)


def test_program_changes_what_it_published(exchange: Path) -> None:
    """The page's program updates, replaces and recalls, and gets an answer about each document."""
    with serving(exchange, "tayninh"):
        output, errors = start(exchange, CHANGE, "change.py").communicate(timeout=PROGRAM_SECONDS)

    assert ("", ["list-1 answered", "list-2 answered"]) == (
        errors,
        [line for line in output.splitlines() if line.startswith("list")],
    )


def test_program_sends(exchange: Path) -> None:
    """The sending program publishes, and running it again publishes nothing new."""
    printed = [start(exchange, JOIN, "send.py").communicate(timeout=PROGRAM_SECONDS) for _ in range(2)]

    assert ["", ""] == [errors for _, errors in printed]
    first, second = [
        [line for line in output.splitlines() if line.startswith(("dossier", "vn2016"))] for output, _ in printed
    ]
    assert ["dossier-17/letter-1 accepted", f"vn2016:{TAYNINH} sent"] == first
    assert ["dossier-17/letter-1 again", f"vn2016:{TAYNINH} sent"] == second


async def test_program_receives(exchange: Path) -> None:
    """The receiving program files a letter, reports it registered, and refuses a recall; the sender learns all that."""
    about = (DocumentReference(sender=HANOI, document_id="letter-1"),)
    with running(exchange, JOIN, "receive.py") as process:
        async with Agency.open(exchange / "hanoi") as hanoi, hanoi.serving():
            await hanoi.publish(exchange / LETTER, to=[TAYNINH], id="letter-1")
            filed = await hanoi.wait("letter-1", until="received", timeout=PROGRAM_SECONDS)
            await hanoi.publish(exchange / LETTER, to=[TAYNINH], id="letter-2", kind="update", concerns=about)
            refused = await hanoi.wait("letter-2", until="received", timeout=PROGRAM_SECONDS)
        process.terminate()
        output, errors = process.communicate(timeout=PROGRAM_SECONDS)

    assert ("received", "refused", "by_hand_only") == (
        filed.legs[0].state,
        refused.legs[0].state,
        refused.legs[0].reason,
    )
    assert all(line.startswith("event='set_aside' where='dead-letter'") for line in errors.splitlines())
    assert "stopped" == output.splitlines()[-1]
    assert [LETTER] == [line.removeprefix(f"{HANOI} ") for line in output.splitlines() if line.startswith(HANOI)]
    assert 1 == len(list((exchange / "incoming").glob("*/0.bin")))


async def test_program_answers_changes(exchange: Path) -> None:
    """The page's program notes changes, also of what never came, and refuses one that is too late."""

    async def change_of(hanoi: Agency, name: str) -> tuple[int, str | None]:
        def last() -> list[tuple[int, str | None]]:
            return [(one.code, one.note) for one in journey.legs[0].statuses if one.code >= StatusCode.CHANGE_AGREED]

        async with asyncio.timeout(PROGRAM_SECONDS):
            while True:
                journey = await hanoi.track(name)
                if last():
                    return last()[-1]
                await asyncio.sleep(LOOK_SECONDS)

    with running(exchange, JOIN, "answer.py") as process:
        async with Agency.open(exchange / "hanoi") as hanoi, hanoi.serving():
            for name in ("letter-1", "letter-2"):
                await hanoi.publish(exchange / LETTER, to=[TAYNINH], id=name)
                await hanoi.wait(name, until="received", timeout=PROGRAM_SECONDS)
            (exchange / "incoming" / "vn%3AH26~letter-2~1" / "answered").touch()
            for name in ("letter-1", "letter-2"):
                await hanoi.recall(name, reason="ban hành nhầm")
            answers = [await change_of(hanoi, name) for name in ("letter-1", "letter-2")]
            never = DocumentReference(sender=HANOI, document_id="never")
            await hanoi.publish(to=[TAYNINH], id="r", kind="recall", concerns=[never], title="Thu hồi")
            await hanoi.wait("r", until="received", timeout=PROGRAM_SECONDS)
        process.terminate()
        output, errors = process.communicate(timeout=PROGRAM_SECONDS)

    assert [(15, None), (16, "Đã trả lời văn bản này")] == answers
    assert ["recall letter-1 filed", "recall never unknown"] == [
        line for line in output.splitlines() if line.startswith("recall")
    ]
    assert "" == errors
    noted = sorted(path.parent.name for path in (exchange / "incoming").glob("*/recall"))
    assert ["vn%3AH26~letter-1~1", "vn%3AH26~never~1"] == noted


async def test_sink_of_the_page_files(exchange: Path) -> None:
    """The page's sink files each letter once, also when the inbox is read again from its beginning."""
    page = "docs/how-to/write-a-sink.md"
    for number in (1, 2):
        with running(exchange, page, "register.py") as process:
            async with Agency.open(exchange / "hanoi") as hanoi, hanoi.serving():
                await hanoi.publish(exchange / LETTER, to=[TAYNINH], id=f"letter-{number}")
                journey = await hanoi.wait(f"letter-{number}", until="received", timeout=PROGRAM_SECONDS)
            process.terminate()
            _, errors = process.communicate(timeout=PROGRAM_SECONDS)
        assert ("received", "") == (journey.legs[0].state, errors)
        (exchange / "tayninh" / "state.db").unlink()

    with contextlib.closing(sqlite3.connect(exchange / "register.db")) as register:
        assert [(LETTER,), (LETTER,)] == register.execute("SELECT title FROM letter").fetchall()


def test_filed_metadata_is_what_the_pages_promise(exchange: Path) -> None:
    """The folder sink leaves files, metadata and envelope for a system to pick up."""
    asyncio.run(deliver(exchange))

    (filed,) = (exchange / "tayninh" / "documents").iterdir()

    assert ["envelope.bin", "files", "metadata.json"] == sorted(path.name for path in filed.iterdir())
    assert "letter-1" == json.loads((filed / "metadata.json").read_text("utf-8"))["document"]["document_id"]


def test_large_documents_go_by_hand(exchange: Path) -> None:
    """The commands publish, withdraw, wait, fetch, move the content folder, see what expires soon, and resend."""
    assert [] == wrong_lines(LARGE, exchange)


async def test_large_document_goes_from_a_stream_into_a_sink(exchange: Path) -> None:
    """The page's program publishes a stream with its progress, and the page's sink files the same bytes."""
    scan = os.urandom(LARGE_BYTES)
    (exchange / "scan.bin").write_bytes(scan)
    output, errors = start(exchange, LARGE, "send_large.py").communicate(timeout=PROGRAM_SECONDS)
    with running(exchange, LARGE, "archive.py") as process:
        async with Agency.open(exchange / "hanoi") as hanoi, hanoi.serving():
            journey = await hanoi.wait("scan-4", until="received", timeout=PROGRAM_SECONDS)
        process.terminate()
        _, sink_errors = process.communicate(timeout=PROGRAM_SECONDS)

    assert journey.content is not None
    assert [f"read {LARGE_BYTES} bytes", f"uploaded 100% of {journey.content.size} bytes"] == [
        line for line in output.splitlines() if line.startswith(("read", "uploaded"))
    ]
    assert ("received", "", "") == (journey.legs[0].state, errors, sink_errors)
    assert [scan] == archived(exchange)


def test_signing_key_is_kept_on_a_token(exchange: Path, softhsm: SoftHSM) -> None:
    """The commands make a token, let an agency join with it and send, and give the registrar another."""
    assert [] == wrong_lines(TOKEN, exchange)


def test_list_is_imported(exchange: Path) -> None:
    """The commands find what is wrong with a list, import it, and compare a join request with it."""
    assert [] == wrong_lines(IMPORT, exchange)


def test_page_of_lists_has_all_kinds_and_headings() -> None:
    """The page explains each kind of finding, and names each heading that is known."""
    page = (ROOT / IMPORT).read_text("utf-8")

    assert [] == [kind for kind, meaning in KINDS.items() if f"| `{kind}` | {meaning} |" not in page]
    assert [] == [name for name, headings in HEADINGS.items() if f"| `{name}` | {'; '.join(headings)} |" not in page]
