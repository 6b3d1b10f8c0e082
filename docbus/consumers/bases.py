"""On what the verdict on a statement rested, kept beside its position, so that it can be reproduced years later."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING

from docbus.envelope.envelope import decode_envelope
from docbus.envelope.statement import decode_statement
from docbus.errors import MalformedError
from docbus.verification.paths import Basis
from docbus.wire.pae import leaf_digest

if TYPE_CHECKING:
    import sqlite3

TAKEN = """
INSERT INTO incoming (stream, sequence, reason, decided_at, digest, previous, basis) VALUES (?, ?, ?, ?, ?, ?, ?)
"""
_TIME = struct.Struct(">q")
_DIGEST_BYTES = 32


def encode_basis(basis: Basis | None) -> bytes | None:
    """Return what is kept of a basis; nothing where no authority has issued the certificate."""
    return None if basis is None else _TIME.pack(basis.at_ms) + b"".join(basis.rests_on)


def decode_basis(kept: bytes) -> Basis:
    """Return what :func:`encode_basis` has made bytes of.

    Raises:
        MalformedError: It has not.
    """
    count, rest = divmod(len(kept) - _TIME.size, _DIGEST_BYTES)
    if rest or count < 0:
        raise MalformedError(f"{len(kept)} bytes are kept for a verdict, which are no time and digests")
    digests = range(_TIME.size, len(kept), _DIGEST_BYTES)
    return Basis(_TIME.unpack_from(kept)[0], tuple(kept[at : at + _DIGEST_BYTES] for at in digests))


def read_basis(connection: sqlite3.Connection, envelope: bytes) -> Basis | None:
    """Return on what the verdict on an envelope rested when it was taken here; None if it was not, or on nothing."""
    try:
        found = decode_envelope(envelope)
        statement = decode_statement(found.payload_type, found.statement)
    except (MalformedError, KeyError):
        return None
    digest = leaf_digest(found.payload_type.encode(), found.statement)
    row = connection.execute(
        "SELECT i.basis FROM incoming i JOIN incoming_stream s ON s.stream = i.stream"
        " WHERE s.sender = ? AND s.epoch = ? AND i.sequence = ? AND i.digest = ?",
        (statement.head.sender, statement.head.epoch, statement.position.sequence, digest),
    ).fetchone()
    return None if row is None or row[0] is None else decode_basis(row[0])


def digest_of(envelope: bytes) -> bytes:
    """Return the statement digest of an envelope.

    Raises:
        MalformedError: The bytes are no envelope.
    """
    found = decode_envelope(envelope)
    return leaf_digest(found.payload_type.encode(), found.statement)
