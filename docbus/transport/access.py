"""Who may do what at the brokers, as far as the brokers can say it: Kafka's ACLs and quotas.

The embedded transport has nothing of the kind: whoever can open its file may do everything.
"""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING, NamedTuple, Protocol

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

ANY_HOST = "*"


class Operation(StrEnum):
    """What may be done; each of the first two includes asking for what is there."""

    READ = "read"
    WRITE = "write"
    DESCRIBE_CONFIGS = "describe configurations of"
    OTHER = "other"
    """Something that docbus never gives, such as creating, altering or all."""


class Resource(StrEnum):
    """What it may be done to."""

    TOPIC = "topic"
    GROUP = "group"
    OTHER = "other"


class Permission(NamedTuple):
    """One rule of the brokers.

    Attributes:
        principal: Who, such as ``User:vn.H26``.
        operation: What.
        resource: To which kind of thing.
        name: Its name, or how it begins.
        prefixed: Whether ``name`` is how it begins.
        host: From where; docbus gives permissions from anywhere.
        allowed: False where the rule forbids.
    """

    principal: str
    operation: Operation
    resource: Resource
    name: str
    prefixed: bool = False
    host: str = ANY_HOST
    allowed: bool = True


class Quota(NamedTuple):
    """Bytes per second and broker that a user may write and read; None for no limit."""

    produce: float | None
    consume: float | None


class AccessControl(Protocol):
    """Reads and changes the rules of the brokers; needs a user who may."""

    async def permissions(self) -> list[Permission]:
        """Return every rule there is.

        Raises:
            TransportError: The brokers have no authorizer, or asking is not allowed.
            BrokerUnavailableError: No broker answers.
        """
        ...

    async def allow(self, permissions: Sequence[Permission]) -> None:
        """Add rules; one that is there already stays as it is.

        Raises:
            TransportError: One was refused; others may have been added.
            BrokerUnavailableError: No broker answers.
        """
        ...

    async def withdraw(self, permissions: Sequence[Permission]) -> None:
        """Remove exactly these rules; one that is not there is no error.

        Raises:
            TransportError: One could not be removed; others may have been.
            BrokerUnavailableError: No broker answers.
        """
        ...

    async def quotas(self) -> dict[str, Quota]:
        """Return the quotas of users, by their names without ``User:``.

        Raises:
            TransportError: Asking is not allowed.
            BrokerUnavailableError: No broker answers.
        """
        ...

    async def limit(self, quotas: Mapping[str, Quota]) -> None:
        """Set quotas of users; what is None is removed.

        Raises:
            TransportError: One was refused; others may have been set.
            BrokerUnavailableError: No broker answers.
        """
        ...
