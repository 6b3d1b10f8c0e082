"""An agency with a certificate of an authority: it exchanges, its authority revokes, and what was judged stays so."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cryptography import x509

from docbus.audit.evidence import export_trust, verify_file
from docbus.client.issuing import JOURNAL
from docbus.client.material_memory import MaterialMemory
from docbus.client.status import folder_status
from docbus.clock import SystemClock
from docbus.consumers.bases import digest_of, read_basis
from docbus.identity.pki.crl import read_list
from docbus.identity.pki.material import ValidationMaterial
from docbus.identity.pki.material_file import dump_material, load_material
from docbus.transport import topics
from tests.support.certified import certify
from tests.support.trial import ENVIRONMENT, PATIENCE, TAY_NINH, id_of, knows, letter, records_of, until

if TYPE_CHECKING:
    from docbus import Agency
    from docbus.client.issuing import Authority, Issued
    from tests.support.trial import Exchange

CLOCK = SystemClock()
FORESTRY = "G10.19"


async def join_with_certificate(exchange: Exchange) -> tuple[Authority, Issued]:
    """Found an authority that the directory names, and an agency whose certificate it has issued."""
    return await certify(exchange.folder, FORESTRY, "Cục Lâm nghiệp", environment=ENVIRONMENT, genesis=exchange.genesis)


async def keep(agency: Agency, content: bytes) -> None:
    """Import a revocation list into an agency's folder, as another process would."""
    await agency._material.keep_list(read_list(content), agency.snapshot)


async def set_aside(exchange: Exchange, count: int) -> list[bytes]:
    """Return the reasons for which records lie in the recipient's quarantine, once there are so many."""
    found: list[bytes] = []

    async def there() -> bool:
        async with exchange.bus() as transport:
            records = await records_of(transport, topics.quarantine(id_of(TAY_NINH)))
        found[:] = [dict(record.headers)["docbus_reason"] for record in records]
        return len(found) >= count

    await until(there)
    return found


async def test_a_certificate_counts_until_its_authority_revokes_it(exchange: Exchange) -> None:
    """Nobody is believed before a list is there; then documents flow; after the revocation they do not.

    The auditor gets the recipient's verdict again from files, whatever the authority said later.
    """
    authority, issued = await join_with_certificate(exchange)
    async with exchange.agency(FORESTRY) as forestry, exchange.agency(TAY_NINH) as tay_ninh:
        await knows([forestry, tay_ninh], 5)
        async with forestry.serving(), tay_ninh.serving():
            await forestry.publish(letter(), to=[TAY_NINH], id="letter-1")
            await forestry.wait("letter-1", until="sent", timeout=PATIENCE)
            await until(lambda: _parked(tay_ninh) == ["revocation_unknown"])
            clean = authority.list_revocations(days=1)
            await keep(tay_ninh, clean)
            await forestry.wait("letter-1", until="received", timeout=PATIENCE)
            # Revocation lists have seconds, and what was judged in the same one would be judged otherwise.
            judged = CLOCK.now_ms() // 1000
            await until(lambda: CLOCK.now_ms() // 1000 > judged)
            authority.revoke(issued.serial, x509.ReasonFlags.superseded)
            revoked = authority.list_revocations(days=1)
            await keep(tay_ninh, revoked)
            await forestry.publish(letter(), to=[TAY_NINH], id="letter-2")
            reasons = await set_aside(exchange, 1)

        (filed,) = exchange.filed(TAY_NINH)
        envelope = (filed.folder / "envelope.bin").read_bytes()
        basis = await tay_ninh.database.read(lambda connection: read_basis(connection, envelope))
        assert basis is not None
        stored = await MaterialMemory(tay_ninh.database, CLOCK).contents(basis.rests_on)
    exported = dump_material(stored, statement=digest_of(envelope), as_of=basis.at_ms)
    async with exchange.bus() as transport:
        trust = await export_trust(transport, bytes.fromhex(exchange.genesis))

    assert [b"revoked_by_authority"] == reasons
    assert "letter-1" == filed.document_id
    assert [clean] == stored
    given = load_material(exported)
    verdicts = [
        verify_file(
            envelope,
            trust,
            genesis=bytes.fromhex(exchange.genesis),
            material=ValidationMaterial((*given.pieces[:pieces], *later)),
            known_at_ms=known,
        ).verdict
        for pieces, later, known in (
            (1, (), None),
            (0, (), None),
            (1, (read_list(revoked),), None),
            (1, (read_list(revoked),), given.as_of),
        )
    ]
    assert ["valid", "indeterminate", "indeterminate", "valid"] == verdicts


def _parked(agency: Agency) -> list[str]:
    return [
        code
        for (code,) in agency.database.read_now(
            lambda connection: connection.execute("SELECT code FROM parked").fetchall()
        )
    ]


async def test_a_revocation_stays_though_the_authority_forgets_it_and_the_agency_hears_of_it(
    exchange: Exchange,
) -> None:
    """An authority goes on from an old copy of its journal: its newer lists know nothing, and undo nothing.

    The revoked agency sees it in its status, whether it runs or not, as soon as its folder has the list.
    """
    authority, issued = await join_with_certificate(exchange)
    journal = authority.folder / JOURNAL
    async with exchange.agency(FORESTRY) as forestry, exchange.agency(TAY_NINH) as tay_ninh:
        await knows([forestry, tay_ninh], 5)
        before = (await forestry.status()).standing
        old = journal.read_bytes()
        authority.revoke(issued.serial, x509.ReasonFlags.superseded)
        revoking = authority.list_revocations(days=1)
        journal.write_bytes(old)
        for content in (revoking, *(authority.list_revocations(days=1) for _ in range(3))):
            await keep(tay_ninh, content)
            await keep(forestry, content)
        async with forestry.serving(), tay_ninh.serving():
            await forestry.publish(letter(), to=[TAY_NINH], id="letter-1")
            reasons = await set_aside(exchange, 1)
        running = await forestry.status()
    stopped = await folder_status(forestry.settings, CLOCK)

    assert [b"revoked_by_authority"] == reasons
    assert before is not None
    assert "revocation_unknown" == before.code
    assert before.nobody_asks is not None
    for status in (running, stopped):
        assert status.standing is not None
        assert "revoked_by_authority" == status.standing.code
        (told,) = status.forgotten
        assert "list 3 of CN=Authority has forgotten" in told


async def test_an_authority_that_is_ended_takes_its_certificates_along(exchange: Exchange) -> None:
    """Though its list is current and knows of no revocation; agencies with self-made certificates notice nothing."""
    authority, _ = await join_with_certificate(exchange)
    async with exchange.agency(FORESTRY) as forestry, exchange.agency(TAY_NINH) as tay_ninh:
        await knows([forestry, tay_ninh], 5)
        await keep(tay_ninh, authority.list_revocations(days=1))
        async with exchange.registrar() as registrar:
            (anchor,) = tay_ninh.snapshot.authorities().anchors
            ended = await registrar.end_authority(anchor.digest, reason="superseded")
        await knows([forestry, tay_ninh], ended.position)
        async with forestry.serving(), tay_ninh.serving():
            await forestry.publish(letter(), to=[TAY_NINH], id="letter-1")
            reasons = await set_aside(exchange, 1)
            await tay_ninh.publish(letter(), to=[FORESTRY], id="letter-2")
            # It is filed; the receipt for it, signed under the certificate, is not believed any more, either.
            await until(lambda: exchange.ids_filed(FORESTRY) == ["letter-2"])

    assert [b"path_invalid"] == reasons
