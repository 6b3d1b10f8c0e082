"""Reading the streams of a document in blocks of a part, within the limits, and trusting none of them (step P1).

What is signed has to be what the caller meant: a stream that gives up in the middle, that has nothing to give at the
moment, or that ends before the size it was announced with, is an error and never a shorter document.
"""

from __future__ import annotations

from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, BinaryIO

from docbus.documents.file import FileStream
from docbus.documents.texts import show
from docbus.errors import DocumentError, DocumentTooLargeError
from docbus.limits import PART_BYTES

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from docbus.documents.document import Document

    Progress = Callable[[int, int | None], None]
    """Told from worker threads: bytes read so far, bytes in all or None if that is not known."""


class Stopped(Exception):  # noqa: N818 - it ends a thread, and is no error
    """The caller has gone, so nothing more is read."""


class Reading:
    """One document's streams.

    Args:
        document: Whose files they are.
        max_bytes: The most that all files may have together.
        progress: Told how far reading has come.
        stopped: Tells that the caller has gone.
    """

    def __init__(
        self, document: Document, max_bytes: int, progress: Progress | None, stopped: Callable[[], bool]
    ) -> None:
        self.stopped = stopped
        self._document_id = document.document_id
        self._max_bytes = max_bytes
        self._progress = progress
        sizes = [file.size if isinstance(file, FileStream) else len(file.content) for file in document.files]
        self._total = None if None in sizes else sum(size for size in sizes if size)
        self._done = 0

    def check(self, size: int) -> None:
        """Check a size against the limit.

        Raises:
            DocumentTooLargeError: It is over it.
        """
        if size > self._max_bytes:
            raise DocumentTooLargeError(
                f"document {self._document_id} has {size:,} bytes or more, at most {self._max_bytes:,} are allowed",
                hint="Send it as several documents, or raise max_bytes in [content]; recipients have such a limit too.",
                step="P1",
            )

    def done(self, size: int) -> None:
        """Count bytes that were read.

        Raises:
            DocumentTooLargeError: They are more than is allowed.
        """
        self._done += size
        self.check(self._done)
        if self._progress is not None and size:
            self._progress(self._done, self._total)

    @contextmanager
    def opened(self, file: FileStream) -> Iterator[Blocks]:
        """Open a stream, yield its blocks, and close it.

        Raises:
            DocumentError: It cannot be opened, or is no stream.
        """
        try:
            stream = file.opener()
        except OSError as error:
            raise _unreadable(file.name, error.strerror or str(error)) from error
        if not callable(getattr(stream, "read", None)):
            kind = type(stream).__name__
            raise _unreadable(file.name, f"its opener returned {kind}, which has no read()")
        try:
            yield Blocks(self, file, stream)
        finally:
            with suppress(AttributeError):
                stream.close()


class Blocks:
    """The blocks of one stream, each a whole part, less only at the end; call it for the next one."""

    def __init__(self, reading: Reading, file: FileStream, stream: BinaryIO) -> None:
        self._reading = reading
        self._file = file
        self._stream = stream
        self.size = 0
        """Bytes read so far."""

    def __call__(self) -> bytes:
        """Return the next block; empty at the end.

        Raises:
            DocumentError: The stream cannot be read, gives something else than bytes, or is not as long as announced.
            DocumentTooLargeError: More was read than is allowed.
        """
        pieces: list[bytes] = []
        missing = PART_BYTES
        while missing:
            if self._reading.stopped():
                raise Stopped
            piece = self._read(missing)
            if not piece:
                break
            pieces.append(piece)
            missing -= len(piece)
        block = pieces[0] if len(pieces) == 1 else b"".join(pieces)
        self.size += len(block)
        self._reading.done(len(block))
        announced = self._file.size
        if announced is not None and (self.size > announced or (missing and self.size != announced)):
            more = " or more" if not missing else ""
            raise DocumentError(
                f"the file {show(self._file.name)} has {self.size:,} bytes{more}, {announced:,} were announced",
                hint="It may be changing, or its source has ended too early; nothing was accepted.",
                step="P1",
            )
        return block

    def _read(self, size: int) -> bytes:
        try:
            piece = self._stream.read(size)
        except OSError as error:
            raise _unreadable(self._file.name, error.strerror or str(error)) from error
        except ValueError as error:
            # How Python says that a stream is closed.
            raise _unreadable(self._file.name, str(error)) from error
        if piece is None:
            raise _unreadable(self._file.name, "it has nothing to give at the moment; a stream that waits is needed")
        if not isinstance(piece, (bytes, bytearray, memoryview)):
            raise _unreadable(self._file.name, f"it gives {type(piece).__name__}, not bytes")
        return bytes(piece)


def _unreadable(name: str, reason: str) -> DocumentError:
    return DocumentError(
        f"the file {show(name)} cannot be read: {reason}",
        hint="Nothing was accepted; publish again once it can be read.",
        step="P1",
    )
