"""Checks of texts that people read and programs compare; every error begins with the field's name."""

from __future__ import annotations

import re
import unicodedata

from docbus.errors import DocumentError

_CONTROLS = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]")
"""C0, DEL, C1 and the two Unicode line separators: they move cursors, end lines and forge log entries."""
_CONTROLS_IN_LINES = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u2028\u2029]")
"""The same, but tabs and line ends are welcome."""
_UNSEEN = frozenset({"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"})
"""Unicode categories that cannot be seen, or that everybody sees differently: controls, zero-width and bidirectional
marks, lone surrogates, private use (old Vietnamese fonts), unassigned, line separators."""
SHOWN_CHARACTERS = 80
"""Characters of a refused text that an error repeats."""


def has_unseen(text: str) -> bool:
    """Tell whether a text holds characters that a reader cannot see."""
    return not text.isprintable() and any(unicodedata.category(character) in _UNSEEN for character in text)


def show(text: str) -> str:
    """Return the text in quotation marks, ``<U+200B>`` in place of what cannot be seen, cut to a bounded length."""
    cut = text if len(text) <= SHOWN_CHARACTERS else text[: SHOWN_CHARACTERS - 1] + "…"
    return '"' + "".join(c if c.isprintable() else f"<U+{ord(c):04X}>" for c in cut) + '"'


def without_controls(text: str) -> str:
    """Return the text on one line: runs of blanks and controls become one space."""
    return " ".join(_CONTROLS.sub(" ", text).split())


def without_controls_in_lines(text: str) -> str:
    """Return the text with its tabs and line ends, and a space for every other control."""
    return _CONTROLS_IN_LINES.sub(" ", text)


def cut_bytes(text: str, limit: int) -> str:
    """Return the longest beginning of a text that has at most ``limit`` UTF-8 bytes."""
    encoded = text.encode(errors="replace")
    return text if len(encoded) <= limit else encoded[:limit].decode(errors="ignore")


def check_text(field: str, text: str, *, limit: int, lines: bool = False, empty: bool = False) -> None:
    """Check a text that people read.

    Args:
        field: Name that an error begins with.
        text: What to check.
        limit: UTF-8 bytes that are allowed.
        lines: Tabs and line ends are allowed.
        empty: No text at all is allowed.

    Raises:
        DocumentError: Empty, too long, with control characters, or not expressible in UTF-8.
    """
    if not empty and not text.strip():
        raise DocumentError(f"{field}: empty", hint=f"Give a {field}.")
    if (_CONTROLS_IN_LINES if lines else _CONTROLS).search(text):
        raise DocumentError(f"{field}: {show(text)} has control characters", hint="Type it again without them.")
    size = byte_length(field, text)
    if size > limit:
        raise DocumentError(
            f"{field}: {size:,} UTF-8 bytes, at most {limit:,} are allowed", hint=f"Shorten the {field}."
        )


def byte_length(field: str, text: str) -> int:
    """Return the number of UTF-8 bytes.

    Raises:
        DocumentError: The text holds a lone surrogate, as from a file name that is not UTF-8.
    """
    try:
        return len(text.encode())
    except UnicodeEncodeError:
        raise DocumentError(f"{field}: {show(text)} is not valid Unicode text") from None
