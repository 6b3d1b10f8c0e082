"""The checklist for a certificate that an authority has issued (ADR 0021).

::

    X1 form         X2 path        X3 authorities        X4 revocation is known        X5 not revoked

Each asks at a *time*: now, when a recipient decides; the time at which a statement was made, when an auditor does. What
an authority has said later counts as well, as it only knows more. Nothing is ever assumed to be good: where the
authority has not spoken, or not for that time, the answer is *indeterminate*.
"""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING

from cryptography.hazmat.primitives import hashes

from docbus.errors import IdentityError
from docbus.identity.pki.crl import milliseconds
from docbus.identity.pki.path import find_path
from docbus.identity.pki.profile import check_authority, check_issued, check_leaf_key, check_period
from docbus.identity.pki.standing import standing_of
from docbus.identity.pki.verdict import AUTHORITY, FORM, KNOWN, PATH, REVOKED, Outcome, PathVerdict, StepResult

if TYPE_CHECKING:
    from collections.abc import Sequence

    from cryptography import x509

    from docbus.identity.pki.authorities import Authorities
    from docbus.identity.pki.material import ValidationMaterial
    from docbus.identity.pki.standing import Standing

    Path = tuple[x509.Certificate, ...]


def judge(
    certificate: x509.Certificate,
    agency: str,
    authorities: Authorities,
    material: ValidationMaterial,
    *,
    at_ms: int,
    known_by_ms: int | None = None,
) -> PathVerdict:
    """Judge a certificate that an authority has issued.

    Args:
        certificate: The agency's.
        agency: Canonical id of the agency to which the directory grants it.
        authorities: In force by the directory.
        material: Lists and responses.
        at_ms: The time for which the answer is asked, milliseconds since 1970-01-01T00:00:00Z.
        known_by_ms: What claims to have been made later than this is passed by; None where all of it may be.
    """
    path, steps = validate_path(certificate, agency, authorities, at_ms=at_ms)
    if path is None:
        return _no(steps, steps[-1].step.code, at_ms)
    standings = [
        standing_of(one, issuer, material, at_ms=at_ms, known_by_ms=known_by_ms) for one, issuer in pairwise(path)
    ]
    refused = _worst(standings)
    if refused is not None:
        if refused.result.step is REVOKED:
            steps.append(StepResult(KNOWN, Outcome.PASSED, "its authority has spoken"))
        steps.append(refused.result)
        return _no(steps, refused.code, at_ms, path, refused.rests_on)
    steps += [one.result for one in standings]
    steps.append(StepResult(REVOKED, Outcome.PASSED, f"{len(standings)} of the path, the trust anchor apart"))
    return PathVerdict(
        outcome=Outcome.PASSED,
        code=None,
        text="; ".join(one.result.text for one in standings),
        steps=tuple(steps),
        path=_digests(path),
        rests_on=tuple(sorted({digest for one in standings for digest in one.rests_on})),
        since_ms=max(milliseconds(one.not_valid_before_utc) for one in path),
        until_ms=min(*(milliseconds(one.not_valid_after_utc) for one in path), *(one.until_ms for one in standings)),
        revoked_later=any(one.revoked_later for one in standings),
    )


def validate_path(
    certificate: x509.Certificate, agency: str, authorities: Authorities, *, at_ms: int
) -> tuple[Path | None, list[StepResult]]:
    """Run X1 to X3: return the path, or None, and what each step said."""
    steps: list[StepResult] = []
    step = FORM
    try:
        check_issued(certificate, agency)
        check_leaf_key(certificate)
        check_period(certificate)
        steps.append(StepResult(FORM, Outcome.PASSED, f"issued by {certificate.issuer.rfc4514_string()}"))
        step = PATH
        path = find_path(certificate, authorities, at_ms)
        steps.append(StepResult(PATH, Outcome.PASSED, f"to {path[-1].subject.rfc4514_string()}"))
        step = AUTHORITY
        for one in path[1:]:
            check_authority(one)
    except IdentityError as error:
        steps.append(StepResult(step, Outcome.FAILED, error.text))
        return None, steps
    steps.append(StepResult(AUTHORITY, Outcome.PASSED, f"{len(path) - 1} above the certificate"))
    return path, steps


def _worst(standings: Sequence[Standing]) -> Standing | None:
    """Return what decides: a revocation, before what is not known."""
    refusing = [one for one in standings if one.code is not None]
    return min(refusing, key=lambda one: one.result.outcome is not Outcome.FAILED, default=None)


def _digests(path: Path) -> tuple[bytes, ...]:
    return tuple(one.fingerprint(_SHA256) for one in path)


def _no(
    steps: Sequence[StepResult],
    code: str | None,
    at_ms: int,
    path: Path = (),
    rests_on: tuple[bytes, ...] = (),
) -> PathVerdict:
    return PathVerdict(
        outcome=steps[-1].outcome,
        code=code,
        text=steps[-1].text,
        steps=tuple(steps),
        path=_digests(path),
        rests_on=rests_on,
        since_ms=at_ms,
        until_ms=at_ms,
    )


_SHA256 = hashes.SHA256()
