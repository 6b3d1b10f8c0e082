"""Bytes that cannot be made twice: what was drawn at random once is committed and used again.

The library draws randomness where nobody can hand it in: HPKE, Cobblestone, RSA-PSS and ML-DSA each give other bytes
for the same input. Such bytes are kept in ``drawn.json`` under a digest of all their inputs. If the inputs change, the
old bytes are no longer found, and building stops unless it was told to draw.
"""

from __future__ import annotations

import base64
import json
from hashlib import sha256
from typing import TYPE_CHECKING

from docbus.wire.pae import length_prefixed

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


class NotDrawnError(Exception):
    """The vectors changed in a place where randomness is needed, and drawing was not asked for."""


class Drawn:
    """The committed random bytes, and what was used of them."""

    def __init__(self, path: Path, *, may_draw: bool) -> None:
        self._path = path
        self._may_draw = may_draw
        self._known: dict[str, str] = json.loads(path.read_text("utf-8")) if path.is_file() else {}
        self._used: dict[str, str] = {}

    def take(self, kind: str, inputs: tuple[bytes, ...], draw: Callable[[], bytes]) -> bytes:
        """Return the bytes drawn for these inputs.

        Args:
            kind: What they are, for readers of the file.
            inputs: Everything that decides them besides chance.
            draw: Makes them.

        Raises:
            NotDrawnError: There are none yet, and none may be drawn.
        """
        name = f"{kind}/{sha256(length_prefixed(*inputs)).hexdigest()[:32]}"
        found = self._known.get(name)
        if found is None:
            if not self._may_draw:
                raise NotDrawnError(f"{name} is not in {self._path.name}; run build_vectors.py --draw")
            found = base64.b64encode(draw()).decode()
            self._known[name] = found
        self._used[name] = found
        return base64.b64decode(found)

    def take_large(self, file: str, read: Callable[[bytes], bytes | None], draw: Callable[[], bytes]) -> bytes:
        """Return bytes that are too many to be kept twice: they are taken from the file that was built with them.

        Args:
            file: Its path below the folder of ``drawn.json``.
            read: Finds the bytes in the file's content; None if the file was built from other inputs.
            draw: Makes them.

        Raises:
            NotDrawnError: The file does not have them, and none may be drawn.
        """
        path = self._path.parent / file
        found = read(path.read_bytes()) if path.is_file() else None
        if found is None:
            if not self._may_draw:
                raise NotDrawnError(f"{file} does not fit its inputs; run build_vectors.py --draw")
            found = draw()
        return found

    def content(self) -> bytes:
        """Return the file with what was used, and nothing else."""
        return json.dumps(self._used, indent=1, sort_keys=True).encode() + b"\n"


def derived(label: str, size: int) -> bytes:
    """Return bytes that stand where the library would draw salts, nonces, keys and epochs; public, for tests only."""
    return sha256(b"docbus golden vectors, not a secret: " + label.encode()).digest()[:size]


def derived_uuid7(label: str, now_ms: int) -> bytes:
    """Return a UUIDv7 whose random bits are derived."""
    raw = bytearray(now_ms.to_bytes(6, "big") + derived(f"uuid {label}", 10))
    raw[6] = 0x70 | raw[6] & 0x0F
    raw[8] = 0x80 | raw[8] & 0x3F
    return bytes(raw)
