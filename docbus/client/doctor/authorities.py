"""Whether what authorities say is known here, and for how long: without it nothing of theirs is believed."""

from __future__ import annotations

from typing import TYPE_CHECKING

from docbus.client.collecting import NOTHING_WANTED, ask, fetch_from, wanted_of_own
from docbus.client.doctor.diagnosis import Diagnosis, failed, passed, warning
from docbus.client.material_memory import read_deciding, read_held
from docbus.client.own_standing import own_standing
from docbus.clock import format_time
from docbus.errors import DocbusError
from docbus.identity.pki.crl import RevocationList
from docbus.identity.pki.material import ValidationMaterial, read_piece
from docbus.identity.pki.profile import may_sign_lists, subject_name
from docbus.identity.pki.verdict import HOLD, Outcome
from docbus.storage.inspection import reading

if TYPE_CHECKING:
    from pathlib import Path

    from cryptography import x509

    from docbus.client.collecting import Fetch
    from docbus.identity.snapshot import TrustSnapshot
    from docbus.settings import Settings

CHECK, OWN, FORGOTTEN = "revocation list", "authority's word", "authority's memory"
SOON_MS = 24 * 60 * 60 * 1000
"""Milliseconds before its end from which on a list is worth a word: as long as what comes then would wait."""
_OTHER = (
    "Make new keys, docbus keys rotate --again --overlap 0d, and ask the authority for their certificate. When the"
    " registrar has rotated, have the old one revoked as well, docbus registrar revoke: what was refused goes out then."
)
_RELEASE = "Ask the authority why, and to release it; or for another certificate."
_BRING = (
    "Bring the authority's newest list in time: docbus cert import FILE; or, where the certificate names an address,"
    " set fetch = true under [certificates]."
)
_ASK = "What was revoked stays revoked here. Tell the authority and the registrar: its lists may not forget."
_GET = "docbus cert fetch, or bring the authority's newest list: docbus cert import FILE"


def known_material(state: Path) -> ValidationMaterial:
    """Return the lists and responses by which a folder judges; none if that cannot be read."""
    try:
        with reading(state) as connection:
            contents = read_deciding(connection)
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


async def own(
    snapshot: TrustSnapshot,
    settings: Settings,
    agency: str,
    material: ValidationMaterial,
    now_ms: int,
    *,
    fetch: Fetch = fetch_from,
) -> list[Diagnosis]:
    """Tell whether the agency's own certificate is believed by its authority's word; nothing if it made its own.

    Its authority is asked now, where the settings let it be and the certificate says where; nothing is kept of that.
    """
    allowed = settings.certificates.fetch
    wanted = wanted_of_own(snapshot, agency) if allowed else NOTHING_WANTED
    asked, away = await ask(wanted, fetch=fetch)
    known = ValidationMaterial((*material.pieces.values(), *asked))
    found = own_standing(snapshot, agency, known, now_ms, fetch=allowed)
    if found is None:
        return []
    text = "; ".join([found.text, *(f"{uri} could not be asked: {why}" for uri, why in away)])
    if wanted.left_out:
        text += f"; {wanted.left_out:,} more addresses were not asked"
    if found.nobody_asks is not None:
        text += f"; nobody asks about this agency's own certificate: {found.nobody_asks}"
    if found.outcome is Outcome.FAILED:
        return [failed(OWN, f"{text}; others refuse what is signed under it", _OTHER)]
    if found.code == HOLD:
        return [warning(OWN, f"{text}; what is signed under it waits at its recipients for a day", _RELEASE)]
    if found.outcome is Outcome.INDETERMINATE or away:
        return [warning(OWN, text, _GET if found.nobody_asks is None else _BRING)]
    return [passed(OWN, text) if found.nobody_asks is None else warning(OWN, text, _BRING)]


def forgotten(state: Path) -> list[Diagnosis]:
    """Tell what authorities have forgotten of certificates in force; nothing where they have not."""
    try:
        with reading(state) as connection:
            told = read_held(connection)
    except DocbusError:
        return []
    return [warning(FORGOTTEN, "; ".join(told), _ASK)] if told else []


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
