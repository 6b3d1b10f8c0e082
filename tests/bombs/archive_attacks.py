"""Attacks with archives inside edXML files: bombs, and entries that lead out of any folder."""

from __future__ import annotations

import io
import stat
import tarfile
import zipfile
import zlib
from typing import TYPE_CHECKING, Any

from docbus.edxml.mapping import to_document
from tests.bombs.filing import file_away
from tests.support.edxml import encoded, read_document, with_attachment

if TYPE_CHECKING:
    from collections.abc import Callable

BOMB_BYTES = 256 << 20
"""What each bomb unpacks to, four times what any attachment may."""
_MIB = bytes(1 << 20)
ESCAPES = ("../../../{}", "/{}", "..\\..\\{}", "C:\\{}", "a/../../{}", "./../{}")


def _zip(*entries: tuple[str, bytes, int]) -> bytes:
    """Return a zip of (name, content, mode) entries, whatever their names."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content, mode in entries:
            entry = zipfile.ZipInfo("x")
            entry.filename, entry.external_attr = name, mode << 16
            archive.writestr(entry, content)
    return buffer.getvalue()


def _bomb(name: str, size: int) -> bytes:
    """Return a zip of one entry that unpacks to so many bytes, written piece by piece."""
    buffer = io.BytesIO()
    with (
        zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive,
        archive.open(name, "w") as out,
    ):
        for _ in range(size // len(_MIB)):
            out.write(_MIB)
    return buffer.getvalue()


def _contents(source: bytes) -> list[int | None]:
    return [None if one.content is None else len(one.content) for one in read_document(source).attachments]


def bomb() -> Callable[[], object]:
    """Return an attack: an attachment of 256 KiB that unpacks to 256 MiB."""
    source = with_attachment(encoded(_bomb("302-UBND-VP.txt", BOMB_BYTES)))
    return lambda: [len(source), _contents(source)]


def liar() -> Callable[[], object]:
    """Return an attack: the same, with a directory that says that it unpacks to ten bytes."""
    packed = bytearray(_bomb("302-UBND-VP.txt", BOMB_BYTES))
    central = packed.rindex(b"PK\x01\x02")
    packed[central + 24 : central + 28] = (10).to_bytes(4, "little")
    source = with_attachment(encoded(bytes(packed)))
    return lambda: [len(source), _contents(source)]


def nested() -> Callable[[], object]:
    """Return an attack: zips in a zip in a zip, four gigabytes in all."""
    inner = _bomb("inner.txt", BOMB_BYTES)
    middle = _zip(*((f"{number}.zip", inner, 0o644) for number in range(16)))
    source = with_attachment(encoded(_zip(("302-UBND-VP.txt", middle, 0o644))))
    return lambda: [len(source), _contents(source)]


def entries() -> Callable[[], object]:
    """Return an attack: a zip of 65,000 entries, which a library reads into objects when it opens the zip."""
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        for number in range(65_000):
            archive.writestr(str(number), b"")
    source = with_attachment(encoded(packed.getvalue()))
    return lambda: [len(source), _contents(source)]


def deflated() -> Callable[[], object]:
    """Return an attack: 300 MB of zeros as bare deflate and as gzip, which nobody asked docbus to unpack."""
    bare = zlib.compress(bytes(300_000_000), 9)
    source = with_attachment(encoded(bare))
    return lambda: [len(source), _contents(source)]


def slips() -> Callable[[], object]:
    """Return an attack: zips and tars whose entries lead out of a folder, by name and by link, read and filed."""
    texts = [_zip((escape.format("slipped"), b"slipped", 0o644)) for escape in ESCAPES]
    texts += [_zip(("link", b"/etc/passwd", stat.S_IFLNK | 0o777)), *_tars()]
    sources = [with_attachment(encoded(text)) for text in texts]
    sources += [with_attachment(encoded(b"slipped"), name=escape.format("slipped")) for escape in ESCAPES]

    def act() -> dict[str, Any]:
        found = [to_document(read_document(source), name="x.edxml").files for source in sources]
        filed = [tuple((file.name, file.content) for file in files) for files in found]
        return file_away(filed) | {"read": len(filed)}

    return act


def _tars() -> list[bytes]:
    made = []
    for escape in ESCAPES:
        buffer = io.BytesIO()
        with tarfile.open(fileobj=buffer, mode="w") as archive:
            link = tarfile.TarInfo("link")
            link.type, link.linkname = tarfile.SYMTYPE, "/"
            archive.addfile(link)
            entry = tarfile.TarInfo(escape.format("slipped"))
            entry.size = 7
            archive.addfile(entry, io.BytesIO(b"slipped"))
        made.append(buffer.getvalue())
    return made
