"""Sealing: positions, one tree, one signature; and the vectors' builder against it."""

from __future__ import annotations

from dataclasses import replace
from hashlib import sha256
from typing import TYPE_CHECKING, Any

import pytest

from docbus.envelope.batch import Draft, Sealed, Sealer, StreamHead, batch_signed_bytes
from docbus.envelope.envelope import decode_envelope, encode_envelope, join
from docbus.envelope.keys import KeyRing
from docbus.envelope.statement import (
    DOCUMENT_TYPE,
    FIRST_PREVIOUS,
    RECEIPT_TYPE,
    SUITE_2026,
    SUITE_NONE,
    Statement,
    decode_statement,
    encode_document_body,
    encode_receipt_body,
)
from docbus.errors import AgencyClosedError, UnknownAgencyError
from docbus.wire.tree import path_length, root_from_path
from tests.support.letters import seal, snapshot, verify, world
from tests.vectors.building.drawn import derived
from tests.vectors.building.letters import write_document, write_receipt
from tests.vectors.building.world import ALL_OPEN, ENVIRONMENT, HANOI, LANG_SON, NOW, TAY_NINH, TAY_NINH_CLOSED

if TYPE_CHECKING:
    from docbus.identity.snapshot import TrustSnapshot

EPOCHS = {"documents": b"d" * 16, "urgent": b"u" * 16, "receipts": b"r" * 16}
DOCUMENT = write_document(world(), "document")
BODY = encode_document_body(DOCUMENT.body)
RECEIPT_BODY = encode_receipt_body(write_receipt(world(), "receipt").body)
CONTENT_KEY = derived("content key document", 32)
PACKAGE = DOCUMENT.sealed or b""


def draft(recipient: str = TAY_NINH, lane: str = "documents", key: bytes = CONTENT_KEY) -> Draft:
    """Return a document that waits."""
    return Draft(DOCUMENT_TYPE, recipient, lane, BODY, len(PACKAGE), key)


def receipt(recipient: str = TAY_NINH) -> Draft:
    """Return a receipt that waits."""
    return Draft(RECEIPT_TYPE, recipient, "receipts", RECEIPT_BODY, 0, None)


def sealed(
    drafts: list[Draft], heads: dict[tuple[str, str], StreamHead] | None = None, known: TrustSnapshot | None = None
) -> list[Sealed]:
    """Seal as Hanoi."""
    sealer = Sealer(environment=ENVIRONMENT, sender=HANOI, signer=world().parties[HANOI].signer)
    return sealer.seal(
        drafts, epochs=EPOCHS, heads={} if heads is None else heads, snapshot=known or snapshot(), now_ms=NOW
    )


def envelope_of(made: Sealed, package: bytes | None) -> tuple[bytes, Statement]:
    """Return an envelope's bytes and its statement."""
    value = join(made.front, package, made.back)
    decoded = decode_envelope(value)
    return value, decode_statement(decoded.payload_type, decoded.statement)


def test_positions_are_chained_per_recipient_and_lane() -> None:
    """Each stream counts from where it was, and names the digest before; heads are updated."""
    heads = {(TAY_NINH, "documents"): StreamHead(41, b"p" * 32)}
    drafts = [draft(), draft(LANG_SON), draft(), draft(lane="urgent"), receipt(), draft(LANG_SON)]

    made = sealed(drafts, heads)

    assert [42, 1, 43, 1, 1, 2] == [one.sequence for one in made]
    previous = [envelope_of(one, PACKAGE if one.lane != "receipts" else None)[1].position.previous for one in made]
    assert [b"p" * 32, FIRST_PREVIOUS, made[0].digest, FIRST_PREVIOUS, FIRST_PREVIOUS, made[1].digest] == previous
    assert {
        (TAY_NINH, "documents"): StreamHead(43, made[2].digest),
        (LANG_SON, "documents"): StreamHead(2, made[5].digest),
        (TAY_NINH, "urgent"): StreamHead(1, made[3].digest),
        (TAY_NINH, "receipts"): StreamHead(1, made[4].digest),
    } == heads


@pytest.mark.parametrize("count", [1, 2, 3, 7, 33])
def test_all_share_one_signature_over_one_root(count: int) -> None:
    """Every proof leads to the root that the one signature covers."""
    made = sealed([draft() for _ in range(count)])
    envelopes = [decode_envelope(join(one.front, PACKAGE, one.back)) for one in made]

    assert 1 == len({envelope.signatures for envelope in envelopes})
    roots = {
        root_from_path(one.digest, index, count, envelope.proof.path)
        for index, (one, envelope) in enumerate(zip(made, envelopes, strict=True))
    }
    assert 1 == len(roots)
    assert [32 * path_length(index, count) for index in range(count)] == [len(e.proof.path) for e in envelopes]
    assert [(count, index) for index in range(count)] == [e.proof[:2] for e in envelopes]


def test_what_was_sealed_verifies() -> None:
    """Documents and receipts of one batch pass at their recipients."""
    made = sealed([draft(), receipt(), draft(lane="urgent")])

    for one, package in zip(made, (PACKAGE, None, PACKAGE), strict=True):
        verified = verify(join(one.front, package, one.back), recipient=TAY_NINH)

        assert (one.digest, one.envelope_id) == (verified.digest, verified.statement.position.envelope_id)
        assert (one.lane, one.epoch) == (verified.statement.head.lane, EPOCHS[one.lane])
        assert (ALL_OPEN, snapshot().head, NOW) == (
            verified.statement.head.directory_position,
            verified.statement.head.directory_hash,
            verified.statement.head.made_at,
        )


def test_keys_are_named_only_where_something_is_encrypted() -> None:
    """A receipt has suite 0 and no keys; a document's statement holds the digests of both wraps."""
    document, plain = sealed([draft(), receipt()])
    value, statement = envelope_of(document, PACKAGE)
    keys = decode_envelope(value).keys

    assert keys is not None
    assert (SUITE_2026, sha256(keys.batch_key).digest()) == (statement.head.suite, statement.head.batch_key_digest)
    assert sha256(keys.content_key).digest() == statement.position.content_key_digest
    value, statement = envelope_of(plain, None)
    assert None is decode_envelope(value).keys
    assert (SUITE_NONE, None) == (statement.head.suite, statement.head.batch_key_digest)
    assert None is statement.position.content_key_digest


def test_one_batch_key_per_recipient() -> None:
    """All lanes of a recipient share a batch key, no two recipients do, and no two batches."""
    made = [*sealed([draft(), draft(lane="urgent"), draft(LANG_SON)]), *sealed([draft()])]
    wraps = []
    for one in made:
        keys = decode_envelope(join(one.front, PACKAGE, one.back)).keys
        assert keys is not None
        wraps.append(keys.batch_key)

    assert wraps[0] == wraps[1]
    assert 3 == len(set(wraps))


def test_the_recipient_opens_its_keys() -> None:
    """The wraps in the envelope lead to the content key."""
    (made,) = sealed([draft()])
    keys = decode_envelope(join(made.front, PACKAGE, made.back)).keys
    ring = KeyRing([world().parties[TAY_NINH].decrypter])

    assert keys is not None
    batch_key = ring.batch_key(keys.batch_key, environment=ENVIRONMENT, sender=HANOI, recipient=TAY_NINH)
    assert CONTENT_KEY == ring.content_key(batch_key, keys.content_key)


def test_an_unknown_recipient_is_named() -> None:
    """Nothing is sealed for somebody the directory does not have."""
    heads: dict[tuple[str, str], StreamHead] = {}
    with pytest.raises(UnknownAgencyError, match="vn:H99"):
        sealed([draft(), draft("vn:H99")], heads)

    assert {} == heads


def test_a_closed_recipient_is_named() -> None:
    """Nothing is encrypted to somebody who is closed; a receipt still goes there."""
    closed = snapshot(TAY_NINH_CLOSED)
    with pytest.raises(AgencyClosedError, match=TAY_NINH):
        sealed([draft()], known=closed)

    assert 1 == len(sealed([receipt()], known=closed))


def test_the_signed_bytes() -> None:
    """PAE over profile, certificate, tree size and root, big-endian (design D4)."""
    signed = batch_signed_bytes(2, b"c" * 32, 5, b"r" * 32)

    assert b"DSSEv1 31 application/vnd.docbus.batch.v1 70 \0\2" + b"c" * 32 + b"\0\0\0\5" + b"r" * 32 == signed


def test_the_builder_of_the_vectors_seals_alike(monkeypatch: pytest.MonkeyPatch) -> None:
    """With the same bytes in place of random ones, the sealer and the vectors' builder make the same envelope."""
    letter = replace(DOCUMENT, head=DOCUMENT.head._replace(epoch=EPOCHS["documents"]))
    keys: Any = letter.keys
    party = world().parties[TAY_NINH]
    monkeypatch.setattr("docbus.envelope.batch.uuid7_bytes", lambda _now, _count: [letter.position.envelope_id])
    monkeypatch.setattr("docbus.envelope.batch.os.urandom", lambda size: derived("batch key document", size))
    monkeypatch.setattr(type(party.encrypter), "encrypt", lambda _self, _plaintext, _context: keys.batch_key)

    (made,) = sealed([draft()])

    assert encode_envelope(seal(letter)[0]) == join(made.front, PACKAGE, made.back)


def test_documents_for_another_agency_have_a_head_of_their_own() -> None:
    """In one batch and one stream each statement names the agency it is for, or none; the wrapped key is shared."""
    made = sealed([draft(), draft()._replace(on_behalf_of=LANG_SON), draft()])
    envelopes = [decode_envelope(join(one.front, PACKAGE, one.back)) for one in made]
    heads = [decode_statement(DOCUMENT_TYPE, envelope.statement).head for envelope in envelopes]

    assert [None, LANG_SON, None] == [head.on_behalf_of for head in heads]
    assert [1, 2, 3] == [one.sequence for one in made]
    assert 1 == len({head.batch_key_digest for head in heads})
