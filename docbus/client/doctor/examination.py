"""All checks of a folder, each where it applies: first what this machine knows, then what the brokers say."""

from __future__ import annotations

from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from docbus.client.connect import open_transport
from docbus.client.doctor import (
    access,
    authorities,
    brokers,
    directory,
    folders,
    keys,
    standing,
    state,
    time,
    time_stamps,
    topics,
)
from docbus.client.doctor.calendar import calendar
from docbus.client.doctor.diagnosis import Diagnosis, Outcome, not_asked, passed, refused
from docbus.client.doctor.file_system import is_there, look_at
from docbus.client.doctor.software import software
from docbus.client.expiry import LOOK_SECONDS
from docbus.consumers.subscriber import LOCK_NAME as INBOX_LOCK
from docbus.errors import ConfigurationError
from docbus.producers.drain import LOCK_NAME as OUTBOX_LOCK
from docbus.settings import FILE_NAME, load_settings
from docbus.storage.locks import holder_of
from docbus.transport.topics import DIRECTORY, agency_topics, inbox

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable
    from pathlib import Path

    from docbus.client.directory_memory import SeenEntry
    from docbus.clock import Clock
    from docbus.identity.encryption import Decrypter
    from docbus.identity.signing import RegistrarSigner, Signer
    from docbus.identity.snapshot import TrustSnapshot
    from docbus.settings import Settings
    from docbus.transport.port import Transport

SETTINGS = "settings"


@dataclass(slots=True, kw_only=True)
class Own:
    """What a folder has of its own, as far as it can be used.

    Attributes:
        signer: Of an agency.
        decrypters: Likewise.
        registrar: A registrar's keys, each with the name of its check.
        seen: The newest directory entry that was followed here, asked for before the directory is read.
    """

    signer: Signer | None = None
    decrypters: tuple[Decrypter, ...] = ()
    registrar: list[tuple[str, RegistrarSigner]] = field(default_factory=list)
    seen: SeenEntry | None = None


async def examine(
    folder: Path, clock: Clock, opened: Callable[[Settings], Transport] = open_transport
) -> tuple[Diagnosis, ...]:
    """Check everything that a folder needs, and change nothing.

    Args:
        folder: An agency's, a registrar's or an auditor's.
        clock: What time it is here.
        opened: Makes the transport, not started.
    """
    found = [software()]
    try:
        settings = load_settings(folder)
    except ConfigurationError as error:
        return (*found, refused(SETTINGS, error), not_asked("everything else", "the settings have to be mended first"))
    found.append(passed(SETTINGS, f"{settings.folder / FILE_NAME}: {_whose(settings)}, {_where(settings)}"))
    own = Own()
    found += local(settings, own, clock)
    found += await remote(settings, own, clock, opened)
    if settings.timestamps is not None:
        for authority in (settings.timestamps, *settings.timestamps.fallback):
            found.append(await time_stamps.time_stamps(settings, authority, clock))
    return tuple(found)


def has_failed(found: tuple[Diagnosis, ...]) -> bool:
    """Tell whether anything will not work."""
    return any(one.outcome is Outcome.FAILED for one in found)


def local(settings: Settings, own: Own, clock: Clock) -> list[Diagnosis]:
    """Check what needs no broker, and note what the folder has.

    Args:
        settings: The folder's.
        own: Is filled.
        clock: What time it is here.
    """
    place = look_at(settings.folder, clock)
    found = [folders.disk(place), folders.folder(place)]
    if settings.registrar is not None:
        uris = {keys.REGISTRAR: settings.registrar.key, keys.HEARTBEAT: settings.registrar.heartbeat_key}
        for check, uri in uris.items():
            if uri is not None:
                diagnosis, signer = keys.registrar_key(settings, check, uri)
                found.append(diagnosis)
                if signer is not None:
                    own.registrar.append((check, signer))
    if settings.agency is None:
        return found
    content = settings.path(settings.content.folder)
    above = next(path for path in (content, *content.parents) if is_there(path))
    sink = settings.path(settings.sink.folder)
    signing, own.signer = keys.signing_key(settings)
    decryption, own.decrypters = keys.decryption_keys(settings)
    own.seen = state.seen_entry(settings.state)
    return [
        *found,
        folders.content(look_at(above, clock), made=above == content),
        folders.sink(look_at(sink, clock), there=is_there(sink)),
        signing,
        decryption,
        *state.state(settings, clock),
        state.working("sending", holder_of(settings.folder / OUTBOX_LOCK), settings.folder),
        state.working("receiving", holder_of(settings.folder / INBOX_LOCK), settings.folder),
        calendar(settings.deadlines.deadlines.calendar, clock.now_ms()),
    ]


async def remote(
    settings: Settings, own: Own, clock: Clock, opened: Callable[[Settings], Transport] = open_transport
) -> list[Diagnosis]:
    """Check what the brokers know.

    Args:
        settings: The folder's.
        own: What the folder has.
        clock: What time it is here.
        opened: Makes the transport, not started.
    """
    missing = brokers.missing_file(settings)
    if missing is not None:
        return [missing, *_unasked(settings, own)]
    try:
        transport = opened(settings)
    except ConfigurationError as error:
        return [refused(brokers.CHECK, error), *_unasked(settings, own)]
    async with _closing(transport):
        reached = await brokers.brokers(transport, clock)
        if reached.outcome is Outcome.FAILED:
            return [reached, *_unasked(settings, own)]
        read, snapshot = await directory.directory(transport, settings)
        looked = await access.glimpses(
            transport, _to_read(settings, snapshot), wait=0.0 if settings.embedded is not None else LOOK_SECONDS
        )
        found = [reached, read]
        if snapshot is None:
            found += [not_asked(name, "the directory has to be read first") for name in _of_directory(settings, own)]
        else:
            found += _under(snapshot, settings, own, clock.now_ms())
            found += await _by_authorities(snapshot, settings, clock.now_ms())
            found.append(await topics.topics(transport, settings, topics.wanted(settings, snapshot)))
        found.append(access.access(settings, looked))
        if settings.agency is not None:
            found.append(await access.consumer_group(transport, settings, inbox(settings.agency.id)))
    times = [one.stored_at for one in looked if one.stored_at is not None]
    if snapshot is not None:
        times.append(snapshot.made_at)
    return [*found, time.clock(max(times, default=None), clock.now_ms())]


def _under(snapshot: TrustSnapshot, settings: Settings, own: Own, now_ms: int) -> list[Diagnosis]:
    """Return what follows from the directory alone."""
    found = [directory.freshness(snapshot, now_ms)]
    found += [standing.registrar_terms(snapshot, check, signer) for check, signer in own.registrar]
    if settings.agency is None:
        return found
    same = directory.seen(snapshot, own.seen)
    if same.outcome is Outcome.FAILED:
        # What another directory says of the keys would send the operator to the wrong person.
        other = "the directory is not the one that was seen"
        return [same, *found, *(not_asked(name, other) for name in (standing.CERTIFICATE, standing.ENCRYPTION))]
    unusable = not_asked(standing.CERTIFICATE, "the signing key has to be mended first")
    return [
        same,
        *found,
        unusable if own.signer is None else standing.certificate(snapshot, settings, own.signer, now_ms),
        standing.encryption_key(snapshot, settings.agency.id, own.decrypters),
    ]


async def _by_authorities(snapshot: TrustSnapshot, settings: Settings, now_ms: int) -> list[Diagnosis]:
    """Return what authorities say, as far as that is known; of the own certificate they are asked."""
    if settings.agency is None or not snapshot.authorities().names:
        return []
    known = authorities.known_material(settings.state)
    return [
        *authorities.lists(snapshot, known, now_ms),
        *await authorities.own(snapshot, settings, settings.agency.id, known, now_ms),
        *authorities.forgotten(settings.state),
    ]


def _to_read(settings: Settings, snapshot: TrustSnapshot | None) -> list[str]:
    """Return the topics that are to be readable; of an auditor's inboxes the first, as one right is for all of them."""
    if settings.agency is not None:
        return [DIRECTORY, *agency_topics(settings.agency.id)]
    if settings.registrar is None and snapshot is not None:
        agency = next((one for one in snapshot.agencies() if one.closed_at is None), None)
        return [DIRECTORY] if agency is None else [DIRECTORY, inbox(agency.id)]
    return [DIRECTORY]


def _of_directory(settings: Settings, own: Own) -> list[str]:
    """Return the names of the checks for which the directory is needed."""
    names = [directory.FRESHNESS, *(f"{check} in force" for check, _ in own.registrar)]
    if settings.agency is not None:
        names = [directory.SEEN, *names, standing.CERTIFICATE, standing.ENCRYPTION]
    return [*names, topics.CHECK]


def _unasked(settings: Settings, own: Own) -> list[Diagnosis]:
    names = [directory.CHECK, *_of_directory(settings, own), access.ACCESS]
    if settings.agency is not None:
        names.append(access.GROUP)
    return [not_asked(name, "the brokers have to be reached first") for name in [*names, time.CHECK]]


def _whose(settings: Settings) -> str:
    if settings.agency is not None:
        return f"agency {settings.agency.id}"
    return "a registrar's" if settings.registrar is not None else "an auditor's"


def _where(settings: Settings) -> str:
    if settings.kafka is not None:
        return f"Kafka at {settings.kafka.bootstrap}"
    return "an embedded bus"


@asynccontextmanager
async def _closing(transport: Transport) -> AsyncIterator[None]:
    try:
        yield
    finally:
        await transport.aclose()
