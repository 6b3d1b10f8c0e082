"""Unpacking: what is transport and what is the sender's own zip, and bombs."""

from __future__ import annotations

import struct
import zipfile

import pytest

from docbus.edxml import archive
from docbus.edxml.archive import FREE_BYTES, unpack
from tests.support.edxml import zip_of

BUDGET = 128 * 1024 * 1024
PDF = b"%PDF-1.4 ... %%EOF"


def test_what_is_no_zip_is_left_alone() -> None:
    """Other bytes come back as they are, without a word."""
    result = unpack("a.pdf", PDF, budget=BUDGET)

    assert (PDF, None, None) == (result.content, result.entry, result.problem)


@pytest.mark.parametrize(
    ("name", "entry"),
    [
        ("a.pdf", "a.pdf"),
        ("a.pdf", "tmp-4711"),
        ("Công văn.PDF", "công văn.pdf"),
        ("a.docx", "a.docx"),
        ("a.docx", "other"),
        ("a.zip", "a.zip"),
        ("a", "a"),
        ("a.pdf", "C:\\temp\\a.pdf"),
        ("a.pdf", "../../a.pdf"),
        (None, "a.pdf"),
    ],
)
def test_a_zip_of_transport_is_unpacked(name: str | None, entry: str) -> None:
    """One entry of the attachment's name, or one entry where the name does not say zip."""
    result = unpack(name, zip_of((entry, PDF)), budget=BUDGET)

    assert (PDF, len(PDF), None) == (result.content, result.spent, result.problem)
    assert result.entry == entry.replace("\\", "/").split("/")[-1]


def test_an_entry_without_a_name_is_unpacked() -> None:
    """A name of no letters is no name that ends in a slash."""
    content = zip_of(("x", PDF))
    local, central = content.find(b"PK\x03\x04"), content.find(b"PK\x01\x02")
    nameless = bytearray(content)
    del nameless[central + 46]
    del nameless[local + 30]
    nameless[local + 26 : local + 28] = bytes(2)
    central -= 1
    nameless[central + 28 : central + 30] = bytes(2)
    end = nameless.find(b"PK\x05\x06")
    nameless[end + 12 : end + 20] = struct.pack("<II", end - central, central)

    assert PDF == unpack("a.pdf", bytes(nameless), budget=BUDGET).content


def test_stored_without_compression() -> None:
    """A zip need not compress."""
    assert PDF == unpack("a.pdf", zip_of(("a.pdf", PDF), compression=zipfile.ZIP_STORED), budget=BUDGET).content


@pytest.mark.parametrize(
    ("name", "entries"),
    [
        ("hồ sơ.zip", ["a.pdf"]),
        ("hồ sơ.ZIP", ["a.pdf", "b.pdf"]),
        ("a.docx", ["[Content_Types].xml", "word/document.xml"]),
    ],
)
def test_the_senders_own_zip_stays(name: str, entries: list[str]) -> None:
    """A zip that is named so, and an office file, are kept byte for byte and without a remark."""
    content = zip_of(*((entry, PDF) for entry in entries))

    result = unpack(name, content, budget=BUDGET)

    assert (content, None, None) == (result.content, result.entry, result.problem)


@pytest.mark.parametrize("name", ["a.pdf", None])
def test_an_unexpected_zip_of_many_stays_with_a_remark(name: str | None) -> None:
    """Which of its entries was meant is not guessed."""
    content = zip_of(("a.pdf", PDF), ("b.pdf", PDF))

    result = unpack(name, content, budget=BUDGET)

    assert (content, "is a zip of 2 entries, kept as it is") == (result.content, result.problem)


def test_a_bomb_is_not_unpacked() -> None:
    """A thousandfold is refused, and only what came out until then was spent."""
    bomb = zip_of(("a.pdf", bytes(30 * FREE_BYTES)))

    result = unpack("a.pdf", bomb, budget=BUDGET)

    assert result.content is None
    assert "unpacks to more than" in (result.problem or "")
    assert result.spent < 10 * FREE_BYTES


def test_what_packs_well_and_is_small_is_no_bomb() -> None:
    """A blank page may shrink a thousandfold."""
    assert bytes(FREE_BYTES) == unpack("a.txt", zip_of(("a.txt", bytes(FREE_BYTES))), budget=BUDGET).content


def test_the_absolute_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    """However little it is packed, no attachment is larger than allowed."""
    monkeypatch.setattr(archive, "MAX_UNPACKED_BYTES", 10)

    assert b"x" * 10 == unpack("a", zip_of(("a", b"x" * 10)), budget=BUDGET).content
    assert unpack("a", zip_of(("a", b"x" * 11)), budget=BUDGET).content is None


@pytest.mark.parametrize("budget", [0, -5, 3])
def test_the_budget_of_the_file(budget: int) -> None:
    """What other attachments have used up is not there any more."""
    assert unpack("a", zip_of(("a", b"xxxx")), budget=budget).content is None


def _changed(content: bytes, magic: bytes, offset: int, value: bytes) -> bytes:
    at = content.rindex(magic) + offset
    return content[:at] + value + content[at + len(value) :]


VALID = zip_of(("a.pdf", PDF * 20))
DIRECTORY, END = b"PK\x01\x02", b"PK\x05\x06"


@pytest.mark.parametrize(
    "damaged",
    [
        VALID[:-30],
        VALID[: len(VALID) // 2],
        b"PK\x03\x04",
        _changed(VALID, END, 16, b"\xff\xff\xff\x7f"),
        _changed(VALID, END, 12, b"\xff\xff\xff\x7f"),
        _changed(VALID, DIRECTORY, 42, b"\xff\xff\xff\x7f"),
        _changed(VALID, DIRECTORY, 16, b"\x00\x00\x00\x00"),
        _changed(VALID, DIRECTORY, 24, b"\x01\x00\x00\x00"),
        _changed(VALID, b"PK\x03\x04", 30, b"b.pdf"),
        VALID[:40] + bytes(10) + VALID[50:],
    ],
    ids=[
        "tail",
        "half",
        "magic",
        "directory offset",
        "directory size",
        "entry offset",
        "crc",
        "size",
        "name",
        "content",
    ],
)
def test_a_damaged_zip_is_reported(damaged: bytes) -> None:
    """Whatever was cut or changed, the content is not used and the reason is told."""
    result = unpack("a.pdf", damaged, budget=BUDGET)

    assert result.content is None
    assert result.problem is not None


def test_a_count_that_lies() -> None:
    """The end record says one entry, the directory has two: neither is used."""
    two = zip_of(("a.pdf", PDF), ("b.pdf", PDF))

    result = unpack("a.pdf", _changed(two, END, 10, struct.pack("<H", 1)), budget=BUDGET)

    assert (None, "is a zip that contradicts itself") == (result.content, result.problem)


def test_a_directory_too_large_for_one_entry() -> None:
    """A directory of thousands of entries is not even read when the end record tells of one."""
    many = zip_of(*((f"{at:05}" * 10, b"") for at in range(2_500)))

    assert unpack("a.pdf", _changed(many, END, 10, struct.pack("<H", 1)), budget=BUDGET).content is None


def test_zip64_is_not_read() -> None:
    """A locator that would send the reader elsewhere is refused."""
    at = VALID.rindex(END)
    locator = b"PK\x06\x07" + struct.pack("<LQL", 0, 0, 1)

    assert unpack("a.pdf", VALID[:at] + locator + VALID[at:], budget=BUDGET).content is None


def test_an_encrypted_zip_stays() -> None:
    """Without the password it can only be passed on."""
    encrypted = _changed(VALID, DIRECTORY, 8, b"\x01\x00")

    result = unpack("a.pdf", encrypted, budget=BUDGET)

    assert (encrypted, "is an encrypted zip, kept as it is") == (result.content, result.problem)


def test_another_compression_stays() -> None:
    """Only the two methods that are bounded are unpacked."""
    content = zip_of(("a.pdf", PDF), compression=zipfile.ZIP_LZMA)

    result = unpack("a.pdf", content, budget=BUDGET)

    assert content == result.content
    assert "compression" in (result.problem or "")


def test_a_folder_is_no_file() -> None:
    """A zip of an empty folder stays a zip."""
    content = zip_of(("a/", b""))

    assert content == unpack("a.pdf", content, budget=BUDGET).content
