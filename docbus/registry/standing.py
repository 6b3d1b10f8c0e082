"""The registrar's side: what an agency may do, where it belongs, who sends for it, and the registrar's own keys."""

from __future__ import annotations

from typing import TYPE_CHECKING

from docbus.identity import entries
from docbus.registry.appending import Appending, Published

if TYPE_CHECKING:
    from collections.abc import Sequence


class Standing(Appending):
    """Publishes changes of standing; see :class:`~docbus.registry.publish.Registrar`."""

    async def suspend(self, agency: str, *, reason: str) -> Published:
        """Let an agency sign nothing until it is reinstated; its keys stay its own, and others may send to it.

        Raises:
            IdentityError: Unknown, closed or suspended already.
            TransportError: The entry was not published, or for AppendUnknownError: may be.
        """
        return await self._publish(entries.Suspension(agency=(await self.load()).resolve(agency), reason=reason))

    async def reinstate(self, agency: str, *, reason: str) -> Published:
        """Let a suspended agency sign again.

        Raises:
            IdentityError: Unknown, closed or not suspended.
            TransportError: The entry was not published, or for AppendUnknownError: may be.
        """
        return await self._publish(entries.Reinstatement(agency=(await self.load()).resolve(agency), reason=reason))

    async def move(self, agency: str, *, parent: str | None) -> Published:
        """Say where an agency belongs, if that is not the agency that its code names; its code stays.

        Args:
            agency: Which one.
            parent: Where to; None for out of the hierarchy.

        Raises:
            IdentityError: Unknown or closed, or the parent is, or belongs to the agency itself.
            TransportError: The entry was not published, or for AppendUnknownError: may be.
        """
        snapshot = await self.load()
        above = None if parent is None else snapshot.resolve(parent)
        return await self._publish(entries.Move(agency=snapshot.resolve(agency), parent=above))

    async def delegate(
        self,
        agency: str,
        delegate: str,
        *,
        reason: str,
        not_after_ms: int,
        not_before_ms: int | None = None,
        kinds: Sequence[str] = (),
    ) -> Published:
        """Let one agency send documents for another, under its own key; an earlier delegation of the two ends.

        Args:
            agency: For whom.
            delegate: Who sends.
            reason: For people, now and in years.
            not_after_ms: End, milliseconds since 1970 UTC, by the clock of whoever verifies.
            not_before_ms: Beginning; now unless given.
            kinds: Kinds of documents, such as ``document`` or ``recall``; all unless given.

        Raises:
            IdentityError: Unknown or closed agencies, or terms that cannot be.
            TransportError: The entry was not published, or for AppendUnknownError: may be.
        """
        snapshot = await self.load()
        change = entries.Delegation(
            agency=snapshot.resolve(agency),
            delegate=snapshot.resolve(delegate),
            kinds=tuple(kinds),
            not_before=self._clock.now_ms() if not_before_ms is None else not_before_ms,
            not_after=not_after_ms,
            reason=reason,
        )
        return await self._publish(change)

    async def end_delegation(self, agency: str, delegate: str, *, reason: str) -> Published:
        """End a delegation from now on; what was sent under it stays valid.

        Raises:
            IdentityError: Unknown agencies, or no such delegation.
            TransportError: The entry was not published, or for AppendUnknownError: may be.
        """
        snapshot = await self.load()
        change = entries.DelegationEnd(
            agency=snapshot.resolve(agency), delegate=snapshot.resolve(delegate), reason=reason
        )
        return await self._publish(change)

    async def rotate_registrar(
        self, keys: Sequence[bytes], *, threshold: int, heartbeat_keys: Sequence[bytes] = ()
    ) -> Published:
        """Give the registrar other keys from the next entry on.

        The signers have to hold as many of the keys before as were asked for, and ``threshold`` of these.

        Args:
            keys: SubjectPublicKeyInfo, DER, of all keys, not only new ones.
            threshold: How many of them every entry needs.
            heartbeat_keys: Likewise, of keys of which one alone may sign heartbeats, and nothing else.

        Raises:
            IdentityError: Too few signers, or terms that cannot be.
            TransportError: The entry was not published, or for AppendUnknownError: may be.
        """
        await self.load()
        change = entries.RegistrarRotation(keys=tuple(keys), threshold=threshold, heartbeat_keys=tuple(heartbeat_keys))
        return await self._publish(change)
