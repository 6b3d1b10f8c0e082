"""An exchange of three agencies with real keys, whose records can be put on an embedded bus and damaged."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any

from cryptography.hazmat.primitives.serialization import Encoding

from docbus.documents.document import Document, DocumentReference
from docbus.documents.file import File
from docbus.envelope.batch import Draft, Sealed, Sealer, StreamHead
from docbus.envelope.encrypted import encrypt_document
from docbus.envelope.envelope import join
from docbus.envelope.statement import (
    DOCUMENT_TYPE,
    RECEIPT_TYPE,
    STATUS_TYPE,
    ReceiptBody,
    Reference,
    Refusal,
    StatusBody,
    encode_receipt_body,
    encode_status_body,
)
from docbus.identity import entries
from docbus.transport import topics
from docbus.transport.port import NewRecord
from docbus.wire.tree import root_of
from tests.support.directory import ENVIRONMENT, NOW_MS, DirectoryBuilder, Keys, grant_of, make_keys

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from docbus.identity.snapshot import TrustSnapshot
    from docbus.transport.port import Transport
    from tests.support.pki import TestAuthority

CITY, PROVINCE, COMMUNE = "vn:H26", "vn:H53", "vn:H53.31.20"
AGENCIES = (CITY, PROVINCE, COMMUNE)


@dataclass(frozen=True, kw_only=True)
class Posted:
    """A sealed envelope."""

    sender: str
    sealed: Sealed
    value: bytes

    @property
    def record(self) -> NewRecord:
        """The record that goes into the recipient's inbox."""
        return NewRecord(topic=topics.inbox(self.sealed.recipient), key=self.sender.encode(), value=self.value)


@dataclass(kw_only=True)
class Exchange:
    """Three agencies, their directory, and one outbox each.

    Attributes:
        authority: Has issued the certificates of the agencies in ``certified``, and is named by the directory.
        certified: Which these are; the others make theirs themselves.
    """

    directory: DirectoryBuilder = field(default_factory=DirectoryBuilder)
    keys: dict[str, Keys] = field(default_factory=dict)
    heads: dict[str, dict[tuple[str, str], StreamHead]] = field(default_factory=dict)
    count: int = 0
    authority: TestAuthority | None = None
    certified: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if self.authority is not None:
            self.directory.append(entries.Authority(name="Root", certificate=self.authority.der, intermediates=()))
        for agency in AGENCIES:
            if self.authority is None or agency not in self.certified:
                self.keys[agency] = self.directory.grant(agency)
                continue
            keys = self.keys[agency] = make_keys(agency)
            issued = self.authority.issue(keys.private_key, agency=agency)
            keys.certificate = issued.public_bytes(Encoding.DER)
            self.directory.append(grant_of(keys))

    @cached_property
    def snapshot(self) -> TrustSnapshot:
        """The directory under which everything is sealed."""
        return self.directory.snapshot()

    def epochs(self, sender: str) -> dict[str, bytes]:
        """Return the epochs of a sender's lanes."""
        return {lane: f"{sender[-7:]:_<12}{lane[:4]}".encode() for lane in ("documents", "urgent", "receipts")}

    def seal(
        self,
        sender: str,
        drafts: Sequence[tuple[Draft, bytes | None]],
        *,
        heads: dict[tuple[str, str], StreamHead] | None = None,
        snapshot: TrustSnapshot | None = None,
        keys: Keys | None = None,
        now_ms: int = NOW_MS,
    ) -> list[Posted]:
        """Seal drafts with their packages as one batch, at the next positions or behind the given heads."""
        sealer = Sealer(environment=ENVIRONMENT, sender=sender, signer=(keys or self.keys[sender]).signer)
        sealed = sealer.seal(
            [draft for draft, _package in drafts],
            epochs=self.epochs(sender),
            heads=self.heads.setdefault(sender, {}) if heads is None else heads,
            snapshot=snapshot or self.snapshot,
            now_ms=now_ms,
        )
        return [
            Posted(sender=sender, sealed=one, value=join(one.front, package, one.back))
            for one, (_draft, package) in zip(sealed, drafts, strict=True)
        ]

    def drafts(
        self, sender: str, recipients: Sequence[str], *, content: bytes = b"content", **changed: Any
    ) -> list[tuple[Draft, bytes | None]]:
        """Return one document's drafts, one for each recipient."""
        self.count += 1
        values: dict[str, Any] = {
            "document_id": f"{sender[-3:]}-{self.count:05}",
            "title": "Thông báo",
            "files": (File(name="a.txt", media_type="text/plain", content=content),),
            "recipients": tuple(recipients),
        }
        document = Document(**(values | changed))
        found = encrypt_document(document, environment=ENVIRONMENT, sender=sender, now_ms=NOW_MS)
        size = len(found.package)
        return [
            (Draft(DOCUMENT_TYPE, recipient, "documents", found.body, size, found.content_key), found.package)
            for recipient in recipients
        ]

    def documents(self, sender: str, recipient: str, count: int, **changed: Any) -> list[Posted]:
        """Seal documents to one recipient as one batch."""
        drafts = [draft for _ in range(count) for draft in self.drafts(sender, [recipient], **changed)]
        return self.seal(sender, drafts)

    def receipt(
        self, covered: Sequence[Posted], *, root: bytes | None = None, refused: Iterable[tuple[int, str]] = ()
    ) -> Posted:
        """Let the recipient of contiguous statements acknowledge them."""
        first, last = covered[0].sealed, covered[-1].sealed
        body = ReceiptBody(
            first.epoch,
            first.sequence,
            last.sequence,
            root_of([one.sealed.digest for one in covered]) if root is None else root,
            tuple(Refusal(sequence, reason) for sequence, reason in refused),
            bytes(16),
        )
        draft = Draft(RECEIPT_TYPE, covered[0].sender, "receipts", encode_receipt_body(body), 0, None)
        return self.seal(first.recipient, [(draft, None)])[0]

    def status(self, reporter: str, sender: str, document_id: str, code: int, now_ms: int = NOW_MS) -> Posted:
        """Let an agency report a status to a document's sender."""
        body = StatusBody(Reference(sender, document_id, 1), code, NOW_MS, None, bytes(16))
        draft = Draft(STATUS_TYPE, sender, "documents", encode_status_body(body), 0, None)
        return self.seal(reporter, [(draft, None)], now_ms=now_ms)[0]

    def recall(self, sender: str, recipient: str, concerned: DocumentReference) -> Posted:
        """Seal a recall."""
        return self.seal(sender, self.drafts(sender, [recipient], kind="recall", concerns=(concerned,)))[0]

    async def found(self, transport: Transport) -> None:
        """Create all topics, and publish the directory."""
        names = [topics.DIRECTORY, *(topics.inbox(agency) for agency in AGENCIES)]
        await transport.create([topics.spec_of(name) for name in names])
        await transport.append([NewRecord(topic=topics.DIRECTORY, key=None, value=v) for v in self.directory.records])


async def append(transport: Transport, posted: Iterable[Posted]) -> None:
    """Append envelopes to their recipients' inboxes."""
    await transport.append([one.record for one in posted])
