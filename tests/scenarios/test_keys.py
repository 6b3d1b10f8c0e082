"""Keys are rotated and revoked while documents flow."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

import pytest

from docbus.client.connect import decrypters_of_settings, read_certificates, signer_of_settings
from docbus.client.founding import found_agency
from docbus.clock import SystemClock
from docbus.envelope.envelope import decode_envelope
from docbus.envelope.keys import KeyRing
from docbus.errors import IdentityError, KeyFileError, MalformedError
from docbus.identity.join import make_join_request
from docbus.registry.provision import apply, intended, plan_for
from docbus.settings import EmbeddedSettings, load_settings
from docbus.transport import topics
from tests.support.hostile import sealed_by
from tests.support.trial import (
    ENVIRONMENT,
    EXPRESS,
    HANOI,
    PATIENCE,
    TAY_NINH,
    id_of,
    knows,
    leg_of,
    letter,
    opened,
    until,
)

if TYPE_CHECKING:
    from pathlib import Path

    from tests.support.trial import Exchange


def make_new_keys(exchange: Exchange, code: str) -> str:
    """Make new keys for an agency, as ``docbus init`` does in another folder, and return their join request."""
    made = found_agency(
        exchange.folder / f"{code}-new",
        code=code,
        name="new keys",
        environment=ENVIRONMENT,
        genesis=exchange.genesis,
        bus=EmbeddedSettings(file=exchange.folder / "bus.db"),
        clock=SystemClock(),
    )
    return made.request.read_text("ascii")


def take_new_keys(exchange: Exchange, code: str) -> None:
    """Put the new keys in place of the old ones; the old encryption key still opens what was sent before."""
    folder, fresh = exchange.folder / code, exchange.folder / f"{code}-new"
    for name in ("signing.pem", "certificate.pem"):
        shutil.copy(fresh / "keys" / name, folder / "keys" / name)
    shutil.copy(fresh / "keys" / "encryption.pem", folder / "keys" / "encryption-2.pem")
    settings = folder / "docbus.toml"
    settings.write_text(
        settings.read_text("utf-8").replace(
            '["file:keys/encryption.pem"]', '["file:keys/encryption-2.pem", "file:keys/encryption.pem"]'
        ),
        "utf-8",
    )


async def test_revoked_key_is_refused_from_then_on(exchange: Exchange) -> None:
    """A stolen key signs perfectly, and after its revocation nobody believes it; what came before stays filed."""
    stolen = signer_of_settings(load_settings(exchange.folder / HANOI))
    async with (
        opened(exchange, HANOI, TAY_NINH) as (hanoi, tay_ninh),
        exchange.bus() as wire,
        hanoi.serving(),
        tay_ninh.serving(),
    ):
        before = (await hanoi.publish(letter(), to=[TAY_NINH])).document_id
        await hanoi.wait(before, until="received", timeout=PATIENCE)
        async with exchange.registrar() as registrar:
            revoked = await registrar.revoke(stolen.certificate, reason="token lost")
        await knows([hanoi, tay_ninh], revoked.position)
        await wire.append([sealed_by(stolen, hanoi.snapshot, "by-the-thief", sender=HANOI, recipient=TAY_NINH)])
        (kept,) = await wire.read(
            topics.quarantine(tay_ninh.id), 0, 0, max_records=10, max_bytes=1 << 24, wait=PATIENCE
        )
    with pytest.raises(IdentityError, match="may not sign any more"):
        async with exchange.agency(HANOI):
            pass

    headers = dict(kept.headers)
    assert (b"C1.19", b"certificate_revoked") == (headers["docbus_step"], headers["docbus_reason"])
    assert [before] == exchange.ids_filed(TAY_NINH)


@pytest.mark.parametrize("how", ["rotated", "revoked"])
async def test_new_key_goes_on_where_the_old_one_ended(exchange: Exchange, how: str) -> None:
    """With new keys the agency sends and receives again; no document accepted before is lost, none is filed twice.

    One was received under the old key, one was sent under it and not seen by the recipient before the key's end, and
    one was accepted and not sent.
    """
    old = signer_of_settings(load_settings(exchange.folder / HANOI)).certificate
    async with opened(exchange, HANOI, TAY_NINH) as (hanoi, tay_ninh):
        async with hanoi.serving():
            async with tay_ninh.serving():
                await hanoi.publish(letter(), to=[TAY_NINH], id="1-received")
                await hanoi.wait("1-received", until="received", timeout=PATIENCE)
            await hanoi.publish(letter(), to=[TAY_NINH], id="2-sent")
            await hanoi.wait("2-sent", until="sent", timeout=PATIENCE)
        await hanoi.publish(letter(), to=[TAY_NINH], id="3-accepted")

    request = make_new_keys(exchange, HANOI)
    async with exchange.registrar() as registrar:
        if how == "revoked":
            await registrar.revoke(old, reason="token lost")
        await registrar.rotate(request)
    take_new_keys(exchange, HANOI)

    async with opened(exchange, HANOI, TAY_NINH) as (hanoi, tay_ninh), hanoi.serving(), tay_ninh.serving():
        await hanoi.publish(letter(), to=[TAY_NINH], id="4-new")
        states = {}
        for document in ("1-received", "2-sent", "3-accepted", "4-new"):
            journey = await hanoi.wait(document, until="received", timeout=PATIENCE)
            states[document] = journey.legs[0].state
        await tay_ninh.publish(letter(), to=[HANOI], id="to-the-new-key")
        await tay_ninh.wait("to-the-new-key", until="received", timeout=PATIENCE)

    assert dict.fromkeys(["1-received", "2-sent", "3-accepted", "4-new"], "received") == states
    assert ["1-received", "2-sent", "3-accepted", "4-new"] == sorted(exchange.ids_filed(TAY_NINH))
    assert ["to-the-new-key"] == exchange.ids_filed(HANOI)


async def test_receipt_under_the_old_key_is_made_again(exchange: Exchange) -> None:
    """A receipt that its reader had not seen when the key was rotated is refused, and comes again under the new key."""
    async with (
        opened(exchange, HANOI, TAY_NINH) as (hanoi, tay_ninh),
        hanoi.serving(receive=False),
        tay_ninh.serving(),
        exchange.bus() as wire,
    ):
        document = (await hanoi.publish(letter(), to=[TAY_NINH])).document_id
        (receipt,) = await wire.read(
            topics.inbox(hanoi.id), EXPRESS, 0, max_records=10, max_bytes=1 << 24, wait=PATIENCE
        )
    request = make_new_keys(exchange, TAY_NINH)
    async with exchange.registrar() as registrar:
        await registrar.rotate(request)
    take_new_keys(exchange, TAY_NINH)

    async with opened(exchange, HANOI, TAY_NINH) as (hanoi, tay_ninh), hanoi.serving(), tay_ninh.serving():
        journey = await hanoi.wait(document, until="received", timeout=PATIENCE)

    (kept,) = await exchange.records(topics.quarantine(id_of(HANOI)))
    assert receipt.value == kept.value
    assert b"certificate_retired" == dict(kept.headers)["docbus_reason"]
    assert ["received"] == [leg.state for leg in journey.legs]
    assert [document] == exchange.ids_filed(TAY_NINH)


async def test_running_agency_stops_sealing_when_its_key_ends(exchange: Exchange) -> None:
    """Sending ends with an error that names the remedy; nothing goes out that no recipient would believe."""
    old = signer_of_settings(load_settings(exchange.folder / HANOI)).certificate
    async with exchange.agency(HANOI) as hanoi:
        async with exchange.registrar() as registrar:
            revoked = await registrar.revoke(old, reason="token lost")
        await knows([hanoi], revoked.position)
        document = (await hanoi.publish(letter(), to=[TAY_NINH])).document_id
        with pytest.raises(IdentityError, match="may not sign any more") as refused:
            async with hanoi.serving():
                await hanoi.wait(document, until="sent", timeout=PATIENCE)
        state = (await leg_of(hanoi, document)).state

    assert "docbus keys rotate" in (refused.value.hint or "")
    assert "accepted" == state
    assert [] == await exchange.records(topics.inbox(id_of(TAY_NINH)))


async def test_a_stolen_public_key_harms_its_thief_alone(exchange: Exchange) -> None:
    """Whoever is granted another's encryption key first can open nothing; its owner is granted it, and receives.

    What is sent to the thief opens with the owner's key for the thief alone: nobody can pass it on to the owner.
    """
    owner, thief = "H37", "H38"
    folders = {code: _founded(exchange, code) for code in (owner, thief)}
    settings = {code: load_settings(folder) for code, folder in folders.items()}
    (key,) = decrypters_of_settings(settings[owner])
    stolen = make_join_request(
        signer_of_settings(settings[thief]),
        environment=ENVIRONMENT,
        genesis=bytes.fromhex(exchange.genesis),
        agency=id_of(thief),
        name="thief",
        certificates=read_certificates(folders[thief] / "keys" / "certificate.pem"),
        encryption_key=key.public_key,
        now_ms=SystemClock().now_ms(),
    )
    genuine = (folders[owner] / f"{owner}.join").read_text("ascii")
    async with exchange.registrar() as registrar, exchange.bus() as bus:
        await registrar.grant(stolen)
        granted = await registrar.grant(genuine)
        await apply(bus, await plan_for(bus, intended(granted.snapshot)))

    async with opened(exchange, HANOI, owner) as (hanoi, agency), hanoi.serving(), agency.serving():
        await hanoi.publish(letter(), to=[owner, thief], id="to-both")
        await until(lambda: exchange.ids_filed(owner) == ["to-both"])
        await until(lambda: _is_sent(exchange, thief))
    async with exchange.agency(thief) as robber:
        with pytest.raises(KeyFileError, match="none of the decryption keys"):
            async with robber.serving():
                pass

    (record,) = [one for one in await exchange.records(topics.inbox(id_of(thief))) if one.value]
    envelope = decode_envelope(record.value or b"")
    assert envelope.keys is not None
    ring, wrap = KeyRing([key]), envelope.keys.batch_key
    assert 32 == len(ring.batch_key(wrap, environment=ENVIRONMENT, sender=id_of(HANOI), recipient=id_of(thief)))
    with pytest.raises(MalformedError):
        ring.batch_key(wrap, environment=ENVIRONMENT, sender=id_of(HANOI), recipient=id_of(owner))


def _founded(exchange: Exchange, code: str) -> Path:
    """Make the folder of an agency that is not granted yet."""
    return found_agency(
        exchange.folder / code,
        code=code,
        name=code,
        environment=ENVIRONMENT,
        genesis=exchange.genesis,
        bus=EmbeddedSettings(file=exchange.folder / "bus.db"),
        clock=SystemClock(),
    ).folder


async def _is_sent(exchange: Exchange, code: str) -> bool:
    return len(await exchange.records(topics.inbox(id_of(code)))) > 0
