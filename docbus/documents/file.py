"""A file of a document: in memory, or read when the document is published."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import BinaryIO

from docbus.documents.given import MAYBE_TEXT, TEXT, Wanted, check_given
from docbus.documents.names import checked_name
from docbus.documents.texts import show
from docbus.errors import DocumentError
from docbus.limits import MAX_NAME_BYTES

_MEDIA_TYPE = re.compile(r"[A-Za-z0-9][!#$&^_.+A-Za-z0-9-]{0,126}/[A-Za-z0-9][!#$&^_.+A-Za-z0-9-]{0,126}(?:; ?[ -~]+)?")
"""``type/subtype`` and perhaps parameters; source: RFC 6838 section 4.2."""

_FILE = {"name": TEXT, "media_type": TEXT, "content": Wanted((bytes,), "bytes")}
_STREAM = {
    "name": TEXT,
    "opener": Wanted((Callable,), "a function that returns a binary stream"),  # type: ignore[arg-type] # isinstance knows it
    "media_type": MAYBE_TEXT,
    "size": Wanted((int,), "a whole number of bytes", optional=True),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class File:
    """One file, whole in memory.

    Args:
        name: Kept in NFC; never a path.
        media_type: RFC 6838, such as ``application/pdf``.
        content: At least one byte.

    Raises:
        DocumentError: A field is not allowed; the text begins with its name.
    """

    name: str
    media_type: str
    content: bytes = field(repr=False)

    def __post_init__(self) -> None:
        """Refuse what may not be sent."""
        check_given(_FILE, {name: getattr(self, name) for name in _FILE})
        object.__setattr__(self, "name", checked_name(self.name))
        if not self.content:
            raise empty_file(self.name)
        check_media_type(self.name, self.media_type)


@dataclass(frozen=True, slots=True, kw_only=True)
class FileStream:
    """One file of any size, read in blocks when the document is published; never whole in memory.

    Args:
        name: Kept in NFC; never a path.
        opener: Returns a binary stream that is read once from where it stands to its end, and closed. It is called in
            another thread than the event loop's, and may be called again when the same document is published again.
        media_type: RFC 6838; None: told from the first bytes and the name.
        size: Bytes that it has, if that is known: a stream that turns out longer or shorter is refused, because it was
            cut off or has changed.

    Raises:
        DocumentError: A field is not allowed; the text begins with its name.
    """

    name: str
    opener: Callable[[], BinaryIO] = field(repr=False)
    media_type: str | None = None
    size: int | None = None

    def __post_init__(self) -> None:
        """Refuse what may not be sent, as far as is known before reading."""
        check_given(_STREAM, {name: getattr(self, name) for name in _STREAM})
        object.__setattr__(self, "name", checked_name(self.name))
        if self.size == 0:
            raise empty_file(self.name)
        if self.size is not None and self.size < 0:
            raise DocumentError(
                f"size: {self.size} bytes of {show(self.name)}", hint="Leave it out if it is not known."
            )
        if self.media_type is not None:
            check_media_type(self.name, self.media_type)


def empty_file(name: str) -> DocumentError:
    """Return the error for a file without content."""
    return DocumentError(f"content: the file {show(name)} is empty", hint="Send a file with content.", step="P1")


def check_media_type(name: str, media_type: str) -> None:
    """Check the media type of the file with this name.

    Raises:
        DocumentError: It is none.
    """
    if not _MEDIA_TYPE.fullmatch(media_type) or len(media_type) > MAX_NAME_BYTES:
        raise DocumentError(
            f"media_type: {show(media_type)} of {show(name)} is not a media type",
            hint="A media type is written like application/pdf.",
        )
