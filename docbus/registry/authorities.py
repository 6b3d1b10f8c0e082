"""The registrar's side: which authorities' certificates are believed."""

from __future__ import annotations

from typing import TYPE_CHECKING

from docbus.identity import entries
from docbus.registry.appending import Appending, Published

if TYPE_CHECKING:
    from collections.abc import Sequence


class NamingAuthorities(Appending):
    """Publishes which authorities there are; see :class:`~docbus.registry.publish.Registrar`."""

    async def name_authority(self, name: str, certificate: bytes, intermediates: Sequence[bytes] = ()) -> Published:
        """Let agencies have certificates of an authority; named again, it has these intermediates in place of those.

        Args:
            name: For people.
            certificate: Of the trust anchor, DER.
            intermediates: Of authorities below it, DER.

        Raises:
            DirectoryError: One of them is no authority's certificate; the text says why.
            TransportError: The entry was not published, or for AppendUnknownError: may be.
        """
        await self.load()
        change = entries.Authority(name=name, certificate=certificate, intermediates=tuple(intermediates))
        return await self._publish(change)

    async def end_authority(self, authority: bytes, *, reason: str) -> Published:
        """Trust an authority no more: nothing that is signed under its certificates from now on is believed.

        Args:
            authority: SHA-256 of the trust anchor's certificate, 32 bytes.
            reason: For people, now and in years.

        Raises:
            DirectoryError: It is none that is in force.
            TransportError: The entry was not published, or for AppendUnknownError: may be.
        """
        await self.load()
        return await self._publish(entries.AuthorityEnd(authority=authority, reason=reason))
