"""Bytes of a stranger, as much of them as an error may show."""

from __future__ import annotations

SHOWN_BYTES = 32
"""Bytes that are shown: enough to tell a page of HTML, or an error in JSON."""


def begins_with(content: bytes) -> str:
    """Say how long bytes are and how they begin, with what cannot be shown escaped."""
    shown = repr(content[:SHOWN_BYTES]).removeprefix("b")
    return f"{len(content):,} bytes that begin with {shown}" if content else "no bytes at all"
