"""Single-object encoding, and where schemas come from."""

from __future__ import annotations

import pytest
from fastavro.schema import fingerprint, to_parsing_canonical_form

from docbus.errors import MalformedError
from docbus.wire.avro import HEADER_BYTES, MARKER, definition_of, load_schema
from tests.support.avro import SCHEMA_NAMES

RECORD = {"entry": b"entry", "payload_type": "type", "signatures": []}
FINGERPRINTS = {
    "envelope": "7a001f39c693478c",
    "act": "882fab3b1e64ecae",
    "document-statement": "93057244fd1e4af7",
    "receipt-statement": "e398b0f503814118",
    "status-statement": "4b5d971c1f4ae393",
    "package": "bc4282037f73b4b5",
    "part": "04e7658e42ea56b8",
    "directory-entry": "7ae21c90334f401c",
    "directory-record": "07851fe92b13a2f3",
    "join-request": "fcedf3dfb0439fc7",
}
"""A change here is a change of the wire format, and makes older records unreadable."""


@pytest.mark.parametrize("name", SCHEMA_NAMES)
def test_the_fingerprint_is_that_of_the_canonical_form(name: str) -> None:
    """The header holds CRC-64-AVRO of the parsing canonical form, little-endian."""
    expected = bytes.fromhex(fingerprint(to_parsing_canonical_form(definition_of(name)), "CRC-64-AVRO"))[::-1]

    assert FINGERPRINTS[name] == expected.hex()
    assert expected == load_schema(name).fingerprint
    assert MARKER + expected == load_schema(name).header
    assert HEADER_BYTES == len(load_schema(name).header)


def test_schemas_have_different_fingerprints() -> None:
    """No schema is taken for another."""
    assert len(SCHEMA_NAMES) == len({load_schema(name).fingerprint for name in SCHEMA_NAMES})


def test_a_schema_is_made_once() -> None:
    """Compiling costs milliseconds, so it happens once."""
    assert load_schema("envelope") is load_schema("envelope")


def test_single_object_encoding_comes_back() -> None:
    """What was encoded is decoded, arrays as tuples."""
    schema = load_schema("directory-record")

    assert RECORD | {"signatures": ()} == schema.decode_single(schema.encode_single(RECORD))


@pytest.mark.parametrize("at", range(HEADER_BYTES))
def test_another_header_is_refused(at: int) -> None:
    """One bit of marker or fingerprint is enough."""
    schema = load_schema("directory-record")
    encoded = bytearray(schema.encode_single(RECORD))
    encoded[at] ^= 1

    with pytest.raises(MalformedError, match="single-object encoding" if at < len(MARKER) else "fingerprint"):
        schema.decode_single(bytes(encoded))


@pytest.mark.parametrize("size", range(HEADER_BYTES + 1))
def test_a_header_alone_is_refused(size: int) -> None:
    """Fewer bytes than a header, and a header with nothing behind it, are malformed."""
    schema = load_schema("directory-record")

    with pytest.raises(MalformedError):
        schema.decode_single(schema.header[:size])


def test_an_unknown_schema_names_the_file() -> None:
    """A schema that is not there is a broken installation, and the error says which file."""
    with pytest.raises(FileNotFoundError, match=r"schemas/nothing\.avsc"):
        definition_of("nothing")


def test_errors_name_the_schema() -> None:
    """A reader of the error learns what the bytes were taken for."""
    with pytest.raises(MalformedError, match="DirectoryRecord: "):
        load_schema("directory-record").decode(b"\x02")
