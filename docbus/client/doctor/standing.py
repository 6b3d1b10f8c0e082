"""Whether the directory grants the keys of a folder, and for how long."""

from __future__ import annotations

from typing import TYPE_CHECKING

from docbus.client.connect import SOON_DAYS, check_granted, next_signer_of_settings
from docbus.client.doctor.diagnosis import Diagnosis, Outcome, failed, passed, refused, warning
from docbus.client.doctor.keys import HEARTBEAT
from docbus.client.next_keys import awaits_certificate, certification_path, request_path
from docbus.clock import format_time
from docbus.errors import AgencyClosedError, ConfigurationError, IdentityError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from docbus.identity.encryption import Decrypter
    from docbus.identity.grants import CertificateGrant
    from docbus.identity.signing import RegistrarSigner, Signer
    from docbus.identity.snapshot import TrustSnapshot
    from docbus.settings import Settings

CERTIFICATE, ENCRYPTION = "certificate", "encryption key"
DAY_MS = 24 * 60 * 60 * 1000
_ROTATE = "Make new keys and have them granted, as docs/how-to/rotate-or-revoke-a-key.md says"


def certificate(snapshot: TrustSnapshot, settings: Settings, signer: Signer, now_ms: int) -> Diagnosis:
    """Tell whether what the agency signs now would be believed, and still will be in two months."""
    try:
        following = next_signer_of_settings(settings)
    except ConfigurationError as error:
        return refused(CERTIFICATE, error, "Correct next_signing and next_certificate under [keys].")
    if following is None and awaits_certificate(settings):
        found = _own(snapshot, settings, signer, now_ms)
        return found if found.outcome is Outcome.FAILED else _waiting(settings, found)
    if following is not None and snapshot.certificate(following.certificate) is None:
        found = _own(snapshot, settings, signer, now_ms)
        return found if found.outcome is Outcome.FAILED else _requested(settings, found)
    next_grant = None if following is None else snapshot.certificate(following.certificate)
    if following is not None and next_grant is not None and next_grant.may_sign_at(now_ms):
        return warning(
            CERTIFICATE,
            f"the next key signs, granted by entry {next_grant.granted_at}, and docbus.toml still names both",
            "Finish the rotation with `docbus keys rotate`.",
        )
    return _own(snapshot, settings, signer, now_ms)


def _waiting(settings: Settings, found: Diagnosis) -> Diagnosis:
    """Tell that a rotation waits for an authority, and what stands of the present certificate."""
    asked = certification_path(settings)
    return warning(
        CERTIFICATE,
        f"{found.found}; the next key waits for the certificate of an authority",
        f"Hand {asked.name} to the authority, and give what it issues to `docbus cert use`;"
        " `docbus keys rotate --status` says where the rotation stands.",
    )


def _requested(settings: Settings, found: Diagnosis) -> Diagnosis:
    """Tell that a rotation waits for the registrar, and what stands of the present certificate."""
    return warning(
        CERTIFICATE,
        f"{found.found}; the next key waits for the registrar",
        f"Hand {request_path(settings).name} to the registrar; `docbus keys rotate --status` has its fingerprint.",
    )


def _own(snapshot: TrustSnapshot, settings: Settings, signer: Signer, now_ms: int) -> Diagnosis:
    """Tell what the directory says of the certificate under which the agency signs."""
    try:
        check_granted(settings, signer.certificate, snapshot, now_ms)
    except (ConfigurationError, IdentityError) as error:
        return refused(CERTIFICATE, error, "Correct id under [agency], or the files under [keys].")
    grant = snapshot.certificate(signer.certificate)
    agency = None if grant is None else snapshot.agency(grant.agency)
    if grant is None or agency is None:
        return failed(CERTIFICATE, "the directory does not know it", _ROTATE)
    if agency.suspended_at is not None:
        return failed(
            CERTIFICATE,
            f"{agency.id} is suspended by entry {agency.suspended_at} and may sign nothing: {agency.suspension_reason}",
            "Ask the registrar, who ends it by `docbus registrar reinstate`.",
        )
    return _validity(grant, now_ms)


def _validity(grant: CertificateGrant, now_ms: int) -> Diagnosis:
    """Tell how the time stands to that in which the certificate holds."""
    ends = format_time(grant.not_after_ms)[:10]
    if now_ms >= grant.not_after_ms:
        return failed(CERTIFICATE, f"it has ended on {ends}", f"{_ROTATE}.")
    if now_ms < grant.not_before_ms:
        return failed(
            CERTIFICATE,
            f"it holds from {format_time(grant.not_before_ms)}, and this machine's clock says {format_time(now_ms)}",
            "Set the clock, for example by `timedatectl set-ntp true`; or wait.",
        )
    if grant.retires_at_ms is not None:
        retires = format_time(grant.retires_at_ms)
        return warning(
            CERTIFICATE,
            f"it may sign until {retires}, by entry {grant.overlap_at}, and another one is in force",
            "Finish the rotation with `docbus keys rotate`; `docbus keys rotate --status` says where it stands.",
        )
    left = (grant.not_after_ms - now_ms) // DAY_MS
    if left < SOON_DAYS:
        return warning(CERTIFICATE, f"it ends on {ends}, in {left} days", f"{_ROTATE}, before that day.")
    return passed(CERTIFICATE, f"granted by entry {grant.granted_at}, in force until {ends}")


def encryption_key(snapshot: TrustSnapshot, agency_id: str, decrypters: Sequence[Decrypter]) -> Diagnosis:
    """Tell whether what others encrypt now can be opened here."""
    agency = snapshot.agency(agency_id)
    if agency is None:
        return failed(
            ENCRYPTION,
            f"the directory does not know {agency_id}",
            "Hand the join request to the registrar, who runs `docbus registrar grant REQUEST`.",
        )
    try:
        wanted = agency.encrypter.digest
    except AgencyClosedError as error:
        return refused(ENCRYPTION, error)
    if all(wanted != key.digest for key in decrypters):
        return failed(
            ENCRYPTION,
            f"others encrypt to {wanted.hex()[:16]}…, and none of the keys here opens that",
            "Put the file of that key first in encryption under [keys]; if it is lost, make new keys and have them"
            " granted, as docs/how-to/rotate-or-revoke-a-key.md says.",
        )
    return passed(ENCRYPTION, f"others encrypt to {wanted.hex()[:16]}…, which is here")


def registrar_terms(snapshot: TrustSnapshot, check: str, signer: RegistrarSigner) -> Diagnosis:
    """Tell whether the directory takes a registrar's key.

    Args:
        snapshot: The directory.
        check: Which of the folder's keys it is: ``REGISTRAR`` or ``HEARTBEAT``.
        signer: It.
    """
    terms = snapshot.registrar
    name = f"{check} in force"
    if signer.key in terms.keys:
        return passed(name, f"signs every entry; {terms.threshold} of {len(terms.keys)} keys are needed")
    if signer.key in terms.heartbeat_keys and check == HEARTBEAT:
        return passed(name, "signs heartbeats alone")
    return failed(
        name,
        f"the directory does not take {signer.key.hex()[:16]}… for it",
        "See `docbus registrar keys show`, and name a key that is in force under [registrar].",
    )
