"""Brings the topics to the state that the directory asks for (design D2): create, configure, never delete.

Run again, it changes nothing. A closed agency's topics stay as they are, since their records are evidence.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import StrEnum
from typing import TYPE_CHECKING

from docbus.transport import topics
from docbus.transport.topics import CONTENT_RETENTION_MS

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from docbus.identity.grants import Agency
    from docbus.identity.snapshot import TrustSnapshot
    from docbus.transport.port import Difference, TopicSpec, Transport

CHUNK_TOPICS = 500
"""Topics asked about or changed in one call; bounds a broker's work and the size of its answer."""
_PARTITIONS = "partitions"
_TOPIC = "topic"
_RETENTION = "retention.ms"


class Action(StrEnum):
    """What is to be done about a topic."""

    CREATE = "create"
    CONFIGURE = "configure"
    UNCHANGEABLE = "unchangeable"
    """It differs in a way that cannot be changed without breaking the order of streams; somebody has to look."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One thing to do about one topic; ``text`` says it to a person."""

    action: Action
    topic: str
    spec: TopicSpec
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Provisioned:
    """What was done: topics created, topics configured, and steps that cannot be done."""

    created: tuple[str, ...]
    configured: tuple[str, ...]
    left: tuple[Step, ...]


def intended(snapshot: TrustSnapshot, content_retention_ms: int | None = CONTENT_RETENTION_MS) -> list[TopicSpec]:
    """Return every topic that a directory asks for: its own, and those of every open agency."""
    specs = [topics.spec_of(topics.DIRECTORY)]
    for agency in snapshot.agencies():
        specs += intended_of(agency, content_retention_ms)
    return specs


def intended_of(agency: Agency, content_retention_ms: int | None = CONTENT_RETENTION_MS) -> list[TopicSpec]:
    """Return the topics of one agency; none if it is closed.

    Args:
        agency: As the directory has it.
        content_retention_ms: For how long its content topic keeps its parts; None leaves that to whoever provisions.
    """
    if agency.closed_at is not None:
        return []
    return [_spec(topic, agency, content_retention_ms) for topic in topics.agency_topics(agency.id)]


async def plan(
    transport: Transport, snapshot: TrustSnapshot, *, content_retention_ms: int = CONTENT_RETENTION_MS
) -> list[Step]:
    """Return what differs between the brokers and what the directory asks for; changes nothing.

    Args:
        transport: Started.
        snapshot: The directory.
        content_retention_ms: For how long content topics keep their parts.

    Raises:
        TransportError: No broker answers, or asking is not allowed.
    """
    return await plan_for(transport, intended(snapshot, content_retention_ms))


async def plan_for(transport: Transport, wanted: Sequence[TopicSpec]) -> list[Step]:
    """Return what differs between the brokers and some topics as they are meant to be; changes nothing.

    Raises:
        TransportError: As :func:`plan`.
    """
    steps: list[Step] = []
    for specs in _chunks(wanted):
        found: dict[str, list[Difference]] = {}
        for difference in await transport.compare(specs):
            found.setdefault(difference.topic, []).append(difference)
        steps += [step for spec in specs if spec.name in found for step in _steps(spec, found[spec.name])]
    return steps


async def apply(transport: Transport, steps: Sequence[Step]) -> Provisioned:
    """Do what a plan says; what has been done meanwhile is not done again.

    Raises:
        TransportError: A step failed, see the text; those before it are done, and running again goes on.
    """
    created: list[str] = []
    configured: list[str] = []
    for specs in _chunks([step.spec for step in steps if step.action is Action.CREATE]):
        created += await transport.create(specs)
    for specs in _chunks([step.spec for step in steps if step.action is Action.CONFIGURE]):
        differed = await transport.configure(specs)
        # In the order first met, each once: a topic may differ in several settings.
        configured += dict.fromkeys(d.topic for d in differed if d.setting not in (_PARTITIONS, _TOPIC))
    return Provisioned(
        created=tuple(created),
        configured=tuple(configured),
        left=tuple(step for step in steps if step.action is Action.UNCHANGEABLE),
    )


def _spec(topic: str, agency: Agency, content_retention_ms: int | None) -> TopicSpec:
    partitions = _partitions(topic, agency)
    if content_retention_ms is not None:
        return topics.spec_of(topic, partitions=partitions, content_retention_ms=content_retention_ms)
    spec = topics.spec_of(topic, partitions=partitions)
    if topics.kind_of(topic) != topics.CONTENT:
        return spec
    return replace(spec, configuration={name: v for name, v in spec.configuration.items() if name != _RETENTION})


def _partitions(topic: str, agency: Agency) -> int:
    """Only the inbox has as many partitions as the directory says; the rest see little traffic and keep their order."""
    return agency.partitions if topics.kind_of(topic) == topics.INBOX else 1


def _steps(spec: TopicSpec, differences: Sequence[Difference]) -> Iterator[Step]:
    if any(d.setting == _TOPIC for d in differences):
        text = f"create {spec.name} with {spec.partitions} partition{'s' if spec.partitions > 1 else ''}"
        yield Step(action=Action.CREATE, topic=spec.name, spec=spec, text=text)
        return
    settings = [f"{d.setting} {d.actual} -> {d.intended}" for d in differences if d.setting != _PARTITIONS]
    if settings:
        text = f"configure {spec.name}: {', '.join(settings)}"
        yield Step(action=Action.CONFIGURE, topic=spec.name, spec=spec, text=text)
    for difference in differences:
        if difference.setting == _PARTITIONS:
            text = (
                f"{spec.name} has {difference.actual} partitions, the directory asks for {difference.intended}; "
                "changing that would break the order of streams, so it is left"
            )
            yield Step(action=Action.UNCHANGEABLE, topic=spec.name, spec=spec, text=text)


def _chunks(specs: Sequence[TopicSpec]) -> Iterator[Sequence[TopicSpec]]:
    for at in range(0, len(specs), CHUNK_TOPICS):
        yield specs[at : at + CHUNK_TOPICS]
