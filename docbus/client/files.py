"""Files of a document, from the disk or from memory."""

from __future__ import annotations

import os
import stat
from functools import partial
from pathlib import Path
from typing import BinaryIO

from docbus.documents.file import File, FileStream
from docbus.documents.given import Wanted, check_given
from docbus.errors import DocumentError

_FILES = Wanted((str, Path), "a path, a File or a FileStream for each")


def _open(path: Path) -> BinaryIO:
    return path.open("rb")


def read_file(source: str | Path | File | FileStream) -> File | FileStream:
    """Return a file of a document: one on the disk as a stream, which is read when the document is published.

    Raises:
        DocumentError: It is no path, or the path is a directory, is empty, or cannot be read.
    """
    if isinstance(source, (File, FileStream)):
        return source
    check_given({"files": _FILES}, {"files": source})
    path = Path(source)
    try:
        found = path.stat()
        if stat.S_ISDIR(found.st_mode):
            raise DocumentError(f"{path} is a directory", hint="Name the files in it.", step="P1")
        if not os.access(path, os.R_OK):
            # Said now and not after the files before it have been encrypted.
            _open(path).close()
    except OSError as error:
        raise DocumentError(
            f"{path} cannot be read: {error.strerror}",
            hint="Check the name, and that this user may read it.",
            step="P1",
        ) from error
    size = found.st_size if stat.S_ISREG(found.st_mode) else None
    return FileStream(name=path.name, opener=partial(_open, path), size=size)
