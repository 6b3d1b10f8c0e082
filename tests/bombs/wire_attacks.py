"""Attacks with the encodings that travel: proofs, numbers that promise more than there is, and schemas."""

from __future__ import annotations

import sys
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any

from docbus.envelope.envelope import Proof, Signature, decode_envelope, encode_envelope
from docbus.errors import DocbusError, MalformedError, VerificationError
from docbus.wire.avro import Schema, definition_of
from docbus.wire.decoder import Compiler
from docbus.wire.encoding import put_long
from tests.fuzz.targets import TARGETS, seeds
from tests.support.letters import seal, verify, world
from tests.vectors.building.letters import write_document
from tests.vectors.building.world import TAY_NINH

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

VECTORS = Path(__file__).parents[1] / "vectors" / "envelope"
MILLION = 1_000_000
PROMISES = (1 << 20, 1 << 27, 1 << 40, (1 << 62) - 1, -1, -(1 << 40))
"""What a count or a length says there is; the second made fastavro allocate a gigabyte from six bytes."""
MAX_SEED_BYTES = 1500
"""Bytes of a seed up to which every place of it is tried."""


def _refused(values: Iterator[bytes], times: int) -> dict[str, int]:
    """Return what the verifier says of each value, each verified so many times."""
    said: Counter[str] = Counter()
    for value in values:
        for _ in range(times):
            try:
                verify(value, recipient=TAY_NINH)
            except VerificationError as error:
                said[error.step] += 1
            else:
                said["valid"] += 1
    return dict(said)


def forged_proofs() -> Callable[[], object]:
    """Return an attack: genuine envelopes with every proof that is none, and one of a million hashes."""
    genuine = seal(*(write_document(world(), f"letter-{number}") for number in range(8)))
    first = genuine[0]
    proof = first.proof

    def forged() -> Iterator[bytes]:
        for changed in (
            Proof(8, 8, proof.path),
            Proof(8, 1 << 40, proof.path),
            Proof(8, -1, proof.path),
            Proof(1 << 62, 0, proof.path),
            Proof((1 << 20) + 1, 0, proof.path),
            Proof(0, 0, b""),
            Proof(8, 0, b""),
            Proof(8, 0, proof.path[:32]),
            Proof(8, 0, proof.path + bytes(32)),
            Proof(8, 0, proof.path[:-1]),
            Proof(9, 0, proof.path),
            Proof(2, 0, proof.path[:32]),
            Proof(8, 1, proof.path),
            Proof(1 << 20, 0, bytes(32 * 20)),
            Proof(1 << 20, 0, bytes(32 * 21)),
            Proof(1 << 20, 0, bytes(32 * 30_000)),
        ):
            yield encode_envelope(first._replace(proof=changed))
        yield long
        # The same, claimed and not there.
        at = long.index(put_long(32 * MILLION))
        yield long[: at + 4]

    long = encode_envelope(first._replace(proof=Proof(1 << 20, 0, bytes(32 * MILLION))))
    assert {"valid": 1} == _refused(iter([encode_envelope(first)]), 1)
    return lambda: _refused(forged(), 20)


def promises() -> Callable[[], object]:
    """Return an attack: at each place of small inputs of every kind, a number that promises what is not there."""
    small: dict[str, bytes] = {}
    for target, given in seeds(VECTORS.parent):
        if len(given) <= MAX_SEED_BYTES and (target not in small or len(given) > len(small[target])):
            small[target] = given

    def act() -> dict[str, int]:
        tried: Counter[str] = Counter()
        for target, given in small.items():
            read = TARGETS[target]
            for promise in map(put_long, PROMISES):
                for at in range(len(given) + 1):
                    read(given[:at] + promise + given[at:])
                    read(given[:at] + promise)
                    tried[target] += 2
        return dict(tried)

    return act


def many_items() -> Callable[[], object]:
    """Return an attack: envelopes of the largest size whose every byte is an item: signatures, hints and offsets."""
    genuine = seal(write_document(world(), "letter"))[0]
    empty = encode_envelope(genuine._replace(package=None, keys=None, hints=()))
    head, tail = empty[:-1], b"\x00"
    hint = b"\x00\x00\x00\x00"
    room = (1 << 20) - len(head) - 16
    hints = head + put_long(room // len(hint)) + hint * (room // len(hint)) + tail
    offsets = head + put_long(1) + b"\x00\x00\x00" + put_long(room - 8) + bytes([2]) * (room - 8) + tail + tail
    signature = Signature(1, bytes(32), b"")
    signatures = encode_envelope(genuine._replace(signatures=(signature,) * (room // 40)))

    def act() -> int:
        refused = 0
        for value in (hints, offsets, signatures[: 1 << 20]):
            try:
                decode_envelope(value)
            except MalformedError:
                refused += 1
        return refused

    return act


def schemas() -> Callable[[], object]:
    """Return an attack: other schemas by fingerprint, by name and by a name of a megabyte, and such as never end."""
    genuine = seal(write_document(world(), "letter"))[0]
    value = encode_envelope(genuine)
    opened: list[str] = []
    watching = False

    def watch(event: str, arguments: tuple[Any, ...]) -> None:
        if watching and event in {"open", "socket.connect", "import", "compile", "exec"}:
            opened.append(f"{event} {arguments[:1]}")

    sys.addaudithook(watch)

    def strangers() -> Iterator[bytes]:
        for at in range(2, 10):
            yield value[:at] + bytes([value[at] ^ 0xFF]) + value[at + 1 :]
        for name in ("application/vnd.docbus.document.v2+avro", "file:///etc/passwd", "http://registry.example/1", ""):
            yield encode_envelope(genuine._replace(payload_type=name))
        yield encode_envelope(genuine._replace(payload_type="../" * 300_000))

    def act() -> dict[str, Any]:
        nonlocal watching
        _refused(strangers(), 1)  # what a first time imports, an attack did not
        watching = True
        said = _refused(strangers(), 20)
        watching = False
        return {"said": said, "opened": opened, "endless": _endless()}

    return act


def _endless() -> list[str]:
    """Return what is said of schemas that would let a small input recurse or grow without end."""
    node = {"type": "record", "name": "Node", "fields": [{"name": "next", "type": ["null", "Node"]}]}
    deep: Any = "long"
    for number in range(3):
        deep = {"type": "record", "name": f"Deep{number}", "fields": [{"name": "in", "type": deep}]}
    empty = {"type": "record", "name": "Empty", "fields": []}
    said = []
    for name, kind in (
        ("recursive", node),
        ("nulls", {"type": "array", "items": "null"}),
        ("empty records", {"type": "array", "items": empty}),
        ("map", {"type": "map", "values": "long"}),
        ("double", "double"),
    ):
        schema = {"type": "record", "name": "Probe", "fields": [{"name": "field", "type": kind}]}
        try:
            Compiler({}).compile(schema)
        except ValueError:
            said.append(name)
    Compiler({}).compile({"type": "record", "name": "Probe", "fields": [{"name": "field", "type": deep}]})
    assert Schema(definition_of("envelope"), {}).name.endswith("Envelope")
    return said


def containers() -> Callable[[], object]:
    """Return an attack: Avro files whose one block unpacks to 300 MB, given to every reader."""
    from io import BytesIO  # noqa: PLC0415

    import fastavro  # noqa: PLC0415

    written = BytesIO()
    schema = {"type": "record", "name": "R", "fields": [{"name": "f", "type": "bytes"}]}
    fastavro.writer(written, fastavro.parse_schema(schema), [{"f": bytes(300_000_000)}], codec="deflate")
    bomb = written.getvalue()

    def act() -> list[int]:
        for read in TARGETS.values():
            read(bomb)
        refused = 0
        try:
            decode_envelope(bomb)
        except DocbusError:
            refused += 1
        return [len(bomb), refused]

    return act
