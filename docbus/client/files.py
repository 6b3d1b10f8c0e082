"""Files of a document, from the disk or from memory."""

from __future__ import annotations

from pathlib import Path

from docbus.documents.file import File
from docbus.documents.media_types import media_type_of
from docbus.errors import DocumentError


def read_file(source: str | Path | File) -> File:
    """Return a file of a document from a path, or as it is.

    Raises:
        DocumentError: The path is a directory, is empty, or cannot be read.
    """
    if isinstance(source, File):
        return source
    path = Path(source)
    try:
        content = path.read_bytes()
    except IsADirectoryError:
        raise DocumentError(f"{path} is a directory", hint="Name the files in it.", step="P1") from None
    except OSError as error:
        raise DocumentError(
            f"{path} cannot be read: {error.strerror}",
            hint="Check the name, and that this user may read it.",
            step="P1",
        ) from error
    return File(name=path.name, media_type=media_type_of(path.name, content), content=content)
