"""A file of a document."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from docbus.documents.names import checked_name
from docbus.documents.texts import show
from docbus.errors import DocumentError
from docbus.limits import MAX_NAME_BYTES

_MEDIA_TYPE = re.compile(r"[A-Za-z0-9][!#$&^_.+A-Za-z0-9-]{0,126}/[A-Za-z0-9][!#$&^_.+A-Za-z0-9-]{0,126}(?:; ?[ -~]+)?")
"""``type/subtype`` and perhaps parameters; source: RFC 6838 section 4.2."""


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
        object.__setattr__(self, "name", checked_name(self.name))
        if not self.content:
            raise DocumentError(f"content: the file {show(self.name)} is empty", hint="Send a file with content.")
        if not _MEDIA_TYPE.fullmatch(self.media_type) or len(self.media_type) > MAX_NAME_BYTES:
            raise DocumentError(
                f"media_type: {show(self.media_type)} of {show(self.name)} is not a media type",
                hint="A media type is written like application/pdf.",
            )
