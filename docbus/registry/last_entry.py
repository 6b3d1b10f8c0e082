"""The last entry that a registrar's folder has seen, so that it never signs another one in the place of it.

Brokers that were restored from a copy show a directory that ends earlier. An entry signed on that would fork the log:
every agency that has seen the true one would refuse the directory from then on.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import structlog

from docbus.errors import DirectoryError
from docbus.storage.whole_files import write_whole

if TYPE_CHECKING:
    from pathlib import Path

    from docbus.identity.snapshot import TrustSnapshot

FILE_NAME = "last-entry"
"""In the registrar's folder: position and hash, in hex, with a blank in between."""
MAX_BYTES = 128
"""Bytes of the file that are read; it has 86 at most."""

_log = structlog.get_logger(__name__)


class LastEntry:
    """Remembers an entry in a file.

    Args:
        path: Of the file; made when the first entry is noted.
    """

    def __init__(self, path: Path) -> None:
        self._path = path

    def check(self, snapshot: TrustSnapshot) -> None:
        """Return if a directory goes on from the entry that was seen last, and remember its own last one.

        Raises:
            DirectoryError: It ends earlier, or has another entry there; or the file cannot be read.
        """
        seen = self._read()
        if seen is not None:
            position, found_hash = seen
            found = snapshot.hash_at(position)
            if found != found_hash:
                what = f"ends at entry {snapshot.position}" if found is None else f"has another entry {position}"
                raise DirectoryError(
                    f"the directory {what}, and this registrar has seen entry {position}",
                    hint="Somebody shows an older copy of the log, or another one; what is signed on it would fork the"
                    " directory. Ask whoever runs the brokers. If the entries behind it are lost for good, remove"
                    f" {self._path} and publish them again.",
                )
        if seen != (snapshot.position, snapshot.head):
            self._write(snapshot.position, snapshot.head)

    def _read(self) -> tuple[int, bytes] | None:
        try:
            with self._path.open("rb") as file:
                position, found_hash = file.read(MAX_BYTES).decode("ascii").split()
            return int(position), bytes.fromhex(found_hash)
        except FileNotFoundError:
            return None
        except (OSError, ValueError) as error:
            raise DirectoryError(
                f"{self._path}, which says what this registrar has seen of the directory, cannot be read: {error}",
                hint="Restore it; or remove it, once you know that the brokers show the whole directory.",
            ) from error

    def _write(self, position: int, found_hash: bytes) -> None:
        try:
            write_whole(self._path, f"{position} {found_hash.hex()}\n".encode("ascii"))
        except OSError as error:
            # The directory itself is in order, and the one that was seen before still counts.
            _log.warning("registrar_last_entry_unwritten", path=str(self._path), error=str(error))
