"""Small files that are replaced as a whole: whoever reads sees the one before or the new one, also after a crash."""

from __future__ import annotations

import os
from contextlib import suppress
from typing import TYPE_CHECKING

from docbus.storage.content import sync_path

if TYPE_CHECKING:
    from pathlib import Path


def write_whole(path: Path, content: bytes) -> None:
    """Put a file in the place of the one before, to the disk. One process at a time; what died here is overwritten.

    Raises:
        OSError: It cannot be written; the one before stays.
    """
    made = path.with_name(f".{path.name}.new")
    try:
        with made.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        made.replace(path)
    except OSError:
        with suppress(OSError):
            made.unlink()
        raise
    sync_path(path.parent)
