from __future__ import annotations

import errno
import json
import os
import tempfile
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from docbus.consumers.sinks import folder as module
from docbus.consumers.sinks import marks
from docbus.consumers.sinks.folder import WORK_PREFIX, FolderSink
from docbus.consumers.sinks.port import AlreadyThere, Conflict, Created
from docbus.errors import ConfigurationError, DiskFullError, SinkUnavailableError
from tests.support.deliveries import delivery

if TYPE_CHECKING:
    from docbus.consumers.sinks.port import Delivery, Outcome


async def file(folder: Path, *batch: Delivery) -> list[Outcome]:
    """File one batch with a sink of its own."""
    sink = FolderSink(folder)
    await sink.start()
    try:
        return await sink.deliver(batch)
    finally:
        await sink.aclose()


def names(folder: Path) -> list[str]:
    """Return the names in the folder."""
    return sorted(path.name for path in folder.iterdir())


def shown(folder: Path) -> list[str]:
    """Return everything that lies in the folder."""
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


async def test_document_is_a_directory_with_everything(tmp_path: Path) -> None:
    """Files under their names, metadata for people, and the exact envelope."""
    await file(tmp_path, delivery(files=(("Công văn.pdf", b"%PDF"), ("a.txt", b"text"))))

    name = "vn%3AH26~0193~1"
    assert [f"{name}/envelope.bin", f"{name}/files/Công văn.pdf", f"{name}/files/a.txt", f"{name}/metadata.json"] == (
        shown(tmp_path)
    )
    assert b"envelope 1" == (tmp_path / name / "envelope.bin").read_bytes()
    assert b"%PDF" == (tmp_path / name / "files" / "Công văn.pdf").read_bytes()
    content = json.loads((tmp_path / name / "metadata.json").read_text("utf-8"))
    assert ("vn:H26", "0193", "7816/VPCP-TTĐT") == tuple(
        content["document"][key] for key in ("sender", "document_id", "number")
    )
    assert {
        "name": "Công văn.pdf",
        "path": "files/Công văn.pdf",
        "media_type": "application/pdf",
        "size": 4,
        "sha256": sha256(b"%PDF").hexdigest(),
    } == content["document"]["files"][0]
    assert "2026-11-23T09:00:00.000Z" == content["stored_at"] == content["statement"]["made_at"]
    assert sha256(b"envelope 1").hexdigest() == content["statement"]["digest"]


@pytest.mark.parametrize(
    "document_id",
    ["../../etc/passwd", "..", "/etc", "a/b\\c", "x\0y", "~", "%2e%2e", ".docbus-work-x", "é" * 100, "\n"],
)
async def test_document_id_never_escapes(document_id: str, tmp_path: Path) -> None:
    """Whatever the sender's own id is, the document lies directly in the folder, visible, under one name."""
    target = tmp_path / "dms"
    target.mkdir()

    (outcome,) = await file(target, delivery(document_id))

    assert isinstance(outcome, Created)
    assert [outcome.reference] == names(target)
    assert ["dms"] == names(tmp_path)
    assert outcome.reference.isascii()
    assert len(outcome.reference) <= 200


@pytest.mark.parametrize(
    "name",
    ["../../x", "/etc/passwd", "..\\..\\x", "..", ".", "", "a\0b", "con", "x" * 300, "metadata.json", "\u202egnp.exe"],
)
async def test_file_name_never_escapes(name: str, tmp_path: Path) -> None:
    """A file's name from a manifest stays inside ``files``, and the metadata say what it was."""
    target = tmp_path / "dms"
    target.mkdir()

    (outcome,) = await file(target, delivery(files=((name, b"content"),)))

    assert isinstance(outcome, Created)
    (stored,) = (target / outcome.reference / "files").iterdir()
    assert b"content" == stored.read_bytes()
    assert 3 == len(shown(tmp_path))
    content = json.loads((target / outcome.reference / "metadata.json").read_text("utf-8"))
    assert (name, f"files/{stored.name}") == tuple(content["document"]["files"][0][key] for key in ("name", "path"))


async def test_names_that_fall_together_are_kept_apart(tmp_path: Path) -> None:
    """Names that differ only in letter case or normal form are two files, also where the file system is not strict."""
    await file(tmp_path, delivery(files=(("A.txt", b"1"), ("a.txt", b"2"), ("é", b"3"), ("e\u0301", b"4"))))

    stored = [path.read_bytes() for path in (tmp_path / "vn%3AH26~0193~1" / "files").iterdir()]
    assert [b"1", b"2", b"3", b"4"] == sorted(stored)


@pytest.mark.parametrize(
    ("damage", "found"),
    [
        (lambda path: (path / "files" / "Công văn.pdf").write_bytes(b"%PDX"), "files/Công văn.pdf"),
        (lambda path: (path / "files" / "Công văn.pdf").unlink(), "files/Công văn.pdf"),
        (lambda path: (path / "files" / "Công văn.pdf").write_bytes(b"%PDF+"), "files/Công văn.pdf"),
        (lambda path: (path / "metadata.json").write_bytes(b"{"), "metadata.json"),
        (lambda path: (path / "metadata.json").unlink(), "has not filed"),
        (lambda path: (path / "envelope.bin").unlink(), "envelope.bin"),
    ],
)
async def test_what_lies_there_is_read_back(damage: Any, found: str, tmp_path: Path) -> None:
    """Only the same content, byte for byte, is already there."""
    await file(tmp_path, delivery())
    damage(tmp_path / "vn%3AH26~0193~1")

    (outcome,) = await file(tmp_path, delivery())

    assert isinstance(outcome, Conflict)
    assert found in outcome.found


@pytest.mark.parametrize("kind", ["file", "link", "pipe"])
async def test_something_else_under_the_name_is_a_conflict(kind: str, tmp_path: Path) -> None:
    """A file, a dangling link or a pipe under the document's name is neither followed nor replaced nor waited for."""
    path = tmp_path / "vn%3AH26~0193~1"
    if kind == "file":
        path.write_bytes(b"mine")
    elif kind == "link":
        path.symlink_to(tmp_path / "elsewhere")
    else:
        path.mkdir()
        os.mkfifo(path / "metadata.json")

    (outcome,) = await file(tmp_path, delivery())

    assert isinstance(outcome, Conflict)
    assert not (tmp_path / "elsewhere").exists()


async def test_everything_is_synced_before_it_is_visible(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each file and directory of the batch is synced before the first rename, and the folder once after the last."""
    acts: list[str] = []
    sync, rename = module.sync_path, Path.rename

    def note_sync(path: Path) -> None:
        acts.append("folder" if path == tmp_path else "sync")
        sync(path)

    def note_rename(self: Path, target: Path) -> Path:
        acts.append("rename")
        return rename(self, target)

    monkeypatch.setattr(module, "sync_path", note_sync)
    monkeypatch.setattr(Path, "rename", note_rename)

    await file(tmp_path, delivery("1"), delivery("2"))

    assert ["sync"] * 10 + ["rename"] * 2 + ["folder"] == acts


@pytest.mark.parametrize("failing", ["write", "sync", "rename"])
async def test_full_disk_leaves_nothing_half_filed(
    failing: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without space the sink is unavailable for that reason, shows nothing, and files everything later."""

    def full(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    sink = FolderSink(tmp_path)
    await sink.start()
    with monkeypatch.context() as patched:
        place = {"write": (module, "_write"), "sync": (module, "sync_path"), "rename": (Path, "rename")}[failing]
        patched.setattr(*place, full)
        with pytest.raises(SinkUnavailableError, match="no space left") as caught:
            await sink.deliver([delivery("1"), delivery("2")])
    left = names(tmp_path)

    outcomes = await sink.deliver([delivery("1"), delivery("2")])
    await sink.aclose()

    assert DiskFullError.code == caught.value.code
    assert "Free space" in (caught.value.hint or "")
    assert all(name.startswith(WORK_PREFIX) for name in left)
    assert [Created, Created] == [type(outcome) for outcome in outcomes]
    assert 6 == len(shown(tmp_path))


async def test_crash_after_some_renames_is_taken_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A batch of which a part is visible already is completed."""
    rename, count = Path.rename, 0

    def second_fails(self: Path, target: Path) -> Path:
        nonlocal count
        count += 1
        if count == 2:
            raise OSError(errno.EIO, "Input/output error")
        return rename(self, target)

    sink = FolderSink(tmp_path)
    await sink.start()
    with monkeypatch.context() as patched:
        patched.setattr(Path, "rename", second_fails)
        with pytest.raises(SinkUnavailableError, match="Input/output error"):
            await sink.deliver([delivery("1"), delivery("2")])

    outcomes = await sink.deliver([delivery("1"), delivery("2")])
    await sink.aclose()

    assert [AlreadyThere, Created] == [type(outcome) for outcome in outcomes]


async def test_leftovers_of_a_crash_are_removed_and_those_of_the_living_kept(tmp_path: Path) -> None:
    """A start removes work directories without an owner, and touches no other process's."""
    living = FolderSink(tmp_path)
    await living.start()
    dead = tmp_path / f"{WORK_PREFIX}dead"
    (dead / "0" / "files").mkdir(parents=True)
    (dead / "lock").touch()

    starting = FolderSink(tmp_path)
    await starting.start()
    outcomes = await living.deliver([delivery()])
    await living.aclose()
    await starting.aclose()

    assert not dead.exists()
    assert [Created] == [type(outcome) for outcome in outcomes]
    assert ["vn%3AH26~0193~1"] == names(tmp_path)


async def test_leftover_that_a_crash_has_left_without_a_lock_is_removed(tmp_path: Path) -> None:
    """A process may die before it has locked its new work directory, or after it has removed the lock of an old one."""
    dead = tmp_path / f"{WORK_PREFIX}dead"
    dead.mkdir()

    sink = FolderSink(tmp_path)
    await sink.start()
    await sink.aclose()

    assert not dead.exists()


async def test_work_directory_that_another_process_cleans_away_is_made_anew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever cleans may take a directory that is just being made for one that a crash has left."""
    make = tempfile.mkdtemp
    made: list[str] = []

    def make_and_lose(**named: Any) -> str:
        made.append(make(**named))
        if len(made) == 1:
            Path(made[0]).rmdir()
        return made[-1]

    monkeypatch.setattr(tempfile, "mkdtemp", make_and_lose)

    (outcome,) = await file(tmp_path, delivery())

    assert isinstance(outcome, Created)
    assert 2 == len(made)


async def test_work_directory_that_is_cleaned_away_again_and_again_is_given_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However fast somebody cleans, a batch is not kept for ever: it is held, as by any system that takes nothing."""
    make = tempfile.mkdtemp
    made: list[str] = []

    def make_and_lose(**named: Any) -> str:
        made.append(make(**named))
        Path(made[-1]).rmdir()
        return made[-1]

    monkeypatch.setattr(tempfile, "mkdtemp", make_and_lose)

    with pytest.raises(ConfigurationError, match="removed by somebody else"):
        await file(tmp_path, delivery())

    assert 10 == len(made)


async def test_lock_of_a_leftover_goes_last(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """If cleaning is broken off, what is left still has its lock, by which the next start knows it."""
    dead = tmp_path / f"{WORK_PREFIX}dead"
    (dead / "0" / "files").mkdir(parents=True)
    (dead / "lock").touch()
    left: list[list[str]] = []
    unlink = os.unlink

    def watch(path: Any, **named: Any) -> None:
        left.append(names(dead))
        unlink(path, **named)

    monkeypatch.setattr(os, "unlink", watch)
    sink = FolderSink(tmp_path)
    await sink.start()
    monkeypatch.undo()
    await sink.aclose()

    assert [["lock"]] == left
    assert not dead.exists()


async def test_mark_is_written_outside_of_the_document(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A mark that a crash breaks off is in no document's directory, where it would stay."""
    work, changes = tmp_path / "work", tmp_path / "document" / "changes"
    (tmp_path / "document").mkdir()
    work.mkdir()
    seen: list[list[str]] = []
    rename = Path.rename

    def watch(path: Path, target: Path) -> Path:
        seen.append(names(changes))
        return rename(path, target)

    monkeypatch.setattr(Path, "rename", watch)
    marks.Marker(tmp_path, work)._write(changes, "recall.json", b"{}")

    assert [[]] == seen
    assert ["recall.json"] == names(changes)
    assert [] == names(work)


async def test_missing_folder_is_named(tmp_path: Path) -> None:
    """A folder that is not there is an error of configuration, with the remedy."""
    sink = FolderSink(tmp_path / "nowhere")

    with pytest.raises(ConfigurationError, match="nowhere: No such file") as caught:
        await sink.start()
    await sink.aclose()

    assert "Make the folder" in (caught.value.hint or "")


async def test_file_instead_of_folder_is_named(tmp_path: Path) -> None:
    """A file cannot be filed into."""
    (tmp_path / "file").touch()
    sink = FolderSink(tmp_path / "file")

    with pytest.raises(ConfigurationError, match="is not a folder"):
        await sink.start()
    await sink.aclose()


async def test_folder_that_may_not_be_written_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Missing rights are an error of configuration."""

    def denied(*_: object, **__: object) -> None:
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr("tempfile.mkdtemp", denied)
    sink = FolderSink(tmp_path)

    with pytest.raises(ConfigurationError, match="Permission denied"):
        await sink.start()
    await sink.aclose()


async def test_folder_that_vanishes_is_waited_for(tmp_path: Path) -> None:
    """An unmounted folder makes the sink unavailable; once it is back, filing goes on."""
    target = tmp_path / "dms"
    target.mkdir()
    sink = FolderSink(target)
    await sink.start()
    target.rename(tmp_path / "away")

    with pytest.raises(SinkUnavailableError, match="No such file"):
        await sink.deliver([delivery()])
    with pytest.raises(SinkUnavailableError):
        await sink.deliver([delivery()])
    (tmp_path / "away").rename(target)
    outcomes = await sink.deliver([delivery()])
    await sink.aclose()

    assert [Created] == [type(outcome) for outcome in outcomes]


async def test_claimed_time_beyond_the_calendar_is_kept(tmp_path: Path) -> None:
    """A sender's absurd time neither breaks the sink nor is hidden."""
    await file(tmp_path, delivery(created=2**60))

    content = json.loads((tmp_path / "vn%3AH26~0193~1" / "metadata.json").read_text("utf-8"))
    assert 2**60 == content["document"]["created"]


async def test_metadata_of_somebody_else_is_read_up_to_a_limit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What lies under a document's name and is too large for its metadata is a conflict, and is not read."""
    await file(tmp_path, delivery())
    path = tmp_path / "vn%3AH26~0193~1" / "metadata.json"
    monkeypatch.setattr(module, "MAX_METADATA_BYTES", path.stat().st_size)
    assert [AlreadyThere(path.parent.name)] == await file(tmp_path, delivery())

    monkeypatch.setattr(module, "MAX_METADATA_BYTES", path.stat().st_size - 1)
    (outcome,) = await file(tmp_path, delivery())

    assert isinstance(outcome, Conflict)
