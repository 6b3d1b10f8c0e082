"""Kafka's ACLs and quotas: what is asked of the brokers, and what their answers mean."""

from __future__ import annotations

from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest
from aiokafka.errors import ClusterAuthorizationFailedError
from aiokafka.protocol.admin import CreateAclsRequest_v1

from docbus.errors import TransportError
from docbus.transport.access import Operation, Permission, Quota, Resource
from docbus.transport.kafka_access import CHUNK_RULES, SECURITY_DISABLED, KafkaAccess, _Asking

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

RULE = Permission("User:vn.H26", Operation.WRITE, Resource.TOPIC, "docbus.inbox.", prefixed=True)
ROW = (2, "docbus.inbox.", 4, "User:vn.H26", "*", 4, 3)
"""Topic, prefixed, write, allowed, in Kafka's numbers."""


class FakeAdmin:
    """Answers each request as it is told, and remembers what was asked."""

    def __init__(self, answer: Callable[[Any], Any]) -> None:
        self.answer = answer
        self.asked: list[Any] = []

    async def ask(self, question: Callable[[Any], Awaitable[Any]], what: str) -> Any:
        async def sent(request: Any) -> Any:
            self.asked.append(request.build(object))
            return self.answer(request)

        return await question(SimpleNamespace(_send_request=sent))


class FakeConnector:
    def error(self, error: Exception, what: str) -> TransportError:
        return TransportError(f"{what}: {type(error).__name__}")


def access(answer: Callable[[Any], Any]) -> tuple[KafkaAccess, FakeAdmin]:
    admin = FakeAdmin(answer)
    return KafkaAccess(FakeConnector(), admin), admin  # type: ignore[arg-type] # as much as is used


async def test_rules_are_read_in_docbus_s_words() -> None:
    """Operations and resources that docbus never gives are there, too, and called other."""
    rules = [("User:vn.H26", "*", 4, 3), ("User:eve", "10.0.0.1", 2, 2)]
    answer = SimpleNamespace(
        error_code=0, error_message=None, resources=[(2, "docbus.inbox.", 4, rules), (4, "kafka-cluster", 3, rules[:1])]
    )
    found, _ = access(lambda _: answer)

    assert [
        RULE,
        Permission("User:eve", Operation.OTHER, Resource.TOPIC, "docbus.inbox.", True, "10.0.0.1", False),
        Permission("User:vn.H26", Operation.WRITE, Resource.OTHER, "kafka-cluster"),
    ] == await found.permissions()


async def test_rules_are_added_and_removed_in_chunks() -> None:
    """Each request has a bounded number of them, and the same row adds a rule and finds it again."""
    added, asked_to_add = access(lambda _: SimpleNamespace(creation_responses=[(0, None)]))
    removed, asked_to_remove = access(lambda _: SimpleNamespace(filter_responses=[(0, None, [(0, None)])]))

    await added.allow([RULE] * (CHUNK_RULES + 1))
    await removed.withdraw([RULE])

    assert [CHUNK_RULES, 1] == [len(request.creations) for request in asked_to_add.asked]
    assert [[ROW], [ROW]] == [asked_to_add.asked[1].creations, asked_to_remove.asked[0].filters]


async def test_nothing_to_add_is_not_asked() -> None:
    """An empty plan costs no request."""
    found, admin = access(lambda _: None)

    await found.allow([])
    await found.withdraw([])
    await found.limit({})

    assert [] == admin.asked


async def test_quotas_are_read_and_set() -> None:
    """A limit that is None is removed, the other one set."""
    answer = SimpleNamespace(
        error_code=0,
        error_message=None,
        entries=[([("user", "vn.H26")], [("producer_byte_rate", 1000.0), ("request_percentage", 5.0)])],
    )
    read, _ = access(lambda _: answer)
    written, admin = access(lambda _: SimpleNamespace(entries=[(0, None, [])]))

    await written.limit({"vn.H26": Quota(1000.0, None)})

    assert {"vn.H26": Quota(1000.0, None)} == await read.quotas()
    assert [
        ([("user", "vn.H26")], [("producer_byte_rate", 1000.0, False), ("consumer_byte_rate", 0.0, True)])
    ] == admin.asked[0].entries


@pytest.mark.parametrize(
    ("code", "reason"),
    [
        (SECURITY_DISABLED, "the brokers have no authorizer, so everybody may do everything"),
        (ClusterAuthorizationFailedError.errno, "ClusterAuthorizationFailedError"),
    ],
)
async def test_each_refusal_is_an_error(code: int, reason: str) -> None:
    """Of asking, adding, removing, one that matched, and quotas."""
    rule = (0, None, [(code, "no")])
    answers: list[tuple[str, Any]] = [
        ("permissions", SimpleNamespace(error_code=code, error_message="no", resources=[])),
        ("quotas", SimpleNamespace(error_code=code, error_message="no", entries=None)),
        ("allow", SimpleNamespace(creation_responses=[(0, None), (code, "no")])),
        ("withdraw", SimpleNamespace(filter_responses=[(code, "no", [])])),
        ("withdraw", SimpleNamespace(filter_responses=[rule])),
        ("limit", SimpleNamespace(entries=[(code, "no", [])])),
    ]
    for call, answer in answers:
        found, _ = access(lambda _, answer=answer: answer)
        given = {"limit": [{"vn.H26": Quota(1.0, None)}], "allow": [[RULE]], "withdraw": [[RULE]]}.get(call, [])
        with pytest.raises(TransportError, match=reason):
            await getattr(found, call)(*given)


@pytest.mark.parametrize("versions", [{}, {30: (2, 3)}, {30: (0, 0)}])
def test_brokers_that_speak_otherwise_are_refused(versions: dict[int, tuple[int, int]]) -> None:
    """The one version that is used has to be among theirs."""
    with pytest.raises(TransportError, match="the brokers do not read CreateAclsRequest_v1"):
        _Asking(CreateAclsRequest_v1, [ROW]).prepare(versions)

    assert [ROW] == _Asking(CreateAclsRequest_v1, [ROW]).prepare({30: (1, 3)}).creations
