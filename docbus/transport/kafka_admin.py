"""Questions to the brokers about topics and groups, and their administration.

aiokafka's admin client does not raise on errors of single topics, and its ``alter_configs`` replaces the whole
configuration of a topic; both are dealt with here.
"""

from __future__ import annotations

import asyncio
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from aiokafka import TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from aiokafka.errors import (
    GroupCoordinatorNotAvailableError,
    GroupLoadInProgressError,
    InvalidReplicationFactorError,
    NoError,
    NotCoordinatorForGroupError,
    TopicAlreadyExistsError,
    UnknownTopicOrPartitionError,
    for_code,
)
from aiokafka.protocol.metadata import MetadataRequest

from docbus.errors import BrokerUnavailableError, TopicMissingError, TransportError
from docbus.transport.kafka_client import REQUEST_MS, SharedClient
from docbus.transport.port import Difference, TopicSpec, TopicState

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable, Iterator, Sequence

    from docbus.transport.kafka_client import Connector

CHUNK_TOPICS: Final = 200
"""Topics in one request: an answer with all settings of 200 topics is about half a megabyte."""
TOPIC_VIEW_SECONDS: Final = 60.0
"""Seconds for which a topic, once seen, is taken to exist; a failed append asks again at once."""
SETTLE_SECONDS: Final = 10.0
"""Seconds for a new topic, or the next one of several, to get its leaders, or a coordinator to be found."""
SETTLE_STEP_SECONDS: Final = 0.1

_NO_COORDINATOR_YET: Final = (
    GroupCoordinatorNotAvailableError,
    GroupLoadInProgressError,
    NotCoordinatorForGroupError,
)
_OVERRIDE: Final = 1
"""``config_source`` of a setting that somebody gave to this topic; the others are defaults of the broker."""


class KafkaAdmin:
    """One admin client, connected at first use, and built anew after an error."""

    def __init__(self, connector: Connector) -> None:
        """Connect nothing yet."""
        self._connector = connector
        self._client = SharedClient(connector, lambda: AIOKafkaAdminClient(**connector.options))
        self._seen: dict[str, tuple[int, float]] = {}

    async def start(self) -> None:
        """Connect, to find out at once whether a broker answers."""
        await self._client.get()

    def close(self) -> None:
        """Disconnect, in the background."""
        self._client.discard()

    async def partitions(self, topics: Iterable[str]) -> dict[str, int]:
        """Return how many partitions topics have, from a view that is at most a minute old.

        Sending to a topic that does not exist would block until the time limit, so every append asks here first.

        Raises:
            TopicMissingError: One does not exist.
            BrokerUnavailableError: No broker answers.
        """
        now = asyncio.get_running_loop().time()
        wanted = set(topics)
        unseen = [topic for topic in wanted if self._seen.get(topic, (0, 0.0))[1] <= now]
        for chunk in _chunks(sorted(unseen)):
            for topic, (partitions, _) in (await self._metadata(chunk)).items():
                self._seen[topic] = (partitions, now + TOPIC_VIEW_SECONDS)
        if missing := [topic for topic in unseen if self._seen.get(topic, (0, 0.0))[1] <= now]:
            raise TopicMissingError(
                f"Kafka at {self._connector.settings.bootstrap} has no topic {min(missing)}",
                hint="Create it with `docbus provision`.",
            )
        return {topic: self._seen[topic][0] for topic in wanted}

    def forget(self) -> None:
        """Drop the view of topics."""
        self._seen.clear()

    async def describe(self, topics: Iterable[str]) -> dict[str, TopicState | None]:
        """See the port."""
        states: dict[str, TopicState | None] = dict.fromkeys(topics)
        for chunk in _chunks(list(states)):
            there = await self._metadata(chunk)
            settings = await self._settings(list(there))
            for topic, (partitions, _) in there.items():
                if topic in settings:
                    values = {name: value for name, (value, _) in settings[topic].items()}
                    states[topic] = TopicState(name=topic, partitions=partitions, configuration=values)
        return states

    async def create(self, specs: Sequence[TopicSpec]) -> tuple[str, ...]:
        """See the port."""
        factor = self._connector.settings.replication_factor
        created: list[str] = []
        unique = list({spec.name: spec for spec in specs}.values())
        for chunk in _chunks(unique):
            new = [
                NewTopic(spec.name, spec.partitions, factor, topic_configs=dict(self._intended(spec))) for spec in chunk
            ]
            creating = partial(_create, new)
            answer = await self.ask(creating, "creating topics")
            for topic, code, text, *_ in answer.topic_errors:
                error = for_code(code)
                if error is NoError:
                    created.append(topic)
                elif error is not TopicAlreadyExistsError:
                    raise self._refused(f"topic {topic} could not be created", error(text), factor)
        await self._settled(created)
        # Other brokers learn of them a moment later, and one of those may be asked next.
        seen_until = asyncio.get_running_loop().time() + TOPIC_VIEW_SECONDS
        self._seen |= {spec.name: (spec.partitions, seen_until) for spec in unique if spec.name in created}
        return tuple(created)

    async def compare(self, specs: Sequence[TopicSpec]) -> tuple[Difference, ...]:
        """See the port."""
        states = await self.describe(spec.name for spec in specs)
        return tuple(found for spec in specs for found in self._differences(spec, states[spec.name]))

    async def configure(self, specs: Sequence[TopicSpec]) -> tuple[Difference, ...]:
        """See the port."""
        differences = await self.compare(specs)
        wrong = {found.topic for found in differences if found.setting not in {"topic", "partitions"}}
        for chunk in _chunks([spec for spec in specs if spec.name in wrong]):
            settings = await self._settings([spec.name for spec in chunk])
            resources = [
                ConfigResource(
                    ConfigResourceType.TOPIC,
                    spec.name,
                    # The request replaces everything, so what somebody else set goes along.
                    {name: value for name, (value, source) in settings[spec.name].items() if source == _OVERRIDE}
                    | self._intended(spec),
                )
                for spec in chunk
                if spec.name in settings
            ]
            altering = partial(_alter, resources)
            answers = await self.ask(altering, "configuring topics")
            for answer in answers:
                for code, text, _, topic in answer.resources:
                    if code:
                        what = f"topic {topic} could not be configured"
                        raise self._refused(what, for_code(code)(text), self._connector.settings.replication_factor)
        return differences

    async def committed(self, group: str, topic: str) -> dict[int, int | None]:
        """See the port."""
        numbers = range((await self.partitions([topic]))[topic])
        places = [TopicPartition(topic, number) for number in numbers]
        what = f"asking for the position of group {group}"
        loop = asyncio.get_running_loop()
        deadline = loop.time() + SETTLE_SECONDS
        found: dict[TopicPartition, Any] | None = None
        while found is None:
            try:
                found = await self.ask(
                    lambda client: client.list_consumer_group_offsets(group, partitions=list(places)), what
                )
            except BrokerUnavailableError as error:
                # The first question to a new cluster creates the topic of the coordinators.
                if not isinstance(error.__cause__, _NO_COORDINATOR_YET) or loop.time() >= deadline:
                    raise
                await asyncio.sleep(SETTLE_STEP_SECONDS)
        offsets = {place.partition: position.offset for place, position in found.items()}
        return {number: offset if (offset := offsets.get(number, -1)) >= 0 else None for number in numbers}

    def _intended(self, spec: TopicSpec) -> dict[str, str]:
        configuration = dict(spec.configuration)
        wanted = configuration.get("min.insync.replicas")
        if wanted is not None:
            highest = max(1, self._connector.settings.replication_factor - 1)
            configuration["min.insync.replicas"] = str(min(int(wanted), highest))
        return configuration

    def _differences(self, spec: TopicSpec, state: TopicState | None) -> list[Difference]:
        if state is None:
            return [Difference(topic=spec.name, setting="topic", actual=None, intended=f"{spec.partitions} partitions")]
        actual = {**state.configuration, "partitions": str(state.partitions)}
        intended = {"partitions": str(spec.partitions), **self._intended(spec)}
        return [
            Difference(topic=spec.name, setting=setting, actual=actual.get(setting), intended=value)
            for setting, value in intended.items()
            if actual.get(setting) != value
        ]

    async def _metadata(self, topics: list[str]) -> dict[str, tuple[int, bool]]:
        """Return partitions of topics that exist, and whether all of them have a leader; never creates one."""
        if not topics:
            return {}
        request = MetadataRequest(topics, allow_auto_topic_creation=False)
        answer = await self.ask(lambda client: client._send_request(request), "asking for topics")  # noqa: SLF001 - describe_topics() would create them
        found: dict[str, tuple[int, bool]] = {}
        for entry in answer.to_object()["topics"]:
            error = for_code(entry["error_code"])
            if error is UnknownTopicOrPartitionError:
                continue
            partitions = entry["partitions"]
            if not partitions and error is not NoError:
                raise self._connector.error(error(), f"asking for topic {entry['topic']}")
            found[entry["topic"]] = len(partitions), all(partition["leader"] >= 0 for partition in partitions)
        return found

    async def _settings(self, topics: list[str]) -> dict[str, dict[str, tuple[str, int]]]:
        """Return all settings of topics, each with its source."""
        if not topics:
            return {}
        resources = [ConfigResource(ConfigResourceType.TOPIC, topic) for topic in topics]
        answers = await self.ask(lambda client: client.describe_configs(resources), "asking for configurations")
        found: dict[str, dict[str, tuple[str, int]]] = {}
        for answer in answers:
            for code, text, _, topic, entries in answer.resources:
                error = for_code(code)
                if error is UnknownTopicOrPartitionError:
                    continue
                if error is not NoError:
                    raise self._connector.error(error(text), f"asking for the configuration of {topic}")
                found[topic] = {name: (value or "", source) for name, value, _, source, *_ in entries}
        return found

    async def _settled(self, topics: list[str]) -> None:
        """Wait until new topics have leaders, so that the caller can write to them.

        Raises:
            BrokerUnavailableError: For a while no further topic got one.
        """
        loop = asyncio.get_running_loop()
        deadline = loop.time() + SETTLE_SECONDS
        waiting = dict.fromkeys(topics)
        while waiting:
            asked = list(waiting)[:CHUNK_TOPICS]
            there = await self._metadata(asked)
            led = [topic for topic in asked if there.get(topic, (0, False))[1]]
            for topic in led:
                del waiting[topic]
            if led:
                # Brokers that make hundreds of topics take their time, and get it as long as they go on.
                deadline = loop.time() + SETTLE_SECONDS
            elif loop.time() >= deadline:
                first, others = next(iter(waiting)), len(waiting) - 1
                what = f"{first} and {others} others that were created have"
                what = what if others else f"the topic {first} was created and has"
                raise BrokerUnavailableError(
                    f"{what} no leader yet", hint="Wait a little, and run it again; if it lasts, look at the brokers."
                )
            if len(led) < len(asked):
                await asyncio.sleep(SETTLE_STEP_SECONDS)

    def _refused(self, what: str, error: Exception, factor: int) -> TransportError:
        if isinstance(error, InvalidReplicationFactorError):
            return TransportError(
                f"{what}: {factor} replicas are more than there are brokers",
                hint="Set replication_factor in [kafka]; 1 for a single broker.",
            )
        return self._connector.error(error, what)

    async def ask(self, question: Callable[[Any], Awaitable[Any]], what: str) -> Any:
        """Ask a broker something with aiokafka's admin client.

        Raises:
            BrokerUnavailableError: No answer.
            TransportError: The answer is an error; names ``what``.
        """
        client = await self._client.get()

        async def asked() -> Any:
            return await question(client)

        try:
            return await self._connector.answer(asked(), what)
        except TransportError:
            # A client whose brokers have moved away does not find them again by itself.
            self._client.discard(client)
            raise


async def _create(topics: list[Any], client: Any) -> Any:
    return await client.create_topics(topics, timeout_ms=REQUEST_MS)


async def _alter(resources: list[Any], client: Any) -> Any:
    return await client.alter_configs(resources)


def _chunks(items: list[Any]) -> Iterator[list[Any]]:
    for at in range(0, len(items), CHUNK_TOPICS):
        yield items[at : at + CHUNK_TOPICS]
