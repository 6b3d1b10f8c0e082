"""What is published in the tests that kill: the same letters each time, so that publishing can be repeated."""

from __future__ import annotations

from docbus.documents.document import Document
from docbus.documents.file import File
from tests.support.trial import TAY_NINH

CALLS = 3
CALL_LETTERS = 4
"""Letters of one call; each call's last is urgent, so that two lanes are in use."""


def letters() -> list[list[Document]]:
    """Return the letters of each call, in the order of publication."""
    return [
        [_letter(call * CALL_LETTERS + number, urgent=number == CALL_LETTERS - 1) for number in range(CALL_LETTERS)]
        for call in range(CALLS)
    ]


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
