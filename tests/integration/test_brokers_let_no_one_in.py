"""A real Kafka with TLS, client certificates and an authorizer, provisioned by docbus, and an agency that is hostile.

The hostile agency holds valid credentials for itself, and tries what the brokers must refuse. Everything here is asked
of the broker alone: what docbus would refuse besides is tested elsewhere.
"""

from __future__ import annotations

import asyncio
import http.server
import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from aiokafka.errors import (
    ClusterAuthorizationFailedError,
    GroupAuthorizationFailedError,
    TopicAuthorizationFailedError,
    TransactionalIdAuthorizationFailed,
)

from docbus.client.agency import Agency
from docbus.client.connect import open_registrar, started_transport, transport_of
from docbus.client.doctor.examination import examine
from docbus.client.founding import found_agency, found_registrar
from docbus.clock import SystemClock
from docbus.documents.file import File
from docbus.errors import BrokerUnavailableError, TransportError
from docbus.registry import provision
from docbus.registry.access import AccessTerms, apply_access, plan_access
from docbus.settings import load_settings
from docbus.transport import topics
from docbus.transport.access import Operation, Permission, Quota, Resource
from docbus.transport.port import NewRecord, TopicSpec
from tests.support.kafka_tls import Authority, SecuredKafka, secured_kafka
from tests.support.trial import PATIENCE, until

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator
    from pathlib import Path

    from docbus.identity.snapshot import TrustSnapshot
    from docbus.transport.kafka import KafkaTransport
    from tests.support.kafka_tls import Identity

HANOI, HOSTILE = "vn:H26", "vn:H41"
NAMES = {HANOI: "Hà Nội", HOSTILE: "Hostile"}
TERMS = AccessTerms(
    agencies="User:{name}", registrars=("User:registrar",), auditors=("User:auditor",), quota=Quota(10e6, 20e6)
)
LARGE = b"x" * (1 << 20)
REFUSED = "do not allow it|AuthorizationFailed"
"""What docbus says of a broker's no, whatever it was asked."""


@dataclass(frozen=True)
class Guarded:
    """The exchange on the broker."""

    kafka: SecuredKafka
    folder: Path
    hostile: Identity
    revoked: Identity
    """One of H26 that was good until it was put on the list."""

    def agency(self, agency: str) -> Agency:
        """Return an agency, not opened yet."""
        return Agency.open(self.folder / agency.partition(":")[2])

    async def snapshot(self) -> TrustSnapshot:
        """Return the directory."""
        async with open_registrar(self.folder / "registrar", clock=SystemClock()) as registrar:
            return await registrar.load()


class _Lists(http.server.ThreadingHTTPServer):
    """Serves the authority's list of revoked certificates."""

    content = b""


class _List(http.server.BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        """Answer with the list."""
        self.send_response(200)
        self.end_headers()
        self.wfile.write(self.server.content)  # type: ignore[attr-defined] # a _Lists

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the name in http.server
        """Say nothing."""


@pytest.fixture(scope="module")
def guarded(kafka: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Guarded]:
    """Found an exchange of two agencies on a broker that asks who is there, and provision it."""
    del kafka  # A machine that has the one can run the other.
    folder = tmp_path_factory.mktemp("guarded")
    lists = _Lists(("127.0.0.1", 0), _List)
    thread = threading.Thread(target=lists.serve_forever)
    thread.start()
    try:
        authority = Authority(folder / "authority", "docbus test", f"http://127.0.0.1:{lists.server_address[1]}/crl")
        revoked = authority.issue("vn.H26")
        lists.content = authority.revoked(revoked.serial)
        with secured_kafka(folder / "kafka", authority) as broker:
            made = Guarded(broker, folder, authority.issue("vn.H41"), revoked)
            asyncio.run(_found(made))
            yield made
    finally:
        lists.shutdown()
        lists.server_close()
        thread.join()


async def _found(made: Guarded) -> None:
    clock, kafka = SystemClock(), made.kafka
    founded = await found_registrar(
        made.folder / "registrar", environment="test", name="Registrar", bus=kafka.operator, clock=clock
    )
    async with open_registrar(made.folder / "registrar", clock=clock) as registrar:
        for agency, name in NAMES.items():
            code = agency.partition(":")[2]
            identity = made.hostile if agency == HOSTILE else kafka.authority.issue(f"vn.{code}")
            asked = found_agency(
                made.folder / code,
                code=code,
                name=name,
                environment="test",
                genesis=founded.genesis,
                bus=kafka.shown(identity),
                clock=clock,
            )
            await registrar.grant(asked.request.read_text("ascii"))
        snapshot = await registrar.load()
    async with started_transport(load_settings(made.folder / "registrar")) as transport:
        await provision.apply(transport, await provision.plan(transport, snapshot))
    await _provision_access(made, snapshot)


async def _provision_access(made: Guarded, snapshot: TrustSnapshot) -> None:
    """Bring rules and quotas to what the directory asks for, and wait until the broker shows them."""
    async with started_transport(load_settings(made.folder / "registrar")) as transport:
        assert transport.access is not None
        await apply_access(transport.access, await plan_access(transport.access, snapshot, TERMS))
        access = transport.access

        async def settled() -> bool:
            return not await plan_access(access, snapshot, TERMS)

        await until(settled)


@pytest.fixture
async def attacker(guarded: Guarded) -> AsyncIterator[KafkaTransport]:
    """Return the hostile agency's transport, with its own valid certificate."""
    transport = transport_of(guarded.kafka.shown(guarded.hostile), guarded.folder)
    await transport.start()
    try:
        yield transport  # type: ignore[misc] # it is on Kafka
    finally:
        await transport.aclose()


def _options(transport: KafkaTransport) -> dict[str, Any]:
    """Return what aiokafka's own clients need to connect as the transport does."""
    return dict(transport._connector.options)


async def test_agencies_exchange_small_and_large_documents(guarded: Guarded) -> None:
    """With what docbus allows them, and nothing else, documents go, are fetched, filed and receipted."""
    async with guarded.agency(HANOI) as hanoi, guarded.agency(HOSTILE) as other, hanoi.serving(), other.serving():
        await hanoi.publish(File(name="a.txt", media_type="text/plain", content=b"small"), to=["H41"], id="small")
        await hanoi.publish(
            File(name="b.bin", media_type="application/octet-stream", content=LARGE), to=["H41"], id="large"
        )
        legs = [(await hanoi.wait(one, until="received", timeout=60)).legs[0].state for one in ("small", "large")]

    assert ["received", "received"] == legs
    assert 2 == len(list((guarded.folder / "H41" / "documents").glob("*/envelope.bin")))


@pytest.mark.parametrize("topic", [topics.inbox, topics.quarantine, topics.dead_letter, topics.ledger])
async def test_nothing_of_another_agency_is_read(attacker: KafkaTransport, topic: Callable[[str], str]) -> None:
    """Inbox, quarantine, dead letters and ledger are their owner's."""
    with pytest.raises(TransportError, match=REFUSED):
        await attacker.read(topic(HANOI), 0, 0, max_records=1, max_bytes=1000, wait=1.0)


@pytest.mark.parametrize(
    "topic", [topics.content(HANOI), topics.quarantine(HANOI), topics.dead_letter(HANOI), topics.ledger(HANOI)]
)
async def test_nothing_of_another_agency_is_written(attacker: KafkaTransport, topic: str) -> None:
    """Only inboxes take records from everybody."""
    with pytest.raises(TransportError, match=REFUSED):
        await attacker.append([NewRecord(topic=topic, key=b"vn:H26", value=b"forged", partition=0)])


async def test_directory_takes_nothing(attacker: KafkaTransport) -> None:
    """It is read by everybody, and written by the registrar alone."""
    await attacker.read(topics.DIRECTORY, 0, 0, max_records=1, max_bytes=100_000, wait=5.0)

    with pytest.raises(TransportError, match=REFUSED):
        await attacker.append([NewRecord(topic=topics.DIRECTORY, key=None, value=b"forged", partition=0)])


async def test_group_of_another_agency_is_not_joined(attacker: KafkaTransport) -> None:
    """Not even to read the attacker's own inbox under its name."""
    with pytest.raises(TransportError, match="GroupAuthorizationFailed"):
        async with attacker.subscribe(topics.inbox(HOSTILE), topics.inbox(HANOI), start="earliest") as subscription:
            await subscription.fetch(max_records=1, max_bytes=1000, wait=10.0)


async def test_position_of_another_group_is_neither_asked_nor_moved(guarded: Guarded, attacker: KafkaTransport) -> None:
    """Whoever could commit for a recipient could make it skip what it has not filed."""
    place = TopicPartition(topics.inbox(HOSTILE), 0)
    consumer = AIOKafkaConsumer(group_id=topics.inbox(HANOI), enable_auto_commit=False, **_options(attacker))
    await consumer.start()
    try:
        consumer.assign([place])
        with pytest.raises(GroupAuthorizationFailedError):
            await consumer.commit({place: 1})
    finally:
        await consumer.stop()
    with pytest.raises(TransportError, match=REFUSED):
        await attacker.committed(topics.inbox(HANOI), topics.inbox(HOSTILE))


async def test_nothing_is_listed_that_is_not_to_be_seen(guarded: Guarded, attacker: KafkaTransport) -> None:
    """Of others an agency sees that there are inboxes, to which it may write, and content, which it may read."""
    admin = AIOKafkaAdminClient(**_options(attacker))
    await admin.start()
    try:
        seen = set(await admin.list_topics())
        groups = await admin.list_consumer_groups()
    finally:
        await admin.close()

    shown = {topics.INBOX, topics.CONTENT, topics.DIRECTORY}
    assert {topics.inbox(HANOI), *topics.agency_topics(HOSTILE)} <= seen
    assert [] == [one for one in seen if topics.kind_of(one) not in shown and topics.owner_of(one) != HOSTILE]
    assert topics.inbox(HANOI) not in {name for name, *_ in groups}


async def test_only_what_may_be_read_is_described(attacker: KafkaTransport) -> None:
    """How long content is kept, and how its own topics are configured, an agency sees; of others nothing else."""
    names = [topics.DIRECTORY, topics.content(HANOI), *topics.agency_topics(HOSTILE)]

    found = await attacker.describe(names)

    assert {"retention.ms"} <= set.intersection(*(set(found[name].configuration) for name in names))  # type: ignore[union-attr] # all are there
    for topic in (topics.inbox(HANOI), topics.quarantine(HANOI)):
        with pytest.raises(TransportError, match=REFUSED):
            assert {topic: None} != await attacker.describe([topic])


async def test_no_topic_is_created_or_changed(guarded: Guarded, attacker: KafkaTransport) -> None:
    """Neither a topic of an agency that is to come, nor how long the attacker's own is kept."""
    with pytest.raises(TransportError, match=REFUSED):
        await attacker.create([topics.spec_of(topics.inbox("vn:H99"))])
    with pytest.raises(TransportError, match=REFUSED):
        await attacker.create([TopicSpec(name="mine", partitions=1, configuration={})])
    admin = AIOKafkaAdminClient(**_options(attacker))
    await admin.start()
    try:
        own = ConfigResource(ConfigResourceType.TOPIC, topics.inbox(HOSTILE), configs={"retention.ms": "1"})
        (answer,) = await admin.alter_configs([own])
    finally:
        await admin.close()

    assert [TopicAuthorizationFailedError.errno] == [code for code, *_ in answer.resources]


async def test_rules_and_quotas_are_neither_asked_nor_changed(attacker: KafkaTransport) -> None:
    """Only whoever runs the brokers, or provisions them, sees and sets who may do what."""
    access = attacker.access
    rule = Permission("User:vn.H41", Operation.READ, Resource.TOPIC, topics.inbox(HANOI))
    for asking in (
        access.permissions(),
        access.quotas(),
        access.allow([rule]),
        access.withdraw([rule]),
        access.limit({"vn.H26": Quota(1.0, 1.0)}),
    ):
        with pytest.raises(TransportError, match=ClusterAuthorizationFailedError.__name__):
            await asking


async def test_no_transaction_is_begun(guarded: Guarded, attacker: KafkaTransport) -> None:
    """An open one in an inbox would hold back everybody who reads it."""
    producer = AIOKafkaProducer(transactional_id="mine", **_options(attacker))
    try:
        with pytest.raises(TransactionalIdAuthorizationFailed):
            async with asyncio.timeout(PATIENCE):
                await producer.start()
    finally:
        await producer.stop()


@pytest.mark.parametrize("what", ["expired", "revoked", "of another authority", "none"])
async def test_certificate_that_is_not_valid_gets_no_connection(guarded: Guarded, tmp_path: Path, what: str) -> None:
    """The name in it is that of an inbox's owner each time; the broker hangs up before it hears what is wanted."""
    authority = guarded.kafka.authority
    if what == "expired":
        identity = authority.issue("vn.H26", ended=True)
    elif what == "of another authority":
        identity = Authority(tmp_path / "stranger", "docbus test").issue("vn.H26")
    else:
        identity = guarded.revoked
    settings = guarded.kafka.shown(identity)
    if what == "none":
        settings = settings.model_copy(update={"tls_certificate": None, "tls_key": None})
    transport = transport_of(settings, tmp_path)
    try:
        with pytest.raises(BrokerUnavailableError, match="hangs up"):
            await transport.start()
    finally:
        await transport.aclose()


async def test_certificate_of_another_unit_is_nobody(guarded: Guarded, tmp_path: Path) -> None:
    """Whom the authority knows as something else, such as a web server, gets a connection and no right."""
    transport = transport_of(guarded.kafka.shown(guarded.kafka.authority.issue("vn.H26", "web")), tmp_path)
    await transport.start()
    try:
        for topic in (topics.inbox(HANOI), topics.DIRECTORY):
            with pytest.raises(TransportError, match=REFUSED):
                await transport.read(topic, 0, 0, max_records=1, max_bytes=1000, wait=1.0)
    finally:
        await transport.aclose()


async def test_provisioning_follows_the_directory(guarded: Guarded) -> None:
    """A suspension takes away writing to others, a closure everything; run again, nothing is to be done."""
    authority = guarded.kafka.authority
    async with open_registrar(guarded.folder / "registrar", clock=SystemClock()) as registrar:
        asked = found_agency(
            guarded.folder / "H53",
            code="H53",
            name="Tây Ninh",
            environment="test",
            genesis=registrar.genesis.hex(),
            bus=guarded.kafka.shown(authority.issue("vn.H53")),
            clock=SystemClock(),
        )
        snapshot = (await registrar.grant(asked.request.read_text("ascii"))).snapshot
        async with started_transport(load_settings(guarded.folder / "registrar")) as operator:
            await provision.apply(operator, await provision.plan(operator, snapshot))
        await _provision_access(guarded, snapshot)
        record = NewRecord(topic=topics.inbox(HANOI), key=b"vn:H53", value=b"noise", partition=0)
        transport = transport_of(load_settings(guarded.folder / "H53").kafka, guarded.folder / "H53")  # type: ignore[arg-type] # it has one
        await transport.start()
        try:
            await transport.append([record])
            await _provision_access(guarded, (await registrar.suspend("H53", reason="under investigation")).snapshot)
            with pytest.raises(TransportError, match=REFUSED):
                await transport.append([record])
            await transport.read(topics.inbox("vn:H53"), 0, 0, max_records=1, max_bytes=1000, wait=0.1)
            await _provision_access(guarded, (await registrar.close("H53", reason="merged")).snapshot)
            with pytest.raises(TransportError, match=REFUSED):
                await transport.read(topics.inbox("vn:H53"), 0, 0, max_records=1, max_bytes=1000, wait=1.0)
        finally:
            await transport.aclose()


async def test_doctor_finds_all_that_an_agency_needs(guarded: Guarded) -> None:
    """With what provisioning allows it, an agency can ask for everything that the doctor asks for."""
    found = {one.check: one for one in await examine(guarded.folder / "H26", SystemClock())}

    assert [] == [one for one in found.values() if one.outcome == "failed"]
    assert ["passed"] * 3 == [found[check].outcome for check in ("brokers", "topics", "access")]


async def test_quotas_are_set_at_the_brokers(guarded: Guarded) -> None:
    """Each agency has those of the settings."""
    transport = transport_of(guarded.kafka.operator, guarded.folder)
    await transport.start()
    try:
        assert transport.access is not None
        found = await transport.access.quotas()
    finally:
        await transport.aclose()

    assert {"vn.H26": TERMS.quota, "vn.H41": TERMS.quota} == {name: found[name] for name in ("vn.H26", "vn.H41")}
