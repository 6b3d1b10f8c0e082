"""Unpacks what the Java SDK zips behind its user's back (domain notes 1.6 no. 2), within bounds (threat: zip bombs).

A content that begins like a zip is unpacked if it has exactly one entry, and

- the entry has the attachment's own name, whatever that is; or
- the attachment's name does not end with ``.zip``: one entry alone is neither a PDF nor an office file, which have
  several entries where they are zips at all.

Otherwise the zip is what the sender attached, and stays as it is. The declared content type is not asked.
"""

from __future__ import annotations

import io
import struct
import zipfile
import zlib
from dataclasses import dataclass, field

from docbus.documents.media_types import suffix_of
from docbus.documents.names import same_name
from docbus.limits import MIB

MAX_UNPACKED_BYTES = 64 * MIB
"""Bytes of one unpacked attachment."""
MAX_RATIO = 200
"""Unpacked to packed bytes; office files and bitmaps stay below 100, a bomb has 1,000."""
FREE_BYTES = 1 * MIB
"""Unpacked bytes for which the ratio does not matter: a log file or a blank page packs well."""
ZIP_MAGIC = b"PK\x03\x04"
ZIP_FORMATS = frozenset({"docx", "xlsx", "pptx", "odt", "ods", "odp", "jar", "epub", "asice", "asics"})
"""Suffixes of formats that are zips of several entries themselves."""

_END = struct.Struct("<4s4H2LH")
_END_MAGIC = b"PK\x05\x06"
_END64_LOCATOR_MAGIC = b"PK\x06\x07"
_END64_LOCATOR_BYTES = 20
_MAX_COMMENT_BYTES = 0xFFFF
_MAX_DIRECTORY_BYTES = 46 + 3 * 0xFFFF
"""Bytes of one entry in a central directory: a fixed part, then name, extra field and comment."""
_CHUNK_BYTES = 1 * MIB
_ENCRYPTED = 0x1


@dataclass(frozen=True, slots=True, kw_only=True)
class Unpacked:
    """What became of a content.

    Args:
        content: To be used; None if it cannot or must not be unpacked.
        entry: Name inside the zip, if it was unpacked.
        problem: Why not, or what is odd, in words.
        spent: Bytes that came out, also where they were too many: a file of many bombs must not cost more than one.
    """

    content: bytes | None = field(repr=False)
    entry: str | None = None
    problem: str | None = None
    spent: int = 0


def unpack(name: str | None, content: bytes, *, budget: int) -> Unpacked:
    """Unpack a content if the sender's software has zipped it.

    Args:
        name: The attachment's name, if it has one.
        content: Any bytes.
        budget: Bytes that may still be unpacked from this file.
    """
    if not content.startswith(ZIP_MAGIC):
        return Unpacked(content=content)
    entries = _entries_told(content)
    if entries is None:
        return Unpacked(content=None, problem="is a zip that was cut or damaged")
    if entries != 1:
        return _kept(name, content, f"is a zip of {entries} entries", entries=entries)
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            return _unpack_entry(name, content, archive, budget)
    except (zipfile.BadZipFile, zlib.error, struct.error, EOFError, OSError, ValueError, NotImplementedError) as error:
        return Unpacked(content=None, problem=f"is a zip that cannot be unpacked ({type(error).__name__})")


def _entries_told(content: bytes) -> int | None:
    """Return the number of entries by the end record, or None; checked first because zipfile reads them all at once."""
    at = content.rfind(_END_MAGIC, max(0, len(content) - _END.size - _MAX_COMMENT_BYTES))
    if at < 0 or at + _END.size > len(content):
        return None
    _, _, _, _, entries, directory_bytes, _, _ = _END.unpack_from(content, at)
    locator = content[max(0, at - _END64_LOCATOR_BYTES) : at]
    # zip64 counts elsewhere, and nothing that fits here needs it.
    if locator.startswith(_END64_LOCATOR_MAGIC):
        return None
    if entries == 1 and directory_bytes > _MAX_DIRECTORY_BYTES:
        return None
    return int(entries)


def _unpack_entry(name: str | None, content: bytes, archive: zipfile.ZipFile, budget: int) -> Unpacked:
    entries = archive.infolist()
    if len(entries) != 1:
        return Unpacked(content=None, problem="is a zip that contradicts itself")
    entry = entries[0]
    base = entry.filename.replace("\\", "/").rpartition("/")[2]
    own_name = name is not None and same_name(base) == same_name(name)
    # Not is_dir(), which takes the last letter of a name that may be empty (Python 3.11).
    if entry.filename.endswith("/") or (not own_name and name is not None and suffix_of(name) == "zip"):
        return _kept(name, content, "is a zip of one entry")
    if entry.flag_bits & _ENCRYPTED:
        return _kept(name, content, "is an encrypted zip")
    if entry.compress_type not in {zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED}:
        return _kept(name, content, "is a zip of a compression that is not unpacked here")
    limit = min(MAX_UNPACKED_BYTES, max(budget, 0), max(FREE_BYTES, MAX_RATIO * min(entry.compress_size, len(content))))
    unpacked = bytearray()
    # The size in the directory is a claim: what comes out is counted.
    with archive.open(entry) as stream:
        while chunk := stream.read(_CHUNK_BYTES):
            unpacked += chunk
            if len(unpacked) > limit:
                problem = f"unpacks to more than the {limit:,} bytes that are allowed here"
                return Unpacked(content=None, problem=problem, spent=len(unpacked))
    return Unpacked(content=bytes(unpacked), entry=base, spent=len(unpacked))


def _kept(name: str | None, content: bytes, what: str, *, entries: int = 1) -> Unpacked:
    """Leave a zip as it is, without a remark where its name lets one expect just that."""
    suffix = "" if name is None else suffix_of(name)
    expected = suffix == "zip" or (suffix in ZIP_FORMATS and entries > 1)
    return Unpacked(content=content, problem=None if expected else f"{what}, kept as it is")
