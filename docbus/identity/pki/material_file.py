"""Validation material in one JSON file, to go with an envelope and a trust bundle to whoever verifies them elsewhere.

``{"format": "docbus-material-1", "statement": hex or null, "as_of": milliseconds or null, "material": [base64, …]}``.
Each piece proves itself by its authority's signature. What the file says of a statement and its time is the word of
whoever made the file.
"""

from __future__ import annotations

import base64
import binascii
import json
from typing import TYPE_CHECKING, NamedTuple

from docbus.errors import MalformedError
from docbus.identity.pki.material import MAX_PIECES, read_piece
from docbus.limits import MIB

if TYPE_CHECKING:
    from collections.abc import Iterable

    from docbus.identity.pki.material import Piece

FORMAT = "docbus-material-1"
MAX_FILE_BYTES = 256 * MIB
"""Bytes of a file: some ten lists of the largest kind."""


class MaterialFile(NamedTuple):
    """What such a file holds.

    Attributes:
        pieces: Lists and responses.
        statement: Digest of the statement that they were kept for, 32 bytes; None for none.
        as_of: The time for which its recipient judged it, milliseconds since 1970 UTC; None for none.
    """

    pieces: tuple[Piece, ...]
    statement: bytes | None = None
    as_of: int | None = None


def dump_material(contents: Iterable[bytes], *, statement: bytes | None = None, as_of: int | None = None) -> bytes:
    """Return the file for lists and responses, DER."""
    content = {
        "format": FORMAT,
        "statement": None if statement is None else statement.hex(),
        "as_of": as_of,
        "material": [base64.b64encode(one).decode() for one in contents],
    }
    return json.dumps(content, indent=1).encode() + b"\n"


def load_material(content: bytes) -> MaterialFile:
    """Return what a file holds.

    Raises:
        MalformedError: It is no such file.
        IdentityError: A piece in it cannot be used.
    """
    if len(content) > MAX_FILE_BYTES:
        raise MalformedError(f"validation material of {len(content):,} bytes; {MAX_FILE_BYTES:,} are allowed")
    try:
        found = json.loads(content)
        if not isinstance(found, dict) or found.get("format") != FORMAT or len(found["material"]) > MAX_PIECES:
            raise MalformedError(f"not validation material of the format {FORMAT}")
        statement, as_of = found["statement"], found["as_of"]
        pieces = [base64.b64decode(one, validate=True) for one in found["material"]]
        digest = None if statement is None else bytes.fromhex(statement)
    except (ValueError, KeyError, TypeError, RecursionError, binascii.Error) as error:
        raise MalformedError(f"not validation material of the format {FORMAT}") from error
    if as_of is not None and type(as_of) is not int:
        raise MalformedError("the time in the validation material is no number")
    return MaterialFile(tuple(read_piece(one) for one in pieces), digest, as_of)
