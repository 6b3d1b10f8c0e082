"""Manifest and attachments: matched by content id, decoded, and unpacked (:mod:`docbus.edxml.archive`)."""

from __future__ import annotations

import base64
import binascii
from dataclasses import dataclass
from typing import TYPE_CHECKING

from docbus.documents.media_types import magic_type, suffix_of
from docbus.documents.texts import show
from docbus.edxml.archive import ZIP_FORMATS, unpack
from docbus.edxml.manifest import Manifest, plain_id
from docbus.edxml.model import Attachment
from docbus.limits import MIB

if TYPE_CHECKING:
    from docbus.edxml.cursor import Cursor

MAX_UNPACKED_TOTAL_BYTES = 128 * MIB
"""Bytes unpacked from all attachments of one file together."""
_BLANKS = b" \t\r\n"
_ALPHABET = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
_PDF_END = b"%%EOF"
_PDF_TAIL_BYTES = 1024
"""Bytes at the end of a PDF in which its end mark lies (PDF 1.7 annex H, implementation note 18)."""


@dataclass(slots=True)
class _Budget:
    """Bytes that may still be unpacked."""

    left: int


def read_attachments(manifest: Cursor, encoded: Cursor) -> tuple[Attachment, ...]:
    """Return the attachments in the file's order, then those that the manifest names and the file does not have.

    Args:
        manifest: The edXMLManifest element, or none.
        encoded: The AttachmentEncoded element, or none.
    """
    listed = Manifest(manifest)
    budget = _Budget(MAX_UNPACKED_TOTAL_BYTES)
    attachments = [_attachment(cursor, listed, budget) for cursor in encoded.many("Attachment")]
    encoded.close()
    for entry in listed.entries:
        if not entry.claimed:
            entry.cursor.warn(
                "N", "", f"names {show(entry.name or entry.content_id or '')}, which the file does not have"
            )
            attachments.append(
                Attachment(
                    content_id=entry.content_id,
                    name=entry.name,
                    content_type=entry.content_type,
                    description=entry.description,
                )
            )
    return tuple(attachments)


def _attachment(cursor: Cursor, listed: Manifest, budget: _Budget) -> Attachment:
    content_id = plain_id(cursor.text("ContentId", required=True))
    own_name = cursor.text("AttachmentName")
    own_type = cursor.text("ContentType")
    description = cursor.text("Description")
    entry = listed.claim(content_id, own_name)
    if entry is None:
        cursor.warn("N", "", "is not in the manifest")
    for element, own, told in (
        ("AttachmentName", own_name, entry.name if entry else None),
        ("ContentType", own_type, entry.content_type if entry else None),
    ):
        if own and told and own != told:
            cursor.warn("M", element, f"is {show(own)} here, {show(told)} in the manifest")
    base = Attachment(
        content_id=content_id,
        name=own_name or (entry.name if entry else None),
        content_type=own_type or (entry.content_type if entry else None),
        description=description or (entry.description if entry else None),
    )
    if base.name is None:
        cursor.warn("N", "AttachmentName", "is missing here and in the manifest")
    attachment = _with_content(base, cursor, budget)
    cursor.close()
    return attachment


def _with_content(base: Attachment, cursor: Cursor, budget: _Budget) -> Attachment:
    """Decode and unpack; what cannot be read stays None, and a warning says why."""
    element = "ContentTransferEncoded"
    decoded = _decode(cursor.one(element, required=True), cursor)
    if decoded is None:
        return base
    result = unpack(base.name, decoded, budget=budget.left)
    budget.left -= result.spent
    if result.problem:
        cursor.warn("T", element, result.problem)
    content = result.content
    if content is not None and not content:
        cursor.warn("N", element, "is empty once it is unpacked")
        content = None
    if content is None:
        return base
    if result.entry is not None:
        cursor.warn("T", element, f"was zipped, as {show(result.entry)}; it has been unpacked")
    _compare_type(base, decoded, content, cursor)
    if content.startswith(b"%PDF-") and _PDF_END not in content[-_PDF_TAIL_BYTES:]:
        cursor.warn("T", element, "is a PDF without its end; it may have been cut")
    return Attachment(
        content_id=base.content_id,
        name=base.name,
        content_type=base.content_type,
        description=base.description,
        content=content,
        unzipped=result.entry is not None,
        entry=result.entry,
    )


def _decode(encoded: Cursor, cursor: Cursor) -> bytes | None:
    if not encoded.exists:
        return None
    element = "ContentTransferEncoded"
    # Removing blanks first and refusing everything else: the lenient decoder would skip damage without a word.
    compact = encoded.raw.encode().translate(None, _BLANKS)
    if not compact:
        cursor.warn("N", element, "is empty")
        return None
    try:
        return base64.b64decode(compact, validate=True)
    except binascii.Error:
        wrong = compact.rstrip(b"=").translate(None, _ALPHABET)
        what = "is not base64" if wrong else "is base64 that has been cut"
        cursor.warn("T", element, f"{what}; the attachment cannot be read: {show(encoded.raw.strip()[:40])}")
        return None


def _compare_type(base: Attachment, decoded: bytes, content: bytes, cursor: Cursor) -> None:
    """Report a content type that neither the decoded nor the unpacked bytes agree with."""
    declared = (base.content_type or "").partition(";")[0].strip().lower()
    actual = magic_type(content)
    if not declared or actual is None or declared == actual or declared == magic_type(decoded):
        return
    if actual == "application/zip" and base.name is not None and suffix_of(base.name) in ZIP_FORMATS:
        return
    cursor.warn("M", "ContentType", f"is {show(declared)}, the bytes are {actual}")
