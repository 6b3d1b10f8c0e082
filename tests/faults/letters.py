"""What is published in the tests that kill: the same letters each time, so that publishing can be repeated."""

from __future__ import annotations

from io import BytesIO
from random import Random

from docbus.documents.document import Document
from docbus.documents.file import File, FileStream
from docbus.limits import PART_BYTES
from tests.support.trial import TAY_NINH

CALLS = 3
CALL_LETTERS = 4
"""Letters of one call; each call's last is urgent, so that two lanes are in use."""

DRAWINGS = "drawings"
"""Id of the one document with large content."""
DRAWINGS_PARTS = 5
"""Parts of its large content."""


def letters() -> list[list[Document]]:
    """Return the letters of each call, in the order of publication."""
    return [
        [letter(call * CALL_LETTERS + number, urgent=number == CALL_LETTERS - 1) for number in range(CALL_LETTERS)]
        for call in range(CALLS)
    ]


def around_drawings() -> list[list[Document]]:
    """Return a document of several parts, and small letters before and behind it, in the order of publication."""
    return [
        [letter(0, urgent=False), letter(1, urgent=True)],
        [drawings(DRAWINGS, DRAWINGS_PARTS)],
        [letter(2, urgent=False), letter(3, urgent=True)],
    ]


def drawings_content(parts: int = DRAWINGS_PARTS) -> bytes:
    """Return large content, the same each time; the last of its parts is short."""
    return Random(DRAWINGS).randbytes((parts - 1) * PART_BYTES + 300_000)  # noqa: S311 - any bytes will do


def drawings(name: str, parts: int) -> Document:
    """Return a document of so many parts."""
    # As the client library makes it of a path: neither media type nor size is given.
    return Document(
        document_id=name,
        title="Bản vẽ thiết kế",
        files=(
            File(name="tờ trình.txt", media_type="text/plain", content="Kính trình bản vẽ.".encode()),
            FileStream(name="bản vẽ.pdf", opener=lambda: BytesIO(drawings_content(parts))),
        ),
        recipients=(TAY_NINH,),
    )


def letter(number: int, *, urgent: bool) -> Document:
    """Return a letter of two small files."""
    content = f"Nội dung công văn số {number}.\n" * (number + 1)
    return Document(
        document_id=f"letter-{number:02}",
        title=f"Công văn số {number}",
        files=(
            File(name="công văn.txt", media_type="text/plain", content=content.encode()),
            File(name="phụ lục.bin", media_type="application/octet-stream", content=bytes([number]) * 999),
        ),
        recipients=(TAY_NINH,),
        urgency=1 if urgent else 0,  # type: ignore[arg-type] # Document makes an Urgency of it
    )
