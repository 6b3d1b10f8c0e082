"""How one certificate stood with its authority at a time: steps X4 and X5 (RFC 5280 section 6.3, EN 319 102-1).

What says *revoked* counts from whatever list or response it comes, however old. What says *not revoked* counts only
from the newest list of its place, or a response, and only up to the time until which its maker promised newer ones.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from cryptography import x509

from docbus.clock import format_time
from docbus.identity.pki.crl import RevocationList, Revoked, milliseconds
from docbus.identity.pki.forgetting import forgotten_by, is_final
from docbus.identity.pki.profile import subject_name
from docbus.identity.pki.verdict import HOLD, KNOWN, REVOKED, Outcome, StepResult

if TYPE_CHECKING:
    from collections.abc import Iterable

    from docbus.identity.pki.material import Piece, ValidationMaterial
    from docbus.identity.pki.ocsp import StatusResponse
    from docbus.identity.pki.verdict import Step

_COMPROMISED = frozenset({x509.ReasonFlags.key_compromise, x509.ReasonFlags.ca_compromise})


class Standing(NamedTuple):
    """What is known of one certificate.

    Attributes:
        result: KNOWN and REVOKED passed, or which of the two said no.
        code: Of the "no".
        rests_on: SHA-256 of each list and response that was needed.
        until_ms: Until when the answer is the same, if it passed.
        revoked_later: Whether it is known to be revoked from a later time on.
    """

    result: StepResult
    code: str | None
    rests_on: tuple[bytes, ...]
    until_ms: int
    revoked_later: bool = False


def standing_of(
    certificate: x509.Certificate,
    issuer: x509.Certificate,
    material: ValidationMaterial,
    *,
    at_ms: int,
    known_by_ms: int | None,
) -> Standing:
    """Return how a certificate of a valid path stood.

    Args:
        certificate: Issued by ``issuer``.
        issuer: The next certificate of the path.
        material: Lists and responses.
        at_ms: The time, milliseconds since 1970 UTC.
        known_by_ms: What claims to be made later is passed by; None for nothing.
    """
    lists = [
        one for one in material.lists(subject_name(issuer)) if one.covers(certificate) and one.is_signed_by(issuer)
    ]
    responses = [one for one in material.responses(certificate.serial_number) if one.speaks_of(certificate, issuer)]
    future = _future([*lists, *responses], known_by_ms)
    lists = [one for one in lists if one.digest not in future]
    responses = [one for one in responses if one.digest not in future]
    until = min([_before(time, at_ms, known_by_ms) for time in future.values()], default=_FOREVER)

    newest, later = _newest(lists), False
    for piece, revoked in _said(certificate, lists, responses):
        since = _since(revoked)
        if not is_final(revoked):
            if piece not in newest and piece not in responses:
                continue  # It may have been released since.
            if since <= at_ms:
                what = f"{_named(certificate)} is on hold since {format_time(since)}"
                return _no(REVOKED, Outcome.INDETERMINATE, what, HOLD, piece)
        elif since <= at_ms:
            what = f"{_named(certificate)} was revoked as of {format_time(since)} ({revoked.reason.value})"
            return _no(REVOKED, Outcome.FAILED, what + _forgotten(certificate, piece, newest), REVOKED.code, piece)
        later = later or is_final(revoked)
        until = min(until, since - 1)

    good = _good(certificate, newest, responses, at_ms)
    if good is None:
        return _no(KNOWN, Outcome.INDETERMINATE, _why_unknown(certificate, lists, at_ms), KNOWN.code, None)
    what = f"{_named(certificate)}: {_called(good)} of {format_time(good.this_update_ms)} knows of no revocation"
    if later:
        what += " by then; it was revoked later"
    result, until = StepResult(KNOWN, Outcome.PASSED, what), min(until, good.next_update_ms)
    return Standing(result, None, (good.digest,), until, later)


_FOREVER = (1 << 63) - 1


def _future(pieces: Iterable[Piece], known_by_ms: int | None) -> dict[bytes, int]:
    if known_by_ms is None:
        return {}
    return {one.digest: one.this_update_ms for one in pieces if one.this_update_ms > known_by_ms}


def _before(time_ms: int, at_ms: int, known_by_ms: int | None) -> int:
    """Return the last time at which what is made at ``time_ms`` is still passed by, as far ahead as it was asked."""
    return time_ms - 1 - (0 if known_by_ms is None else known_by_ms - at_ms)


def _newest(lists: Iterable[RevocationList]) -> list[RevocationList]:
    """Return the list with the highest number of each place; another one may be of a later day, and rolled back."""
    found: dict[object, RevocationList] = {}
    for one in lists:
        known = found.get(one.place)
        if known is None or (one.number, one.this_update_ms) > (known.number, known.this_update_ms):
            found[one.place] = one
    return list(found.values())


def _said(
    certificate: x509.Certificate, lists: Iterable[RevocationList], responses: Iterable[StatusResponse]
) -> list[tuple[Piece, Revoked]]:
    found: list[tuple[Piece, Revoked]] = []
    for one in lists:
        revoked = one.revoked.get(certificate.serial_number)
        if revoked is not None:
            found.append((one, revoked))
    found += [(one, one.revoked) for one in responses if one.revoked is not None]
    # A revocation for good decides before a hold does, and the earliest one decides.
    return sorted(found, key=lambda pair: (not is_final(pair[1]), _since(pair[1])))


def _since(revoked: Revoked) -> int:
    """Return from when on nothing counts: a compromise acts back to when it began, everything else when it is said."""
    if revoked.reason in _COMPROMISED and revoked.compromised_at is not None:
        return min(revoked.revoked_at, revoked.compromised_at)
    return revoked.revoked_at


def _forgotten(certificate: x509.Certificate, piece: Piece, newest: Iterable[RevocationList]) -> str:
    """Tell against the authority that its newer list has forgotten what an older one says, which it may not."""
    if not isinstance(piece, RevocationList):
        return ""
    after = next((one for one in newest if one.place == piece.place and one is not piece), None)
    if after is None or not forgotten_by(after, [piece], lambda: [certificate], after.this_update_ms):
        return ""
    return f", says list {piece.number}; list {after.number}, which is newer, has forgotten it"


def _good(
    certificate: x509.Certificate, newest: Iterable[RevocationList], responses: Iterable[StatusResponse], at_ms: int
) -> Piece | None:
    """Return the freshest of what says that the certificate was not revoked at the time.

    An authority may take expired certificates off its lists: what it says after their end is no news of them.
    """
    end = milliseconds(certificate.not_valid_after_utc)
    # A list that names it was looked at before: it was revoked after the time, and so was good at it.
    said: list[Piece] = [*newest, *(one for one in responses if one.is_good or one.revoked is not None)]
    said = [one for one in said if at_ms <= one.next_update_ms and one.this_update_ms <= end]
    return max(said, key=lambda one: one.next_update_ms, default=None)


def _no(step: Step, outcome: Outcome, text: str, code: str, piece: Piece | None) -> Standing:
    return Standing(StepResult(step, outcome, text), code, () if piece is None else (piece.digest,), 0)


def _why_unknown(certificate: x509.Certificate, lists: Iterable[RevocationList], at_ms: int) -> str:
    latest = max((one.next_update_ms for one in lists), default=None)
    what = f"nothing that its authority says of {_named(certificate)} is known for {format_time(at_ms)}"
    return what if latest is None else f"{what}: the last revocation list ends at {format_time(latest)}"


def _named(certificate: x509.Certificate) -> str:
    return f"certificate {certificate.serial_number:x}"


def _called(piece: Piece) -> str:
    return f"list {piece.number}" if isinstance(piece, RevocationList) else "the response"
