"""ASCII armour in the manner of PEM (RFC 7468), for what people send each other as text."""

from __future__ import annotations

import base64
import binascii
import re

from docbus.errors import MalformedError

_LINE_CHARACTERS = 64
_WHOLE = "Check that the whole file was copied, with its BEGIN and END lines."


def wrap(label: str, content: bytes) -> str:
    """Return the content in base64 between BEGIN and END lines."""
    encoded = base64.b64encode(content).decode()
    lines = [encoded[at : at + _LINE_CHARACTERS] for at in range(0, len(encoded), _LINE_CHARACTERS)]
    return "\n".join([f"-----BEGIN {label}-----", *lines, f"-----END {label}-----", ""])


def unwrap(label: str, text: str) -> bytes:
    """Return the content of the one block with this label; text around it, such as from an e-mail, is ignored.

    Raises:
        MalformedError: No such block, more than one, or not base64.
    """
    found = unwrap_each(label, text)
    if len(found) != 1:
        raise MalformedError(f"{len(found)} blocks {label}, expected 1", hint=_WHOLE)
    return found[0]


def unwrap_each(label: str, text: str) -> list[bytes]:
    """Return the contents of all blocks with this label, at least one, in their order.

    Raises:
        MalformedError: No such block, one that cannot be read, or not base64.
    """
    pattern = rf"^-----BEGIN {label}-----\r?\n([A-Za-z0-9+/=\s]*?)^-----END {label}-----\s*$"
    found = re.findall(pattern, text, re.MULTILINE)
    if not found or text.count(f"-----BEGIN {label}-----") != len(found):
        raise MalformedError(f"{len(found)} blocks {label} that can be read, expected 1", hint=_WHOLE)
    try:
        return [base64.b64decode("".join(block.split()), validate=True) for block in found]
    except binascii.Error as error:
        raise MalformedError(f"the block {label} is not base64") from error
