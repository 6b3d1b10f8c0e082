"""Whether this user may read what it has to; writing is not tried, as that would leave something behind."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING

from docbus.client.doctor.diagnosis import Diagnosis, failed, not_asked, passed, warning
from docbus.client.doctor.rights import read_right, right
from docbus.client.expiry import LOOK_BYTES, LOOK_SECONDS
from docbus.errors import AccessDeniedError, DocbusError, TopicMissingError, TransportError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from docbus.settings import Settings
    from docbus.transport.port import Transport

ACCESS, GROUP = "access", "consumer group"
GLIMPSE_SECONDS = 30.0
"""Seconds for looking at one topic: two questions and a read."""
_PARTITION = 0
"""The one that every topic has."""
_OPEN = "an embedded bus has no rights of its own: whoever may write its file may do everything"


@dataclass(frozen=True, slots=True, kw_only=True)
class Glimpse:
    """What a look at one topic has shown.

    Attributes:
        topic: Its name.
        stored_at: When the newest record of its first partition was stored, by the brokers' clock, in milliseconds
            since 1970-01-01T00:00:00Z; None if there is none, or it cannot be read.
        error: Why it could not be read.
    """

    topic: str
    stored_at: int | None = None
    error: DocbusError | None = None


async def glimpse(transport: Transport, topic: str, *, wait: float, seconds: float = GLIMPSE_SECONDS) -> Glimpse:
    """Read the newest record of a topic, without a group and without a trace.

    Args:
        transport: Started.
        topic: Which one.
        wait: Seconds to read where there is nothing: brokers tell only then whether that is allowed.
        seconds: In all.
    """
    try:
        async with asyncio.timeout(seconds):
            first, end = (await transport.bounds(topic))[_PARTITION]
            empty = first == end
            records = await transport.read(
                topic,
                _PARTITION,
                end if empty else end - 1,
                max_records=1,
                max_bytes=LOOK_BYTES,
                wait=wait if empty else LOOK_SECONDS,
            )
    except DocbusError as error:
        return Glimpse(topic=topic, error=error)
    except TimeoutError:
        return Glimpse(topic=topic, error=TransportError(f"reading {topic} took more than {seconds:g} s"))
    return Glimpse(topic=topic, stored_at=records[0].timestamp_ms if records else None)


async def glimpses(transport: Transport, topics: Sequence[str], *, wait: float) -> list[Glimpse]:
    """Look at several topics at the same time."""
    return list(await asyncio.gather(*(glimpse(transport, topic, wait=wait) for topic in topics)))


def access(settings: Settings, looked: Sequence[Glimpse]) -> Diagnosis:
    """Tell which topics may not be read that have to be."""
    if settings.embedded is not None:
        return not_asked(ACCESS, _OPEN)
    denied = [one.topic for one in looked if isinstance(one.error, AccessDeniedError)]
    if denied:
        return failed(
            ACCESS, f"the brokers do not let this user read {', '.join(denied)}", read_right(settings, denied)
        )
    # What is missing, the check of topics says.
    other = [one.error for one in looked if one.error is not None and not isinstance(one.error, TopicMissingError)]
    if other:
        return warning(
            ACCESS,
            f"not known of all topics: {'; '.join(error.text for error in other)}",
            "Look at the brokers and at the network between, then ask again.",
        )
    read = [one.topic for one in looked if one.error is None]
    if not read:
        return not_asked(ACCESS, "there is no topic to read yet")
    return passed(ACCESS, f"{', '.join(read)} can be read; writing is not tried, as it would leave something there")


async def consumer_group(
    transport: Transport, settings: Settings, topic: str, seconds: float = GLIMPSE_SECONDS
) -> Diagnosis:
    """Tell whether the position of the inbox's group may be read, without joining the group.

    Args:
        transport: Started.
        settings: Say who asks.
        topic: The inbox, whose name the group has.
        seconds: For the answer.
    """
    if settings.embedded is not None:
        return not_asked(GROUP, _OPEN)
    try:
        async with asyncio.timeout(seconds):
            positions = await transport.committed(topic, topic)
    except AccessDeniedError:
        found = f"the brokers do not let this user use the group {topic}"
        return failed(GROUP, found, right(settings, "--operation Read", f"--group {topic}"))
    except TopicMissingError:
        return not_asked(GROUP, "there is no inbox yet")
    except (DocbusError, TimeoutError) as error:
        return warning(
            GROUP,
            str(error) or f"no answer in {seconds:g} s",
            "Look at the brokers and at the network between, then ask again.",
        )
    known = {partition: offset for partition, offset in positions.items() if offset is not None}
    return passed(GROUP, f"{topic}, read up to " + (_positions(known) if known else "nowhere yet"))


def _positions(known: dict[int, int]) -> str:
    return ", ".join(f"offset {offset} of partition {partition}" for partition, offset in sorted(known.items()))
