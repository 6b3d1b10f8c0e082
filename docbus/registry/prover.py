"""A process that proves entries of the directory for another one, and does nothing else (``docbus.registry.provers``).

It reads requests from standard input and writes answers to standard output, until its input ends. Both are frames: a
list of byte strings behind their number and sizes.
"""

from __future__ import annotations

import struct
import sys
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from docbus.identity.proving import prove
from docbus.identity.registrar_terms import RegistrarTerms
from docbus.identity.signing import load_public_key, public_key_bytes

if TYPE_CHECKING:
    from collections.abc import Sequence

WORD = struct.Struct(">I")
_TERMS = struct.Struct(">II")
_NOT_PROVEN, _PROVEN = b"\0", b"\1"


IDENTITY = f"{__file__} {Path(__file__).stat().st_mtime_ns}".encode()
"""What tells this software from another installation of it, or from what was put in its place since it was loaded."""


def pack(parts: Sequence[bytes]) -> bytes:
    """Return a frame of these byte strings, behind its own size."""
    body = b"".join([WORD.pack(len(parts)), *(WORD.pack(len(part)) for part in parts), *parts])
    return WORD.pack(len(body)) + body


def unpack(body: bytes) -> list[bytes]:
    """Return the byte strings of a frame without its size."""
    (count,) = WORD.unpack_from(body)
    at = WORD.size * (count + 1)
    parts = []
    for number in range(count):
        (size,) = WORD.unpack_from(body, WORD.size * (number + 1))
        parts.append(body[at : at + size])
        at += size
    return parts


def request_of(terms: RegistrarTerms, values: Sequence[bytes]) -> bytes:
    """Return the frame that asks for proofs of records under these terms."""
    keys = [public_key_bytes(key) for key in terms.keys.values()]
    beating = [public_key_bytes(key) for key in terms.heartbeat_keys.values()]
    return pack([_TERMS.pack(terms.threshold, len(keys)), pack([*keys, *beating])[WORD.size :], *values])


def answer_to(body: bytes) -> bytes:
    """Return the frame that answers a request, given without its size."""
    head, keys, *values = unpack(body)
    threshold, count = _TERMS.unpack(head)
    loaded = [(sha256(key).digest(), load_public_key(key)) for key in unpack(keys)]
    terms = RegistrarTerms(dict(loaded[:count]), threshold, dict(loaded[count:]))
    proofs = [prove(value, terms) for value in values]
    return pack([_NOT_PROVEN if proof is None else _PROVEN + proof for proof in proofs])


def proofs_in(body: bytes) -> list[bytes | None]:
    """Return the proofs in an answer, in the order of the records."""
    return [part[1:] if part.startswith(_PROVEN) else None for part in unpack(body)]


def serve(requests: BinaryIO, answers: BinaryIO) -> None:
    """Say who this is, then answer until there are no more requests."""
    answers.write(pack([IDENTITY]))
    answers.flush()
    while len(size := requests.read(WORD.size)) == WORD.size:
        answers.write(answer_to(requests.read(*WORD.unpack(size))))
        answers.flush()


if __name__ == "__main__":
    serve(sys.stdin.buffer, sys.stdout.buffer)
