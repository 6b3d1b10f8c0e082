"""What is thrown at each reader of bytes from strangers, and what must hold: it is refused by name, or read exactly."""

from __future__ import annotations

from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from docbus.edxml.reader import read as read_edxml
from docbus.envelope.act import decode_act, encode_act
from docbus.envelope.envelope import decode_envelope, encode_envelope
from docbus.envelope.package import decode_package, encode_package
from docbus.envelope.parts import decode_part, encode_part
from docbus.envelope.statement import (
    DOCUMENT_TYPE,
    RECEIPT_TYPE,
    STATUS_TYPE,
    DocumentBody,
    ReceiptBody,
    decode_statement,
    encode_document_body,
    encode_head,
    encode_position,
    encode_receipt_body,
    encode_status_body,
)
from docbus.errors import DocbusError, MalformedError
from docbus.identity.agency import AgencyId
from docbus.identity.entries import decode_entry, decode_record, encode_entry, encode_record
from docbus.identity.time_stamps.anchors import Anchors
from docbus.identity.time_stamps.token import read_token
from docbus.identity.time_stamps.verdict import Outcome, judge_stamp
from docbus.wire.decoder import read_long
from docbus.wire.encoding import put_long

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable


def envelope(given: bytes) -> None:
    """An envelope that is read encodes to the bytes that were given."""
    with suppress(MalformedError):
        assert encode_envelope(decode_envelope(given)) == given


def statement(given: bytes) -> None:
    """A statement of any of the three types that is read encodes to the bytes that were given."""
    kind = (DOCUMENT_TYPE, RECEIPT_TYPE, STATUS_TYPE)[given[0] % 3] if given else DOCUMENT_TYPE
    with suppress(MalformedError):
        _, head, position, body = decode_statement(kind, given[1:])
        if isinstance(body, DocumentBody):
            encoded = encode_document_body(body)
        elif isinstance(body, ReceiptBody):
            encoded = encode_receipt_body(body)
        else:
            encoded = encode_status_body(body)  # type: ignore[arg-type] # the only one left
        assert encode_head(head) + encode_position(position) + encoded == given[1:]


def package(given: bytes) -> None:
    """A package that is read encodes to the bytes that were given."""
    with suppress(MalformedError):
        assert encode_package(decode_package(given)) == given


def part(given: bytes) -> None:
    """A part that is read encodes to the bytes that were given."""
    with suppress(MalformedError):
        assert encode_part(decode_part(given)) == given


def act(given: bytes) -> None:
    """An act that is read encodes to the bytes that were given."""
    with suppress(MalformedError):
        assert encode_act(decode_act(given)) == given


def directory(given: bytes) -> None:
    """A record of the directory, and an entry, that are read encode to the bytes that were given."""
    with suppress(DocbusError):
        assert encode_record(decode_record(given)) == given
    with suppress(DocbusError):
        assert encode_entry(decode_entry(given)) == given


def guard(given: bytes) -> None:
    """A number is read in its shortest form only, and never beyond the bytes that were given."""
    with suppress(MalformedError, IndexError):  # documented: whoever calls it turns it into MalformedError
        value, at = read_long(given, 0)
        assert put_long(value) == given[:at]


def agency_code(given: bytes) -> None:
    """A code that is read is written as it was given, with its scheme in front, and reads as the same again."""
    text = given.decode(errors="surrogateescape")
    with suppress(DocbusError):
        read = AgencyId.parse(text)
        assert AgencyId.parse(str(read)) == read
        assert str(read).endswith(text.partition(":")[2] or text)


def edxml(given: bytes) -> None:
    """An edXML file is read with warnings, or refused by name, whatever it is."""
    with suppress(DocbusError):
        read_edxml(given)


def time_stamp(given: bytes) -> None:
    """A token is refused by name, or read and then judged; one that passes says what the genuine one says."""
    with suppress(MalformedError):
        read = read_token(given)
        if judge_stamp(read, None, _anchors()).outcome is Outcome.PASSED:
            assert read.authority == "CN=Test time-stamping authority"


@cache
def _anchors() -> Anchors:
    path = Path(__file__).parents[1] / "vectors" / "time-stamp" / "anchor.pem"
    return Anchors.load(path.read_bytes(), path.name)


TARGETS: dict[str, Callable[[bytes], None]] = {
    one.__name__: one
    for one in (envelope, statement, package, part, act, directory, guard, agency_code, edxml, time_stamp)
}


def seeds(vectors: Path) -> Iterable[tuple[str, bytes]]:
    """Yield (target, input) from the golden vectors: where a search begins."""
    for path in sorted(vectors.rglob("*.bin")):
        content = path.read_bytes()
        if "directory" in path.parts:
            yield "directory", content
            continue
        if path.name.startswith("part-"):
            with suppress(MalformedError):
                yield "part", encode_part(decode_part(content)._replace(content=b"short"))
            continue
        yield "envelope", content
        with suppress(MalformedError):
            read = decode_envelope(content)
            kinds = (DOCUMENT_TYPE, RECEIPT_TYPE, STATUS_TYPE)
            if read.payload_type in kinds:
                yield "statement", bytes([kinds.index(read.payload_type)]) + read.statement
            else:
                yield "act", read.statement
    for text in ("H26", "H37.02.02", "000.21.32.H53", "vnlegacy:28.22.H17", "vn2016:000.00.00.H53"):
        yield "agency_code", text.encode()
    yield "agency_code", b"H\xff"
    for path in sorted(vectors.rglob("*.tst")):
        yield "time_stamp", path.read_bytes()
    yield "edxml", b'<?xml version="1.0"?><edXML><edXML:edXMLEnvelope/></edXML>'
    yield "package", bytes(64)
    yield "guard", put_long(-(1 << 40))
