"""Sealing a batch: positions, one tree, one signature (step P3, design D4 and D5).

Everything that waits becomes one batch. Its statements may go to many recipients and in several lanes; each gets its
own position in its own stream, and all share the root's signature.
"""

from __future__ import annotations

import os
from hashlib import sha256
from typing import TYPE_CHECKING, NamedTuple

from docbus.envelope.envelope import Keys, Proof, Signature, put_back, put_front, put_payload_type, put_signatures
from docbus.envelope.keys import KEY_BYTES, wrap_content_key, wrap_context
from docbus.envelope.statement import (
    SUITE_2026,
    SUITE_NONE,
    VERSION,
    Head,
    Position,
    encode_head,
    encode_position,
)
from docbus.errors import AgencyClosedError, UnknownAgencyError
from docbus.identity.time_stamps.stamped import signed_batch_digest
from docbus.wire.ids import uuid7_bytes
from docbus.wire.pae import BATCH_TYPE, leaf_digest, pae
from docbus.wire.tree import levels, path_of

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from docbus.envelope.envelope import Hint
    from docbus.identity.signing import Signer
    from docbus.identity.snapshot import TrustSnapshot


class Draft(NamedTuple):
    """A statement that waits for its position: everything but head and position."""

    payload_type: str
    recipient: str
    lane: str
    body: bytes
    package_size: int
    content_key: bytes | None
    hints: Sequence[Hint] = ()
    on_behalf_of: str | None = None


class StreamHead(NamedTuple):
    """The last statement of a stream: its sequence (0 for none) and its digest (32 zero bytes for none)."""

    sequence: int
    previous: bytes


class Sealed(NamedTuple):
    """A statement in its place; its envelope is ``join(front, package, back)``."""

    recipient: str
    lane: str
    epoch: bytes
    sequence: int
    digest: bytes
    envelope_id: bytes
    front: bytes
    back: bytes
    batch: bytes
    """Digest of the signed batch, as time stamps name it; the same for all of a batch."""


_AddressKey = tuple[str, str, bool, str | None]
"""(Recipient, lane, encrypted, on behalf of)."""


def _address_of(draft: Draft) -> _AddressKey:
    return draft.recipient, draft.lane, draft.content_key is not None, draft.on_behalf_of


class _Address(NamedTuple):
    """What all drafts of one batch to one recipient in one lane, for one agency, have in common."""

    head: bytes
    batch_key: bytes | None
    batch_key_wrap: bytes | None


def batch_signed_bytes(profile: int, certificate: bytes, tree_size: int, root: bytes) -> bytes:
    """Return what a batch signature covers: PAE of profile u16, certificate, tree size u32, root (design D4)."""
    return pae(BATCH_TYPE, profile.to_bytes(2, "big") + certificate + tree_size.to_bytes(4, "big") + root)


class Sealer:
    """Seals batches for one sending agency with one signing key."""

    def __init__(self, *, environment: str, sender: str, signer: Signer) -> None:
        self._environment = environment
        self._sender = sender
        self._signer = signer

    @property
    def sender(self) -> str:
        """Canonical id of the sending agency."""
        return self._sender

    @property
    def certificate(self) -> bytes:
        """Hash of the certificate under which everything is sealed, 32 bytes."""
        return self._signer.certificate

    def seal(
        self,
        drafts: Sequence[Draft],
        *,
        epochs: Mapping[str, bytes],
        heads: dict[tuple[str, str], StreamHead],
        snapshot: TrustSnapshot,
        now_ms: int,
    ) -> list[Sealed]:
        """Give every draft its position, in the order given, and sign them as one batch.

        Args:
            drafts: At least one; the outbox gives at most 512, far below the 2**20 that a proof has room for.
            epochs: Lane to epoch, 16 bytes.
            heads: (recipient, lane) to the stream's head; missing means a new stream. Updated in place.
            snapshot: Where recipients' encryption keys come from, and what the heads refer to.
            now_ms: Time made, milliseconds since 1970-01-01T00:00:00Z.

        Raises:
            UnknownAgencyError: A recipient is not in the directory.
            AgencyClosedError: A recipient is closed.
        """
        addresses = self._addresses(drafts, epochs, snapshot, now_ms)
        ids = uuid7_bytes(now_ms, len(drafts))
        statements: list[bytes] = []
        leaves: list[bytes] = []
        placed: list[tuple[int, bytes]] = []
        types = {draft.payload_type: draft.payload_type.encode() for draft in drafts}
        for draft, envelope_id in zip(drafts, ids, strict=True):
            stream = draft.recipient, draft.lane
            before = heads.get(stream, _NEW_STREAM)
            address = addresses[_address_of(draft)]
            if draft.content_key is None or address.batch_key is None:
                wrap, wrap_digest = b"", None
            else:
                wrap = wrap_content_key(address.batch_key, draft.content_key)
                wrap_digest = sha256(wrap).digest()
            sequence = before.sequence + 1
            position = encode_position(Position(sequence, before.previous, envelope_id, wrap_digest))
            statement = address.head + position + draft.body
            digest = leaf_digest(types[draft.payload_type], statement)
            heads[stream] = StreamHead(sequence, digest)
            statements.append(statement)
            leaves.append(digest)
            placed.append((sequence, wrap))
        tree = levels(leaves)
        blocks = root_signatures(self._signer, len(leaves), tree[-1][0])
        signatures = put_signatures(blocks)
        batch = signed_batch_digest(len(leaves), tree[-1][0], blocks)
        encoded_types = {name: put_payload_type(name) for name in types}
        sealed: list[Sealed] = []
        for index, draft in enumerate(drafts):
            sequence, wrap = placed[index]
            address = addresses[_address_of(draft)]
            keys = None if address.batch_key_wrap is None else Keys(address.batch_key_wrap, wrap)
            front = put_front(
                statements[index],
                Proof(len(leaves), index, path_of(tree, index)),
                encoded_types[draft.payload_type],
                signatures,
                draft.package_size,
            )
            sealed.append(
                Sealed(
                    draft.recipient,
                    draft.lane,
                    epochs[draft.lane],
                    sequence,
                    leaves[index],
                    ids[index],
                    front,
                    put_back(keys, draft.hints),
                    batch,
                )
            )
        return sealed

    def _addresses(
        self, drafts: Sequence[Draft], epochs: Mapping[str, bytes], snapshot: TrustSnapshot, now_ms: int
    ) -> dict[_AddressKey, _Address]:
        """Return heads and batch keys; a batch key is made once per recipient, whatever its lanes."""
        batch_keys: dict[str, tuple[bytes, bytes]] = {}
        addresses: dict[_AddressKey, _Address] = {}
        for draft in drafts:
            encrypted = draft.content_key is not None
            name = _address_of(draft)
            if name in addresses:
                continue
            if encrypted and draft.recipient not in batch_keys:
                batch_keys[draft.recipient] = self._batch_key(draft.recipient, snapshot)
            batch_key, wrap = batch_keys[draft.recipient] if encrypted else (None, None)
            head = Head(
                version=VERSION,
                environment=self._environment,
                sender=self._sender,
                on_behalf_of=draft.on_behalf_of,
                certificate=self._signer.certificate,
                recipient=draft.recipient,
                lane=draft.lane,
                epoch=epochs[draft.lane],
                directory_position=snapshot.position,
                directory_hash=snapshot.head,
                made_at=now_ms,
                suite=SUITE_2026 if encrypted else SUITE_NONE,
                batch_key_digest=None if wrap is None else sha256(wrap).digest(),
            )
            addresses[name] = _Address(encode_head(head), batch_key, wrap)
        return addresses

    def _batch_key(self, recipient: str, snapshot: TrustSnapshot) -> tuple[bytes, bytes]:
        agency = snapshot.agency(recipient)
        if agency is None:
            raise UnknownAgencyError(f"recipient {recipient} is not in the directory", step="P2")
        if agency.closed_at is not None:
            raise AgencyClosedError(
                f"recipient {recipient} is closed since directory entry {agency.closed_at}", step="P2"
            )
        encrypter = agency.encrypter
        batch_key = os.urandom(KEY_BYTES)
        context = wrap_context(SUITE_2026, self._environment, self._sender, recipient, encrypter.digest)
        return batch_key, encrypter.encrypt(batch_key, context)


def root_signatures(signer: Signer, tree_size: int, root: bytes) -> list[Signature]:
    """Return the signatures over a batch, which stand in each of its envelopes.

    Args:
        signer: Who signs.
        tree_size: Leaves of the batch.
        root: Of its tree, 32 bytes.
    """
    signed = batch_signed_bytes(signer.profile, signer.certificate, tree_size, root)
    return [Signature(signer.profile, signer.certificate, signature) for signature in signer.sign_all(signed)]


def sign_root(signer: Signer, tree_size: int, root: bytes) -> bytes:
    """Return what :func:`root_signatures` makes, encoded."""
    return put_signatures(root_signatures(signer, tree_size, root))


_NEW_STREAM = StreamHead(0, bytes(32))
