"""What can be said of an entry by itself, apart from the entries before it: most of what it costs (ADR 0025).

A process with nothing to lose, and nothing to hold, can find that out, for many entries, while another one holds them
together.
"""

from __future__ import annotations

from docbus.errors import DirectoryError, IdentityError
from docbus.identity.chain import decode_entry, decode_record
from docbus.identity.changes import check_form
from docbus.identity.checked import NOTHING_CHECKED, check_signing
from docbus.identity.entries import AgencyGrant, Genesis, KeyOverlap, KeyRotation, RegistrarRotation
from docbus.identity.registrar_terms import RegistrarTerms, verify_registrar
from docbus.wire.profiles import PROFILES


def prove(value: bytes, terms: RegistrarTerms) -> bytes | None:
    """Return what the certificates in a record come to, if its signatures and its own form are in order.

    Nothing is said of what is not: whoever applies the record finds out what is wrong with it, and says so.

    Args:
        value: A record's.
        terms: Whose signatures it needs, if no entry in between names other ones.

    Returns:
        What is kept beside the record (:attr:`~docbus.identity.replay.DirectoryReplay.checked`), or None.
    """
    try:
        record = decode_record(0, value)
        entry = decode_entry(0, record.entry)
        change = entry.change
        if isinstance(change, Genesis | RegistrarRotation):
            # They name terms themselves.
            return None
        verify_registrar(record, change, terms)
        if isinstance(change, AgencyGrant):
            check_form(entry.position, change)
        if not isinstance(change, AgencyGrant | KeyRotation | KeyOverlap) or change.signing is None:
            return NOTHING_CHECKED
        return check_signing(change.agency, change.signing).encode() if change.signing.profile in PROFILES else None
    except (DirectoryError, IdentityError):
        return None
