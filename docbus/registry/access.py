"""Brings the rules of the brokers to the state that the directory asks for: who may read and write which topic.

A rule is docbus's if it is about a topic or a group whose name begins with ``docbus.``, and about a principal that the
settings give to an agency, a registrar or an auditor. Rules of others are left, and named. Run again, it changes
nothing; what a closed agency had is taken away, and a suspended one may write nothing to others.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

from docbus.identity.agency import AgencyId
from docbus.transport import topics
from docbus.transport.access import ANY_HOST, Operation, Permission, Quota, Resource

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from docbus.identity.grants import Agency
    from docbus.identity.snapshot import TrustSnapshot
    from docbus.transport.access import AccessControl

OURS = f"{topics.PREFIX}."
INBOXES = f"{OURS}{topics.INBOX}."
LEDGERS = f"{OURS}{topics.LEDGER}."
CONTENTS = f"{OURS}{topics.CONTENT}."
USER = "User:"
NO_QUOTA = Quota(None, None)


class AccessAction(StrEnum):
    """What is to be done about a principal."""

    ALLOW = "allow"
    WITHDRAW = "withdraw"
    LIMIT = "limit"
    FOREIGN = "foreign"
    """Somebody whom the settings do not name may do something to docbus's topics; it is left, and to be looked at."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AccessStep:
    """One thing to do about one principal; ``text`` says it to a person."""

    action: AccessAction
    principal: str
    text: str
    permissions: tuple[Permission, ...] = ()
    quota: Quota = NO_QUOTA


@dataclass(frozen=True, slots=True, kw_only=True)
class AccessTerms:
    """Who is who at the brokers.

    Attributes:
        agencies: Principal of an agency, with ``{name}`` for its id as in topics' names, such as ``vn.H37.02.02``, or
            ``{code}`` for its code.
        registrars: Principals that publish in the directory.
        auditors: Principals that read the directory, all inboxes and all ledgers.
        quota: What each agency may write and read.
    """

    agencies: str
    registrars: tuple[str, ...]
    auditors: tuple[str, ...]
    quota: Quota

    def principal_of(self, agency_id: str) -> str:
        """Return the principal of an agency."""
        parsed = AgencyId.parse(agency_id)
        return self.agencies.format(
            name=f"{topics.escape(parsed.scheme)}.{topics.escape(parsed.value)}", code=parsed.code
        )


def intended(snapshot: TrustSnapshot, terms: AccessTerms) -> dict[str, list[Permission]]:
    """Return what every principal should be allowed; agencies that are closed are there with nothing."""
    found: dict[str, list[Permission]] = {}
    for agency in snapshot.agencies():
        principal = terms.principal_of(agency.id)
        allowed = [] if agency.closed_at is not None else list(_of_agency(agency, principal))
        found[principal] = [*found.get(principal, ()), *allowed]
    for principal in terms.registrars:
        found.setdefault(principal, []).extend(
            Permission(principal, operation, Resource.TOPIC, topics.DIRECTORY)
            for operation in (Operation.READ, Operation.WRITE)
        )
    for principal in terms.auditors:
        found.setdefault(principal, []).extend(
            (
                Permission(principal, Operation.READ, Resource.TOPIC, topics.DIRECTORY),
                Permission(principal, Operation.READ, Resource.TOPIC, INBOXES, prefixed=True),
                Permission(principal, Operation.READ, Resource.TOPIC, LEDGERS, prefixed=True),
            )
        )
    return found


def _of_agency(agency: Agency, principal: str) -> Iterator[Permission]:
    def topic(operation: Operation, name: str, *, prefixed: bool = False) -> Permission:
        return Permission(principal, operation, Resource.TOPIC, name, prefixed)

    # Large content is uploaded once for all recipients, so everybody may read it: it is ciphertext (design D2). How it
    # is configured says how long it is kept, which the status shows.
    for operation in (Operation.READ, Operation.DESCRIBE_CONFIGS):
        yield topic(operation, topics.DIRECTORY)
        yield topic(operation, CONTENTS, prefixed=True)
        for own in (topics.inbox, topics.quarantine, topics.dead_letter, topics.ledger):
            yield topic(operation, own(agency.id))
    if agency.suspended_at is None:
        yield topic(Operation.WRITE, INBOXES, prefixed=True)
        yield topic(Operation.WRITE, topics.content(agency.id))
    for own in (topics.quarantine, topics.dead_letter, topics.ledger):
        yield topic(Operation.WRITE, own(agency.id))
    # The group that receives has the name of the inbox.
    yield Permission(principal, Operation.READ, Resource.GROUP, topics.inbox(agency.id))


async def plan_access(access: AccessControl, snapshot: TrustSnapshot, terms: AccessTerms) -> list[AccessStep]:
    """Return what differs between the brokers and what the directory asks for; changes nothing.

    Raises:
        TransportError: The brokers have no authorizer, no broker answers, or asking is not allowed.
    """
    wanted = intended(snapshot, terms)
    there: dict[str, set[Permission]] = defaultdict(set)
    for permission in await access.permissions():
        if _is_ours(permission):
            there[permission.principal].add(permission)
    steps: list[AccessStep] = []
    for principal, permissions in wanted.items():
        found = there.pop(principal, set())
        missing = [one for one in permissions if one not in found]
        surplus = sorted(found - set(permissions))
        steps += _steps(AccessAction.ALLOW, principal, missing)
        steps += _steps(AccessAction.WITHDRAW, principal, surplus)
    for principal, found in sorted(there.items()):
        steps += _steps(AccessAction.FOREIGN, principal, sorted(found))
    return steps + _quota_steps(await access.quotas(), snapshot, terms)


async def apply_access(access: AccessControl, steps: Sequence[AccessStep]) -> None:
    """Do what a plan says: first what is allowed, so that nobody who may work is stopped meanwhile.

    Raises:
        TransportError: A step failed, see the text; those before it are done, and running again goes on.
    """
    await access.allow(_permissions(steps, AccessAction.ALLOW))
    await access.withdraw(_permissions(steps, AccessAction.WITHDRAW))
    await access.limit(
        {step.principal.removeprefix(USER): step.quota for step in steps if step.action is AccessAction.LIMIT}
    )


def _is_ours(permission: Permission) -> bool:
    return permission.resource is not Resource.OTHER and permission.name.startswith(OURS)


def _permissions(steps: Iterable[AccessStep], action: AccessAction) -> list[Permission]:
    return [permission for step in steps if step.action is action for permission in step.permissions]


def _steps(action: AccessAction, principal: str, permissions: Sequence[Permission]) -> list[AccessStep]:
    if not permissions:
        return []
    what = ", ".join(map(_shown, permissions))
    text = f"{principal}: {what}" if action is AccessAction.FOREIGN else f"{action} {principal}: {what}"
    if action is AccessAction.FOREIGN:
        text += "; nobody whom [access] names, so it is left"
    return [AccessStep(action=action, principal=principal, text=text, permissions=tuple(permissions))]


def _shown(permission: Permission) -> str:
    name = f"{permission.name}*" if permission.prefixed else permission.name
    forbidden = "" if permission.allowed else "no "
    host = "" if permission.host == ANY_HOST else f" from {permission.host}"
    group = "group " if permission.resource is Resource.GROUP else ""
    return f"{forbidden}{permission.operation} {group}{name}{host}"


def _quota_steps(there: Mapping[str, Quota], snapshot: TrustSnapshot, terms: AccessTerms) -> list[AccessStep]:
    steps = []
    for agency in snapshot.agencies():
        principal = terms.principal_of(agency.id)
        wanted = NO_QUOTA if agency.closed_at is not None else terms.quota
        if there.get(principal.removeprefix(USER), NO_QUOTA) != wanted:
            shown = ", ".join(
                f"{verb} {'without limit' if rate is None else f'{rate:,.0f} bytes/s'}"
                for verb, rate in zip(("write", "read"), wanted, strict=True)
            )
            text = f"limit {principal}: {shown}"
            steps.append(AccessStep(action=AccessAction.LIMIT, principal=principal, text=text, quota=wanted))
    return steps
