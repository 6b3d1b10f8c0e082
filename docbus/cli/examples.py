"""Examples at the end of a help text, line by line as they were written."""

from __future__ import annotations


def examples(*lines: str, title: str = "Examples:") -> str:
    """Return an epilog; the backspace tells the help formatter not to wrap."""
    return "\n".join(["\b", title, *(f"  {line}" for line in lines)])
