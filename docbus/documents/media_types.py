"""Media types by first bytes, then by suffix: senders' claims are often wrong (domain notes on edXML, 1.6 no. 2)."""

from __future__ import annotations

OCTETS = "application/octet-stream"
_OFFICE = "application/vnd.openxmlformats-officedocument."
_OPEN = "application/vnd.oasis.opendocument."

_BY_SUFFIX = {
    "pdf": "application/pdf",
    "doc": "application/msword",
    "docx": _OFFICE + "wordprocessingml.document",
    "xls": "application/vnd.ms-excel",
    "xlsx": _OFFICE + "spreadsheetml.sheet",
    "ppt": "application/vnd.ms-powerpoint",
    "pptx": _OFFICE + "presentationml.presentation",
    "odt": _OPEN + "text",
    "ods": _OPEN + "spreadsheet",
    "odp": _OPEN + "presentation",
    "rtf": "application/rtf",
    "txt": "text/plain",
    "csv": "text/csv",
    "md": "text/markdown",
    "htm": "text/html",
    "html": "text/html",
    "xml": "application/xml",
    "edxml": "application/xml",
    "json": "application/json",
    "jpg": "image/jpeg",
    "jpeg": "image/jpeg",
    "png": "image/png",
    "gif": "image/gif",
    "tif": "image/tiff",
    "tiff": "image/tiff",
    "zip": "application/zip",
    "7z": "application/x-7z-compressed",
    "rar": "application/vnd.rar",
    "p7s": "application/pkcs7-signature",
}
"""What agencies attach. The platform's own table is not asked: it differs between machines."""

_BY_MAGIC = (
    (b"%PDF-", "application/pdf"),
    (b"\x89PNG\r\n\x1a\n", "image/png"),
    (b"\xff\xd8\xff", "image/jpeg"),
    (b"GIF8", "image/gif"),
    (b"II*\x00", "image/tiff"),
    (b"MM\x00*", "image/tiff"),
    (b"PK\x03\x04", "application/zip"),
    (b"7z\xbc\xaf\x27\x1c", "application/x-7z-compressed"),
    (b"Rar!\x1a\x07", "application/vnd.rar"),
    (b"{\\rtf", "application/rtf"),
)
_ZIPPED = frozenset({"docx", "xlsx", "pptx", "odt", "ods", "odp"})
"""Suffixes of formats that are zip files themselves."""


def suffix_of(name: str) -> str:
    """Return what follows the last dot, in lower case; empty without a dot."""
    stem, dot, suffix = name.rpartition(".")
    return suffix.lower() if dot and stem else ""


def magic_type(content: bytes) -> str | None:
    """Return the media type that the first bytes tell, or None."""
    return next((media_type for magic, media_type in _BY_MAGIC if content.startswith(magic)), None)


def media_type_of(name: str, content: bytes) -> str:
    """Return the media type of a file: what its first bytes tell, else what its suffix says."""
    suffix = suffix_of(name)
    known = _BY_SUFFIX.get(suffix, OCTETS)
    magic = magic_type(content)
    if magic is None or (magic == "application/zip" and suffix in _ZIPPED):
        return known
    return magic
