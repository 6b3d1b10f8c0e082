from __future__ import annotations

import errno
import os
import shutil
import stat
import subprocess
import sys
from typing import TYPE_CHECKING, NamedTuple

import pytest

from docbus.errors import DiskFullError, StorageError
from docbus.limits import MIB
from docbus.storage import content as module
from docbus.storage.content import KEPT_FREE_BYTES, ContentFolder, storing

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


class Usage(NamedTuple):
    total: int
    used: int
    free: int


@pytest.fixture
def content(tmp_path: Path) -> ContentFolder:
    return ContentFolder(tmp_path / "content")


def names(content: ContentFolder) -> set[str]:
    """Return all files below the folder, without locks."""
    found = {path.relative_to(content.path).as_posix() for path in content.path.rglob("*") if path.is_file()}
    return {name for name in found if not name.endswith("/lock")}


def folders(content: ContentFolder) -> int:
    return len(list((content.path / "outgoing").iterdir()))


def stage(content: ContentFolder, *files: str) -> list[str]:
    """Stage files as a document that is accepted has them; return their names."""
    made = []
    with content.staging() as folder:
        for file in files:
            (folder / file).write_bytes(b"ciphertext")
            made.append(content.name_of(folder / file))
    return made


def using(*used: str) -> Callable[[], list[str]]:
    return lambda: list(used)


# --- what is sent ---------------------------------------------------------------------------------


def test_staged_files_stay_under_their_names(content: ContentFolder) -> None:
    """The name that the database keeps leads to the file, and says nothing about the document."""
    (name,) = stage(content, "0-0")

    assert content.file(name).read_bytes() == b"ciphertext"
    assert names(content) == {name}


def test_failed_staging_leaves_nothing(content: ContentFolder) -> None:
    """What was written before an error is gone with it."""
    with pytest.raises(IsADirectoryError):
        stage(content, "0-0", ".")

    assert folders(content) == 0


def test_staging_without_files_leaves_nothing(content: ContentFolder) -> None:
    """A document that turned out to be small needs no folder."""
    with content.staging():
        pass

    assert folders(content) == 0


def test_everything_is_for_its_owner_alone(content: ContentFolder) -> None:
    """Nobody else of this machine can list, read or write any of it, whatever the umask says."""
    before = os.umask(0)
    try:
        with content.staging():
            content.make_incoming()
            made = [content.path, *content.path.rglob("*")]
            modes = {path.name: stat.S_IMODE(path.stat().st_mode) & 0o077 for path in made}
    finally:
        os.umask(before)

    assert len(modes) == 5
    assert set(modes.values()) == {0}


def test_dropped_files_take_their_folder_with_the_last(content: ContentFolder) -> None:
    """The folder stays as long as one file of it is needed; dropping again does nothing."""
    first, second = stage(content, "0-0", "1-0")

    content.drop([first])
    between = names(content), folders(content)
    content.drop([second, first])

    assert between == ({second}, 1)
    assert folders(content) == 0


def test_clean_removes_what_no_row_names(content: ContentFolder) -> None:
    """What a crash has left is gone, however it looks; what the database names stays."""
    (kept,) = stage(content, "0-0")
    stage(content, "0-0", "0-1")
    with content.staging() as left:
        (left / "0-0").write_bytes(b"half")
    (left / "lock").unlink()

    removed = content.clean_outgoing(using(kept))

    assert removed == 2
    assert names(content) == {kept}
    assert folders(content) == 1


def test_clean_leaves_what_another_is_staging(content: ContentFolder) -> None:
    """A folder that is being filled is locked, and so not taken for a crash's; afterwards it is."""
    other = ContentFolder(content.path)
    with content.staging() as folder:
        (folder / "0-0").write_bytes(b"half")
        removed_meanwhile = other.clean_outgoing(using())

    assert removed_meanwhile == 0
    assert other.clean_outgoing(using()) == 1
    assert names(content) == set()


def test_clean_leaves_what_is_accepted_while_it_looks(content: ContentFolder) -> None:
    """Rows are asked for again once nobody fills the folder: what was stored in between is in use."""
    accepted: list[str] = []

    def used() -> list[str]:
        now = list(accepted)
        if not accepted:
            accepted.extend(made)
        return now

    made = stage(content, "0-0")

    assert content.clean_outgoing(used) == 0
    assert names(content) == set(made)


def test_clean_leaves_a_folder_that_is_being_made(content: ContentFolder) -> None:
    """Between a folder and its lock there is a moment, in which nobody may take the folder away."""
    stage(content, "0-0")
    empty = content.path / "outgoing" / "just-made"
    empty.mkdir()

    content.clean_outgoing(using())

    assert empty.is_dir()


@pytest.mark.parametrize("moment", ["locked", "removed"])
def test_folder_that_was_taken_for_a_crashs_is_made_anew(
    content: ContentFolder, monkeypatch: pytest.MonkeyPatch, moment: str
) -> None:
    """Whoever cleans between the making of a folder and of its lock costs a document nothing."""
    lock = module.fcntl.flock
    calls: list[int] = []

    def lock_late(descriptor: int, operation: int) -> None:
        calls.append(descriptor)
        if len(calls) == 1 and moment == "locked":
            raise BlockingIOError(errno.EAGAIN, "locked")
        if len(calls) == 1:
            for folder in (content.path / "outgoing").iterdir():
                shutil.rmtree(folder)
        lock(descriptor, operation)

    monkeypatch.setattr(module.fcntl, "flock", lock_late)
    (name,) = stage(content, "0-0")

    assert len(calls) == 2
    assert content.file(name).read_bytes() == b"ciphertext"


def test_clean_asks_for_the_rows_once_if_all_is_in_use(content: ContentFolder) -> None:
    """A day's documents are not each looked up anew."""
    made = [name for _ in range(5) for name in stage(content, "0-0")]
    asked: list[int] = []

    def used() -> list[str]:
        asked.append(1)
        return made

    assert content.clean_outgoing(used) == 0
    assert len(asked) == 1


def test_clean_of_nothing_is_no_error(content: ContentFolder) -> None:
    """An agency that never sent anything large has no folder."""
    assert content.clean_outgoing(using()) == 0
    assert not content.path.exists()


def test_what_a_killed_process_was_staging_is_removed(content: ContentFolder) -> None:
    """The lock ends with its process, and then the folder is nobody's."""
    script = (
        "import os, pathlib, signal, sys\n"
        "from docbus.storage.content import ContentFolder\n"
        "with ContentFolder(pathlib.Path(sys.argv[1])).staging() as folder:\n"
        "    (folder / '0-0').write_bytes(b'half')\n"
        "    os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    environment = {**os.environ, "PYTHONPATH": "."}
    subprocess.run([sys.executable, "-c", script, str(content.path)], env=environment, check=False, timeout=30)
    left = names(content)

    content.clean_outgoing(using())

    assert len(left) == 1
    assert names(content) == set()


@pytest.mark.parametrize("remove", ["staging", "clean"])
def test_removal_that_is_broken_off_is_taken_up_again(
    content: ContentFolder, monkeypatch: pytest.MonkeyPatch, remove: str
) -> None:
    """Also of a folder that was half removed when the process died nothing stays."""

    def die(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    def fail() -> None:
        with content.staging() as folder:
            for number in range(3):
                (folder / f"0-{number}").write_bytes(b"half")
            raise ValueError

    with monkeypatch.context() as patched:
        if remove == "staging":
            patched.setattr(shutil, "rmtree", die)
            with pytest.raises(KeyboardInterrupt):
                fail()
        else:
            stage(content, "0-0")
            patched.setattr(shutil, "rmtree", die)
            with pytest.raises(KeyboardInterrupt):
                content.clean_outgoing(using())

    assert content.clean_outgoing(using()) == 1
    assert folders(content) == 0


# --- what is fetched ------------------------------------------------------------------------------


def test_fetched_files_go_by_number(content: ContentFolder) -> None:
    """Dropping takes content and notes; a sink may have taken the content already."""
    content.make_incoming()
    for number in (1, 2):
        content.incoming(number).write_bytes(b"plaintext")
        content.have(number).write_bytes(b"\x01")
    content.incoming(2).unlink()

    content.drop_incoming([1, 2, 3])

    assert names(content) == set()


def test_clean_incoming_keeps_what_is_wanted(content: ContentFolder) -> None:
    """What no row wants any more is removed, content and notes."""
    content.make_incoming()
    for number in (1, 12):
        content.incoming(number).write_bytes(b"plaintext")
        content.have(number).write_bytes(b"\x01")

    content.clean_incoming([12])

    assert names(content) == {"incoming/12", "incoming/12.have"}


# --- room -----------------------------------------------------------------------------------------


def test_room_is_what_the_disk_has_beside_what_is_kept_free(
    content: ContentFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The last of the disk is not for large content; the error names folder, need and room."""
    usage = Usage(10 * KEPT_FREE_BYTES, 0, KEPT_FREE_BYTES + 3 * MIB)
    monkeypatch.setattr(module.shutil, "disk_usage", lambda _: usage)

    content.check_room(3 * MIB)
    with pytest.raises(DiskFullError, match="3,145,729 bytes of large content do not fit") as caught:
        content.check_room(3 * MIB + 1)

    assert str(content.path) in caught.value.text
    assert caught.value.hint is not None


def test_full_disk_is_told_from_other_trouble(tmp_path: Path) -> None:
    """No space and an exceeded quota are waited for; anything else is not called a full disk."""
    for number in (errno.ENOSPC, errno.EDQUOT):
        with pytest.raises(DiskFullError, match=str(tmp_path)), storing(tmp_path):
            raise OSError(number, "no space")
    with pytest.raises(StorageError, match="Permission denied") as caught, storing(tmp_path):
        raise PermissionError(errno.EACCES, "Permission denied")

    assert not isinstance(caught.value, DiskFullError)


def test_folder_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    """Where a file is in the way the error says what cannot be kept where."""
    (tmp_path / "content").write_bytes(b"")
    content = ContentFolder(tmp_path / "content")

    with pytest.raises(StorageError, match="large content cannot be kept"), content.staging():
        pass  # pragma: no cover
    with pytest.raises(StorageError, match="large content cannot be kept"):
        content.make_incoming()


def test_attempts_to_make_a_folder_are_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where somebody takes every new folder at once, it is an error after so many, not a loop."""
    tries: list[int] = []

    def taken(descriptor: int, _how: int) -> None:
        tries.append(descriptor)
        raise BlockingIOError

    monkeypatch.setattr("fcntl.flock", taken)

    with pytest.raises(BlockingIOError):
        ContentFolder(tmp_path / "content")._make_staging()
    assert module._ATTEMPTS == len(tries)
