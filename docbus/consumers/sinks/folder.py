"""A folder as DMS: one directory per document, which appears complete or not at all (design D11).

::

    vn%3AH26~0193…~1/
    ├── files/            under safe names; metadata.json has the original ones
    ├── metadata.json
    └── envelope.bin      the exact signed bytes, so that an auditor can check what was filed

A batch is written below a work directory of the same file system, synced as a whole, renamed document by document, and
the folder synced once. Work directories are locked by the process that made them, so that what a crash has left can be
told from what another process is writing.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import fcntl
import os
import shutil
import stat
import tempfile
from concurrent.futures import ThreadPoolExecutor
from hashlib import sha256
from io import FileIO
from pathlib import Path
from typing import TYPE_CHECKING

from docbus.consumers.sinks.marks import PENDING_NAME, Marker
from docbus.consumers.sinks.metadata import encode_metadata, same_document, stored_names
from docbus.consumers.sinks.port import AlreadyThere, Conflict, Created
from docbus.errors import ConfigurationError, DiskFullError, SinkUnavailableError
from docbus.limits import MAX_ENVELOPE_BYTES, MIB
from docbus.storage.content import NO_LINK, sync_path

if TYPE_CHECKING:
    from collections.abc import Sequence

    from docbus.consumers.sinks.port import DeliveredFile, Delivery, Outcome

WORK_PREFIX = ".docbus-work-"
LOCK_NAME = "lock"
_ATTEMPTS = 10
"""Times that a work directory is made anew because somebody took it for one that a crash has left."""
MAX_BATCH = 256
"""Documents written before they are synced and renamed: some 1,000 open inodes, and a sync shared by all."""
MAX_METADATA_BYTES = 64 * MIB
"""Bytes of a metadata.json that is read back; 4,096 recipients, 1,024 files and all texts at their longest."""
CLOSE_SECONDS = 10.0
"""Seconds that closing waits for a batch under way."""
_DIRECTORY_MODE = 0o750
_FILE_MODE = 0o640
"""Decrypted documents: for their owner and his group, as far as the umask allows."""
_NO_SPACE = frozenset({errno.ENOSPC, errno.EDQUOT})
_NOT_THERE = frozenset({errno.ENOENT, errno.ENOTDIR, errno.ELOOP, errno.EISDIR, errno.ENXIO})
BLOCK_BYTES = 1 * MIB
"""Bytes copied or compared at a time."""
_TAKEN = frozenset({errno.EEXIST, errno.ENOTEMPTY, errno.ENOTDIR})


class FolderSink:
    """Files into one folder. Two objects, in one process or two, may share a folder and nothing else.

    Args:
        folder: Must exist and be writable.
    """

    max_batch = MAX_BATCH

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._work: Path | None = None
        self._lock = -1
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="docbus-folder")

    async def start(self) -> None:
        """See the port."""
        await asyncio.get_running_loop().run_in_executor(self._thread, self._start)

    async def deliver(self, batch: Sequence[Delivery]) -> list[Outcome]:
        """See the port."""
        return await asyncio.get_running_loop().run_in_executor(self._thread, self._deliver, batch)

    async def aclose(self) -> None:
        """See the port."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(CLOSE_SECONDS):
                await asyncio.to_thread(self._thread.shutdown, wait=True)
        if self._work is not None:
            _remove_work(self._work)
            os.close(self._lock)
            self._work = None

    def _start(self) -> None:
        try:
            found = self._folder.stat()
            if not stat.S_ISDIR(found.st_mode):
                raise ConfigurationError(f"{self._folder}, where documents are filed, is not a folder", step="C3")
            if self._work is None:
                self._clean()
                self._begin()
        except OSError as error:
            raise ConfigurationError(
                f"documents cannot be filed in {self._folder}: {error.strerror}",
                hint="Make the folder, and give this user the right to write in it.",
                step="C3",
            ) from error

    def _begin(self) -> Path:
        for _ in range(_ATTEMPTS):
            work = Path(tempfile.mkdtemp(prefix=WORK_PREFIX, dir=self._folder))
            # Whoever cleans may be faster, in the moment between making and locking, and remove it.
            with contextlib.suppress(FileNotFoundError):
                lock = os.open(work / LOCK_NAME, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
                with contextlib.suppress(BlockingIOError):
                    fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    if (work / LOCK_NAME).exists():
                        self._work, self._lock = work, lock
                        return work
                os.close(lock)
        raise BlockingIOError(errno.EAGAIN, "new folders are removed by somebody else")

    def _clean(self) -> None:
        """Remove work directories whose process is gone."""
        for left in self._folder.glob(f"{WORK_PREFIX}*"):
            try:
                descriptor = os.open(left / LOCK_NAME, os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW)
            except OSError:
                # The lock comes first and goes last, so the directory is empty: its process died in that moment, or is
                # just making it, and then makes another.
                with contextlib.suppress(OSError):
                    left.rmdir()
                continue
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                continue
            else:
                _remove_work(left)
            finally:
                os.close(descriptor)

    def _deliver(self, batch: Sequence[Delivery]) -> list[Outcome]:
        try:
            return self._file(batch)
        except OSError as error:
            self._empty_work()
            raise self._unavailable(error) from error

    def _file(self, batch: Sequence[Delivery]) -> list[Outcome]:
        work = self._work or self._begin()
        finals = [self._folder / delivery.name for delivery in batch]
        outcomes: list[Outcome | None] = [None] * len(batch)
        written: list[Path] = []
        for number, (delivery, final) in enumerate(zip(batch, finals, strict=True)):
            if os.path.lexists(final):
                outcomes[number] = self._read_back(delivery, final)
            else:
                written += _write(delivery, work / str(number))
        for path in written:
            sync_path(path)
        moved = False
        for number, (delivery, final) in enumerate(zip(batch, finals, strict=True)):
            if outcomes[number] is not None:
                continue
            made = work / str(number)
            try:
                made.rename(final)
                outcomes[number] = Created(final.name)
                moved = True
            except OSError as error:
                # Somebody was faster, or the batch holds the same document twice.
                if error.errno not in _TAKEN:
                    raise
                shutil.rmtree(made)
                outcomes[number] = self._read_back(delivery, final)
        if moved:
            sync_path(self._folder)
        self._mark(batch, outcomes, Marker(self._folder, work))
        return [outcome for outcome in outcomes if outcome is not None]

    def _mark(self, batch: Sequence[Delivery], outcomes: Sequence[Outcome | None], marker: Marker) -> None:
        """Let changes take effect on what they concern, whichever came first."""
        filed = [
            delivery
            for delivery, outcome in zip(batch, outcomes, strict=True)
            if isinstance(outcome, Created | AlreadyThere)
        ]
        for delivery in filed:
            if delivery.concerns:
                marker.mark_targets(delivery)
        if (self._folder / PENDING_NAME).is_dir():
            for delivery in filed:
                marker.apply_pending(delivery.name)
        marker.sync()

    def _read_back(self, delivery: Delivery, final: Path) -> Outcome:
        """Compare what lies under the name, byte for byte, with what should."""
        stored = stored_names([file.name for file in delivery.files])
        found = _read(final / "metadata.json", MAX_METADATA_BYTES)
        if found is None:
            return Conflict(final.name, "there is something under this name that docbus has not filed")
        if not same_document(found, delivery, stored):
            return Conflict(final.name, "metadata.json is of another document")
        if _read(final / "envelope.bin", MAX_ENVELOPE_BYTES) is None:
            return Conflict(final.name, "envelope.bin is missing")
        for file, name in zip(delivery.files, stored, strict=True):
            if not _holds(final / "files" / name, file):
                return Conflict(final.name, f"files/{name} is missing or has another content")
        # A crash may have left it renamed, and the rename not synced.
        sync_path(self._folder)
        return AlreadyThere(final.name)

    def _empty_work(self) -> None:
        """Nothing half filed stays; the lock file does."""
        if self._work is not None:
            _empty(self._work)

    def _unavailable(self, error: OSError) -> SinkUnavailableError:
        if error.errno in _NO_SPACE:
            full = SinkUnavailableError(
                f"no space left in {self._folder}, where documents are filed",
                hint="Free space on that disk; filing goes on by itself, and nothing is lost meanwhile.",
                step="C3",
            )
            full.code = DiskFullError.code
            return full
        if self._work is not None and not self._work.is_dir():
            # It has gone with the folder; the next attempt begins with a new one.
            os.close(self._lock)
            self._work = None
        return SinkUnavailableError(
            f"documents cannot be filed in {self._folder}: {error.strerror}",
            hint="Look whether the folder is mounted, exists and can be written; filing goes on by itself.",
            step="C3",
        )


def _empty(work: Path) -> None:
    """Remove everything but the lock, as far as that is possible."""
    # The directory itself may be gone, which is not noticed here.
    with contextlib.suppress(OSError):
        for left in work.iterdir():
            if left.is_dir():
                shutil.rmtree(left, ignore_errors=True)
            elif left.name != LOCK_NAME:
                left.unlink()


def _remove_work(work: Path) -> None:
    """Remove a work directory, its lock last: if this process dies meanwhile, the next one goes on with it."""
    _empty(work)
    shutil.rmtree(work, ignore_errors=True)


def _write(delivery: Delivery, made: Path) -> list[Path]:
    """Write one document; return everything that must be synced, files before the directories that name them."""
    files = delivery.files
    stored = stored_names([file.name for file in files])
    content: list[tuple[Path, bytes | Path]] = [
        (made / "files" / name, file.source) for file, name in zip(files, stored, strict=True)
    ]
    content.append((made / "metadata.json", encode_metadata(delivery, stored)))
    content.append((made / "envelope.bin", delivery.value))
    made.mkdir(_DIRECTORY_MODE)
    (made / "files").mkdir(_DIRECTORY_MODE)
    for path, source in content:
        if isinstance(source, Path):
            _take_over(source, path)
        else:
            with _create(path) as file:
                view = memoryview(source)
                while view:
                    view = view[file.write(view) :]
    return [*(path for path, _ in content), made / "files", made]


def _create(path: Path) -> FileIO:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC | os.O_NOFOLLOW, _FILE_MODE)
    return FileIO(descriptor, "wb")


def _take_over(source: Path, path: Path) -> None:
    """Give a large file its second name here, without copying it where that is possible."""
    try:
        os.link(source, path, follow_symlinks=False)
    except OSError as error:
        if error.errno not in NO_LINK:
            raise
        with source.open("rb", buffering=0) as read, _create(path) as written:
            shutil.copyfileobj(read, written, BLOCK_BYTES)
        return
    path.chmod(_FILE_MODE & ~_UMASK)


def _holds(path: Path, file: DeliveredFile) -> bool:
    """Tell whether a regular file has the content that was delivered; read in blocks."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK)
    except OSError as error:
        if error.errno in _NOT_THERE:
            return False
        raise
    with os.fdopen(descriptor, "rb", buffering=0) as found:
        state = os.fstat(descriptor)
        if not stat.S_ISREG(state.st_mode) or state.st_size != file.size:
            return False
        digest = sha256()
        while block := found.read(BLOCK_BYTES):
            digest.update(block)
        return digest.digest() == file.digest


def _umask() -> int:
    """Return the process's umask, which can only be read by setting it."""
    mask = os.umask(0o077)
    os.umask(mask)
    return mask


_UMASK = _umask()
"""Asked once, while there is one thread: a file that gets a second name keeps the mode it was made with."""


def _read(path: Path, size: int) -> bytes | None:
    """Return a regular file's content if it has at most ``size`` bytes, None if there is no such file."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK)
    except OSError as error:
        if error.errno in _NOT_THERE:
            return None
        raise
    with os.fdopen(descriptor, "rb") as file:
        found = os.fstat(descriptor)
        if not stat.S_ISREG(found.st_mode) or found.st_size > size:
            return None
        return file.read(size + 1)
