"""Whether the folders of an installation have room and can be written: its own, the one of content, the sink's."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING

from docbus.client.doctor.diagnosis import Diagnosis, failed, passed, warning
from docbus.limits import MIB

if TYPE_CHECKING:
    from docbus.client.doctor.file_system import Place

DISK, FOLDER, CONTENT, SINK = "disk", "folder", "content", "sink"
LOW_FREE_BYTES = 1024 * MIB
"""Free bytes of a disk below which somebody should look: a database's log and a few large documents need as much."""
NETWORKED = frozenset(
    {"9p", "afs", "ceph", "cifs", "fuse.ceph", "fuse.glusterfs", "fuse.sshfs", "lustre", "nfs", "nfs4", "smb3", "smbfs"}
)
"""Kinds of file systems of which another machine has the disk."""


def disk(place: Place) -> Diagnosis:
    """Tell whether there is room where the database grows."""
    found = f"{_amount(place.free_bytes)} free on {place.disk}"
    if place.free_bytes < LOW_FREE_BYTES:
        return warning(
            DISK,
            found,
            f"Make room on the disk of {place.path}: below {_amount(LOW_FREE_BYTES)} somebody should look."
            " `docbus forget` lets go of large content that is kept.",
        )
    return passed(DISK, found)


def folder(place: Place) -> Diagnosis:
    """Tell whether the folder can be written, durably, and lies on a disk of this machine."""
    if place.trouble is not None:
        return _unwritable(FOLDER, place)
    if place.kind in NETWORKED:
        return warning(
            FOLDER,
            f"{place.path} is on {place.disk}, whose disk another machine has",
            "Move the folder to a disk of this machine: locks, and the database's log, are only as good as that"
            " machine's elsewhere.",
        )
    return passed(FOLDER, f"{place.path}: written and synced in {place.sync_ms} ms")


def content(place: Place, *, made: bool) -> Diagnosis:
    """Tell whether large content has a place.

    Args:
        place: The folder of content, or the nearest one above that is there.
        made: Whether it is that folder itself.
    """
    if place.trouble is not None:
        return _unwritable(CONTENT, place)
    what = str(place.path) if made else f"to be made below {place.path}"
    found = f"{what}: {_amount(place.free_bytes)} free on {place.disk}"
    if place.free_bytes < LOW_FREE_BYTES:
        return warning(CONTENT, found, "Make room on that disk, or name another place in folder under [content].")
    return passed(CONTENT, found)


def sink(place: Place, *, there: bool) -> Diagnosis:
    """Tell whether documents can be filed.

    Args:
        place: The folder of the sink.
        there: Whether there is anything of that name.
    """
    if not there:
        return failed(
            SINK,
            f"there is no folder {place.path}, in which documents are filed",
            f"mkdir -p {shlex.quote(str(place.path))}, or name another in folder under [sink]",
        )
    if place.trouble is not None:
        return _unwritable(SINK, place)
    found = f"{place.path}: {_amount(place.free_bytes)} free on {place.disk}, written and synced in {place.sync_ms} ms"
    if place.free_bytes < LOW_FREE_BYTES:
        return warning(SINK, found, "Make room on that disk, or name another place in folder under [sink].")
    return passed(SINK, found)


def _unwritable(check: str, place: Place) -> Diagnosis:
    return failed(
        check,
        f"{place.path} cannot be written: {place.trouble}",
        f"Look at `ls -ld {shlex.quote(str(place.path))}` and `df {shlex.quote(str(place.path))}`: it must be a folder"
        " that this user may write in, on a disk that has room and is not mounted read-only.",
    )


def _amount(count: int) -> str:
    """Return a number of bytes for people."""
    return f"{count / MIB / 1024:,.1f} GiB" if count >= 1024 * MIB else f"{count // MIB:,} MiB"
