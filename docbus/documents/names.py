"""File names that are safe to file under on every operating system (threat: path traversal, device names, bidi)."""

from __future__ import annotations

import re
import unicodedata
from typing import TYPE_CHECKING

from docbus.documents.texts import byte_length, cut_bytes, show
from docbus.errors import DocumentError
from docbus.limits import MAX_NAME_BYTES

if TYPE_CHECKING:
    from collections.abc import Collection

_FORBIDDEN = re.compile(
    r'[/\\:*?"<>|'  # separators, NTFS streams, and what Windows refuses
    r"\x00-\x1f\x7f-\x9f\u2028\u2029"  # controls and line separators
    r"\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069"  # Unicode Bidi_Control, which disguises a suffix
    r"\ud800-\udfff]"  # lone surrogates
)
_DEVICE = re.compile(
    r"(?:con|prn|aux|nul|conin\$|conout\$|(?:com|lpt)[0-9\u00b9\u00b2\u00b3]) *(?:\.|$)", re.IGNORECASE
)
"""Names that Windows opens as a device whatever their suffix; source: "Naming Files, Paths, and Namespaces"."""


def checked_name(name: str) -> str:
    """Return a file's name in NFC.

    Args:
        name: As the user or another system gave it.

    Raises:
        DocumentError: It is empty, ``.`` or ``..``, has a separator, control or bidirectional character, is reserved
            on Windows, ends with a dot or a space, begins with a space, or has more than 255 UTF-8 bytes.
    """
    name = unicodedata.normalize("NFC", name)
    problem = _problem(name)
    if problem:
        raise DocumentError(f"name: {show(name)} {problem}", hint="Rename the file.")
    size = byte_length("name", name)
    if size > MAX_NAME_BYTES:
        raise DocumentError(
            f"name: {show(name)} has {size} UTF-8 bytes, at most {MAX_NAME_BYTES} are allowed", hint="Rename the file."
        )
    return name


def _problem(name: str) -> str | None:
    if not name.strip():
        return "is empty"
    found = _FORBIDDEN.search(name)
    if found:
        return f"has the character {show(found[0])}, which is not safe in a file name"
    # The three below change or lose their meaning when Windows or a shell resolves them.
    if name[-1] in ". ":
        return "ends with a dot or a space" if name.strip(".") else "names a folder"
    if name[0] == " ":
        return "begins with a space"
    if _DEVICE.match(name):
        return "is the name of a device on Windows"
    return None


def same_name(name: str) -> str:
    """Return the form under which two names are the same file somewhere: NFC, letter case ignored."""
    return unicodedata.normalize("NFC", name).casefold()


def safe_name(name: str, *, fallback: str, taken: Collection[str] = ()) -> str:
    """Return the nearest name that :func:`checked_name` accepts; for names that another system chose.

    Args:
        name: Any text; a path loses its folders.
        fallback: Used where nothing is left; must be safe.
        taken: Names in the form of :func:`same_name` that must not come out again.
    """
    base = re.split(r"[/\\]", unicodedata.normalize("NFC", name))[-1]
    base = _FORBIDDEN.sub("_", base).strip(" ").rstrip(". ")
    if not base.strip("._ ").strip():
        base = fallback
    if _DEVICE.match(base):
        base = "_" + base
    attempt, number = _fit(base, ""), 1
    while same_name(attempt) in taken:
        number += 1
        attempt = _fit(base, f" ({number})")
    return attempt


def _fit(name: str, mark: str) -> str:
    """Put ``mark`` before the suffix and cut the stem so that all of it fits."""
    stem, dot, suffix = name.rpartition(".")
    if not stem or len(suffix.encode()) > MAX_NAME_BYTES // 4:
        stem, dot, suffix = name, "", ""
    room = MAX_NAME_BYTES - len((mark + dot + suffix).encode())
    return (cut_bytes(stem, room).rstrip(" " if dot else ". ") or "_") + mark + dot + suffix
