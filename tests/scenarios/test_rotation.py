"""Keys are rotated while documents flow: nothing is lost, filed twice, set aside or held up."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest
from cryptography.hazmat.primitives.serialization import Encoding

from docbus.client.agency import Agency
from docbus.client.connect import decrypters_of_settings
from docbus.client.issuing import found_authority
from docbus.client.rotation import rotate
from docbus.clock import SystemClock
from docbus.envelope.envelope import decode_envelope
from docbus.envelope.keys import KeyRing
from docbus.envelope.statement import decode_head
from docbus.errors import MalformedError
from docbus.settings import load_settings
from docbus.transport import topics
from tests.support.rotation_journeys import certificates_in, certified, rotate_while_documents_flow
from tests.support.trial import (
    ENVIRONMENT,
    HANOI,
    PATIENCE,
    TAY_NINH,
    id_of,
    knows,
    leg_of,
    letter,
    opened,
    settled,
    until,
)

if TYPE_CHECKING:
    from docbus.client.rotation import Rotation
    from tests.support.trial import Exchange


async def opens_with(exchange: Exchange) -> set[int]:
    """Return which of Hanoi's decryption keys, counted from the newest, open something in its inbox."""
    keys = decrypters_of_settings(load_settings(exchange.folder / HANOI))
    rings = [KeyRing([key]) for key in keys]
    found = set()
    for record in await exchange.records(topics.inbox(id_of(HANOI))):
        envelope = decode_envelope(record.value or b"")
        if envelope.keys is None:
            continue
        head, _ = decode_head(envelope.payload_type, envelope.statement)
        for number, ring in enumerate(rings):
            try:
                ring.batch_key(
                    envelope.keys.batch_key, environment=ENVIRONMENT, sender=head.sender, recipient=head.recipient
                )
                found.add(number)
            except MalformedError:
                continue
    return found


async def test_rotation_under_load_loses_nothing(exchange: Exchange) -> None:
    """Both ways, each accepted document is filed once and receipted, under the old key and then under the new one.

    Nothing goes out twice, quarantines stay empty, an auditor finds nothing, and nobody has to restart anything.
    """
    flowed = await rotate_while_documents_flow(exchange)

    for flow, recipient in ((flowed.there, TAY_NINH), (flowed.back, HANOI)):
        assert flow.accepted == sorted(exchange.ids_filed(recipient))
        assert [] == await exchange.records(topics.quarantine(id_of(recipient)))
    assert ("requested", "overlapping") == (flowed.begun.step, flowed.done.step)
    signed = await certificates_in(exchange, TAY_NINH, HANOI)
    assert len(flowed.there.accepted) == len(signed)
    assert {flowed.done.before, flowed.done.certificate} == set(signed)
    assert {0, 1} == await opens_with(exchange)
    assert "valid" == (await exchange.audit()).verdict


async def test_rotation_without_overlap_under_load_loses_nothing(exchange: Exchange) -> None:
    """If the old key ends at once, what was under way goes out again under the new one, and is filed once even so."""
    flowed = await rotate_while_documents_flow(exchange, overlap_ms=None)

    for flow, recipient in ((flowed.there, TAY_NINH), (flowed.back, HANOI)):
        assert flow.accepted == sorted(exchange.ids_filed(recipient))
    assert "complete" == flowed.done.step
    assert flowed.done.certificate in await certificates_in(exchange, TAY_NINH, HANOI)


async def test_rotation_of_an_authoritys_certificate_under_load_loses_nothing(exchange: Exchange) -> None:
    """Where an authority has issued the old certificate and issues the new one, all is as with self-made ones."""
    authority = found_authority(exchange.folder / "ca", name="Authority", clock=SystemClock())
    folder = exchange.folder / HANOI
    async with exchange.registrar() as registrar:
        await registrar.name_authority("Authority", authority.certificate.public_bytes(Encoding.DER))
        snapshot = await registrar.load()
    asked = await asyncio.to_thread(rotate, folder, snapshot, SystemClock(), authority=True)
    first = await asyncio.to_thread(certified, folder, asked, authority, snapshot)
    assert first.request is not None
    request = await asyncio.to_thread(first.request.read_text, "ascii")
    async with exchange.registrar() as registrar:
        granted = (await registrar.rotate(request)).snapshot
    await asyncio.to_thread(rotate, folder, granted, SystemClock())

    flowed = await rotate_while_documents_flow(exchange, authority=authority)

    for flow, recipient in ((flowed.there, TAY_NINH), (flowed.back, HANOI)):
        assert flow.accepted == sorted(exchange.ids_filed(recipient))
        assert [] == await exchange.records(topics.quarantine(id_of(recipient)))
    assert ("certifying", "requested", "overlapping") == (asked.step, flowed.begun.step, flowed.done.step)
    signed = await certificates_in(exchange, TAY_NINH, HANOI)
    assert len(flowed.there.accepted) == len(signed)
    assert {first.certificate, flowed.done.certificate} == set(signed)


async def begin(exchange: Exchange) -> Rotation:
    """Give the rotate command for Hanoi, with the directory as it is."""
    async with exchange.registrar() as registrar:
        snapshot = await registrar.load()
    return await asyncio.to_thread(rotate, exchange.folder / HANOI, snapshot, SystemClock())


async def publish(exchange: Exchange, rotation: Rotation, overlap_ms: int) -> int:
    """Let the registrar publish a rotation; return the entry."""
    assert rotation.request is not None
    request = await asyncio.to_thread(rotation.request.read_text, "ascii")
    async with exchange.registrar() as registrar:
        return (await registrar.rotate(request, overlap_ms=overlap_ms)).position


async def test_processes_may_end_anywhere_in_a_rotation(exchange: Exchange) -> None:
    """Between any two steps both processes end with documents under way, and the next ones bring all of them home."""
    sent: dict[str, list[str]] = {HANOI: [], TAY_NINH: []}

    async def day(name: str) -> None:
        """Let some documents be accepted, sent or received, and end without waiting for the rest."""
        async with opened(exchange, HANOI, TAY_NINH) as (hanoi, tay_ninh):
            for agency, code, to in ((hanoi, HANOI, TAY_NINH), (tay_ninh, TAY_NINH, HANOI)):
                for state in ("received", "sent", "accepted"):
                    document = f"{name}-{code}-{state}"
                    sent[code].append(document)
                    if state == "received":
                        async with hanoi.serving(), tay_ninh.serving():
                            await agency.publish(letter(), to=[to], id=document)
                            await agency.wait(document, until="received", timeout=PATIENCE)
                    elif state == "sent":
                        async with agency.serving(receive=False):
                            await agency.publish(letter(), to=[to], id=document)
                            await agency.wait(document, until="sent", timeout=PATIENCE)
                    else:
                        await agency.publish(letter(), to=[to], id=document)

    await day("1-before")
    begun = await begin(exchange)
    await day("2-requested")
    await publish(exchange, begun, 24 * 60 * 60 * 1000)
    await day("3-granted")
    assert "overlapping" == (await begin(exchange)).step
    await day("4-done")
    async with opened(exchange, HANOI, TAY_NINH) as (hanoi, tay_ninh), hanoi.serving(), tay_ninh.serving():
        await settled(hanoi, tay_ninh)

    for sender, recipient in ((HANOI, TAY_NINH), (TAY_NINH, HANOI)):
        assert sorted(sent[sender]) == sorted(exchange.ids_filed(recipient))
        assert [] == await exchange.records(topics.quarantine(id_of(recipient)))


class _Later(SystemClock):
    """The machine's clock, or ahead of it."""

    ahead_ms = 0

    def now_ms(self) -> int:
        """Return the time, ahead."""
        return super().now_ms() + self.ahead_ms


@pytest.mark.parametrize("seen", ["during the overlap", "after it"])
async def test_what_the_old_key_signed_and_nobody_read(exchange: Exchange, seen: str) -> None:
    """Read during the overlap it is filed as it is; afterwards it is refused, and goes out again under the new key."""
    clock = _Later()
    overlap_ms = 2 * 60 * 1000

    def agency(code: str) -> Agency:
        return Agency.open(exchange.folder / code, clock=clock)

    begun = await begin(exchange)
    async with agency(HANOI) as hanoi, hanoi.serving():
        await hanoi.publish(letter(), to=[TAY_NINH], id="1-old")
        await hanoi.wait("1-old", until="sent", timeout=PATIENCE)
        await knows([hanoi], await publish(exchange, begun, overlap_ms))
        await hanoi.publish(letter(), to=[TAY_NINH], id="2-new")
        await hanoi.wait("2-new", until="sent", timeout=PATIENCE)
        if seen == "after it":
            # Less than what a clock may be ahead of the brokers'.
            clock.ahead_ms = overlap_ms + 30_000
            await until(lambda: _sent_again(hanoi))
        async with agency(TAY_NINH) as tay_ninh, tay_ninh.serving():
            for document in ("1-old", "2-new"):
                await hanoi.wait(document, until="received", timeout=PATIENCE)
            await settled(hanoi, tay_ninh)
        state = (await leg_of(hanoi, "1-old")).state

    assert "received" == state
    assert ["1-old", "2-new"] == sorted(exchange.ids_filed(TAY_NINH))
    kept = [
        dict(record.headers)["docbus_reason"] for record in await exchange.records(topics.quarantine(id_of(TAY_NINH)))
    ]
    assert ([b"certificate_retired"] if seen == "after it" else []) == kept


async def _sent_again(agency: Agency) -> bool:
    """Tell whether something was superseded by a copy that is sent."""
    found = await agency.database.read(
        lambda c: c.execute("SELECT count(*) FROM copy WHERE state = 6 /* superseded */").fetchone()
    )
    return bool(found[0]) and (await leg_of(agency, "1-old")).state == "sent"
