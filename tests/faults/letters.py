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
DRAWINGS_BYTES = (DRAWINGS_PARTS - 1) * PART_BYTES + 300_000
"""Bytes of the file in so many parts, the last of which is short."""


def letters() -> list[list[Document]]:
    """Return the letters of each call, in the order of publication."""
    return [
        [_letter(call * CALL_LETTERS + number, urgent=number == CALL_LETTERS - 1) for number in range(CALL_LETTERS)]
        for call in range(CALLS)
    ]


def around_drawings() -> list[list[Document]]:
    """Return a document of several parts, and small letters before and behind it, in the order of publication."""
    return [
        [_letter(0, urgent=False), _letter(1, urgent=True)],
        [_drawings()],
        [_letter(2, urgent=False), _letter(3, urgent=True)],
    ]


def drawings_content() -> bytes:
    """Return the large content, the same each time."""
    return Random(DRAWINGS).randbytes(DRAWINGS_BYTES)  # noqa: S311 - any bytes will do


def _drawings() -> Document:
    # As the client library makes it of a path: neither media type nor size is given.
    return Document(
        document_id=DRAWINGS,
        title="Bản vẽ thiết kế",
        files=(
            File(name="tờ trình.txt", media_type="text/plain", content="Kính trình bản vẽ.".encode()),
            FileStream(name="bản vẽ.pdf", opener=lambda: BytesIO(drawings_content())),
        ),
        recipients=(TAY_NINH,),
    )


def _letter(number: int, *, urgent: bool) -> Document:
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
