"""Kafka's ACLs and client quotas (KIP-140, KIP-290, KIP-546); aiokafka has their requests, and no methods for them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar, Final

from aiokafka.errors import NoError, for_code
from aiokafka.protocol.admin import (
    CreateAclsRequest_v1,
    DeleteAclsRequest_v1,
    DescribeAclsRequest_v1,
    DescribeClientQuotasRequest_v0,
)
from aiokafka.protocol.api import Request, RequestStruct, Response
from aiokafka.protocol.types import Array, Boolean, Float64, Int16, Int32, Schema, String

from docbus.errors import TransportError
from docbus.transport.access import Operation, Permission, Quota, Resource

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from docbus.transport.kafka_admin import KafkaAdmin
    from docbus.transport.kafka_client import Connector

CHUNK_RULES: Final = 500
"""Rules added or removed by one request; each is about 100 bytes, and one record of the controllers' log."""
SECURITY_DISABLED: Final = 54
"""Error code of brokers without an authorizer."""
_ANY, _MATCH_ANY_USER = 1, 2
_LITERAL, _PREFIXED = 3, 4
_DENY, _ALLOW = 2, 3
_OPERATIONS: Final = {3: Operation.READ, 4: Operation.WRITE, 10: Operation.DESCRIBE_CONFIGS}
_RESOURCES: Final = {2: Resource.TOPIC, 3: Resource.GROUP}
_NUMBERS: Final = {value: number for table in (_OPERATIONS, _RESOURCES) for number, value in table.items()}
_PRODUCE, _CONSUME = "producer_byte_rate", "consumer_byte_rate"
_USER: Final = "user"


class _AlterClientQuotasResponse(Response):  # type: ignore[misc] # aiokafka has no types
    API_KEY = 49
    API_VERSION = 0
    SCHEMA: ClassVar[Schema] = Schema(
        ("throttle_time_ms", Int32),
        (
            "entries",
            Array(
                ("error_code", Int16),
                ("error_message", String("utf-8")),
                ("entity", Array(("entity_type", String("utf-8")), ("entity_name", String("utf-8")))),
            ),
        ),
    )


class _AlterClientQuotas(RequestStruct):  # type: ignore[misc] # likewise
    """AlterClientQuotas version 0 (KIP-546), which aiokafka does not have."""

    API_KEY = 49
    API_VERSION = 0
    RESPONSE_TYPE = _AlterClientQuotasResponse
    SCHEMA = Schema(
        (
            "entries",
            Array(
                ("entity", Array(("entity_type", String("utf-8")), ("entity_name", String("utf-8")))),
                ("ops", Array(("key", String("utf-8")), ("value", Float64), ("remove", Boolean))),
            ),
        ),
        ("validate_only", Boolean),
    )


class _Asking(Request[RequestStruct]):  # type: ignore[misc] # likewise
    """One request of one version, its fields given."""

    API_KEY = -1

    def __init__(self, kind: type[RequestStruct], *fields: object) -> None:
        self._kind = kind
        self._fields = fields

    def build(self, request_struct_class: type[RequestStruct]) -> RequestStruct:
        """Make it; the version is the one given."""
        del request_struct_class
        return self._kind(*self._fields)

    def prepare(self, versions: dict[int, tuple[int, int]]) -> RequestStruct:
        """Make it if the broker reads that version.

        Raises:
            TransportError: It does not.
        """
        lowest, highest = versions.get(self._kind.API_KEY, (1, 0))
        if not lowest <= self._kind.API_VERSION <= highest:
            raise TransportError(
                f"the brokers do not read {self._kind.__name__}: they have versions {lowest} to {highest}",
                hint="docbus is made for Apache Kafka 4; ask for a newer docbus, or set ACLs with Kafka's own tools.",
            )
        return self._kind(*self._fields)


class KafkaAccess:
    """See :class:`docbus.transport.access.AccessControl`."""

    def __init__(self, connector: Connector, admin: KafkaAdmin) -> None:
        """Connect nothing yet."""
        self._connector = connector
        self._admin = admin

    async def permissions(self) -> list[Permission]:
        """See the port."""
        answer = await self._ask(
            _Asking(DescribeAclsRequest_v1, _ANY, None, _ANY, None, None, _ANY, _ANY), "asking for ACLs"
        )
        self._check(answer.error_code, answer.error_message, "asking for ACLs")
        return [
            Permission(
                principal,
                _OPERATIONS.get(operation, Operation.OTHER),
                _RESOURCES.get(kind, Resource.OTHER),
                name,
                pattern == _PREFIXED,
                host,
                allowed == _ALLOW,
            )
            for kind, name, pattern, rules in answer.resources
            for principal, host, operation, allowed in rules
        ]

    async def allow(self, permissions: Sequence[Permission]) -> None:
        """See the port."""
        for chunk in _chunks([_row(permission) for permission in permissions]):
            what = "adding ACLs"
            answer = await self._ask(_Asking(CreateAclsRequest_v1, chunk), what)
            for code, text in answer.creation_responses:
                self._check(code, text, what)

    async def withdraw(self, permissions: Sequence[Permission]) -> None:
        """See the port."""
        for chunk in _chunks([_row(permission) for permission in permissions]):
            what = "removing ACLs"
            answer = await self._ask(_Asking(DeleteAclsRequest_v1, chunk), what)
            for code, text, matching in answer.filter_responses:
                self._check(code, text, what)
                for failed, why, *_ in matching:
                    self._check(failed, why, what)

    async def quotas(self) -> dict[str, Quota]:
        """See the port."""
        what = "asking for quotas"
        answer = await self._ask(
            _Asking(DescribeClientQuotasRequest_v0, [(_USER, _MATCH_ANY_USER, None)], True),  # noqa: FBT003 - a field of the protocol: users alone, not users with a client id
            what,
        )
        self._check(answer.error_code, answer.error_message, what)
        found = {}
        for ((_, name),), values in answer.entries or ():
            limits = dict(values)
            found[name] = Quota(limits.get(_PRODUCE), limits.get(_CONSUME))
        return found

    async def limit(self, quotas: Mapping[str, Quota]) -> None:
        """See the port."""
        what = "setting quotas"
        entries = [([(_USER, user)], _limits(quota)) for user, quota in quotas.items()]
        for chunk in _chunks(entries):
            answer = await self._ask(_Asking(_AlterClientQuotas, chunk, False), what)  # noqa: FBT003 - not for validation only
            for code, text, _ in answer.entries:
                self._check(code, text, what)

    async def _ask(self, request: _Asking, what: str) -> Any:
        return await self._admin.ask(lambda client: client._send_request(request), what)  # noqa: SLF001 - there is no method

    def _check(self, code: int, text: str | None, what: str) -> None:
        if code == SECURITY_DISABLED:
            raise TransportError(
                f"{what}: the brokers have no authorizer, so everybody may do everything",
                hint="Set authorizer.class.name, or take [access] out of docbus.toml.",
            )
        error = for_code(code)
        if error is not NoError:
            raise self._connector.error(error(text), what)


def _limits(quota: Quota) -> list[tuple[str, float, bool]]:
    """Return each limit with its value, and whether it is to be removed."""
    return [(key, value or 0.0, value is None) for key, value in zip((_PRODUCE, _CONSUME), quota, strict=True)]


def _row(permission: Permission) -> tuple[Any, ...]:
    """Return a rule as CreateAcls has it, which as a filter of DeleteAcls matches itself alone."""
    return (
        _NUMBERS[permission.resource],
        permission.name,
        _PREFIXED if permission.prefixed else _LITERAL,
        permission.principal,
        permission.host,
        _NUMBERS[permission.operation],
        _ALLOW if permission.allowed else _DENY,
    )


def _chunks(rows: Sequence[Any]) -> Iterator[list[Any]]:
    for at in range(0, len(rows), CHUNK_RULES):
        yield list(rows[at : at + CHUNK_RULES])
