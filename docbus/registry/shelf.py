"""A shelf on disk for what a large directory would else hold in memory (ADR 0025)."""

from __future__ import annotations

import os
import tempfile
import threading
import weakref
from typing import IO

import structlog

from docbus.errors import StorageError
from docbus.limits import KIB

BATCH_BYTES = 256 * KIB
"""Bytes that are written in one go; a directory of some 150 agencies never needs the disk."""

_log = structlog.get_logger(__name__)


class FileShelf:
    """A :class:`~docbus.identity.shelf.Shelf` in a file without a name, which is gone with the process.

    Where no such file can be written, what comes then stays in memory.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._file: IO[bytes] | None = None
        self._written = 0
        self._pending = bytearray()
        self._in_memory = False

    def put(self, value: bytes) -> int:
        """Keep these bytes and return where they are."""
        with self._lock:
            at = self._written + len(self._pending)
            self._pending += value
            if len(self._pending) >= BATCH_BYTES and not self._in_memory:
                self._write()
        return at

    def get(self, at: int, size: int) -> bytes:
        """Return the bytes that :meth:`put` has put there.

        Raises:
            StorageError: They cannot be read from the disk any more.
        """
        with self._lock:
            if at >= self._written:
                start = at - self._written
                return bytes(self._pending[start : start + size])
            file = self._file
        try:
            found = b"" if file is None else os.pread(file.fileno(), size, at)
        except OSError as error:
            raise StorageError(f"a file for temporary use cannot be read: {error.strerror}") from error
        if len(found) != size:
            raise StorageError("a file for temporary use is shorter than what was written to it")
        return found

    def _write(self) -> None:
        try:
            if self._file is None:
                # Without buffering, a write that failed has left nothing behind that a later one would repeat.
                self._file = tempfile.TemporaryFile(prefix="docbus-directory-", buffering=0)  # noqa: SIM115 - kept open
                weakref.finalize(self, self._file.close)
            done = 0
            view = bytes(self._pending)
            while done < len(view):
                done += os.pwrite(self._file.fileno(), view[done:], self._written + done)
        except OSError as error:
            _log.warning("directory_in_memory", reason=error.strerror, folder=tempfile.gettempdir())
            self._in_memory = True
            return
        self._written += len(view)
        self._pending.clear()
