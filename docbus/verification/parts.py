"""C2 for large content: each part as it arrives, and the whole at the end.

The checklist, in order::

    C2.09 part    C2.10 place under the signed digest    C2.11 decryption    C2.12 whole

A content topic is read as it is: anything may lie there, and where a part lies is an unsigned hint. So what is not a
part of the content that is wanted is no accusation against anybody; it only is not what was looked for. What *is* the
part that the sender signed, and does not open, is the sender's fault, and fails the document.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from docbus.envelope.parts import belongs, decode_part, open_part
from docbus.errors import MalformedError
from docbus.verification import checks
from docbus.verification.checks import failed
from docbus.wire.parts import count_parts

if TYPE_CHECKING:
    from docbus.envelope.parts import AttachmentContext, Part


class WantedContent(NamedTuple):
    """What a verified statement, and the manifest under it, say of one large attachment.

    Attributes:
        context: What its parts are bound to.
        sealed_size: Bytes of ciphertext of all parts, signed.
        root: RFC 9162 root over all parts, signed.
        key: Opens every part.
        size: Bytes of plaintext, by the manifest.
        digest: SHA-256 of the plaintext, by the manifest.
    """

    context: AttachmentContext
    sealed_size: int
    root: bytes
    key: bytes
    size: int
    digest: bytes

    @property
    def parts(self) -> int:
        """How many parts there are."""
        return count_parts(self.sealed_size)


def claimed_part(value: bytes | None) -> Part:
    """Return the part in a record of a content topic (C2.09); of which content it is, it only claims.

    Raises:
        VerificationError: The record is none.
    """
    if not value:
        failed(checks.PART, "the record has no value")
    try:
        return decode_part(value)
    except MalformedError as error:
        failed(checks.PART, error.text)


def check_part(part: Part, wanted: WantedContent) -> None:
    """Check that a part belongs to the wanted content, at the index that it names (C2.10).

    Raises:
        VerificationError: It does not.
    """
    if part.digest != wanted.root:
        failed(checks.PART_PROOF, "a part of other content")
    if part.size != wanted.sealed_size:
        failed(checks.PART_PROOF, f"of {part.size:,} bytes, the statement says {wanted.sealed_size:,}")
    if not belongs(part):
        failed(checks.PART_PROOF, f"part {part.index} is not the one the statement names")


def open_checked(part: Part, wanted: WantedContent, into: bytearray | None = None) -> memoryview:
    """Return the plaintext of a part that passed C2.10 (C2.11).

    Args:
        part: The part.
        wanted: Its content.
        into: Memory to write it to, at least as long as the part's content; new memory if left out.

    Raises:
        VerificationError: The sender has signed what its own key does not open.
    """
    try:
        return open_part(part.content, wanted.key, wanted.context.of_part(part.index), into)
    except MalformedError as error:
        failed(checks.PART_DECRYPTION, f"part {part.index}: {error.text}")


def check_whole(size: int, digest: bytes, wanted: WantedContent) -> None:
    """Check size and digest of the whole plaintext (C2.12).

    Raises:
        VerificationError: It is not the file that the manifest names.
    """
    if size != wanted.size or digest != wanted.digest:
        failed(checks.ATTACHMENT_CONTENT, "the file is not the one the manifest names")
