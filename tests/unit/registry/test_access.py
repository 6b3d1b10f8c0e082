"""Who may do what, as the directory asks for it, and what is done where the brokers differ."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from docbus.identity import entries
from docbus.registry.access import AccessAction, AccessTerms, apply_access, intended, plan_access
from docbus.transport.access import Operation, Permission, Quota, Resource
from tests.support.directory import DirectoryBuilder

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

TERMS = AccessTerms(
    agencies="User:{name}", registrars=("User:registrar",), auditors=("User:auditor",), quota=Quota(1000.0, None)
)
HANOI, UNIT = "User:vn.H26", "User:vn2016.000.21.32.H53"
READ, WRITE, TOPIC, GROUP = Operation.READ, Operation.WRITE, Resource.TOPIC, Resource.GROUP


class FakeAccess:
    """Brokers that keep rules in memory."""

    def __init__(self) -> None:
        self.rules: set[Permission] = set()
        self.limits: dict[str, Quota] = {}
        self.calls: list[str] = []

    async def permissions(self) -> list[Permission]:
        return list(self.rules)

    async def allow(self, permissions: Sequence[Permission]) -> None:
        self.calls.append("allow")
        self.rules |= set(permissions)

    async def withdraw(self, permissions: Sequence[Permission]) -> None:
        self.calls.append("withdraw")
        self.rules -= set(permissions)

    async def quotas(self) -> dict[str, Quota]:
        return dict(self.limits)

    async def limit(self, quotas: Mapping[str, Quota]) -> None:
        self.calls.append("limit")
        self.limits.update(quotas)


@pytest.fixture
def builder() -> DirectoryBuilder:
    made = DirectoryBuilder()
    made.grant("vn:H26")
    made.grant("vn2016:000.21.32.H53")
    return made


def test_agency_may_do_what_it_needs_and_nothing_else(builder: DirectoryBuilder) -> None:
    """It reads the directory, all content and what is its own, writes to all inboxes and to what is its own."""
    own = {f"docbus.{kind}.vn.H26" for kind in ("quarantine", "dead-letter", "ledger")}
    seen = {("docbus.directory", False), ("docbus.content.", True), ("docbus.inbox.vn.H26", False)}
    expected = {
        *((operation, TOPIC, *one) for operation in (READ, Operation.DESCRIBE_CONFIGS) for one in seen),
        *((operation, TOPIC, name, False) for operation in (READ, WRITE, Operation.DESCRIBE_CONFIGS) for name in own),
        (WRITE, TOPIC, "docbus.inbox.", True),
        (WRITE, TOPIC, "docbus.content.vn.H26", False),
        (READ, GROUP, "docbus.inbox.vn.H26", False),
    }

    assert {one[1:5] for one in intended(builder.snapshot(), TERMS)[HANOI]} == expected


def test_registrar_and_auditor_have_their_own(builder: DirectoryBuilder) -> None:
    """The registrar writes the directory, the auditor writes nothing."""
    found = intended(builder.snapshot(), TERMS)

    assert {(READ, "docbus.directory"), (WRITE, "docbus.directory")} == {
        (one.operation, one.name) for one in found["User:registrar"]
    }
    assert {("docbus.directory", False), ("docbus.inbox.", True), ("docbus.ledger.", True)} == {
        (one.name, one.prefixed) for one in found["User:auditor"] if one.operation is READ
    }
    assert {READ} == {one.operation for one in found["User:auditor"]}


def test_principals_follow_the_pattern() -> None:
    """By the name in topics, or by the code alone."""
    by_code = AccessTerms(agencies="User:gov-{code}", registrars=(), auditors=(), quota=Quota(None, None))

    assert UNIT == TERMS.principal_of("vn2016:000.21.32.H53")
    assert "User:gov-H26" == by_code.principal_of("vn:H26")


async def test_applied_plan_leaves_nothing_to_do(builder: DirectoryBuilder) -> None:
    """Allowed first, so that nobody is stopped meanwhile; run again, it changes nothing."""
    access = FakeAccess()

    await apply_access(access, await plan_access(access, builder.snapshot(), TERMS))

    assert ["allow", "withdraw", "limit"] == access.calls
    assert {"vn.H26": Quota(1000.0, None), "vn2016.000.21.32.H53": Quota(1000.0, None)} == access.limits
    assert [] == await plan_access(access, builder.snapshot(), TERMS)


async def test_only_what_differs_is_changed(builder: DirectoryBuilder) -> None:
    """One rule too many and one too few are two steps, each of which names principal and rule."""
    access = FakeAccess()
    await apply_access(access, await plan_access(access, builder.snapshot(), TERMS))
    surplus = Permission(HANOI, READ, TOPIC, "docbus.inbox.vn2016.000.21.32.H53")
    access.rules.remove(Permission(HANOI, READ, TOPIC, "docbus.directory"))
    access.rules.add(surplus)

    steps = await plan_access(access, builder.snapshot(), TERMS)

    assert [
        "allow User:vn.H26: read docbus.directory",
        "withdraw User:vn.H26: read docbus.inbox.vn2016.000.21.32.H53",
    ] == [step.text for step in steps]
    await apply_access(access, steps)
    assert surplus not in access.rules
    assert [] == await plan_access(access, builder.snapshot(), TERMS)


async def test_closed_agency_loses_everything(builder: DirectoryBuilder) -> None:
    """Its rules and its quota go; those of others stay."""
    access = FakeAccess()
    await apply_access(access, await plan_access(access, builder.snapshot(), TERMS))
    others = {rule for rule in access.rules if rule.principal != HANOI}
    builder.append(entries.Closure(agency="vn:H26", successor=None, reason="dissolved"))

    await apply_access(access, await plan_access(access, builder.snapshot(), TERMS))

    assert others == access.rules
    assert Quota(None, None) == access.limits["vn.H26"]
    assert [] == await plan_access(access, builder.snapshot(), TERMS)


async def test_suspended_agency_writes_nothing_to_others(builder: DirectoryBuilder) -> None:
    """It goes on reading, and setting aside what it cannot verify; after its reinstatement all is as before."""
    before = intended(builder.snapshot(), TERMS)[HANOI]
    builder.append(entries.Suspension(agency="vn:H26", reason="under investigation"))
    suspended = intended(builder.snapshot(), TERMS)[HANOI]
    builder.append(entries.Reinstatement(agency="vn:H26", reason="settled"))

    assert {"docbus.inbox.", "docbus.content.vn.H26"} == {one.name for one in set(before) - set(suspended)}
    assert before == intended(builder.snapshot(), TERMS)[HANOI]


@pytest.mark.parametrize(
    ("rule", "text"),
    [
        (Permission("User:eve", READ, TOPIC, "docbus.inbox.", prefixed=True), "User:eve: read docbus.inbox.*"),
        (Permission("User:*", WRITE, TOPIC, "docbus.directory"), "User:*: write docbus.directory"),
        (Permission("User:eve", READ, GROUP, "docbus.inbox.vn.H26"), "User:eve: read group docbus.inbox.vn.H26"),
        (Permission("User:eve", READ, TOPIC, "docbus.x", host="10.0.0.1"), "User:eve: read docbus.x from 10.0.0.1"),
        (Permission("User:eve", READ, TOPIC, "docbus.x", allowed=False), "User:eve: no read docbus.x"),
    ],
)
async def test_rules_of_others_are_left_and_named(builder: DirectoryBuilder, rule: Permission, text: str) -> None:
    """Whoever may do something to topics of docbus without being in the settings is shown, and not touched."""
    access = FakeAccess()
    await apply_access(access, await plan_access(access, builder.snapshot(), TERMS))
    access.rules.add(rule)

    steps = await plan_access(access, builder.snapshot(), TERMS)
    await apply_access(access, steps)

    assert [(AccessAction.FOREIGN, f"{text}; nobody whom [access] names, so it is left")] == [
        (step.action, step.text) for step in steps
    ]
    assert rule in access.rules


async def test_rules_about_other_topics_are_nobodys_business(builder: DirectoryBuilder) -> None:
    """What does not begin with ``docbus.`` is not even shown."""
    access = FakeAccess()
    await apply_access(access, await plan_access(access, builder.snapshot(), TERMS))
    access.rules |= {
        Permission("User:eve", READ, TOPIC, "orders"),
        Permission("User:eve", Operation.OTHER, Resource.OTHER, "kafka-cluster"),
    }

    assert [] == await plan_access(access, builder.snapshot(), TERMS)
