"""The envelope: a signed statement, its proof, and the encrypted package (design D3).

An envelope is written in three pieces: what stands before the package, the package, what stands behind it. The outbox
stores the first and the last per recipient and the package once, and joins exactly these bytes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from docbus.errors import MalformedError
from docbus.limits import (
    MAX_HINTED_OFFSETS,
    MAX_HINTS,
    MAX_PACKAGE_BYTES,
    MAX_PATH_HASHES,
    MAX_SIGNATURE_BYTES,
    MAX_SIGNATURES,
    MAX_STATEMENT_BYTES,
    MAX_WRAP_BYTES,
)
from docbus.wire.avro import Schema, definition_of
from docbus.wire.encoding import NO_ITEMS, NULL, SOME, put_array, put_bytes, put_long, put_text
from docbus.wire.tree import HASH_BYTES

if TYPE_CHECKING:
    from collections.abc import Sequence


class Proof(NamedTuple):
    """Where the statement's leaf lies in its batch."""

    tree_size: int
    index: int  # type: ignore[assignment] # RFC 9162's name; a tuple's own index() is never asked for
    path: bytes


class Signature(NamedTuple):
    """A signature over the batch root, with the profile and certificate it is made under."""

    profile: int
    certificate: bytes
    signature: bytes


class Keys(NamedTuple):
    """The wrapped keys that let the recipient open the package."""

    batch_key: bytes
    content_key: bytes


class Hint(NamedTuple):
    """Where parts of a large attachment may lie; unsigned."""

    attachment: int
    topic: str
    partition: int
    offsets: tuple[int, ...]


class Envelope(NamedTuple):
    """A decoded envelope; nothing in it is verified."""

    statement: bytes
    proof: Proof
    payload_type: str
    signatures: tuple[Signature, ...]
    package: bytes | None
    keys: Keys | None
    hints: tuple[Hint, ...]


_CODEC = Schema(
    definition_of("envelope"),
    {"Proof": Proof, "Signature": Signature, "Keys": Keys, "Hint": Hint, "Envelope": Envelope},
)


def decode_envelope(value: bytes) -> Envelope:
    """Return the envelope in a record's value.

    Raises:
        MalformedError: Not a single-object encoding of an envelope within all limits.
    """
    envelope: Envelope = _CODEC.decode_single(value)
    proof = envelope.proof
    if len(proof.path) % HASH_BYTES or len(proof.path) > MAX_PATH_HASHES * HASH_BYTES:
        raise MalformedError(f"the path is not 0 to {MAX_PATH_HASHES} hashes of {HASH_BYTES} bytes")
    if not 1 <= proof.tree_size <= 1 << MAX_PATH_HASHES:
        raise MalformedError(f"the tree size is not 1 to 2^{MAX_PATH_HASHES}")
    if not 1 <= len(envelope.signatures) <= MAX_SIGNATURES:
        raise MalformedError(f"there are {len(envelope.signatures)} signatures, not 1 to {MAX_SIGNATURES}")
    for block in envelope.signatures:
        if len(block.signature) > MAX_SIGNATURE_BYTES:
            raise MalformedError(f"a signature is longer than {MAX_SIGNATURE_BYTES} bytes")
    if len(envelope.statement) > MAX_STATEMENT_BYTES:
        raise MalformedError(f"the statement is longer than {MAX_STATEMENT_BYTES} bytes")
    if envelope.package is not None and len(envelope.package) > MAX_PACKAGE_BYTES:
        raise MalformedError(f"the package is longer than {MAX_PACKAGE_BYTES} bytes")
    keys = envelope.keys
    if keys is not None and (len(keys.batch_key) > MAX_WRAP_BYTES or len(keys.content_key) > MAX_WRAP_BYTES):
        raise MalformedError(f"a wrapped key is longer than {MAX_WRAP_BYTES} bytes")
    if envelope.hints:
        _check_hints(envelope.hints)
    return envelope


def _check_hints(hints: Sequence[Hint]) -> None:
    if len(hints) > MAX_HINTS:
        raise MalformedError(f"there are more than {MAX_HINTS} hints")
    if sum(len(hint.offsets) for hint in hints) > MAX_HINTED_OFFSETS:
        raise MalformedError(f"the hints have more than {MAX_HINTED_OFFSETS} offsets")


def put_signatures(signatures: Sequence[Signature]) -> bytes:
    """Return the encoded signature blocks, the same for a whole batch."""
    return put_array([put_long(s.profile) + s.certificate + put_bytes(s.signature) for s in signatures])


def put_front(statement: bytes, proof: Proof, payload_type: bytes, signatures: bytes, package_size: int) -> bytes:
    """Return all that stands before the package's bytes; ``payload_type`` and ``signatures`` are already encoded.

    Args:
        statement: The exact signed bytes.
        proof: Its place in the batch.
        payload_type: What :func:`put_payload_type` returns.
        signatures: What :func:`put_signatures` returns.
        package_size: Bytes of the package, 0 for none.
    """
    return b"".join(
        (
            _CODEC.header,
            put_bytes(statement),
            put_long(proof.tree_size),
            put_long(proof.index),
            put_bytes(proof.path),
            payload_type,
            signatures,
            SOME + put_long(package_size) if package_size else NULL,
        )
    )


def put_payload_type(payload_type: str) -> bytes:
    """Return the encoded payload type."""
    return put_text(payload_type)


def put_back(keys: Keys | None, hints: Sequence[Hint] = ()) -> bytes:
    """Return all that stands behind the package."""
    end = put_array([_put_hint(hint) for hint in hints]) if hints else NO_ITEMS
    if keys is None:
        return NULL + end
    return b"".join((SOME, put_bytes(keys.batch_key), put_bytes(keys.content_key), end))


def _put_hint(hint: Hint) -> bytes:
    offsets = put_array([put_long(offset) for offset in hint.offsets])
    return put_long(hint.attachment) + put_text(hint.topic) + put_long(hint.partition) + offsets


def join(front: bytes, package: bytes | None, back: bytes) -> bytes:
    """Return the exact bytes of the envelope."""
    return front + back if package is None else front + package + back


def encode_envelope(envelope: Envelope) -> bytes:
    """Return the bytes of an envelope; for tools and tests that change one."""
    # No package, and a package without bytes, are two values; only the first is ever sealed.
    package = envelope.package
    front = put_front(
        envelope.statement,
        envelope.proof,
        put_payload_type(envelope.payload_type),
        put_signatures(envelope.signatures),
        0,
    )
    encoded = NULL if package is None else SOME + put_bytes(package)
    return front[: -len(NULL)] + encoded + put_back(envelope.keys, envelope.hints)
