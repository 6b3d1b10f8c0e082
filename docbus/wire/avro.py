"""Avro with a guard: fastavro encodes, the compiled decoder of :mod:`docbus.wire.decoder` reads.

Single-object encoding: C3 01, then the CRC-64-AVRO fingerprint of the schema's parsing canonical form, little-endian,
then the binary encoding (Apache Avro 1.12 specification, "Single-object encoding").
"""

from __future__ import annotations

import json
from functools import cache
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any

import fastavro
from fastavro.schema import fingerprint, to_parsing_canonical_form

from docbus.errors import MalformedError
from docbus.wire.decoder import Compiler

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

MARKER = b"\xc3\x01"
HEADER_BYTES = 10

_PACKAGE = Path(__file__).parent.parent
_FOLDERS = (_PACKAGE / "schemas", _PACKAGE.parent / "schemas")
"""Where a wheel has the schemas, and where a checkout has them."""


class Schema:
    """Codec of one schema file; records decode to dicts, or to what ``factories`` make by record name."""

    def __init__(self, definition: Mapping[str, Any], factories: Mapping[str, Callable[..., Any]]) -> None:
        self.name: str = definition["name"]
        canonical = to_parsing_canonical_form(dict(definition))
        self.fingerprint = bytes.fromhex(fingerprint(canonical, "CRC-64-AVRO"))[::-1]
        self.header = MARKER + self.fingerprint
        self.readers = Compiler(factories).compile(definition)
        self._read = self.readers[self.name]
        self._parsed = fastavro.parse_schema(dict(definition))

    def encode(self, value: Mapping[str, Any]) -> bytes:
        """Return the plain binary encoding of a value given as dicts; a union of records takes (name, dict)."""
        buffer = BytesIO()
        fastavro.schemaless_writer(buffer, self._parsed, value)
        return buffer.getvalue()

    def encode_single(self, value: Mapping[str, Any]) -> bytes:
        """Return the single-object encoding."""
        return self.header + self.encode(value)

    def decode(self, encoded: bytes | memoryview, start: int = 0) -> Any:
        """Return the value whose encoding begins at ``start`` and fills the rest.

        In a memoryview, fields of bytes are views of it.

        Raises:
            MalformedError: The bytes are not the one encoding of a value of this schema.
        """
        value, at = self.decode_part(self._read, encoded, start)
        if at != len(encoded):
            raise MalformedError(f"{self.name}: {len(encoded) - at} bytes are left over")
        return value

    def decode_part(
        self, read: Callable[[Any, int, int], tuple[Any, int]], encoded: bytes | memoryview, start: int
    ) -> Any:
        """Return (value, offset behind it) of a record that need not fill the rest; ``read`` is one of ``readers``.

        Raises:
            MalformedError: The bytes are not the one encoding of a value of this record.
        """
        try:
            return read(encoded, start, len(encoded))
        except MalformedError as error:
            raise MalformedError(f"{self.name}: {error.text}") from None
        except IndexError:
            raise MalformedError(f"{self.name}: the bytes end too soon") from None
        except UnicodeDecodeError:
            raise MalformedError(f"{self.name}: a text is not UTF-8") from None

    def decode_single(self, encoded: bytes) -> Any:
        """Return the value in a single-object encoding.

        Raises:
            MalformedError: Another marker, another schema, or not the encoding of a value.
        """
        self.check_header(encoded)
        return self.decode(encoded, HEADER_BYTES)

    def check_header(self, encoded: bytes) -> None:
        """Check that bytes begin as a single-object encoding of this schema does.

        Raises:
            MalformedError: Another marker, or another schema.
        """
        if not encoded.startswith(MARKER):
            raise MalformedError(f"{self.name}: not an Avro single-object encoding (it begins with C3 01)")
        if not encoded.startswith(self.header):
            found = encoded[len(MARKER) : HEADER_BYTES].hex()
            raise MalformedError(f"{self.name}: schema fingerprint {found}, expected {self.fingerprint.hex()}")


def definition_of(name: str) -> dict[str, Any]:
    """Return the schema in ``schemas/<name>.avsc`` as it stands.

    Raises:
        FileNotFoundError: There is no such schema: the installation is broken.
    """
    for folder in _FOLDERS:
        path = folder / f"{name}.avsc"
        if path.is_file():
            found: dict[str, Any] = json.loads(path.read_text("utf-8"))
            return found
    raise FileNotFoundError(f"schemas/{name}.avsc is missing from the installation")


@cache
def load_schema(name: str) -> Schema:
    """Return the codec of ``schemas/<name>.avsc``, records as dicts; made once."""
    return Schema(definition_of(name), {})
