"""Whether what authorities say is known here, and for how long: without it nothing of theirs is believed."""

from __future__ import annotations

from typing import TYPE_CHECKING

from docbus.client.doctor.diagnosis import Diagnosis, failed, passed, warning
from docbus.client.material_memory import read_contents
from docbus.clock import format_time
from docbus.errors import DocbusError
from docbus.identity.pki.crl import RevocationList
from docbus.identity.pki.material import MAX_PIECES, ValidationMaterial, read_piece
from docbus.identity.pki.profile import may_sign_lists, subject_name
from docbus.storage.inspection import reading

if TYPE_CHECKING:
    from pathlib import Path

    from cryptography import x509

    from docbus.identity.snapshot import TrustSnapshot

CHECK = "revocation list"
SOON_MS = 24 * 60 * 60 * 1000
"""Milliseconds before its end from which on a list is worth a word: as long as what comes then would wait."""
_GET = "docbus cert fetch, or bring the authority's newest list: docbus cert import FILE"


def known_material(state: Path) -> ValidationMaterial:
    """Return the lists and responses that a folder keeps; none if that cannot be read."""
    try:
        with reading(state) as connection:
            contents = read_contents(connection)[-MAX_PIECES:]
        return ValidationMaterial(read_piece(content) for content in contents)
    except DocbusError:
        return ValidationMaterial()


def lists(snapshot: TrustSnapshot, material: ValidationMaterial, now_ms: int) -> list[Diagnosis]:
    """Tell of each authority of the directory that signs lists whether one is known that is current.

    An authority that answers by OCSP instead has no list, and is left out if an answer of its is known.
    """
    authorities = snapshot.authorities()
    found = [one for one in (*authorities.roots, *authorities.intermediates) if may_sign_lists(one)]
    return [_of(one, material, now_ms) for one in found if not _answers(one, material)]


def _answers(authority: x509.Certificate, material: ValidationMaterial) -> bool:
    has_list = bool(material.lists(subject_name(authority)))
    return not has_list and any(not isinstance(one, RevocationList) for one in material.pieces.values())


def _of(authority: x509.Certificate, material: ValidationMaterial, now_ms: int) -> Diagnosis:
    name = authority.subject.rfc4514_string()
    known = [one for one in material.lists(subject_name(authority)) if one.is_signed_by(authority)]
    if not known:
        return warning(CHECK, f"none of {name} is known, so that nothing it has issued is believed here", _GET)
    newest = max(known, key=lambda one: (one.number, one.this_update_ms))
    text = f"list {newest.number} of {name} is good until {format_time(newest.next_update_ms)}"
    if newest.next_update_ms < now_ms:
        return failed(CHECK, f"{text}: it has ended, and nothing that it has issued is believed here", _GET)
    if newest.next_update_ms - now_ms < SOON_MS:
        return warning(CHECK, text, _GET)
    return passed(CHECK, text)
