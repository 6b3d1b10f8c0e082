"""Revocations that an authority's newer list has forgotten.

An entry stays on the lists of its place until one that was made after the certificate's end; only a hold may be lifted
(RFC 5280 sections 3.3 and 5.3.1). Where an authority forgets one, the older list is still its word, and decides.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from cryptography import x509

from docbus.clock import format_time
from docbus.identity.pki.crl import milliseconds
from docbus.identity.pki.profile import issuer_name

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from docbus.identity.pki.crl import RevocationList, Revoked


class Forgotten(NamedTuple):
    """A certificate that ``known`` revokes for good, and that ``newer``, of the same place, knows nothing of."""

    certificate: x509.Certificate
    known: RevocationList
    newer: RevocationList

    @property
    def text(self) -> str:
        """What there is to tell against the authority."""
        serial = self.certificate.serial_number
        revoked = self.known.revoked[serial]
        return (
            f"list {self.newer.number} of {self.newer.parsed.issuer.rfc4514_string()} has forgotten that certificate"
            f" {serial:x} was revoked as of {format_time(revoked.revoked_at)}, as list {self.known.number} says"
        )


def is_final(revoked: Revoked) -> bool:
    """Tell whether nothing takes a revocation back: a hold may be released, and nothing else."""
    return revoked.reason is not x509.ReasonFlags.certificate_hold


def forgotten_by(
    newer: RevocationList,
    older: Iterable[RevocationList],
    certificates: Callable[[], Iterable[x509.Certificate]],
    now_ms: int,
) -> list[Forgotten]:
    """Return the revocations for good in older lists that a newer one lacks, of certificates that have not ended.

    Each is told of one older list, and as few lists as possible are named: the newest one that has an entry.

    Args:
        newer: The list in question.
        older: Lists of its place, signed by the same authority.
        certificates: Gives those that matter, such as the directory's; asked only if some entry is gone, as it may
            take seconds, and authorities drop expired certificates every day.
        now_ms: Milliseconds since 1970 UTC; what has ended by then may be forgotten.
    """
    known = {serial for serial, revoked in newer.revoked.items() if is_final(revoked)}
    gone: dict[int, RevocationList] = {}
    for one in sorted(older, key=lambda one: (one.number, one.this_update_ms), reverse=True):
        for serial, revoked in one.revoked.items():
            if serial not in known and serial not in gone and is_final(revoked):
                gone[serial] = one
    if not gone:
        return []
    return [
        Forgotten(one, gone[one.serial_number], newer)
        for one in certificates()
        if one.serial_number in gone
        and issuer_name(one) == newer.issuer
        and newer.covers(one)
        and now_ms <= milliseconds(one.not_valid_after_utc)
    ]
