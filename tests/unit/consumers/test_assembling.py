"""Putting parts together on disk, whatever the order, and wherever the process dies."""

from __future__ import annotations

import errno
import os
import shutil
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from docbus.consumers import assembling
from docbus.consumers.assembling import Assembly
from docbus.errors import DiskFullError, VerificationError
from docbus.limits import PART_BYTES
from docbus.storage.content import ContentFolder
from docbus.transport.port import Record
from tests.support.content import context_of, plaintext, seal_content, wanted_of

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path
    from random import Random

CONTEXT = context_of("d")
CONTENT = seal_content(plaintext(3.01), CONTEXT)
WANTED = wanted_of(CONTENT, CONTEXT)
PARTS = len(CONTENT.parts)
OTHER = seal_content(plaintext(0.01), CONTEXT)
NUMBER = 7


def records(values: Sequence[bytes], first: int = 0) -> list[Record]:
    """Return records with these values, at consecutive offsets."""
    return [Record("t", 0, first + n, 0, None, value, ()) for n, value in enumerate(values)]


@pytest.fixture
def folder(tmp_path: Path) -> ContentFolder:
    """Return an empty content folder."""
    return ContentFolder(tmp_path / "content")


def opened(folder: ContentFolder) -> Assembly:
    """Return an open assembly, as a process that starts has it."""
    assembly = Assembly(folder, NUMBER, WANTED)
    assembly.open()
    return assembly


def result(folder: ContentFolder) -> bytes:
    """Return what lies in the file."""
    return folder.incoming(NUMBER).read_bytes()


steps = st.lists(
    st.one_of(st.integers(0, PARTS - 1), st.sampled_from(["other", "rubbish", "kill", "digest"])), max_size=24
)


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(steps, st.randoms(use_true_random=False))
def test_any_order_and_any_interruption_give_the_same_bytes(
    folder: ContentFolder, given_steps: list[int | str], random: Random
) -> None:
    """Parts in any order, mixed with anything else, killed at any point: each is taken once, and the file is whole."""
    shutil.rmtree(folder.path, ignore_errors=True)
    assembly = opened(folder)
    taken: list[int] = []
    offset = 0
    rest = random.sample(range(PARTS), PARTS)
    for step in [*given_steps, *rest]:
        if step == "kill":
            assembly.close()
            assembly = opened(folder)
            assert PARTS - len(taken) == assembly.missing
            assert bool(taken) == assembly.resumed
            assert assembly.read_to == (offset or None)
        elif step == "digest":
            assembly.digest()
        else:
            values = {"other": OTHER.values, "rubbish": [b"rubbish"]}
            some = values[step] if isinstance(step, str) else [CONTENT.values[step]]
            found = assembly.take(records(some, offset))
            offset += len(some)
            taken += [index for index, _ in found.parts]
            assembly.digest(found.parts)
            assert offset == assembly.read_to

    assembly.finish()
    assembly.close()

    assert sorted(taken) == list(range(PARTS))
    assert CONTENT.plaintext == result(folder)


def test_a_part_that_comes_twice_in_one_read_is_taken_once(folder: ContentFolder) -> None:
    """Of two equal records side by side one is written, and the other is known."""
    assembly = opened(folder)

    taken = assembly.take(records([CONTENT.values[2], CONTENT.values[2]]))
    assembly.close()

    assert [2] == [index for index, _ in taken.parts]
    assert [2] == taken.known
    assert PARTS - 1 == assembly.missing


def test_what_claims_to_be_a_part_and_is_none_is_told_with_its_offset(folder: ContentFolder) -> None:
    """A record under the wanted digest that does not belong there is a mismatch; one of other content is nothing."""
    assembly = opened(folder)
    forged = CONTENT.values[0][:-1] + bytes([CONTENT.values[0][-1] ^ 1])

    taken = assembly.take(records([forged, *OTHER.values, b"rubbish"], first=40))
    assembly.close()

    assert [(40, "part_mismatch"), (42, "part_malformed")] == [(bad.offset, bad.code) for bad in taken.mismatches]
    assert [] == taken.parts == taken.known
    assert 43 == assembly.read_to
    assert b"" == result(folder)


def test_kill_between_writing_and_noting_costs_that_part_alone(
    folder: ContentFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A part whose bytes are there and which is not noted is fetched again, and the file is whole."""
    assembly = opened(folder)
    assembly.take(records(CONTENT.values[:1]))

    class Killed(BaseException):
        pass

    def die(*_: object) -> int:
        raise Killed

    with monkeypatch.context() as patched:
        genuine = assembling._write
        patched.setattr(assembling, "_write", lambda *given: (genuine(*given), die()))
        with pytest.raises(Killed):
            assembly.take(records(CONTENT.values[1:]))
    assembly.close()
    assembly = opened(folder)
    assert PARTS - 1 == assembly.missing

    assembly.take(records(CONTENT.values[1:]))
    assembly.finish()
    assembly.close()

    assert CONTENT.plaintext == result(folder)


@pytest.mark.parametrize("damage", ["short", "zeros", "empty", "long"])
def test_torn_file_is_noticed_and_fetched_anew(folder: ContentFolder, damage: str) -> None:
    """What a power cut has torn, though it was noted, fails the digest; after a new beginning the file is whole."""
    assembly = opened(folder)
    assembly.take(records(CONTENT.values))
    assembly.close()
    content = CONTENT.plaintext
    torn = {
        "short": content[:-1],
        "zeros": content[:PART_BYTES] + bytes(PART_BYTES) + content[2 * PART_BYTES :],
        "empty": b"",
        "long": content + b"\0",
    }
    folder.incoming(NUMBER).write_bytes(torn[damage])

    assembly = opened(folder)
    assert (0, True) == (assembly.missing, assembly.resumed)
    with pytest.raises(VerificationError, match="not the one the manifest names"):
        assembly.finish()
    assembly.begin_anew()
    assert (PARTS, False, None) == (assembly.missing, assembly.resumed, assembly.read_to)
    assembly.take(records(CONTENT.values))
    assembly.finish()
    assembly.close()

    assert CONTENT.plaintext == result(folder)


@pytest.mark.parametrize("noted", [b"", b"\1", b"\1\0\0\0\0", b"\xff" * PARTS, bytes(PARTS + 8), b"\1" * 100])
def test_whatever_is_noted_the_file_is_whole_in_the_end(folder: ContentFolder, noted: bytes) -> None:
    """Notes that a power cut has torn lead to no wrong file: it fails the digest, and is then fetched anew."""
    folder.make_incoming()
    folder.have(NUMBER).write_bytes(noted)
    assembly = opened(folder)
    assembly.take(records(CONTENT.values))
    try:
        assembly.finish()
    except VerificationError:
        assert assembly.resumed
        assembly.begin_anew()
        assembly.take(records(CONTENT.values))
        assembly.finish()
    assembly.close()

    assert CONTENT.plaintext == result(folder)


def test_room_is_asked_for_what_is_missing(folder: ContentFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is here already needs no more room."""
    assembly = opened(folder)
    assembly.take(records(CONTENT.values[:3]))
    assembly.close()
    asked: list[int] = []
    monkeypatch.setattr(ContentFolder, "check_room", lambda _, needed: asked.append(needed))

    opened(folder).close()

    assert [PART_BYTES] == asked


def test_full_disk_in_the_middle_keeps_what_is_there(folder: ContentFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    """A disk that is full while a part is written loses none of those before it, and what is not there is not noted."""
    assembly = opened(folder)
    assembly.take(records(CONTENT.values[:2]))

    def full(*_: object) -> int:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patched:
        patched.setattr(os, "pwrite", full)
        with pytest.raises(DiskFullError):
            assembly.take(records(CONTENT.values[2:]))
    assembly.close()

    assembly = opened(folder)
    assert PARTS - 2 == assembly.missing
    assembly.take(records(CONTENT.values[2:]))
    assembly.finish()
    assembly.close()
    assert CONTENT.plaintext == result(folder)


def test_files_are_for_their_owner_alone(folder: ContentFolder) -> None:
    """Plaintext on its way is readable for nobody else."""
    opened(folder).close()

    assert [0o600, 0o600] == [path.stat().st_mode & 0o777 for path in folder.path.rglob("7*")]
    assert 0o700 == folder.incoming(NUMBER).parent.stat().st_mode & 0o777


def test_link_in_the_place_of_the_file_is_not_followed(folder: ContentFolder, tmp_path: Path) -> None:
    """Whoever could put a link there would otherwise have another file overwritten."""
    folder.make_incoming()
    folder.incoming(NUMBER).symlink_to(tmp_path / "victim")

    with pytest.raises(Exception, match="large content cannot be kept"):
        opened(folder)
    assert not (tmp_path / "victim").exists()


def test_memory_is_used_again(folder: ContentFolder) -> None:
    """Once a part is digested its memory takes the next one."""
    assembly = opened(folder)
    buffers = set()
    for value in CONTENT.values:
        taken = assembly.take(records([value]))
        buffers.add(id(taken.parts[0][1].obj))
        assembly.digest(taken.parts)
    assembly.close()

    assert 1 == len(buffers)


def test_long_content_is_given_to_the_disk_on_the_way(folder: ContentFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every so many parts the disk is made to write, so that the end is no long wait."""
    synced: list[int] = []
    monkeypatch.setattr(assembling, "SYNC_PARTS", 2)
    monkeypatch.setattr(os, "fdatasync", synced.append)
    assembly = opened(folder)
    for value in CONTENT.values:
        assembly.digest(assembly.take(records([value])).parts)
        if assembly.heavy:
            assembly.let_go()
    assembly.finish()
    assembly.close()

    assert PARTS // 2 == len(synced)
    assert CONTENT.plaintext == result(folder)
