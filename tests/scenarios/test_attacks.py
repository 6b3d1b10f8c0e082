"""Somebody can write to every inbox and hides what he likes; he cannot make anybody believe him.

In each journey the brokers withhold the genuine envelope, a forged one is stored in its place, and the genuine one
comes later. The forged one lies in quarantine with its reason, and the genuine one is filed as if nothing had been.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest

from docbus.client import agency as client
from docbus.client.connect import open_transport, signer_of_settings
from docbus.documents.document import Document
from docbus.envelope.batch import Draft, Sealer, StreamHead
from docbus.envelope.encrypted import encrypt_document
from docbus.envelope.envelope import decode_envelope, join
from docbus.envelope.statement import DOCUMENT_TYPE, FIRST_PREVIOUS
from docbus.settings import load_settings
from docbus.transport import topics
from docbus.transport.port import NewRecord
from tests.support.directory import make_keys
from tests.support.hostile import HostileBroker
from tests.support.trial import COMMUNE, ENVIRONMENT, HANOI, PATIENCE, TAY_NINH, id_of, letter, opened, records_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from docbus.client.agency import Agency
    from docbus.identity.signing import Signer
    from docbus.settings import Settings
    from docbus.transport.port import Transport
    from tests.support.trial import Exchange

INBOX = topics.inbox(id_of(TAY_NINH))


@dataclass(frozen=True)
class Situation:
    """What the attacker has: two genuine records to one agency, and one to another."""

    exchange: Exchange
    snapshot_of: Agency
    genuine: NewRecord
    elsewhere: NewRecord


def changed(record: NewRecord, **fields: Any) -> NewRecord:
    given = {"topic": record.topic, "key": record.key, "value": record.value, "headers": record.headers}
    return NewRecord(**(given | fields))


def flip(value: bytes, at: int) -> bytes:
    return value[:at] + bytes([value[at] ^ 1]) + value[at + 1 :]


def tampered_content(situation: Situation) -> NewRecord:
    value = situation.genuine.value
    package = decode_envelope(value).package or b""
    return changed(situation.genuine, value=flip(value, value.index(package) + len(package) // 2))


def tampered_key(situation: Situation) -> NewRecord:
    value = situation.genuine.value
    keys = decode_envelope(value).keys
    assert keys is not None
    return changed(situation.genuine, value=flip(value, value.index(keys.batch_key)))


def tampered_statement(situation: Situation) -> NewRecord:
    value = situation.genuine.value
    return changed(situation.genuine, value=flip(value, value.index(b"the-document")))


def readdressed(situation: Situation) -> NewRecord:
    return changed(situation.elsewhere, topic=INBOX)


def under_another_key(situation: Situation) -> NewRecord:
    return changed(situation.genuine, key=id_of(COMMUNE).encode())


def random_bytes(situation: Situation) -> NewRecord:
    return changed(situation.genuine, value=bytes(range(256)) * 8)


def nothing_at_all(situation: Situation) -> NewRecord:
    return changed(situation.genuine, value=b"")


def cut_short(situation: Situation) -> NewRecord:
    return changed(situation.genuine, value=situation.genuine.value[:-1])


def signed_by_a_stranger(situation: Situation) -> NewRecord:
    return forged(situation, make_keys(id_of(HANOI)).signer)


def signed_by_another_agency(situation: Situation) -> NewRecord:
    """The commune signs with its own granted key, and claims to be Hanoi."""
    return forged(situation, signer_of_settings(load_settings(situation.exchange.folder / COMMUNE)))


def forged(situation: Situation, signer: Signer) -> NewRecord:
    """Return a complete envelope in the name of Hanoi, signed with somebody else's key."""
    agency = situation.snapshot_of
    document = Document(
        document_id="forged", title="Giả", files=(letter("giả"),), recipients=(id_of(TAY_NINH),), revision=1
    )
    encrypted = encrypt_document(document, environment=ENVIRONMENT, sender=agency.id, now_ms=1)
    draft = Draft(
        DOCUMENT_TYPE, id_of(TAY_NINH), "documents", encrypted.body, len(encrypted.package), encrypted.content_key
    )
    (sealed,) = Sealer(environment=ENVIRONMENT, sender=agency.id, signer=signer).seal(
        [draft],
        epochs={"documents": bytes(16)},
        heads={(id_of(TAY_NINH), "documents"): StreamHead(0, FIRST_PREVIOUS)},
        snapshot=agency.snapshot,
        now_ms=1,
    )
    value = join(sealed.front, encrypted.package, sealed.back)
    return NewRecord(topic=INBOX, key=agency.id.encode(), value=value)


ATTACKS: list[tuple[Callable[[Situation], NewRecord], str, str]] = [
    (tampered_content, "C1.18", "package_mismatch"),
    (tampered_key, "C1.17", "wrap_mismatch"),
    (tampered_statement, "C1.08", "signature_invalid"),
    (readdressed, "C1.14", "recipient_mismatch"),
    (under_another_key, "C1.15", "record_key_mismatch"),
    (random_bytes, "C1.02", "envelope_malformed"),
    (nothing_at_all, "C1.01", "envelope_too_large"),
    (cut_short, "C1.02", "envelope_malformed"),
    (signed_by_a_stranger, "C1.04", "certificate_unknown"),
    (signed_by_another_agency, "C1.11", "sender_mismatch"),
]


@pytest.mark.parametrize(("attack", "step", "code"), ATTACKS, ids=lambda value: getattr(value, "__name__", None))
async def test_forged_record_is_set_aside_and_the_genuine_one_is_filed(
    exchange: Exchange,
    monkeypatch: pytest.MonkeyPatch,
    attack: Callable[[Situation], NewRecord],
    step: str,
    code: str,
) -> None:
    """A forged record goes to quarantine with its reason, disturbs no stream, and the genuine one is filed later."""
    broker: list[HostileBroker] = []

    def hostile(settings: Settings) -> Transport:
        broker.append(HostileBroker(open_transport(settings)))
        return broker[-1]  # type: ignore[return-value] # everything it does not do itself, the real one does

    with monkeypatch.context() as patched:
        patched.setattr(client, "open_transport", hostile)
        async with exchange.agency(HANOI) as hanoi:
            await hanoi.publish(letter("thật"), to=[TAY_NINH], id="the-document")
            await hanoi.publish(letter("khác"), to=[COMMUNE], id="another-document")
            async with hanoi.serving(receive=False):
                await hanoi.wait("the-document", until="sent", timeout=PATIENCE)
                await hanoi.wait("another-document", until="sent", timeout=PATIENCE)
            (genuine,) = [record for record in broker[0].withheld if record.topic == INBOX]
            (elsewhere,) = [record for record in broker[0].withheld if record.topic != INBOX]
            record = attack(Situation(exchange, hanoi, genuine, elsewhere))

    async with opened(exchange, HANOI, TAY_NINH) as (hanoi, tay_ninh), exchange.bus() as wire:
        async with hanoi.serving(), tay_ninh.serving():
            await wire.append([record])
            quarantine = topics.quarantine(tay_ninh.id)
            (kept,) = await wire.read(quarantine, 0, 0, max_records=10, max_bytes=1 << 24, wait=PATIENCE)
            before = exchange.filed(TAY_NINH)
            await wire.append([genuine])
            journey = await hanoi.wait("the-document", until="received", timeout=PATIENCE)
        inbox = (await tay_ninh.status()).inbox

    headers = {name: content.decode() for name, content in kept.headers}
    assert (step, code, INBOX) == (headers["docbus_step"], headers["docbus_reason"], headers["docbus_topic"])
    assert record.value == kept.value
    assert [] == before
    assert ["received"] == [leg.state for leg in journey.legs]
    assert ["the-document"] == exchange.ids_filed(TAY_NINH)
    assert (0, 0) == (inbox.missing, inbox.parked)
    assert [("quarantine", code, 1)] == [(aside.topic, aside.reason, aside.count) for aside in inbox.set_aside]


async def test_replayed_record_is_a_duplicate(exchange: Exchange) -> None:
    """The genuine envelope stored again and again is filed once, answered each time, and harms nothing."""
    async with opened(exchange, HANOI, TAY_NINH) as (hanoi, tay_ninh), exchange.bus() as wire:
        async with hanoi.serving(), tay_ninh.serving():
            first = (await hanoi.publish(letter(), to=[TAY_NINH])).document_id
            await hanoi.wait(first, until="received", timeout=PATIENCE)
            (record, *_) = await records_of(wire, INBOX)
            again = NewRecord(topic=INBOX, key=record.key, value=record.value or b"", headers=record.headers)
            await wire.append([again] * 3)
            second = (await hanoi.publish(letter(), to=[TAY_NINH])).document_id
            await hanoi.wait(second, until="received", timeout=PATIENCE)
        inbox, sender = (await tay_ninh.status()).inbox, (await hanoi.status()).inbox
        quarantined = await records_of(wire, topics.quarantine(tay_ninh.id))

    assert [first, second] == exchange.ids_filed(TAY_NINH)
    assert [] == quarantined
    assert (0, 0, 0) == (inbox.findings, inbox.missing, sender.findings)
    assert "valid" == (await exchange.audit()).verdict


async def test_withheld_statement_is_a_hole_that_holds_nothing_back(
    exchange: Exchange, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What the brokers suppress is seen as missing, what follows is filed all the same, and the late one fills it."""
    broker: list[HostileBroker] = []

    def hostile(settings: Settings) -> Transport:
        broker.append(HostileBroker(open_transport(settings)))
        return broker[-1]  # type: ignore[return-value] # as above

    with monkeypatch.context() as patched:
        patched.setattr(client, "open_transport", hostile)
        async with exchange.agency(HANOI) as hanoi:
            for number in (1, 2, 3):
                await hanoi.publish(letter(f"{number}"), to=[TAY_NINH], id=f"letter-{number}")
            async with hanoi.serving(receive=False):
                await hanoi.wait("letter-3", until="sent", timeout=PATIENCE)
    first, second, third = broker[0].withheld

    async with opened(exchange, HANOI, TAY_NINH) as (hanoi, tay_ninh), exchange.bus() as wire:
        async with hanoi.serving(), tay_ninh.serving():
            await wire.append([first, third])
            await hanoi.wait("letter-3", until="received", timeout=PATIENCE)
            meanwhile = (await tay_ninh.status()).inbox
            seen_by_auditor = await exchange.audit()
            await wire.append([second])
            await hanoi.wait("letter-2", until="received", timeout=PATIENCE)
        afterwards = (await tay_ninh.status()).inbox

    assert [(2, 2)] == [(hole.first, hole.last) for hole in meanwhile.holes]
    assert 1 == sum(stream.missing for stream in seen_by_auditor.audit.streams)
    assert "incomplete" == seen_by_auditor.verdict
    assert () == afterwards.holes
    assert ["letter-1", "letter-2", "letter-3"] == exchange.ids_filed(TAY_NINH)
    assert "valid" == (await exchange.audit()).verdict
