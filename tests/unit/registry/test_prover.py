"""The process that proves, without a process."""

from __future__ import annotations

from io import BytesIO

from docbus.identity import entries
from docbus.identity.registrar_terms import RegistrarTerms
from docbus.registry.prover import IDENTITY, WORD, pack, proofs_in, request_of, serve, unpack
from tests.support.directory import DirectoryBuilder, make_registrar_signer


def frames(written: bytes) -> list[bytes]:
    """Return the frames in what was written, without their sizes."""
    found = []
    while written:
        (size,) = WORD.unpack_from(written)
        found.append(written[WORD.size : WORD.size + size])
        written = written[WORD.size + size :]
    return found


def test_frame_comes_back() -> None:
    """Byte strings of any size come back, in order, and none as none."""
    for parts in ([], [b""], [b"a", b"", b"b" * 300, bytes(70_000)]):
        framed = pack(parts)
        assert [framed[WORD.size :]] == frames(framed)
        assert parts == unpack(framed[WORD.size :])


def test_requests_are_answered_until_there_are_no_more() -> None:
    """It says who it is, then of each record whether it is proven under the terms that came with it."""
    builder = DirectoryBuilder()
    builder.grant("vn:H26")
    builder.append(entries.Heartbeat())
    terms = builder.replay().terms
    assert terms is not None
    stranger = DirectoryBuilder().replay().terms
    assert stranger is not None
    answers = BytesIO()
    requests = request_of(terms, builder.records) + request_of(stranger, builder.records[1:])

    serve(BytesIO(requests), answers)

    first, *rest = frames(answers.getvalue())
    assert [IDENTITY] == unpack(first)
    (genesis, granted, beaten), others = (proofs_in(one) for one in rest)
    assert (None, 48, b"") == (genesis, len(granted or b""), beaten)
    assert [None, None] == others


def test_keys_for_heartbeats_prove_heartbeats_alone() -> None:
    """The terms arrive as they are: which keys, how many of them, and which for heartbeats."""
    builder = DirectoryBuilder()
    online = make_registrar_signer()
    terms = builder.replay().terms
    assert terms is not None
    other = DirectoryBuilder(signers=(online,)).replay().terms
    assert other is not None
    both = RegistrarTerms(terms.keys, 1, other.keys)
    beat = builder.value(entries.Heartbeat(), signers=[online])
    rename = builder.value(entries.Rename(agency="vn:H26", name="a"), signers=[online])
    answers = BytesIO()

    serve(BytesIO(request_of(both, [beat, rename]) + request_of(RegistrarTerms(both.keys, 2, {}), [beat])), answers)

    assert [[b"", None], [None]] == [proofs_in(one) for one in frames(answers.getvalue())[1:]]
