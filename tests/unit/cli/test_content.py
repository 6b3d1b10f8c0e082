"""Large content at the command line: publish, track, withdraw, resend and fetch."""

from __future__ import annotations

import asyncio
import os
from typing import TYPE_CHECKING

import pytest

from docbus.client.agency import Agency

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.unit.cli.conftest import Result

SIZE = 1_200_000
"""Bytes: three parts."""
SEALED = 1_201_384


@pytest.fixture
def scan(exchange: Path) -> bytes:
    """A file that does not fit an envelope."""
    content = os.urandom(SIZE)
    (exchange / "scan.tif").write_bytes(content)
    return content


@pytest.fixture
def published(docbus: Callable[..., Result], scan: bytes) -> bytes:
    """A document with a large and a small file, accepted and not sent."""
    found = docbus("-C", "H26", "publish", "scan.tif", "letter.txt", "--to", "H37.02.02", "--id", "case-1")
    assert 0 == found.code, found.err
    return scan


def exchange_everything() -> None:
    """Let both agencies work until the sender holds the receipt."""

    async def work() -> None:
        async with (
            Agency.open("H26") as sender,
            Agency.open("H37.02.02") as recipient,
            sender.serving(),
            recipient.serving(),
        ):
            await sender.wait("case-1", until="received", timeout=20)

    asyncio.run(work())


def test_track_shows_the_share_uploaded(docbus: Callable[..., Result], published: bytes) -> None:
    """What is uploaded of large content is a share before it is sent, and all of it afterwards."""
    before = docbus("-C", "H26", "track", "case-1")
    exchange_everything()
    after = docbus("-C", "H26", "track", "case-1", "--output", "json")

    assert "large content: 0% of 1,201," in before.out
    assert after.json["content"]["size"] == after.json["content"]["uploaded"]
    assert ["received"] == [leg["state"] for leg in after.json["legs"]]


def test_status_shows_what_is_to_be_uploaded(docbus: Callable[..., Result], published: bytes) -> None:
    """An operator sees how much large content waits, and how much is kept."""
    found = docbus("-C", "H26", "status")

    assert "1 document to upload, 0% of 1,201," in found.out


def test_status_says_when_unfetched_content_expires(docbus: Callable[..., Result], published: bytes) -> None:
    """A recipient that has not received sees until when large content is there."""

    async def send() -> None:
        async with Agency.open("H26") as sender, sender.serving(receive=False):
            await sender.wait("case-1", until="sent", timeout=20)

    asyncio.run(send())

    found = docbus("-C", "H37.02.02", "status")
    told = docbus("-C", "H37.02.02", "status", "--output", "json").json["expiry"]

    assert "content expires from" in found.out
    assert "SOON" not in found.out
    assert told["undecided_at"] < told["expires_at"]


def test_published_again_is_the_same_document(docbus: Callable[..., Result], published: bytes, exchange: Path) -> None:
    """The same files under the same id are not taken in twice, and leave nothing on the disk."""
    before = sorted((exchange / "H26" / "content").rglob("*"))

    found = docbus("-C", "H26", "publish", "scan.tif", "letter.txt", "--to", "H37.02.02", "--id", "case-1")

    assert "accepted before: case-1" in found.out
    assert before == sorted((exchange / "H26" / "content").rglob("*"))


def test_standard_input_of_any_size(
    docbus: Callable[..., Result], scan: bytes, stdin: Callable[[bytes], None], exchange: Path
) -> None:
    """What comes through a pipe is a file like any other, though its size is not known before its end."""
    stdin(scan)
    accepted = docbus("-C", "H26", "publish", "-", "--name", "scan.tif", "--to", "H37.02.02", "--id", "case-1")
    exchange_everything()

    assert 0 == accepted.code, accepted.err
    assert [scan] == [path.read_bytes() for path in (exchange / "H37.02.02" / "documents").glob("*/files/scan.tif")]


def test_withdrawn_reaches_nobody(docbus: Callable[..., Result], published: bytes, exchange: Path) -> None:
    """A document withdrawn before it is signed leaves no file, and is not published by the same id again."""
    found = docbus("-C", "H26", "withdraw", "case-1")
    again = docbus("-C", "H26", "publish", "scan.tif", "letter.txt", "--to", "H37.02.02", "--id", "case-1")

    assert "withdrawn: case-1 revision 1, to 1 recipient\n" == found.out
    assert "failed: withdrawn" in docbus("-C", "H26", "track", "case-1").out
    assert [] == [path for path in (exchange / "H26" / "content").rglob("*") if path.is_file()]
    assert (1, True) == (again.code, "was withdrawn" in again.err)


def test_signed_documents_cannot_be_withdrawn(docbus: Callable[..., Result], published: bytes) -> None:
    """Once an envelope is signed, only a recall helps, and the error says so."""
    exchange_everything()

    found = docbus("-C", "H26", "withdraw", "case-1")

    assert 1 == found.code
    assert "recall" in found.err


def test_everybody_has_it(docbus: Callable[..., Result], published: bytes) -> None:
    """What every recipient has received is not sent again."""
    exchange_everything()

    found = docbus("-C", "H26", "resend", "case-1")

    assert 1 == found.code
    assert "everybody has received or refused document case-1" in found.err


def test_small_documents_have_no_content_to_resend(docbus: Callable[..., Result], exchange: Path) -> None:
    """A document that travels whole in its envelopes is not uploaded, and the error says so."""
    docbus("-C", "H26", "publish", "letter.txt", "--to", "H37.02.02", "--id", "small")

    found = docbus("-C", "H26", "resend", "small")

    assert 1 == found.code
    assert "travels whole in its envelopes" in found.err


def test_one_file_is_fetched_without_the_others(
    docbus: Callable[..., Result], published: bytes, exchange: Path
) -> None:
    """With the envelope, a recipient has a single file of a document again, and never over another file."""
    exchange_everything()
    (envelope,) = (exchange / "H37.02.02" / "documents").glob("*/envelope.bin")

    found = docbus("-C", "H37.02.02", "fetch", envelope, "scan.tif", "-o", "again.tif")
    twice = docbus("-C", "H37.02.02", "fetch", envelope, "scan.tif", "-o", "again.tif")
    small = docbus("-C", "H37.02.02", "fetch", envelope, "letter.txt", "-o", "again.txt")
    unknown = docbus("-C", "H37.02.02", "fetch", envelope, "other.tif")

    assert "fetched: again.tif\n" == found.out
    assert published == (exchange / "again.tif").read_bytes()
    assert (1, True) == (twice.code, "is there already" in twice.err)
    assert (exchange / "letter.txt").read_bytes() == (exchange / "again.txt").read_bytes()
    assert (1, True) == (unknown.code, "letter.txt, " in unknown.err or ", letter.txt" in unknown.err)
    assert 0 == small.code


def test_a_stranger_cannot_fetch(docbus: Callable[..., Result], published: bytes, exchange: Path) -> None:
    """An envelope opens for its recipient alone, so nobody else fetches what it points to."""
    exchange_everything()
    (envelope,) = (exchange / "H37.02.02" / "documents").glob("*/envelope.bin")

    found = docbus("-C", "H26", "fetch", envelope, "scan.tif", "-o", "again.tif")

    assert 1 == found.code
    assert not (exchange / "again.tif").exists()


def test_forgotten_content_is_not_sent_again(docbus: Callable[..., Result], published: bytes, exchange: Path) -> None:
    """What was let go of frees the disk, and whoever asks for it again is told so."""

    async def send() -> None:
        async with Agency.open("H26") as sender, sender.serving(receive=False):
            await sender.wait("case-1", until="sent", timeout=20)

    early = docbus("-C", "H26", "forget", "case-1")
    asyncio.run(send())
    found = docbus("-C", "H26", "forget", "case-1")
    again = docbus("-C", "H26", "resend", "case-1")

    assert (1, True) == (early.code, "is not uploaded yet" in early.err)
    assert found.out.endswith("bytes of case-1 revision 1\n")
    assert [] == [path for path in (exchange / "H26" / "content").rglob("*") if path.is_file()]
    assert (1, True) == (again.code, "is not kept any more" in again.err)
