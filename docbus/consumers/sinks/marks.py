"""What recalls, updates and replacements leave in a folder: a mark in each document that they concern.

Nothing that was filed is altered or removed. A mark is a file of its own, ``changes/<name of the change>.json`` in the
document's directory; it is also kept below ``.changes``, so that a document that comes after its recall is marked too.
Whoever files looks there after the document has its name, and whoever marks writes there before looking for the
document: whichever is first, the other sees it.
"""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING

from docbus.consumers.sinks.naming import delivery_name
from docbus.storage.content import sync_path

if TYPE_CHECKING:
    from pathlib import Path

    from docbus.consumers.sinks.port import Delivery

PENDING_NAME = ".changes"
MARKS_NAME = "changes"
_DIRECTORY_MODE = 0o777
"""Less what the umask takes away, as for all that is filed."""


def encode_mark(delivery: Delivery) -> bytes:
    """Return the mark of a change: which signed statement says it, and why."""
    mark = {
        "kind": delivery.kind,
        "sender": delivery.sender,
        "document_id": delivery.document_id,
        "revision": delivery.revision,
        "statement": delivery.digest.hex(),
        "filed_as": delivery.name,
        "title": delivery.manifest.title,
        "reason": delivery.manifest.summary,
    }
    return json.dumps(mark, ensure_ascii=False, indent=2).encode() + b"\n"


class Marker:
    """Writes the marks of one batch, and syncs the directories that they are in once.

    Args:
        folder: Where documents are filed.
        work: A directory of this process in the same file system; what a crash leaves there is cleaned with it.
    """

    def __init__(self, folder: Path, work: Path) -> None:
        self._folder = folder
        self._work = work
        self._touched: dict[Path, None] = {}

    def mark_targets(self, delivery: Delivery) -> None:
        """Mark every document that a change concerns, here or still to come; doing it again changes nothing."""
        mark = encode_mark(delivery)
        for target in delivery.concerns:
            name = delivery_name(target.sender, target.document_id, target.revision)
            self._write(self._folder / PENDING_NAME / name, f"{delivery.name}.json", mark)
            if (self._folder / name).is_dir():
                self._write(self._folder / name / MARKS_NAME, f"{delivery.name}.json", mark)

    def apply_pending(self, name: str) -> None:
        """Mark a document that has just got its name with the changes that came before it."""
        pending = self._folder / PENDING_NAME / name
        if pending.is_dir():
            for mark in sorted(pending.glob("*.json")):
                self._write(self._folder / name / MARKS_NAME, mark.name, mark.read_bytes())

    def sync(self) -> None:
        """Make the marks survive a power cut."""
        for directory in self._touched:
            sync_path(directory)
        self._touched.clear()

    def _write(self, directory: Path, name: str, content: bytes) -> None:
        """Write a file as a whole, unless it is there already."""
        # Also what is there: a crash may have left it with its name, and the name not synced.
        self._touched |= dict.fromkeys((directory, directory.parent, directory.parent.parent))
        final = directory / name
        if final.exists():
            return
        directory.mkdir(_DIRECTORY_MODE, parents=True, exist_ok=True)
        temporary = self._work / MARKS_NAME
        with temporary.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        temporary.rename(final)
