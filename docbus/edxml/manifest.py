"""The manifest: which attachments there should be, and which of its entries an attachment belongs to."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from docbus.edxml.cursor import Cursor


@dataclass(slots=True, kw_only=True)
class Entry:
    """One Reference; ``claimed`` once an attachment belongs to it."""

    cursor: Cursor
    content_id: str | None
    content_type: str | None
    name: str | None
    description: str | None
    claimed: bool = False


class Manifest:
    """Entries by content id and by name: looked up and not searched, because a hostile file has tens of thousands."""

    def __init__(self, manifest: Cursor) -> None:
        """Read every Reference."""
        self.entries = [_entry(cursor) for cursor in manifest.many("Reference")]
        manifest.close()
        self._by_id: dict[str, list[Entry]] = {}
        self._by_name: dict[str, list[Entry]] = {}
        for entry in reversed(self.entries):
            if entry.content_id is not None:
                self._by_id.setdefault(entry.content_id, []).append(entry)
            if entry.name is not None:
                self._by_name.setdefault(entry.name, []).append(entry)

    def claim(self, content_id: str | None, name: str | None) -> Entry | None:
        """Return the entry of an attachment, by content id, else by name; each entry once."""
        for candidates in (self._by_id.get(content_id or "", []), self._by_name.get(name or "", [])):
            while candidates:
                entry = candidates.pop()
                if not entry.claimed:
                    entry.claimed = True
                    return entry
        return None


def plain_id(content_id: str | None) -> str | None:
    """Return a content id without ``cid:``, which some senders leave out in one of the two places."""
    if content_id is None:
        return None
    return (content_id[4:].strip() if content_id[:4].lower() == "cid:" else content_id) or None


def _entry(cursor: Cursor) -> Entry:
    entry = Entry(
        cursor=cursor,
        content_id=plain_id(cursor.text("ContentId")),
        content_type=cursor.text("ContentType"),
        name=cursor.text("AttachmentName"),
        description=cursor.text("Description"),
    )
    cursor.close()
    return entry
