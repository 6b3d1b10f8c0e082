"""The content folder: files of large content, sent and received, beside the database.

::

    content/
    ├── outgoing/<name>/0-0, …   ciphertext of a document's large attachments, until every copy is settled
    └── incoming/<number>         plaintext of a large attachment that is being fetched; <number>.have says how much

The database says which of them are in use; what it does not name was left by a crash and is removed at the next start.
Everything is made for its owner alone.
"""

from __future__ import annotations

import errno
import fcntl
import os
import shutil
import uuid
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

from docbus.errors import DiskFullError, StorageError
from docbus.limits import MIB

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator
    from pathlib import Path

CONTENT_NAME = "content"
"""The folder beside the database, unless the settings name another."""
KEPT_FREE_BYTES = 256 * MIB
"""Bytes of a disk that large content never takes: the database, the log and everybody else go on."""
_OUTGOING, _INCOMING = "outgoing", "incoming"
_LOCK = "lock"
_HAVE = ".have"
_ATTEMPTS = 10
"""Times that a folder is made anew because somebody took it for one that a crash has left."""
NO_LINK = frozenset({errno.EXDEV, errno.EPERM, errno.EMLINK, errno.ENOTSUP, errno.EACCES})
"""A file cannot have a second name: another file system, or one that has no such thing."""
_NO_SPACE = frozenset({errno.ENOSPC, errno.EDQUOT})


class ContentFolder:
    """Names, makes and removes files of large content. Its methods block; none of them reads content.

    Args:
        path: Made when it is first written to.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._outgoing = path / _OUTGOING
        self._incoming = path / _INCOMING

    # --- what is sent ---------------------------------------------------------------------------------

    @contextmanager
    def staging(self) -> Iterator[Path]:
        """Yield a new folder for the attachments of a document that is being accepted.

        It is locked as long as the block runs, so that nobody takes it for one that a crash has left. If the block
        fails, it is removed.

        Raises:
            StorageError: It cannot be made.
        """
        with storing(self.path):
            folder, lock = self._make_staging()
        try:
            yield folder
        except BaseException:
            _remove(folder)
            raise
        else:
            if {path.name for path in folder.iterdir()} == {_LOCK}:
                _remove(folder)
        finally:
            os.close(lock)

    def _make_staging(self) -> tuple[Path, int]:
        """Return a new folder and its lock, which is held."""
        self._make(self._outgoing)
        for _ in range(_ATTEMPTS):
            folder = self._outgoing / uuid.uuid4().hex
            folder.mkdir(0o700)
            lock = os.open(folder / _LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            with suppress(BlockingIOError):
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                if (folder / _LOCK).exists():
                    return folder, lock
            # Whoever cleans was faster, in the moment between making and locking, and has removed it.
            os.close(lock)
        raise BlockingIOError(errno.EAGAIN, "new folders are locked by somebody else")

    def _make(self, folder: Path) -> None:
        """Make a folder below this one, durably and for its owner alone."""
        if not folder.is_dir():
            self.path.mkdir(0o700, parents=True, exist_ok=True)
            folder.mkdir(0o700, exist_ok=True)
            sync_path(self.path)
            sync_path(self.path.parent)

    def name_of(self, file: Path) -> str:
        """Return the name under which the database keeps a file."""
        return file.relative_to(self.path).as_posix()

    def file(self, name: str) -> Path:
        """Return the file of a name."""
        return self.path / name

    def drop(self, names: Collection[str]) -> None:
        """Remove files that nothing needs any more, and their folder with the last of them."""
        for name in names:
            file = self.file(name)
            file.unlink(missing_ok=True)
            left = {path.name for path in file.parent.iterdir()} if file.parent.is_dir() else {""}
            if left <= {_LOCK}:
                _remove(file.parent)

    def clean_outgoing(self, used: Callable[[], Collection[str]]) -> int:
        """Remove folders that no row names and no process is filling; return how many.

        Args:
            used: Returns the names that rows have now. What seems to be unused is asked for again while it is locked:
                whoever filled it has let go by then, and so has stored the rows that name it, or never will.
        """

        def kept() -> set[str]:
            return {self.file(name).parent.name for name in used()}

        found = {folder.name: folder for folder in self._outgoing.iterdir()} if self._outgoing.is_dir() else {}
        removed = 0
        for name in found.keys() - kept() if found else ():
            with _locked(found[name]) as ours:
                if ours and name not in kept():
                    _remove(found[name])
                    removed += 1
        return removed

    # --- what is fetched ------------------------------------------------------------------------------

    def incoming(self, number: int) -> Path:
        """Return the file in which content is put together."""
        return self._incoming / str(number)

    def have(self, number: int) -> Path:
        """Return the file beside it with one byte for each part: 1 for a part that is there."""
        return self._incoming / f"{number}{_HAVE}"

    def make_incoming(self) -> None:
        """Make the folder for what is fetched.

        Raises:
            StorageError: It cannot be made.
        """
        with storing(self.path):
            self._make(self._incoming)

    def drop_incoming(self, numbers: Collection[int]) -> None:
        """Remove what was fetched; a sink may have taken the content away already."""
        for number in numbers:
            self.incoming(number).unlink(missing_ok=True)
            self.have(number).unlink(missing_ok=True)

    def clean_incoming(self, used: Collection[int]) -> None:
        """Remove what no row names."""
        kept = {str(number) for number in used}
        for file in self._incoming.iterdir() if self._incoming.is_dir() else ():
            if file.name.removesuffix(_HAVE) not in kept and not file.is_dir():
                file.unlink(missing_ok=True)

    # --- room ---------------------------------------------------------------------------------------

    def free_bytes(self) -> int:
        """Return how many bytes large content may still take on this disk; below 0 if it has taken too many."""
        folder = self.path
        while not folder.exists():
            folder = folder.parent
        return shutil.disk_usage(folder).free - KEPT_FREE_BYTES

    def check_room(self, needed: int) -> None:
        """Check that so many bytes may be written.

        Raises:
            DiskFullError: They may not.
        """
        free = self.free_bytes()
        if needed > free:
            raise DiskFullError(
                f"{needed:,} bytes of large content do not fit into {self.path}: {max(free, 0):,} bytes are free,"
                f" beside the {KEPT_FREE_BYTES // MIB} MiB that are kept free",
                hint="Free space on that disk, or name a folder on a larger one in [content] folder.",
            )


@contextmanager
def storing(folder: Path) -> Iterator[None]:
    """Turn errors of the operating system into those of docbus.

    Raises:
        DiskFullError: No space is left.
        StorageError: Anything else.
    """
    try:
        yield
    except OSError as error:
        if error.errno in _NO_SPACE:
            raise DiskFullError(
                f"no space left in {folder}, where large content is kept",
                hint="Free space on that disk; what was accepted before is kept.",
            ) from error
        raise StorageError(
            f"large content cannot be kept in {folder}: {error.strerror}",
            hint="Check that the folder exists and that this user may read and write in it.",
        ) from error


def sync_path(path: Path) -> None:
    """Make a file's content durable, or the names in a folder."""
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _has_files(folder: Path) -> bool:
    return folder.is_dir() and any(path.name != _LOCK for path in folder.iterdir())


def _remove(folder: Path) -> None:
    """Remove a folder, its lock last: if this process dies meanwhile, somebody else can take it up."""
    with suppress(OSError):
        for path in folder.iterdir():
            if path.name != _LOCK:
                path.unlink(missing_ok=True)
    shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def _locked(folder: Path) -> Iterator[bool]:
    """Hold a folder's lock as long as the block runs; yield False if somebody else has it, or it has none yet."""
    try:
        lock = os.open(folder / _LOCK, os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW)
    except OSError:
        # It is being made now, or its maker died in that very moment, before anything was written. A lock comes first
        # and goes last, so what has files and no lock is nobody's.
        yield _has_files(folder) and not (folder / _LOCK).exists()
        return
    try:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            yield False
        else:
            yield True
    finally:
        os.close(lock)
