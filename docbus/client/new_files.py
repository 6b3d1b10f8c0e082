"""Files that are made once, and never overwritten."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

PRIVATE_MODE, PUBLIC_MODE = 0o600, 0o644


def write_new(made: list[Path], path: Path, content: bytes, mode: int) -> None:
    """Write a file that is not there yet, to the disk, and add it to those that were made.

    Raises:
        FileExistsError: It is there.
        OSError: It cannot be written.
    """
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
    made.append(path)
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
