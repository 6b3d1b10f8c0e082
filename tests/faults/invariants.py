"""What holds after every crash, however often and wherever it happened. One place, so that no test asks for less.

1. Every accepted document is in its recipient's folder, once, byte for byte, in the order of its stream.
2. Nothing is in a folder that was not verified: the envelope beside it verifies and opens to just these bytes.
3. A receipt that says "filed" covers only what the folder holds.
4. The outbox is empty, every copy is received, and nothing is missing, waiting or half filed.
5. The auditor's replay is valid, but for what an attacker put on the wire.
"""

from __future__ import annotations

from hashlib import sha256
from typing import TYPE_CHECKING

from docbus.client.connect import decrypters_of_settings
from docbus.consumers.sinks.naming import delivery_name
from docbus.documents.file import File
from docbus.envelope.package import Inside
from docbus.envelope.statement import DocumentBody, ReceiptBody
from docbus.errors import VerificationError
from docbus.registry.follow import fetch_directory
from docbus.settings import load_settings
from docbus.transport import topics
from docbus.verification.opening import Opener
from docbus.verification.verifier import Verifier
from docbus.wire.tree import root_of
from tests.support.trial import id_of, opened, records_of

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from docbus.documents.document import Document
    from docbus.documents.file import FileStream
    from docbus.identity.snapshot import TrustSnapshot
    from docbus.verification.verifier import Verified
    from tests.support.trial import Exchange


async def check(
    exchange: Exchange,
    *,
    sender: str,
    recipient: str,
    published: Sequence[Document],
    forged: int = 0,
    redelivered: Collection[str] = (),
    withdrawn: int = 0,
) -> None:
    """Check everything for one sender and one recipient, once nothing is under way any more.

    Args:
        exchange: The exchange.
        sender: Code.
        recipient: Code.
        published: All that was accepted, in this order.
        forged: Records that an attacker put into the recipient's inbox.
        redelivered: Ids of documents that the recipient may have refused before it took them.
        withdrawn: Documents that were withdrawn before they were sent.
    """
    async with exchange.bus() as wire:
        snapshot, _ = await fetch_directory(wire, bytes.fromhex(exchange.genesis))
        to_recipient = _verified(await records_of(wire, topics.inbox(id_of(recipient))), id_of(recipient), snapshot)
        to_sender = _verified(await records_of(wire, topics.inbox(id_of(sender))), id_of(sender), snapshot)
    _check_filed(exchange, sender, recipient, published)
    _check_verified(exchange, recipient, snapshot)
    _check_receipts(exchange, recipient, to_recipient, to_sender, redelivered)
    await _check_at_rest(exchange, sender, recipient, len(published), withdrawn)
    await _check_audit(exchange, forged)


def _verified(records: Collection[object], recipient: str, snapshot: TrustSnapshot) -> list[Verified]:
    verifier, found = Verifier(), []
    for record in records:
        try:
            found.append(
                verifier.verify_recorded(record.value, key=record.key, recipient=recipient, snapshot=snapshot)  # type: ignore[attr-defined]
            )
        except VerificationError:
            continue
    return found


def _check_filed(exchange: Exchange, sender: str, recipient: str, published: Sequence[Document]) -> None:
    filed = exchange.filed(recipient)
    assert sorted(document.document_id for document in published) == sorted(one.document_id for one in filed)
    contents = {document.document_id: {f.name: content_of(f) for f in document.files} for document in published}
    assert contents == {one.document_id: one.contents for one in filed}
    assert {id_of(sender)} == {one.sender for one in filed}
    for lane in ("documents", "urgent"):
        in_lane = [document.document_id for document in published if (document.urgency > 0) == (lane == "urgent")]
        streams = [one.metadata["statement"] for one in filed if one.metadata["statement"]["lane"] == lane]
        assert in_lane == [one.document_id for one in filed if one.metadata["statement"]["lane"] == lane]
        assert 1 == len({statement["epoch"] for statement in streams}), "a crash is no reason for a new epoch"
        assert list(range(1, len(streams) + 1)) == [statement["sequence"] for statement in streams]


def content_of(file: File | FileStream) -> bytes:
    """Return all that a file has; what is read when it is published can be read again here."""
    if isinstance(file, File):
        return file.content
    with file.opener() as stream:
        return stream.read()


def _check_verified(exchange: Exchange, recipient: str, snapshot: TrustSnapshot) -> None:
    opener = Opener(id_of(recipient), decrypters_of_settings(load_settings(exchange.folder / recipient)))
    for one in exchange.filed(recipient):
        envelope = (one.folder / "envelope.bin").read_bytes()
        verified = Verifier().verify_recorded(envelope, key=None, recipient=id_of(recipient), snapshot=snapshot)
        package = opener.open(verified)
        body = verified.statement.body
        assert isinstance(body, DocumentBody)
        assert package is not None
        assert (one.sender, one.document_id) == (verified.sender, body.document_id)
        assert [file.name for file in package.manifest.files] == list(one.contents)
        for file in package.manifest.files:
            content = one.contents[file.name]
            assert (file.size, file.digest) == (len(content), sha256(content).digest())
            assert not isinstance(file.place, Inside) or package.contents[file.place.content] == content


def _check_receipts(
    exchange: Exchange, recipient: str, sent: list[Verified], received: list[Verified], redelivered: Collection[str]
) -> None:
    statements = {
        (one.sender, one.statement.head.epoch, one.statement.position.sequence): one
        for one in sent
        if isinstance(one.statement.body, DocumentBody)
    }
    folder = exchange.folder / recipient / "documents"
    said: dict[tuple[str, bytes, int], list[bool]] = {}
    for one in received:
        body = one.statement.body
        if not isinstance(body, ReceiptBody) or one.sender != id_of(recipient):
            continue
        positions = [(one.statement.head.recipient, body.epoch, n) for n in range(body.first, body.last + 1)]
        assert root_of([statements[position].digest for position in positions]) == body.root
        refused = {refusal.sequence for refusal in body.refused}
        for position in positions:
            document = statements[position].statement.body
            assert isinstance(document, DocumentBody)
            held = (folder / delivery_name(position[0], document.document_id, document.revision)).is_dir()
            assert held
            said.setdefault(position, []).append(position[2] not in refused)
    assert statements.keys() == said.keys()
    for position, answers in said.items():
        document = statements[position].statement.body
        assert isinstance(document, DocumentBody)
        # Whoever takes what he had refused says so, and never takes it back.
        assert answers == sorted(answers) if document.document_id in redelivered else all(answers)
        assert answers[-1]


async def _check_at_rest(exchange: Exchange, sender: str, recipient: str, count: int, withdrawn: int) -> None:
    async with opened(exchange, sender, recipient) as agencies:
        sending, receiving = [await agency.status() for agency in agencies]
    outbox = sending.outbox
    assert (0, 0, count, 0, withdrawn) == (outbox.accepted, outbox.sent, outbox.received, outbox.refused, outbox.failed)
    assert (0, 0) == (receiving.outbox.receipts_waiting, sending.inbox.findings)
    inbox = receiving.inbox
    assert (count, 0, 0, 0, 0) == (inbox.documents, inbox.refused, inbox.missing, inbox.parked, inbox.findings)
    assert [] == list((exchange.folder / recipient / "documents").glob(".docbus-work-*"))


async def _check_audit(exchange: Exchange, forged: int) -> None:
    report = await exchange.audit()
    assert ("invalid" if forged else "valid") == report.verdict
    assert forged == sum(report.audit.failed.values())
    assert {} == {code: count for code, count in report.audit.finding_counts.items() if count}
    assert (0, 0) == (
        sum(stream.missing for stream in report.audit.streams),
        sum(stream.outstanding for stream in report.audit.streams if stream.lane != "receipts"),
    )
