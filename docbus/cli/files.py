"""Reading a file that a command was given."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

    from docbus.errors import DocbusError


def read_file(path: Path, limit: int, error: type[DocbusError], hint: str) -> bytes:
    """Read at most one byte more than is allowed, so that too much is found to be so by whoever decodes it.

    Args:
        path: The file.
        limit: Bytes that are allowed.
        error: What is raised if it cannot be read.
        hint: What to name instead.

    Raises:
        DocbusError: The given one.
    """
    try:
        with path.open("rb") as file:
            return file.read(limit + 1)
    except OSError as failure:
        raise error(f"{path} cannot be read: {failure.strerror}", hint=hint) from failure
