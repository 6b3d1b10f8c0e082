"""What an operator must see at a glance: what waits, what is missing, what was set aside, since when."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING

from docbus.client.connect import agency_id, certificate_end, open_transport
from docbus.client.directory_memory import DirectoryMemory, compare, fetch_after_kept, read_seen_entry
from docbus.client.directory_state import DirectoryState, directory_state
from docbus.client.expiry import ContentExpiry, content_expiry
from docbus.client.local import open_state
from docbus.client.material_memory import MaterialMemory, read_held
from docbus.client.own_standing import OwnStanding, own_standing
from docbus.client.signing_token import token_trouble
from docbus.consumers.overview import LedgerOverview, overview
from docbus.consumers.subscriber import LOCK_NAME as INBOX_LOCK
from docbus.errors import DirectoryError, IdentityError, TransportError, WaitTimeoutError
from docbus.producers.batch_stamps import StampCounts, stamp_counts
from docbus.producers.drain import LOCK_NAME as OUTBOX_LOCK
from docbus.producers.journey import OutboxCounts, counts
from docbus.producers.overdue import OverdueStage, overdue
from docbus.storage.locks import holder_of
from docbus.transport import topics

if TYPE_CHECKING:
    import sqlite3

    from docbus.client.directory_memory import SeenEntry
    from docbus.client.opened import OpenAgency
    from docbus.clock import Clock
    from docbus.errors import DocbusError
    from docbus.identity.snapshot import TrustSnapshot
    from docbus.producers.signer_guard import SignerTrouble
    from docbus.settings import Settings
    from docbus.storage.database import Database
    from docbus.transport.port import Transport

    _Local = tuple[
        OutboxCounts, tuple[OverdueStage, ...], LedgerOverview, SeenEntry | None, StampCounts | None, tuple[str, ...]
    ]


@dataclass(frozen=True, slots=True, kw_only=True)
class AgencyStatus:
    """An agency's state; times in milliseconds since 1970-01-01T00:00:00Z.

    Attributes:
        agency: Canonical id.
        name: Its name in the directory, or in the settings if the directory cannot be read.
        at: When this was read.
        outbox: What waits, and what became of the rest.
        outbox_limit_bytes: At what the outbox refuses documents.
        certificate_expires_at: When the certificate ends under which the agency signs, by itself or, as far as the
            agency is open, by an overlap; None if it cannot be read.
        overdue: What has not been sent, received or processed in time, by the settings' deadlines.
        inbox: What the ledger says.
        lag: By partition of the inbox that this folder reads, records stored and not yet decided; None if the bus
            cannot be reached.
        directory: None if it cannot be read.
        followed: The last entry of it that whoever works in this folder has followed; None if nobody ever has.
        directory_trouble: Why the directory cannot be followed, or is not the one that was seen before.
        trouble: Why the bus cannot be reached or read; everything else is true all the same.
        sending: Which process of this folder sends, or None.
        receiving: Which process of this folder receives, or None.
        signer_trouble: Why the token with the signing key cannot sign, and since when if this process sends; None if it
            can, or the key is in a file.
        clock_ahead_ms: By how many milliseconds this process's clock is ahead of the brokers', which stops signing from
            five minutes on; None if it has sent nothing yet, or another process sends.
        expiry: When large content begins to expire that was not fetched; None if the bus cannot be reached.
        time_stamps: Which batches wait for time stamps; None where the settings wish none.
        standing: How the own certificate stands with its authority; None if it is self-made, or the directory cannot be
            read.
        forgotten: Which revocations of certificates in force authorities have forgotten, a sentence about each.
    """

    agency: str
    name: str
    at: int
    outbox: OutboxCounts
    outbox_limit_bytes: int
    certificate_expires_at: int | None
    overdue: tuple[OverdueStage, ...]
    inbox: LedgerOverview
    lag: dict[int, int] | None
    directory: DirectoryState | None
    followed: int | None
    directory_trouble: str | None
    trouble: DocbusError | None
    sending: str | None
    receiving: str | None
    expiry: ContentExpiry | None
    clock_ahead_ms: float | None = None
    time_stamps: StampCounts | None = None
    signer_trouble: SignerTrouble | None = None
    standing: OwnStanding | None = None
    forgotten: tuple[str, ...] = ()


async def agency_status(
    agency: OpenAgency,
    clock: Clock,
    clock_ahead_ms: float | None = None,
    signer_trouble: SignerTrouble | None = None,
) -> AgencyStatus:
    """Read the state of an open agency.

    Its sending adds by how much the clock is ahead of the brokers', and whether its signer is away.
    """
    now_ms = clock.now_ms()
    outbox, late, inbox, seen, stamps, forgotten = await agency.database.read_apart(
        lambda c: _local(c, agency.settings, now_ms)
    )
    lag: dict[int, int] | None = None
    expiry: ContentExpiry | None = None
    trouble: DocbusError | None = None
    try:
        lag = await _lag(agency.transport, agency.id, inbox)
        expiry = await content_expiry(agency.transport, agency.id, inbox, now_ms)
    except TransportError as error:
        trouble = error
    return AgencyStatus(
        agency=agency.id,
        name=agency.name,
        at=now_ms,
        outbox=outbox,
        outbox_limit_bytes=agency.settings.outbox.max_bytes,
        certificate_expires_at=agency._keys.ends_at(agency.snapshot),  # noqa: SLF001 - a part of the same
        overdue=late,
        inbox=inbox,
        lag=lag,
        directory=directory_state(agency.snapshot, agency.id, now_ms),
        followed=None if seen is None else seen[0],
        directory_trouble=agency.directory_trouble,
        trouble=trouble,
        sending=holder_of(agency.settings.folder / OUTBOX_LOCK),
        receiving=holder_of(agency.settings.folder / INBOX_LOCK),
        expiry=expiry,
        clock_ahead_ms=clock_ahead_ms,
        time_stamps=stamps,
        signer_trouble=signer_trouble,
        standing=own_standing(
            agency.snapshot,
            agency.id,
            agency._material.current,  # noqa: SLF001 - a part of the same
            now_ms,
            fetch=agency.settings.certificates.fetch,
        ),
        forgotten=forgotten,
    )


async def folder_status(settings: Settings, clock: Clock) -> AgencyStatus:
    """Read the state of an agency from its folder; needs no keys, and gets by without the bus, saying so.

    Raises:
        ConfigurationError: The folder is not an agency's.
        StorageError: The database cannot be read.
    """
    agency = agency_id(settings)
    with open_state(settings) as database:
        return await _folder_status(settings, database, agency, clock)


async def _folder_status(settings: Settings, database: Database, agency: str, clock: Clock) -> AgencyStatus:
    now_ms = clock.now_ms()
    outbox, late, inbox, seen, stamps, forgotten = await database.read(lambda c: _local(c, settings, now_ms))
    material = MaterialMemory(database, clock)
    await material.load()
    lag: dict[int, int] | None = None
    expiry: ContentExpiry | None = None
    snapshot: TrustSnapshot | None = None
    changed: str | None = None
    trouble: DocbusError | None = None
    transport = open_transport(settings)
    try:
        await transport.start()
        snapshot = await fetch_after_kept(transport, settings.exchange.genesis_bytes, DirectoryMemory(database))
        lag = await _lag(transport, agency, inbox)
        expiry = await content_expiry(transport, agency, inbox, now_ms)
        compare(snapshot, seen)
    except DirectoryError as error:
        changed = error.text
        trouble = None if snapshot is not None else error
    except (TransportError, IdentityError, WaitTimeoutError) as error:
        trouble = error
    finally:
        await transport.aclose()
    found = None if snapshot is None else snapshot.agency(agency)
    known = "" if settings.agency is None else settings.agency.name
    return AgencyStatus(
        agency=agency,
        name=known if found is None else found.name,
        at=now_ms,
        outbox=outbox,
        outbox_limit_bytes=settings.outbox.max_bytes,
        certificate_expires_at=certificate_end(settings),
        overdue=late,
        inbox=inbox,
        lag=lag,
        directory=None if snapshot is None else directory_state(snapshot, agency, now_ms),
        followed=None if seen is None else seen[0],
        directory_trouble=changed,
        trouble=trouble,
        sending=holder_of(settings.folder / OUTBOX_LOCK),
        receiving=holder_of(settings.folder / INBOX_LOCK),
        expiry=expiry,
        time_stamps=stamps,
        signer_trouble=await asyncio.to_thread(token_trouble, settings),
        standing=None
        if snapshot is None
        else own_standing(snapshot, agency, material.current, now_ms, fetch=settings.certificates.fetch),
        forgotten=forgotten,
    )


def _local(connection: sqlite3.Connection, settings: Settings, now_ms: int) -> _Local:
    """Return what the folder knows by itself, as of one moment."""
    late = overdue(connection, settings.deadlines.deadlines, now_ms)
    stamps = None if settings.timestamps is None else stamp_counts(connection)
    inbox = overview(connection)
    return counts(connection), late, inbox, read_seen_entry(connection), stamps, read_held(connection)


async def _lag(transport: Transport, agency: str, inbox: LedgerOverview) -> dict[int, int]:
    """Return how much lies beyond what the ledger has decided; offsets committed at the broker are not asked."""
    bounds = await transport.bounds(topics.inbox(agency))
    return {
        partition: end - min(end, max(first, inbox.decided.get(partition, first)))
        for partition, (first, end) in bounds.items()
        if inbox.held is None or partition in inbox.held
    }
