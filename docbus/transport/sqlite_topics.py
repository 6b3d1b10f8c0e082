"""Topics of the embedded transport: functions on a connection."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Final

from docbus.errors import TransportError
from docbus.transport.port import Difference, TopicState

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterable, Sequence

    from docbus.transport.port import TopicSpec

_DEFAULT_MAX_BYTES: Final = 1_048_588
"""Kafka's default of ``max.message.bytes``, for a specification that names none."""
_DESCRIBE: Final = """
SELECT name, partitions, configuration FROM topics WHERE name IN (SELECT value FROM json_each(?))
"""


def describe(connection: sqlite3.Connection, topics: Iterable[str]) -> dict[str, TopicState | None]:
    """Return the state of each topic, ``None`` for one that is not there."""
    names = list(topics)
    states: dict[str, TopicState | None] = dict.fromkeys(names)
    for name, partitions, configuration in connection.execute(_DESCRIBE, (json.dumps(names),)):
        states[name] = TopicState(name=name, partitions=partitions, configuration=json.loads(configuration))
    return states


def create(connection: sqlite3.Connection, specs: Sequence[TopicSpec]) -> tuple[str, ...]:
    """Create topics that are not there, and return their names."""
    there = describe(connection, [spec.name for spec in specs])
    created: list[str] = []
    for spec in specs:
        if there[spec.name] is not None or spec.name in created:
            continue
        if spec.partitions < 1:
            raise TransportError(f"topic {spec.name} cannot have {spec.partitions} partitions")
        configuration = dict(spec.configuration)
        cursor = connection.execute(
            "INSERT INTO topics (name, partitions, max_bytes, configuration) VALUES (?, ?, ?, ?)",
            (spec.name, spec.partitions, max_bytes(configuration), json.dumps(configuration)),
        )
        connection.executemany(
            "INSERT INTO partitions (topic, number) VALUES (?, ?)",
            [(cursor.lastrowid, number) for number in range(spec.partitions)],
        )
        created.append(spec.name)
    return tuple(created)


def compare(connection: sqlite3.Connection, specs: Sequence[TopicSpec]) -> tuple[Difference, ...]:
    """Return how topics differ from their specifications."""
    states = describe(connection, [spec.name for spec in specs])
    return tuple(difference for spec in specs for difference in differences(spec, states[spec.name]))


def configure(connection: sqlite3.Connection, specs: Sequence[TopicSpec]) -> tuple[Difference, ...]:
    """Give topics the configuration of their specifications, and return what differed."""
    states = describe(connection, [spec.name for spec in specs])
    found: list[Difference] = []
    for spec in specs:
        state = states[spec.name]
        found += differences(spec, state)
        if state is not None:
            configuration = {**state.configuration, **spec.configuration}
            connection.execute(
                "UPDATE topics SET max_bytes = ?, configuration = ? WHERE name = ?",
                (max_bytes(configuration), json.dumps(configuration), spec.name),
            )
    return tuple(found)


def max_bytes(configuration: dict[str, str]) -> int:
    """Return the largest batch that a topic takes."""
    return int(configuration.get("max.message.bytes", _DEFAULT_MAX_BYTES))


def differences(spec: TopicSpec, state: TopicState | None) -> list[Difference]:
    """Return how one topic differs from its specification."""
    if state is None:
        return [Difference(topic=spec.name, setting="topic", actual=None, intended=f"{spec.partitions} partitions")]
    found: list[Difference] = []
    if state.partitions != spec.partitions:
        found.append(
            Difference(
                topic=spec.name,
                setting="partitions",
                actual=str(state.partitions),
                intended=str(spec.partitions),
            )
        )
    found += [
        Difference(topic=spec.name, setting=setting, actual=state.configuration.get(setting), intended=intended)
        for setting, intended in spec.configuration.items()
        if state.configuration.get(setting) != intended
    ]
    return found
