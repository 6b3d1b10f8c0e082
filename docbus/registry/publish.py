"""The registrar's side: founding a directory, and what is granted in it."""

from __future__ import annotations

from dataclasses import replace
from itertools import islice
from typing import TYPE_CHECKING

from docbus.clock import SystemClock, format_time
from docbus.errors import DirectoryError
from docbus.identity import entries
from docbus.identity.agency import AgencyId
from docbus.identity.authorities import check_issuer
from docbus.identity.encryption import Encrypter
from docbus.identity.join import CheckedJoinRequest, verify_join_request
from docbus.identity.replay import DirectoryReplay
from docbus.limits import DEFAULT_PARTITIONS
from docbus.registry.appending import Published, try_entry
from docbus.registry.authorities import NamingAuthorities
from docbus.registry.new_keys import check_new_keys
from docbus.registry.standing import Standing
from docbus.transport.topics import DIRECTORY, spec_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from docbus.clock import Clock
    from docbus.identity.grants import Agency, CertificateGrant
    from docbus.identity.signing import RegistrarSigner
    from docbus.identity.snapshot import TrustSnapshot
    from docbus.transport.port import Transport

SHOWN_HOLDERS = 3
"""Other agencies with the same encryption key that a warning names."""


class Registrar(Standing, NamingAuthorities):
    """Publishes entries. Each method returns once its entry stands, or raises, and then says whether it might.

    Agencies may be named by code, canonical id or alias.
    """

    @classmethod
    async def init(
        cls,
        transport: Transport,
        signers: Sequence[RegistrarSigner],
        *,
        environment: str,
        registrar: str,
        threshold: int | None = None,
        freshness_limit_ms: int = entries.DEFAULT_FRESHNESS_LIMIT_MS,
        freshness_alarm_ms: int = entries.DEFAULT_FRESHNESS_ALARM_MS,
        clock: Clock | None = None,
    ) -> Registrar:
        """Found a directory: create its topic and append the genesis entry.

        Args:
            transport: Started by the caller.
            signers: All registrar keys.
            environment: Name of the environment; part of everything that will be signed.
            registrar: Name of the registrar, for people.
            threshold: How many of the keys every entry needs; all of them unless given.
            freshness_limit_ms: Age in milliseconds beyond which a snapshot decides nothing.
            freshness_alarm_ms: Age in milliseconds beyond which an operator should look.
            clock: As for the class.

        Returns:
            A registrar; its ``genesis`` is what every configuration pins.

        Raises:
            DirectoryError: The topic has records already, or the terms break a rule.
            IdentityError: A key is known to be weak.
            TransportError: The topic cannot be created or written.
        """
        clock = clock or SystemClock()
        genesis = entries.Genesis(
            registrar=registrar,
            keys=tuple(signer.public_key for signer in signers),
            threshold=len(signers) if threshold is None else threshold,
            freshness_limit=freshness_limit_ms,
            freshness_alarm=freshness_alarm_ms,
        )
        check_new_keys(genesis)
        entry = entries.encode_entry(
            entries.DirectoryEntry(
                version=entries.VERSION,
                environment=environment,
                position=0,
                previous=entries.GENESIS_PREVIOUS,
                made_at=clock.now_ms(),
                change=genesis,
            )
        )
        value = entries.sign_entry(entry, signers)
        made = cls(transport, signers, entries.entry_hash(entry), clock)
        try_entry(DirectoryReplay(made.genesis), value)
        await transport.create([spec_of(DIRECTORY)])
        bounds = await transport.bounds(DIRECTORY)
        if any(end > 0 for _first, end in bounds.values()):
            raise DirectoryError(
                f"the topic {DIRECTORY} is not empty: a directory was founded here before",
                hint="Use its registrar's settings; a new directory needs brokers, or an embedded bus, of its own.",
            )
        await made._append(value, 0, made.genesis)
        return made

    async def check(self, request: str, *, unnamed_issuer: bool = False) -> CheckedJoinRequest:
        """Return what a join request asks for, checked, so that a person can compare its fingerprint before granting.

        Args:
            request: The text of the join request.
            unnamed_issuer: Take a certificate that somebody has issued whom the directory does not name for self-made.

        Raises:
            MalformedError: Not a join request.
            IdentityError: It may not be granted; the text says why.
            TransportError: The directory cannot be read.
        """
        snapshot = await self.load()
        now_ms = self._clock.now_ms()
        checked = verify_join_request(request, environment=snapshot.environment, genesis=self.genesis, now_ms=now_ms)
        asked = checked.request
        for der in asked.signing.certificates:
            said = check_issuer(der, asked.agency, snapshot.authorities(), at_ms=now_ms, unnamed_issuer=unnamed_issuer)
            if said is not None:
                checked = replace(checked, warnings=(*checked.warnings, said))
        holders = _others_with(snapshot, asked.agency, Encrypter(asked.encryption.public_key).digest)
        if holders:
            said = (
                f"the encryption key was granted before, to {', '.join(holders)}: both have the private key, or one of"
                " them cannot open what is sent to it; ask both whose key it is"
            )
            checked = replace(checked, warnings=(*checked.warnings, said))
        return checked

    async def grant(
        self,
        request: str,
        *,
        roles: Sequence[str] = (),
        partitions: int = DEFAULT_PARTITIONS,
        unnamed_issuer: bool = False,
    ) -> Published:
        """Give an agency its code, with the keys in its join request.

        Args:
            request: The text of the join request.
            roles: Such as ``auditor``.
            partitions: Partitions of the inbox; of several, the last is kept for urgent documents and receipts.
            unnamed_issuer: As :meth:`check`.

        Raises:
            MalformedError: Not a join request.
            IdentityError: It may not be granted; the text says why.
            TransportError: The entry was not published, or for AppendUnknownError: may be.
        """
        checked = await self.check(request, unnamed_issuer=unnamed_issuer)
        asked = checked.request
        change = entries.AgencyGrant(
            agency=asked.agency,
            name=asked.name,
            aliases=asked.aliases,
            signing=asked.signing,
            encryption=asked.encryption,
            roles=tuple(roles),
            partitions=partitions,
        )
        return await self._publish(change, checked.warnings)

    async def rotate(
        self, request: str, *, keep_old: bool = False, overlap_ms: int | None = None, unnamed_issuer: bool = False
    ) -> Published:
        """Give an agency the new keys in its join request, and retire all that it has.

        Args:
            request: The text of a join request of the same agency; its name and aliases are not taken over.
            keep_old: Leave the old keys in force beside the new ones, to be retired by :meth:`retire`.
            overlap_ms: Milliseconds for which the old certificates may go on signing beside the new one.
            unnamed_issuer: As :meth:`check`.

        Raises:
            MalformedError: Not a join request.
            IdentityError: It may not be granted; the text says why.
            TransportError: The entry was not published, or for AppendUnknownError: may be.
        """
        checked = await self.check(request, unnamed_issuer=unnamed_issuer)
        asked = checked.request
        snapshot = self._reader.replay.snapshot()
        signing, encryption = ((), ()) if keep_old else _keys_in_force(snapshot, asked.agency)
        if overlap_ms is not None:
            lasting = tuple(one for one in signing if _has_no_end(snapshot, one))
            if not lasting and snapshot.agency(asked.agency) is not None:
                raise DirectoryError(
                    f"{asked.agency} has no certificate that an overlap could let sign on: each is revoked, or has an"
                    " end already",
                    hint="Publish the rotation without --overlap.",
                )
            overlap = entries.KeyOverlap(
                agency=asked.agency,
                signing=asked.signing,
                encryption=asked.encryption,
                # What has its end already keeps it.
                retire_signing=lasting,
                retire_encryption=encryption,
                retires_at=self._clock.now_ms() + overlap_ms,
            )
            return await self._publish(overlap, checked.warnings)
        change = entries.KeyRotation(
            agency=asked.agency,
            signing=asked.signing,
            encryption=asked.encryption,
            retire_signing=signing,
            retire_encryption=encryption,
        )
        return await self._publish(change, checked.warnings)

    async def retire(
        self, agency: str, *, signing: Sequence[bytes] = (), encryption: Sequence[bytes] = ()
    ) -> Published:
        """Retire keys by their digests; at least one of each kind must stay.

        Raises:
            IdentityError: Unknown agency, or keys that it does not hold.
            TransportError: The entry was not published, or for AppendUnknownError: may be.
        """
        change = entries.KeyRotation(
            agency=(await self.load()).resolve(agency),
            signing=None,
            encryption=None,
            retire_signing=tuple(signing),
            retire_encryption=tuple(encryption),
        )
        return await self._publish(change)

    async def revoke(self, certificate: bytes, *, reason: str, suspected_since_ms: int | None = None) -> Published:
        """Revoke a certificate, given by the SHA-256 of its DER, from this entry on.

        Others of the agency that may still sign are named in the warnings.

        Args:
            certificate: 32 bytes.
            reason: For people, now and in years.
            suspected_since_ms: Time in milliseconds since which the key may have been abused; makes findings only.

        Raises:
            DirectoryError: No agency was ever granted it, or it was revoked before.
            TransportError: The entry was not published, or for AppendUnknownError: may be.
        """
        snapshot = await self.load()
        grant = snapshot.certificate(certificate)
        if grant is None:
            raise DirectoryError(
                f"no agency was ever granted the certificate {certificate.hex()}",
                hint="`docbus agency show` lists an agency's certificates.",
            )
        change = entries.Revocation(
            agency=grant.agency, certificate=certificate, reason=reason, suspected_since=suspected_since_ms
        )
        return await self._publish(change, _still_signing(snapshot, grant, self._clock.now_ms()))

    async def close(self, agency: str, *, reason: str, successor: str | None = None) -> Published:
        """Close an agency's code for good, pointing to the agency it was merged into, if any.

        Raises:
            IdentityError: Unknown or closed agency or successor.
            TransportError: The entry was not published, or for AppendUnknownError: may be.
        """
        snapshot = await self.load()
        change = entries.Closure(
            agency=snapshot.resolve(agency),
            successor=None if successor is None else snapshot.resolve(successor),
            reason=reason,
        )
        return await self._publish(change)

    async def alias(self, agency: str, alias: str) -> Published:
        """Let people name an agency by another code, such as its code in the older form.

        Raises:
            IdentityError: Unknown agency, not a code, or a code in use.
            TransportError: The entry was not published, or for AppendUnknownError: may be.
        """
        parsed = AgencyId.parse(alias)
        change = entries.Alias(agency=(await self.load()).resolve(agency), alias=str(parsed))
        return await self._publish(change, (parsed.warning,) if parsed.warning else ())

    async def rename(self, agency: str, name: str) -> Published:
        """Give an agency another name; its code stays.

        Raises:
            IdentityError: Unknown agency, or a name that cannot stand in the directory.
            TransportError: The entry was not published, or for AppendUnknownError: may be.
        """
        change = entries.Rename(agency=(await self.load()).resolve(agency), name=name)
        return await self._publish(change)

    async def heartbeat(self, time_stamp: bytes | None = None) -> Published:
        """Say that the registrar is there and nothing has changed, so that nobody takes silence for that.

        The first one brings the freshness limit into force, for good: from then on somebody has to go on beating.

        Args:
            time_stamp: A token about an earlier entry, which it carries.

        Raises:
            DirectoryError: Another entry came first; that is a sign of life as well.
            TransportError: The entry was not published, or for AppendUnknownError: may be.
        """
        await self.load()
        return await self._publish(entries.Heartbeat(time_stamp=time_stamp))


def _others_with(snapshot: TrustSnapshot, agency: str, key: bytes) -> list[str]:
    """Return the other agencies to which an encryption key, by its digest, was granted, the first ones."""
    if not snapshot.has_encryption_key(key):
        return []
    found = (
        one.id
        for one in snapshot.agencies()
        if one.id != agency and any(encrypter.digest == key for encrypter, _, _ in one.encrypters)
    )
    return list(islice(found, SHOWN_HOLDERS))


def _has_no_end(snapshot: TrustSnapshot, digest: bytes) -> bool:
    grant = snapshot.certificate(digest)
    return grant is not None and grant.retires_at_ms is None


def _keys_in_force(snapshot: TrustSnapshot, agency_id: str) -> tuple[tuple[bytes, ...], tuple[bytes, ...]]:
    """Return the digests of an agency's certificates and encryption keys that are in force."""
    agency: Agency | None = snapshot.agency(agency_id)
    if agency is None:
        return (), ()  # The rules refuse the rotation, and say why.
    grants = [snapshot.certificate(digest) for digest in agency.certificates]
    return (
        tuple(grant.digest for grant in grants if grant is not None and grant.may_sign),
        tuple(encrypter.digest for encrypter, _, retired_at in agency.encrypters if retired_at is None),
    )


def _still_signing(snapshot: TrustSnapshot, revoked: CertificateGrant, now_ms: int) -> tuple[str, ...]:
    """Return a warning for each other certificate of an agency under which it may still sign."""
    agency = snapshot.agency(revoked.agency)
    grants = [] if agency is None else [snapshot.certificate(digest) for digest in agency.certificates]
    return tuple(
        f"{one.agency} may still sign under {one.digest.hex()}"
        f"{'' if one.retires_at_ms is None else ' until ' + format_time(one.retires_at_ms)}:"
        " revoke it as well if its key was in the same place"
        for one in grants
        if one is not None and one.digest != revoked.digest and one.may_sign_at(now_ms)
    )
