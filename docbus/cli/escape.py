"""Texts from outside are shown, never obeyed: a title must not move a cursor, colour a screen or turn a line round."""

from __future__ import annotations

import re

_HIDDEN = (
    r"\xad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b-\u200f\u2028-\u202e\u2060-\u206f\u3164"
    r"\ufe00-\ufe0f\ufeff\uffa0\ufff0-\ufffb\ud800-\udfff\U000e0000-\U000e0fff"
)
"""Zero-width, bidirectional, tag and variation characters, line separators, lone surrogates. Marks that make letters,
as Vietnamese has them in NFD, are not among them."""
_UNSEEN = re.compile(rf"[\x00-\x1f\x7f-\x9f{_HIDDEN}]")
_UNSEEN_IN_LINES = re.compile(rf"[\x00-\x08\x0b-\x1f\x7f-\x9f{_HIDDEN}]")


def shown(text: str) -> str:
    """Return text on one line with ``<U+001B>`` in place of every character that cannot be seen or that controls."""
    return _UNSEEN.sub(_named, text)


def shown_lines(text: str) -> str:
    """Return the same, with tabs and line feeds as they are."""
    return _UNSEEN_IN_LINES.sub(_named, text)


def escaped_json(encoded: str) -> str:
    r"""Return JSON with ``\u202e`` in place of the same characters; in JSON they stand inside strings only."""
    return _UNSEEN_IN_LINES.sub(_json_escape, encoded)


def _named(found: re.Match[str]) -> str:
    return f"<U+{ord(found[0]):04X}>"


def _json_escape(found: re.Match[str]) -> str:
    units = found[0].encode("utf-16-be", "surrogatepass")
    return "".join(f"\\u{units[at : at + 2].hex()}" for at in range(0, len(units), 2))
