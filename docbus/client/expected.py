"""The register of expected agencies as a file of the registrar's folder, and the list that it is made of (ADR 0018)."""

from __future__ import annotations

import errno
import os
from dataclasses import dataclass
from hashlib import sha256
from typing import TYPE_CHECKING, Literal

from docbus.errors import ConfigurationError, DiskFullError, MalformedError
from docbus.identity.lists.checks import check_list
from docbus.identity.lists.reading import MAX_LIST_BYTES, read_list
from docbus.identity.lists.register import Register, dump_register, load_register
from docbus.storage.content import sync_path

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from docbus.identity.lists.checks import CheckedList
    from docbus.identity.lists.register import ExpectedAgency

FILE_NAME = "expected.jsonl"
MODE = 0o600
"""A list of agencies is no secret; that nobody else may write it is what counts."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """Where a register comes from.

    Attributes:
        name: Of the list's file.
        sha256: Of the list, in hex.
        form: In which form it was found to be.
        columns: Heading by the name of the column it was read as.
        unread: Headings of what was not read.
    """

    name: str
    sha256: str
    form: str
    columns: dict[str, str]
    unread: tuple[str, ...]


def check_file(path: Path, form: Literal["csv", "json"] | None = None) -> tuple[Source, CheckedList]:
    """Read a list, no more of it than a list may have, and look at every row; nothing is stored.

    Raises:
        ConfigurationError: It cannot be read.
        MalformedError: It is no list.
    """
    try:
        with path.open("rb") as file:
            content = file.read(MAX_LIST_BYTES + 1)
    except OSError as error:
        raise ConfigurationError(f"the list {path} cannot be read: {error.strerror}") from error
    try:
        listing = read_list(content, form)
    except MalformedError as error:
        raise MalformedError(f"{path}: {error.text}", hint=error.hint) from error
    source = Source(
        name=path.name,
        sha256=sha256(content).hexdigest(),
        form=listing.form,
        columns=listing.columns,
        unread=listing.unread,
    )
    del content  # The rows are enough from here on, and a list may be large.
    return source, check_list(listing)


def load_expected(folder: Path) -> Register | None:
    """Return the register of a registrar's folder, or None if no list was ever imported.

    Raises:
        ConfigurationError: It cannot be read, or is damaged.
    """
    path = folder / FILE_NAME
    try:
        with path.open("rb") as file:
            return load_register(file)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise ConfigurationError(f"{path} cannot be read: {error.strerror}") from error
    except MalformedError as error:
        raise ConfigurationError(f"{path}: {error.text}", hint=error.hint) from error


def store_expected(folder: Path, source: Source, agencies: Iterable[ExpectedAgency], *, now_ms: int) -> Register:
    """Put a new register in the place of the old one; whoever reads sees the one or the other, also after a crash.

    Raises:
        ConfigurationError: It cannot be written.
        DiskFullError: No space is left; the old one stays.
    """
    register = Register(
        list=source.name,
        sha256=source.sha256,
        imported_at=now_ms,
        agencies={one.id: one for one in agencies},
    )
    path = folder / FILE_NAME
    # One name for all attempts, so that one that died leaves nothing behind for good.
    beside = path.with_suffix(".part")
    try:
        descriptor = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, MODE)
        with os.fdopen(descriptor, "wb") as file:
            file.writelines(dump_register(register))
            file.flush()
            os.fsync(file.fileno())
        beside.replace(path)
        sync_path(folder)
    except OSError as error:
        if error.errno == errno.ENOSPC:
            raise DiskFullError(f"no space left for {path}", hint="Make room, then import the list again.") from error
        raise ConfigurationError(f"{path} cannot be written: {error.strerror}") from error
    return register
