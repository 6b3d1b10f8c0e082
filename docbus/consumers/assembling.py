"""Putting large content together on disk: parts into their places, checked one by one, the whole at the end (C2.09–12).

The plaintext is written as its parts arrive, in whatever order; a file beside it has a byte for each part that is
there, and behind them the offset to read on from, 8 bytes. So a process that is killed goes on where it stopped. The
digest of the whole runs along with the parts that follow one another; after a restart what is there is read once more,
from the disk. What a power cut has torn is noticed by that digest, and then fetched again, before anybody is blamed.

Everything here blocks and belongs to worker threads: one that takes parts, one that digests and one that lets go, each
one thread at a time. The hashes of a part are checked in a further thread while the part before it is decrypted.
"""

from __future__ import annotations

import os
from concurrent.futures import Future, ThreadPoolExecutor
from hashlib import sha256
from typing import TYPE_CHECKING, NamedTuple

from docbus.errors import VerificationError
from docbus.limits import PART_BYTES
from docbus.storage.content import storing
from docbus.verification.parts import check_part, check_whole, claimed_part, open_checked
from docbus.wire.parts import SEALED_PART_BYTES

if TYPE_CHECKING:
    from collections.abc import Sequence

    from docbus.envelope.parts import Part
    from docbus.storage.content import ContentFolder
    from docbus.transport.port import Record
    from docbus.verification.parts import WantedContent


SYNC_PARTS = 64
"""Parts after which the disk is made to write, 32 MiB: a second of an ordinary disk at most."""


class Mismatch(NamedTuple):
    """A record that claims to be a part of the wanted content, and is not."""

    offset: int
    code: str
    text: str


class Taken(NamedTuple):
    """What a few records brought: parts written now, records that only claimed to be parts, parts that were here."""

    parts: list[tuple[int, memoryview]]
    mismatches: list[Mismatch]
    known: list[int]


class Assembly:
    """One large attachment on its way to being complete.

    Args:
        content: Where files of large content lie.
        number: Names the file.
        wanted: What it has to be.
    """

    def __init__(self, content: ContentFolder, number: int, wanted: WantedContent) -> None:
        self._content = content
        self._path, self._have_path = content.incoming(number), content.have(number)
        self._wanted = wanted
        self._file = self._have_file = -1
        self._have = bytearray(wanted.parts)
        self._digest = sha256()
        self._digested = self._synced = 0
        self._spare: list[bytearray] = []
        self._checker = ThreadPoolExecutor(1, thread_name_prefix="docbus-check")
        self.resumed = False
        """Whether parts were here already when it was opened."""
        self.missing = wanted.parts
        """How many parts are not here."""
        self.read_to: int | None = None
        """Offset in the content topic up to which records were taken."""

    @property
    def have_bytes(self) -> int:
        """Bytes of plaintext that are here, to within a part."""
        return min(self._wanted.size, (self._wanted.parts - self.missing) * PART_BYTES)

    def open(self) -> None:
        """Open the files, and see which parts are here; does no more if it is open.

        Raises:
            DiskFullError: There is no room for what is missing.
            StorageError: The files cannot be opened.
        """
        if self._file >= 0:
            return
        self._content.make_incoming()
        with storing(self._content.path):
            flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW
            self._file = os.open(self._path, flags, 0o600)
            self._have_file = os.open(self._have_path, flags, 0o600)
            found = os.pread(self._have_file, self._wanted.parts + 8, 0)
            self._have[: len(found)] = found[: self._wanted.parts]
            if len(found) == self._wanted.parts + 8:
                self.read_to = int.from_bytes(found[self._wanted.parts :], "big")
            self.missing = self._have.count(0)
            self.resumed = self.missing < self._wanted.parts
        self._content.check_room(self.missing * PART_BYTES)

    def close(self) -> None:
        """Close the files; they stay as they are, and nothing is taken any more."""
        self._checker.shutdown(cancel_futures=True)
        for descriptor in (self._file, self._have_file):
            if descriptor >= 0:
                os.close(descriptor)
        self._file = self._have_file = -1

    def begin_anew(self) -> None:
        """Forget everything that is here.

        Raises:
            StorageError: The files cannot be written.
        """
        with storing(self._content.path):
            os.ftruncate(self._have_file, 0)
            os.ftruncate(self._file, 0)
        self._have = bytearray(self._wanted.parts)
        self.missing, self.resumed = self._wanted.parts, False
        self._digest, self._digested, self._synced, self.read_to = sha256(), 0, 0, None

    def take(self, records: Sequence[Record]) -> Taken:
        """Check, open and write the parts among records of a content topic (C2.09 to C2.11).

        Raises:
            VerificationError: The sender has signed a part that does not open (C2.11).
            DiskFullError: No space is left.
        """
        taken = Taken([], [], [])
        wanted = self._wanted
        fresh: set[int] = set()
        following = self._check(records[0]) if records else None
        for place in range(1, len(records) + 1):
            part = None if following is None else following.result()
            following = self._check(records[place]) if place < len(records) else None
            if isinstance(part, Mismatch):
                taken.mismatches.append(part)
                continue
            if part is None:
                continue
            if self._have[part.index] or part.index in fresh:
                taken.known.append(part.index)
                continue
            if not fresh:
                self._content.check_room(min(len(records), self.missing) * PART_BYTES)
            fresh.add(part.index)
            plaintext = open_checked(part, wanted, self._room())
            with storing(self._content.path):
                _write(self._file, plaintext, part.index * PART_BYTES)
            taken.parts.append((part.index, plaintext))
        with storing(self._content.path):
            for index, _ in taken.parts:
                # Only now: a part is noted when its bytes are written; the digest may run in another thread.
                os.pwrite(self._have_file, b"\x01", index)
                self._have[index] = 1
            if records:
                self.read_to = records[-1].offset + 1
                os.pwrite(self._have_file, self.read_to.to_bytes(8, "big"), self._wanted.parts)
        self.missing -= len(taken.parts)
        return taken

    def digest(self, parts: Sequence[tuple[int, memoryview]] = ()) -> None:
        """Let the digest of the whole go on, as far as parts follow one another; those just taken are not read again.

        Raises:
            StorageError: The file cannot be read.
        """
        fresh = dict(parts)
        while self._digested < self._wanted.parts and self._have[self._digested]:
            part = fresh.get(self._digested)
            if part is not None:
                self._digest.update(part)
            else:
                with storing(self._content.path):
                    self._digest.update(os.pread(self._file, PART_BYTES, self._digested * PART_BYTES))
            self._digested += 1
        self._spare += [part.obj for part in fresh.values() if isinstance(part.obj, bytearray)]

    def _check(self, record: Record) -> Future[Part | Mismatch | None]:
        """Check one record while the one before it is decrypted; only one, since all that is checked lies in memory."""
        return self._checker.submit(_checked, record, self._wanted)

    def _room(self) -> bytearray:
        """Return memory for a part, used before where there is some: new memory costs as much as the decryption."""
        try:
            return self._spare.pop()
        except IndexError:
            return bytearray(SEALED_PART_BYTES)

    @property
    def heavy(self) -> bool:
        """Whether it is time to let go of what was digested."""
        return self._digested - self._synced >= SYNC_PARTS

    def let_go(self) -> None:
        """Have the disk write what was digested, and the system forget it: it is not read again before it is filed.

        So gigabytes neither fill the memory that caches files, nor all have to be written in the end.

        Raises:
            DiskFullError: No space is left.
            StorageError: The file cannot be written.
        """
        end = self._digested
        with storing(self._content.path):
            os.fdatasync(self._file)
            start, length = self._synced * PART_BYTES, (end - self._synced) * PART_BYTES
            os.posix_fadvise(self._file, start, length, os.POSIX_FADV_DONTNEED)
        self._synced = end

    def finish(self) -> None:
        """Check the whole (C2.12); every part is here.

        Raises:
            VerificationError: It is not the file that the manifest names.
            StorageError: The file cannot be read.
        """
        self.digest()
        with storing(self._content.path):
            size = os.fstat(self._file).st_size
        check_whole(size, self._digest.digest(), self._wanted)


def _checked(record: Record, wanted: WantedContent) -> Part | Mismatch | None:
    """Return a record's part if it is one of the wanted content (C2.09, C2.10), and None if it claims to be another's.

    What fails is returned, because an error that goes from thread to thread keeps all that its frames know in memory.
    """
    try:
        part = claimed_part(record.value)
        if part.digest != wanted.root:
            return None
        check_part(part, wanted)
    except VerificationError as error:
        return Mismatch(record.offset, error.code, error.text)
    return part


def _write(descriptor: int, view: memoryview, offset: int) -> None:
    while view:
        written = os.pwrite(descriptor, view, offset)
        view, offset = view[written:], offset + written
