"""Parts of large content: each encrypted by itself, each with its proof that it belongs to the signed digest.

A part carries the path from its own hash to the digest that the statement names. So whoever has the statement can check
every part the moment it arrives, in any order, knowing no other part, and without holding a list of all of them.
"""

from __future__ import annotations

from hashlib import sha256
from typing import NamedTuple

from cryptography.cobblestone import Cobblestone256Decryptor, Cobblestone256Encryptor
from cryptography.exceptions import InvalidTag

from docbus.errors import MalformedError
from docbus.limits import MAX_PART_RECORD_BYTES
from docbus.wire.avro import HEADER_BYTES, Schema, definition_of
from docbus.wire.encoding import put_bytes, put_long
from docbus.wire.pae import length_prefixed
from docbus.wire.parts import count_parts, part_size, sealed_size
from docbus.wire.tree import root_from_path

PART_CONTEXT = b"docbus/v1/part"


class Part(NamedTuple):
    """One part as it travels; nothing in it is verified."""

    digest: bytes
    size: int
    index: int  # type: ignore[assignment] # a tuple's own index() is never asked for
    path: bytes
    content: bytes | memoryview


_CODEC = Schema(definition_of("part"), {"Part": Part})


class AttachmentContext(NamedTuple):
    """What every part of one attachment is bound to: exchange, sender, document, and which attachment of it."""

    environment: str
    sender: str
    document_id: str
    revision: int
    attachment: int

    def of_part(self, index: int) -> bytes:
        """Return the context that a part is encrypted in."""
        return length_prefixed(
            PART_CONTEXT,
            self.environment.encode(),
            self.sender.encode(),
            self.document_id.encode(),
            self.revision.to_bytes(4, "big"),
            self.attachment.to_bytes(4, "big"),
            index.to_bytes(4, "big"),
        )


def seal_part(plaintext: bytes, key: bytes, context: bytes) -> bytearray:
    """Return the ciphertext of one part; source: Cobblestone-256 of C2SP chunked-encryption.

    Written into memory of the right size: joining two pieces takes six times as long as the encryption.
    """
    encryptor = Cobblestone256Encryptor(key, context)
    sealed = bytearray(sealed_size(len(plaintext)))
    written = encryptor.update_into(plaintext, sealed)
    sealed[written:] = encryptor.finalize()
    return sealed


def open_part(ciphertext: bytes | memoryview, key: bytes, context: bytes, into: bytearray | None = None) -> memoryview:
    """Return the plaintext of one part.

    Args:
        ciphertext: The part.
        key: The attachment's.
        context: The part's.
        into: Memory to write it to, at least as long as the ciphertext; new memory if left out.

    Raises:
        MalformedError: Another key, another context, or changed ciphertext; which of them is not told.
    """
    room = bytearray(len(ciphertext)) if into is None else into
    try:
        decryptor = Cobblestone256Decryptor(key, context)
        written = decryptor.update_into(ciphertext, room)
        rest = decryptor.finalize()
    except (InvalidTag, ValueError):
        raise MalformedError("the attachment's key does not open the part") from None
    size = written + len(rest)
    room[written:size] = rest
    return memoryview(room)[:size]


def part_leaf(ciphertext: bytes | bytearray | memoryview) -> bytes:
    """Return the RFC 9162 leaf hash of a part, 32 bytes."""
    digest = sha256(b"\x00")
    digest.update(ciphertext)
    return digest.digest()


def encode_part(part: Part) -> bytes:
    """Return the value of the record that carries a part."""
    return b"".join(
        (
            _CODEC.header,
            part.digest,
            put_long(part.size),
            put_long(part.index),
            put_bytes(part.path),
            put_long(len(part.content)),
            part.content,
        )
    )


def decode_part(value: bytes) -> Part:
    """Return the part in a record's value.

    Raises:
        MalformedError: Not the one encoding of a part within all limits.
    """
    if len(value) > MAX_PART_RECORD_BYTES:
        raise MalformedError(f"a part has at most {MAX_PART_RECORD_BYTES:,} bytes with its proof")
    _CODEC.check_header(value)
    # Not copied: half a megabyte of content is looked at in the bytes that came.
    found: Part = _CODEC.decode(memoryview(value), HEADER_BYTES)
    part = found._replace(digest=bytes(found.digest), path=bytes(found.path))
    if not 0 <= part.index < count_parts(part.size):
        raise MalformedError(f"there is no part {part.index} of content of {part.size:,} bytes")
    return part


def belongs(part: Part) -> bool:
    """Tell whether a part's bytes are those at its place under the digest that it names."""
    if len(part.content) != part_size(part.size, part.index):
        return False
    root = root_from_path(part_leaf(part.content), part.index, count_parts(part.size), part.path)
    return root == part.digest
