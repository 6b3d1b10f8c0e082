"""What all clients of aiokafka have in common here: options, errors, starting within a bound, and getting rid of one.

aiokafka writes a line at level ERROR for every attempt to reach a broker that is away, ten a second, and tracebacks
when a background task of its own fails. All of that reaches the caller as one error of docbus, so its loggers are set
to CRITICAL here, unless somebody gave the logger ``aiokafka`` a level before.
"""

from __future__ import annotations

import asyncio
import errno
import logging
import socket
from typing import TYPE_CHECKING, Any, Final

from aiokafka.conn import create_conn
from aiokafka.errors import (
    AuthenticationFailedError,
    AuthenticationMethodNotSupported,
    ClusterAuthorizationFailedError,
    CorruptRecordException,
    GroupAuthorizationFailedError,
    KafkaError,
    ProducerClosed,
    SaslAuthenticationFailed,
    TopicAuthorizationFailedError,
    UnknownTopicOrPartitionError,
    UnsupportedSaslMechanismError,
)

from docbus.errors import AccessDeniedError, BrokerUnavailableError, TopicMissingError, TransportError
from docbus.transport.kafka_frames import install

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Iterable

    from docbus.transport.kafka_settings import KafkaSettings

install()

REQUEST_MS: Final = 30_000
"""Milliseconds for one request and its answer; also how long the leader waits for its replicas. With at most 4 MiB in
one request or answer, a line of 1.2 Mbit/s is enough."""
CONNECT_SECONDS: Final = 5.0
"""Seconds for connecting, TLS and login included, before the broker counts as absent."""
ANSWER_SECONDS: Final = 15.0
"""Seconds for a question to the brokers, with the retries of aiokafka while a leader moves."""
DIAGNOSE_SECONDS: Final = 2.0
"""Seconds per address to find out why no connection was made."""
STOP_SECONDS: Final = 3.0
"""Seconds for a client to stop by itself; after that its tasks are cancelled (aiokafka issue 1101: it can hang)."""
METADATA_MAX_AGE_MS: Final = 60_000
"""Milliseconds after which leaders and partitions are asked for again."""

FAILURES: Final = (KafkaError, OSError, TimeoutError)
"""What aiokafka raises when something goes wrong outside the program."""

_FORBIDDEN: Final = (TopicAuthorizationFailedError, GroupAuthorizationFailedError, ClusterAuthorizationFailedError)
_NO_LOGIN: Final = (
    AuthenticationFailedError,
    AuthenticationMethodNotSupported,
    SaslAuthenticationFailed,
    UnsupportedSaslMechanismError,
)
_NO_ROUTE: Final = (errno.ECONNREFUSED, errno.EHOSTUNREACH, errno.ENETUNREACH)
_TASKS: Final = (
    ("_sender", ("_sender_task",)),
    ("_coordinator", ("_coordination_task", "_heartbeat_task", "_commit_refresh_task", "_reset_committed_task")),
    ("_fetcher", ("_fetch_task", "_pending_tasks")),
)
"""Where aiokafka 0.14 keeps its background tasks; needed only for a client that will not stop."""

_log = logging.getLogger(__name__)


def quieten() -> None:
    """Silence aiokafka, unless somebody asked for its log."""
    logger = logging.getLogger("aiokafka")
    if logger.level == logging.NOTSET:
        logger.setLevel(logging.CRITICAL)


class Connector:
    """Options for every client of one transport."""

    def __init__(self, settings: KafkaSettings) -> None:
        """Read nothing yet."""
        self.settings = settings
        self.options: dict[str, Any] = {}
        self._disposals: set[asyncio.Task[None]] = set()

    async def prepare(self) -> None:
        """Read the certificates, once.

        Raises:
            ConfigurationError: One of them cannot be used.
        """
        if self.options:
            return
        quieten()
        settings = self.settings
        context = await asyncio.to_thread(settings.tls_context)
        self.options = {
            "bootstrap_servers": [f"{host}:{port}" for host, port in settings.addresses],
            "client_id": settings.client_id,
            "request_timeout_ms": REQUEST_MS,
            "metadata_max_age_ms": METADATA_MAX_AGE_MS,
            "security_protocol": settings.security_protocol,
            "ssl_context": context,
        }
        if settings.sasl_mechanism is not None:
            self.options |= {
                "sasl_mechanism": settings.sasl_mechanism,
                "sasl_plain_username": settings.sasl_username,
                "sasl_plain_password": settings.sasl_password,
            }

    async def start(self, client: Any) -> None:
        """Start a client of aiokafka.

        Raises:
            BrokerUnavailableError: No broker answered in time; names address and reason. The client is stopped.
        """
        try:
            async with asyncio.timeout(CONNECT_SECONDS):
                await client.start()
        except FAILURES as error:
            self.dispose(client)
            raise await self._unavailable() from error
        except BaseException:
            self.dispose(client)
            raise

    async def answer(self, question: Coroutine[Any, Any, Any], what: str) -> Any:
        """Await what a broker is asked, for at most :data:`ANSWER_SECONDS`.

        Raises:
            BrokerUnavailableError: No answer.
            TransportError: The answer is an error; names ``what``.
        """
        try:
            async with asyncio.timeout(ANSWER_SECONDS):
                return await question
        except FAILURES as error:
            raise self.error(error, what) from error

    def error(self, error: BaseException, what: str) -> TransportError:
        """Return the error of docbus for one of aiokafka, to be raised ``from`` it."""
        if isinstance(error, UnknownTopicOrPartitionError):
            return TopicMissingError(f"{what}: no such topic", hint="Create it with `docbus provision`.")
        if isinstance(error, _FORBIDDEN):
            return AccessDeniedError(
                f"{what}: the brokers do not allow it ({type(error).__name__})",
                hint="Ask whoever runs the brokers for the access rights of this agency.",
            )
        if isinstance(error, CorruptRecordException):
            return TransportError(
                f"{what}: the broker's copy is damaged, its checksum does not match",
                hint="Tell whoever runs the brokers; another replica may be intact.",
            )
        if isinstance(error, (OSError, TimeoutError)) or getattr(error, "retriable", False):
            return BrokerUnavailableError(
                f"{what}: no answer from Kafka at {self.settings.bootstrap} ({_reason(error)})",
                hint="It is tried again; check the brokers and the network if it lasts.",
            )
        return TransportError(f"{what}: Kafka at {self.settings.bootstrap} refused: {_reason(error)}")

    def dispose(self, client: Any) -> None:
        """Stop a client in the background, by force if it does not stop by itself."""
        task = asyncio.create_task(dispose(client))
        self._disposals.add(task)
        task.add_done_callback(self._disposals.discard)

    async def aclose(self) -> None:
        """Wait until everything disposed of is gone; each has its own bound."""
        if self._disposals:
            await asyncio.wait(self._disposals)

    async def _unavailable(self) -> BrokerUnavailableError:
        """Find out why: aiokafka writes the reason to its log only."""
        addresses = self.settings.addresses
        reasons = await asyncio.gather(*(self._diagnose(host, port) for host, port in addresses))
        causes = "; ".join(f"{host}:{port} {text}" for (host, port), (text, _) in zip(addresses, reasons, strict=True))
        return BrokerUnavailableError(f"no Kafka broker can be used: {causes}", hint=reasons[0][1])

    async def _diagnose(self, host: str, port: int) -> tuple[str, str]:
        options = dict(self.options)
        del options["bootstrap_servers"], options["metadata_max_age_ms"]
        try:
            async with asyncio.timeout(DIAGNOSE_SECONDS):
                connection = await create_conn(host, port, **options)
        except _NO_LOGIN as error:
            return f"refuses the login ({_reason(error)})", "Check user name, password and mechanism in [kafka]."
        except TimeoutError:
            return "does not answer", "Check address, port and firewall, and whether TLS is set as the broker has it."
        except OSError as error:
            absent = isinstance(error, (ConnectionRefusedError, socket.gaierror)) or error.errno in _NO_ROUTE
            if self.settings.encrypted and not absent:
                return (
                    f"fails at TLS: {_reason(error)}",
                    "Check tls_ca and the client certificate in [kafka], and whether this port is one for TLS.",
                )
            return (
                f"cannot be reached: {_reason(error)}",
                "Start the broker or correct the address in [kafka]; without a broker, use the embedded transport.",
            )
        except KafkaError as error:
            return (
                f"hangs up: {_reason(error)}",
                "Check whether TLS and login are set in [kafka] as the broker has them.",
            )
        connection.close()
        return (
            "answers, but not to what is asked",
            "Check whether TLS and login are set in [kafka] as the broker has them, then look at the broker's log.",
        )


class SharedClient:
    """One client of aiokafka, started at first use and thrown away when it has failed."""

    def __init__(self, connector: Connector, build: Callable[[], Any]) -> None:
        """Build nothing yet."""
        self._connector = connector
        self._build = build
        self._client: Any = None
        self._starting = asyncio.Lock()

    async def get(self) -> Any:
        """Return the client, started.

        Raises:
            BrokerUnavailableError: No broker answers.
        """
        if self._client is not None:
            return self._client
        try:
            async with asyncio.timeout(ANSWER_SECONDS), self._starting:
                if self._client is None:
                    client = self._build()
                    await self._connector.start(client)
                    self._client = client
                return self._client
        except TimeoutError as error:
            raise self._connector.error(error, "connecting") from error

    def discard(self, client: Any = None) -> bool:
        """Let go of a client, unless it has been replaced already; without an argument, of any."""
        if self._client is None or (client is not None and self._client is not client):
            return False
        client, self._client = self._client, None
        self._connector.dispose(client)
        return True


async def dispose(client: Any) -> None:
    """Stop a client of aiokafka and leave no task and no connection of it, within :data:`STOP_SECONDS` per step.

    ``stop()`` alone hangs when brokers are down, and returns early, with tasks left, when one of its tasks had failed.
    A producer must not live on: it would go on sending what its caller has already been told is unknown.
    """
    sender = getattr(client, "_sender", None)
    if sender is not None:
        await _cancel(sender.sender_task)
        _fail_batches(client._message_accumulator)  # noqa: SLF001 - stop() would wait for them
    await _bounded(client.stop() if hasattr(client, "stop") else client.close())
    for owner, names in _TASKS:
        for name in names:
            await _cancel(getattr(getattr(client, owner, None), name, None))
    # A second time where stop() got that far; where it did not, the connections are still open.
    inner = getattr(client, "client", None) or getattr(client, "_client", None)
    if inner is not None:
        await _bounded(inner.close())
    fetcher = getattr(client, "_fetcher", None)
    if fetcher is not None:
        # A client is part of cycles, and stays until a garbage collection; megabytes that it has read ahead must not.
        fetcher._records.clear()  # noqa: SLF001 - stop() leaves them


def _fail_batches(accumulator: Any) -> None:
    """Resolve what nobody waits for any more, in a way that leaves asyncio nothing to complain about."""
    pending = accumulator._pending_batches  # noqa: SLF001
    for queue in accumulator._batches.values():  # noqa: SLF001
        # A batch that is to be sent again is not among the pending, and would fail to remove itself from them.
        pending.update(queue)
    batches = list(pending)
    accumulator.fail_all(ProducerClosed())
    for batch in batches:
        for future in (batch.future, batch._drain_waiter):  # noqa: SLF001
            future.exception()


async def _bounded(stopping: Coroutine[Any, Any, object]) -> None:
    try:
        async with asyncio.timeout(STOP_SECONDS):
            await stopping
    except (Exception, asyncio.CancelledError) as error:
        current = asyncio.current_task()
        if isinstance(error, asyncio.CancelledError) and current is not None and current.cancelling():
            raise
        _log.debug("a client of Kafka did not stop by itself: %r", error)


async def _cancel(found: asyncio.Task[object] | Iterable[asyncio.Task[object]] | None) -> None:
    if found is None:
        return
    tasks = [found] if isinstance(found, asyncio.Task) else list(found)
    unfinished = {task for task in tasks if not task.done()}
    for _ in range(2):
        # The first lets a sender finish what is on its way, the second does not.
        for task in unfinished:
            task.cancel()
        if unfinished:
            _, unfinished = await asyncio.wait(unfinished, timeout=STOP_SECONDS)
    for task in tasks:
        if task.done() and not task.cancelled():
            task.exception()


def _reason(error: BaseException) -> str:
    return str(getattr(error, "strerror", None) or error) or type(error).__name__
