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

    from docbus.client.status import AgencyStatus
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
    resent: Sequence[str] = (),
    unsent: int = 0,
) -> None:
    """Check everything for one sender and one recipient, once nothing is under way any more.

    Args:
        exchange: The exchange.
        sender: Code.
        recipient: Code.
        published: All that was accepted, in this order.
        forged: Records that an attacker put into the recipient's inbox.
        redelivered: Ids of documents that the recipient may have refused before it took them.
        resent: Ids of documents that the recipient refused as their content was not to be had, and that were sent
            once more behind all others of their lane, in this order.
        unsent: Documents that were withdrawn, or whose content was lost, before they were sent.
    """
    async with exchange.bus() as wire:
        snapshot, _ = await fetch_directory(wire, bytes.fromhex(exchange.genesis))
        to_recipient = _verified(await records_of(wire, topics.inbox(id_of(recipient))), id_of(recipient), snapshot)
        to_sender = _verified(await records_of(wire, topics.inbox(id_of(sender))), id_of(sender), snapshot)
    places = _places(published, resent)
    _check_filed(exchange, sender, recipient, published, places)
    _check_verified(exchange, recipient, snapshot)
    assert places == _check_receipts(exchange, recipient, to_recipient, to_sender, redelivered)
    async with opened(exchange, sender, recipient) as agencies:
        _check_at_rest(*[await agency.status() for agency in agencies], len(published), len(resent), unsent)
    assert [] == list((exchange.folder / recipient / "documents").glob(".docbus-work-*"))
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


def _places(published: Sequence[Document], resent: Sequence[str]) -> dict[str, list[tuple[str, str, int]]]:
    """Return by lane which statement has which place: (id, ``filed`` or ``refused``, sequence), in this order."""
    places = {}
    for lane in ("documents", "urgent"):
        ids = [document.document_id for document in published if (document.urgency > 0) == (lane == "urgent")]
        again = [name for name in resent if name in ids]
        places[lane] = [
            (name, "refused" if number <= len(ids) and name in again else "filed", number)
            for number, name in enumerate([*ids, *again], start=1)
        ]
    return places


def _check_filed(
    exchange: Exchange,
    sender: str,
    recipient: str,
    published: Sequence[Document],
    places: dict[str, list[tuple[str, str, int]]],
) -> None:
    filed = exchange.filed(recipient)
    assert sorted(document.document_id for document in published) == sorted(one.document_id for one in filed)
    contents = {document.document_id: {f.name: content_of(f) for f in document.files} for document in published}
    assert contents == {one.document_id: one.contents for one in filed}
    assert {id_of(sender)} == {one.sender for one in filed}
    for lane in ("documents", "urgent"):
        in_lane = [one for one in filed if one.metadata["statement"]["lane"] == lane]
        found = [(one.document_id, "filed", one.metadata["statement"]["sequence"]) for one in in_lane]
        assert [place for place in places[lane] if place[1] == "filed"] == found
        epochs = {one.metadata["statement"]["epoch"] for one in in_lane}
        assert 1 == len(epochs), "a crash is no reason for a new epoch"


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
    exchange: Exchange,
    recipient: str,
    sent: list[Verified],
    received: list[Verified],
    redelivered: Collection[str],
) -> dict[str, list[tuple[str, str, int]]]:
    """Check every receipt; return what they say in the end of each place, as :func:`_places` does."""
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
    stated: dict[str, list[tuple[str, str, int]]] = {"documents": [], "urgent": []}
    for position, answers in sorted(said.items()):
        head, document = statements[position].statement.head, statements[position].statement.body
        assert isinstance(document, DocumentBody)
        ending = "filed" if answers[-1] else "refused"
        stated[head.lane].append((document.document_id, ending, position[2]))
        # Whoever takes what he had refused says so, and never takes it back.
        again = document.document_id in redelivered
        assert answers == sorted(answers) if again else {answers[-1]} == set(answers)
    return stated


def _check_at_rest(sending: AgencyStatus, receiving: AgencyStatus, count: int, resent: int, unsent: int) -> None:
    outbox = sending.outbox
    assert (0, 0, count, 0, unsent) == (outbox.accepted, outbox.sent, outbox.received, outbox.refused, outbox.failed)
    assert (0, 0) == (receiving.outbox.receipts_waiting, sending.inbox.findings)
    inbox = receiving.inbox
    assert (count, resent, 0, 0, 0) == (inbox.documents, inbox.refused, inbox.missing, inbox.parked, inbox.findings)


async def _check_audit(exchange: Exchange, forged: int) -> None:
    report = await exchange.audit()
    assert ("invalid" if forged else "valid") == report.verdict
    assert forged == sum(report.audit.failed.values())
    assert {} == {code: count for code, count in report.audit.finding_counts.items() if count}
    assert (0, 0) == (
        sum(stream.missing for stream in report.audit.streams),
        sum(stream.outstanding for stream in report.audit.streams if stream.lane != "receipts"),
    )
