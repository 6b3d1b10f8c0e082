"""The guarded decoder against fastavro: equal on all values, and stricter on everything else."""

from __future__ import annotations

import contextlib
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from docbus.envelope import envelope as envelopes
from docbus.envelope import package as packages
from docbus.envelope import statement as statements
from docbus.envelope.envelope import Envelope, encode_envelope
from docbus.envelope.package import Inside, Package, encode_package
from docbus.errors import MalformedError
from docbus.wire.avro import definition_of, load_schema
from docbus.wire.encoding import put_long
from tests.support.avro import SCHEMA_NAMES, Reference, as_lists, values_of

REFERENCES = {name: Reference(definition_of(name)) for name in SCHEMA_NAMES}
STRATEGIES = {name: values_of(name) for name in SCHEMA_NAMES}
NASTY = [b"\x00", b"\x01", b"\x02", b"\x03", b"\x7f", b"\x80", b"\x80\x00", b"\xff", b"\xff" * 9 + b"\x01", b"\xc3\x28"]

schemas = pytest.mark.parametrize("name", SCHEMA_NAMES)


def _mutated(encoded: bytes, data: st.DataObject) -> bytes:
    changed = bytearray(encoded)
    for _ in range(data.draw(st.integers(1, 3), label="changes")):
        at = data.draw(st.integers(0, len(changed)), label="at")
        kind = data.draw(st.sampled_from(["flip", "insert", "delete", "replace", "cut"]), label="kind")
        if kind == "flip" and at < len(changed):
            changed[at] ^= 1 << data.draw(st.integers(0, 7), label="bit")
        elif kind == "insert":
            changed[at:at] = data.draw(st.sampled_from(NASTY), label="bytes")
        elif kind == "delete":
            del changed[at : at + 1]
        elif kind == "replace":
            new = data.draw(st.sampled_from(NASTY), label="bytes")
            changed[at : at + len(new)] = new
        elif kind == "cut":
            del changed[at:]
    return bytes(changed)


@schemas
@given(data=st.data())
def test_decodes_what_fastavro_encodes(name: str, data: st.DataObject) -> None:
    """Every value comes back as it was, and as fastavro reads it."""
    value = data.draw(STRATEGIES[name])
    encoded = REFERENCES[name].encode(value)

    decoded = as_lists(load_schema(name).decode(encoded))

    assert as_lists(value) == decoded
    assert as_lists(REFERENCES[name].decode(encoded)) == decoded


@schemas
@given(data=st.data())
def test_encodes_as_fastavro(name: str, data: st.DataObject) -> None:
    """The schema's own encoder gives fastavro's bytes, behind marker and fingerprint where asked."""
    value = data.draw(STRATEGIES[name])
    schema = load_schema(name)
    encoded = REFERENCES[name].encode(value)

    assert encoded == schema.encode(value)
    assert b"\xc3\x01" + schema.fingerprint + encoded == schema.encode_single(value)
    assert as_lists(value) == as_lists(schema.decode_single(schema.encode_single(value)))


@schemas
@given(data=st.data())
def test_there_is_one_encoding_of_each_value(name: str, data: st.DataObject) -> None:
    """Changed bytes are refused, or they are exactly what fastavro writes for the value they hold."""
    changed = _mutated(REFERENCES[name].encode(data.draw(STRATEGIES[name])), data)

    try:
        value = load_schema(name).decode(changed)
    except MalformedError:
        return

    assert changed == REFERENCES[name].encode(value)


@schemas
@given(junk=st.binary(max_size=200))
def test_any_bytes_are_a_value_or_malformed(name: str, junk: bytes) -> None:
    """Bytes from anywhere raise MalformedError and nothing else, or are the one encoding of a value."""
    try:
        value = load_schema(name).decode(junk)
    except MalformedError:
        return

    assert junk == REFERENCES[name].encode(value)


@given(data=st.data())
def test_envelopes_are_written_as_fastavro_would(data: st.DataObject) -> None:
    """The envelope's own encoder gives fastavro's bytes behind the header."""
    encoded = REFERENCES["envelope"].encode(data.draw(STRATEGIES["envelope"]))
    envelope: Envelope = envelopes._CODEC.decode(encoded)

    assert envelopes._CODEC.header + encoded == encode_envelope(envelope)


@pytest.mark.parametrize(
    ("payload_type", "name", "put_body"),
    [
        (statements.DOCUMENT_TYPE, "document-statement", statements.encode_document_body),
        (statements.RECEIPT_TYPE, "receipt-statement", statements.encode_receipt_body),
        (statements.STATUS_TYPE, "status-statement", statements.encode_status_body),
    ],
)
@given(data=st.data())
def test_statements_are_written_as_fastavro_would(
    payload_type: str, name: str, put_body: Any, data: st.DataObject
) -> None:
    """Head, position and body, each encoded by hand, are together fastavro's bytes of the statement."""
    encoded = REFERENCES[name].encode(data.draw(STRATEGIES[name]))
    decoded = statements.SCHEMAS[payload_type].codec.decode(encoded)

    written = (
        statements.encode_head(decoded["head"])
        + statements.encode_position(decoded["position"])
        + put_body(decoded["body"])
    )

    assert encoded == written


@given(data=st.data())
def test_packages_are_written_as_fastavro_would(data: st.DataObject) -> None:
    """The package's own encoder gives fastavro's bytes, for files inside the package."""
    value = data.draw(STRATEGIES["package"])
    for file in value["manifest"]["files"]:
        file["place"] = ("docbus.v1.Inside", {"content": data.draw(st.integers(0, 1000))})
    encoded = REFERENCES["package"].encode(value)
    package: Package = packages._CODEC.decode(encoded)

    assert all(isinstance(file.place, Inside) for file in package.manifest.files)
    assert encoded == encode_package(package)


@given(number=st.integers(-(1 << 63), (1 << 63) - 1))
def test_numbers_are_written_as_fastavro_would(number: int) -> None:
    """A zig-zag varint by hand is fastavro's, over all 64 bits."""
    reference = Reference({"type": "record", "name": "N", "fields": [{"name": "n", "type": "long"}]})

    assert reference.encode({"n": number}) == put_long(number)


@given(value=st.binary(max_size=300), data=st.data())
def test_readers_of_untrusted_bytes_raise_only_malformed(value: bytes, data: st.DataObject) -> None:
    """Envelope, statement and package readers answer with a value or MalformedError, whatever they are given."""
    payload_type = data.draw(st.sampled_from(sorted(statements.SCHEMAS)))
    header = data.draw(st.sampled_from([b"", envelopes._CODEC.header]))
    for read in (
        lambda: envelopes.decode_envelope(header + value),
        lambda: statements.decode_statement(payload_type, value),
        lambda: packages.decode_package(value),
    ):
        with contextlib.suppress(MalformedError):
            read()
