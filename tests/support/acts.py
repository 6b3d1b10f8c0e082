"""Operators who decide, without a command line: acts that are signed, appended and put into force."""

from __future__ import annotations

import os
from hashlib import sha256
from typing import TYPE_CHECKING, Any

from docbus.consumers.acts import append_acts, follow_acts
from docbus.consumers.requests import RequestState, read_rows
from docbus.consumers.set_aside import read_one
from docbus.envelope.act import VERSION, Act, seal_acts
from docbus.identity.pki.material import NOTHING_KNOWN, ValidationMaterial
from docbus.storage.database import Database
from docbus.transport import topics
from docbus.verification.paths import Paths
from docbus.verification.verifier import Verifier
from tests.support.directory import ENVIRONMENT
from tests.support.inbox import ME

if TYPE_CHECKING:
    from collections.abc import Sequence

    from docbus.envelope.act import Action
    from tests.support.inbox import Inbox

REASON = "the cause is mended"


async def act_of(inbox: Inbox, action: Action, topic: str, number: int, **changed: Any) -> Act:
    """Return an act about a record that was set aside."""
    name = topics.quarantine(ME) if topic == "quarantine" else topics.dead_letter(ME)
    record = await read_one(inbox.bus, name, number)
    values: dict[str, Any] = {
        "version": VERSION,
        "environment": ENVIRONMENT,
        "agency": ME,
        "certificate": inbox.exchange.keys[ME].signer.certificate,
        "directory_position": inbox.exchange.snapshot.position,
        "directory_hash": inbox.exchange.snapshot.head,
        "made_at": inbox.clock.now_ms(),
        "operator": "lan",
        "action": action,
        "topic": topic,
        "number": number,
        "digest": sha256(record.value).digest(),
        "refused_for": record.reason,
        "sender": None,
        "document_id": None,
        "revision": None,
        "reason": REASON,
        "nonce": os.urandom(16),
    }
    return Act(**(values | changed))


async def append(inbox: Inbox, *acts: Act) -> None:
    """Append acts that nobody has read yet, signed as one batch."""
    await append_values(inbox, seal_acts(acts, inbox.exchange.keys[ME].signer))


async def append_values(inbox: Inbox, values: Sequence[bytes]) -> None:
    """Append envelopes as this folder's."""
    database = Database.open(inbox.folder / "state.db", inbox.clock)
    try:
        await append_acts(database, inbox.bus, ME, values)
    finally:
        database.close()


async def follow(inbox: Inbox, material: ValidationMaterial = NOTHING_KNOWN) -> bool:
    """Put into force what was appended; tell whether an act waits."""
    database = Database.open(inbox.folder / "state.db", inbox.clock)
    try:
        return await follow_acts(
            database,
            inbox.bus,
            ME,
            inbox.snapshot or inbox.exchange.snapshot,
            verifier=Verifier(Paths(lambda: material)),
            now_ms=inbox.clock.now_ms(),
        )
    finally:
        database.close()


async def decide(inbox: Inbox, action: Action, topic: str, *numbers: int, **changed: Any) -> None:
    """Append acts and put them into force."""
    await append(inbox, *[await act_of(inbox, action, topic, number, **changed) for number in numbers])
    await follow(inbox)


async def redrive(inbox: Inbox, **changed: Any) -> None:
    """Do what is requested, as a command does where nobody receives."""
    database = Database.open(inbox.folder / "state.db", inbox.clock)
    try:
        await inbox.subscriber(database, **changed).redrive(inbox.stop)
    finally:
        database.close()


def outcomes(inbox: Inbox, topic: str) -> dict[int, tuple[RequestState, str | None]]:
    """Return state and code of each request, by number."""
    database = Database.open(inbox.folder / "state.db", inbox.clock)
    try:
        rows = database.read_now(lambda connection: read_rows(connection, topic))
    finally:
        database.close()
    return {number: (row.state, row.code) for (number, _), row in rows.items()}
