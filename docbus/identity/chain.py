"""What every record of the directory has to be: of the form, of this environment, and behind the entry before."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from docbus.errors import MalformedError
from docbus.identity import entries
from docbus.identity.rules import refusal
from docbus.limits import MAX_ENVIRONMENT_BYTES, MAX_TIME_MS
from docbus.wire.pae import DIRECTORY_TYPE

if TYPE_CHECKING:
    from docbus.identity.state import DirectoryState

_ENVIRONMENT = re.compile(rf"[A-Za-z0-9][A-Za-z0-9._-]{{0,{MAX_ENVIRONMENT_BYTES - 1}}}")


def decode_record(position: int, value: bytes) -> entries.DirectoryRecord:
    """Return the record that is to be the entry at a position.

    Raises:
        DirectoryError: It is no directory record.
    """
    try:
        record = entries.decode_record(value)
    except MalformedError as error:
        raise refusal(position, "record_form", error.text) from error
    if record.payload_type != DIRECTORY_TYPE.decode():
        raise refusal(position, "payload_type", f"the payload type is {record.payload_type!r}")
    return record


def decode_entry(position: int, encoded: bytes) -> entries.DirectoryEntry:
    """Return the entry in a record that is to be the one at a position.

    Raises:
        DirectoryError: It is none that this version reads.
    """
    try:
        return entries.decode_entry(encoded)
    except MalformedError as error:
        raise refusal(position, "entry_form", f"{error.text}; this version of docbus cannot read it") from error


def check_chain(state: DirectoryState, position: int, entry: entries.DirectoryEntry) -> None:
    """Return if an entry is one for this position.

    Args:
        state: All entries before it.
        position: The next one.
        entry: What is to stand there.

    Raises:
        DirectoryError: It is of another version, environment or position, or follows another entry.
    """
    if entry.version != entries.VERSION:
        raise refusal(position, "entry_form", f"version {entry.version} cannot be read by this version of docbus")
    if not 0 <= entry.made_at <= MAX_TIME_MS:
        raise refusal(position, "made_at", f"it was made at {entry.made_at} ms, which no calendar has")
    if entry.position != position:
        raise refusal(position, "position", f"it claims position {entry.position}")
    if position == 0:
        if not _ENVIRONMENT.fullmatch(entry.environment):
            raise refusal(position, "environment", f"{entry.environment!r} is not a name for an environment")
        previous: bytes | None = entries.GENESIS_PREVIOUS
    else:
        if entry.environment != state.environment:
            found = f"{entry.environment!r}, the directory is {state.environment!r}"
            raise refusal(position, "environment", f"it is of {found}")
        previous = state.hash_at(position - 1)
    if entry.previous != previous:
        raise refusal(position, "previous", f"it follows {entry.previous.hex()}, not the entry before")
