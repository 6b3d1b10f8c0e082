"""Documents whose bytes follow from a seed and a number, so that anybody can say what should have arrived."""

from __future__ import annotations

import io
import random
from hashlib import sha256
from typing import BinaryIO

from docbus.documents.document import Document
from docbus.documents.file import File, FileStream

KIB, MIB = 1024, 1024 * 1024
LARGE_EVERY = 1_000
"""One document in so many has about a megabyte."""
HUGE_EVERY = 20_000
"""One in so many has 10 to 100."""
URGENT_EVERY = 50
BOTH_EVERY = 20
"""One in so many goes to every recipient."""
BLOCK = b"".join(sha256(bytes([n])).digest() for n in range(256)) * 128


def size_of(seed: int, number: int) -> int:
    """Return the size of a document's content: 1 byte to 100 MB."""
    dice = random.Random(f"{seed}/{number}/size")  # noqa: S311 - to be repeated
    if number % HUGE_EVERY == HUGE_EVERY // 2:
        return dice.randrange(10 * MIB, 100 * MIB)
    if number % LARGE_EVERY == LARGE_EVERY // 2:
        return dice.randrange(300 * KIB, 2 * MIB)
    return dice.choice((1, dice.randrange(1, 64), dice.randrange(64, 2 * KIB)))


def content_of(seed: int, number: int) -> bytes:
    """Return the content."""
    size = size_of(seed, number)
    start = sha256(f"{seed}/{number}".encode()).digest()
    if size <= len(start):
        return start[:size]
    return (start + BLOCK * (size // len(BLOCK) + 1))[:size]


def is_urgent(number: int) -> bool:
    """Tell whether a document goes in the urgent lane."""
    return number % URGENT_EVERY == URGENT_EVERY - 1


def recipients_of(number: int, recipients: tuple[str, ...]) -> tuple[str, ...]:
    """Return whom a document goes to."""
    if number % BOTH_EVERY == 0:
        return recipients
    return (recipients[number % len(recipients)],)


def document_id(publisher: str, number: int) -> str:
    """Return the id of a publisher's document."""
    return f"{publisher}-{number:08}"


def document(seed: int, publisher: str, number: int, recipients: tuple[str, ...]) -> Document:
    """Return a document."""
    content = content_of(seed, number)
    file: File | FileStream

    def opened() -> BinaryIO:
        return io.BytesIO(content)

    if len(content) < 200 * KIB:
        file = File(name="content.bin", media_type="application/octet-stream", content=content)
    else:
        file = FileStream(name="content.bin", media_type="application/octet-stream", opener=opened, size=len(content))
    return Document(
        document_id=document_id(publisher, number),
        title=f"Văn bản {number}",
        files=(file,),
        recipients=recipients_of(number, recipients),
        urgency=2 if is_urgent(number) else 0,  # type: ignore[arg-type] # made an Urgency of
    )
