"""The name a document is filed under: from sender, document id and revision, never from the title (design D11)."""

from __future__ import annotations

import re
from hashlib import sha256

MAX_NAME = 200
"""Characters (all ASCII) of a name; leaves 55 bytes of a file system's 255 for suffixes of the sink and of users."""
SEPARATOR = "~"
_DIGEST_DIGITS = 32
"""Hex digits of SHA-256 at the end of a cut name: 128 bits, so that nobody finds two ids with one name."""
_UNSAFE = re.compile(rb"[^A-Za-z0-9._-]")


def escape(text: str) -> str:
    """Return text with every byte outside ``A-Z a-z 0-9 . _ -`` as ``%`` and two hex digits."""
    return _UNSAFE.sub(lambda found: b"%%%02X" % found[0][0], text.encode()).decode("ascii")


def delivery_name(sender: str, document_id: str, revision: int) -> str:
    """Return ``sender~document_id~revision``, escaped; cut, with a digest of the whole, where it would be too long.

    A sender's id begins with its scheme, so that no name is hidden, ``.`` or ``..``. A cut name ends with 32 hex
    digits, more than any revision has, so it never equals one that is not cut.
    """
    name = f"{escape(sender)}{SEPARATOR}{escape(document_id)}{SEPARATOR}{revision}"
    if len(name) <= MAX_NAME:
        return name
    digest = sha256(name.encode()).hexdigest()[:_DIGEST_DIGITS]
    return f"{name[: MAX_NAME - _DIGEST_DIGITS - 1]}{SEPARATOR}{digest}"
