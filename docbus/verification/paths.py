"""C1.23: the path and the standing of certificates that authorities of the directory have issued (ADR 0021).

Self-made certificates are granted by their digest, and are none of this module's business.
"""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, NamedTuple, Protocol

from cryptography import x509

from docbus.errors import IndeterminateError, VerificationError
from docbus.identity.pki.judge import judge, validate_path
from docbus.identity.pki.material import NOTHING_KNOWN, ValidationMaterial
from docbus.identity.pki.profile import issuer_name
from docbus.identity.pki.verdict import HOLD, KNOWN, PATH, Outcome
from docbus.limits import MAX_CLOCK_SKEW_MS
from docbus.verification import checks
from docbus.verification.checks import failed, undecided

if TYPE_CHECKING:
    from collections.abc import Callable

    from docbus.envelope.statement import Head
    from docbus.identity.grants import CertificateGrant
    from docbus.identity.pki.authorities import Authorities
    from docbus.identity.pki.verdict import PathVerdict
    from docbus.identity.snapshot import TrustSnapshot

_SECOND_MS = 1000
"""Times are handed on in seconds, which may be a part of one before the statement's milliseconds."""
MAX_REMEMBERED = 4096
"""Agencies whose certificates are kept parsed, some 10 KiB each, with the last verdict on them that passed."""


class Basis(NamedTuple):
    """What a verdict that passed rests on: the time for which it was asked, and the SHA-256 of lists and responses."""

    at_ms: int
    rests_on: tuple[bytes, ...]


class Dated(Protocol):
    """What a statement's head and an act say of when they were made."""

    @property
    def made_at(self) -> int:
        """By the clock of who made it, milliseconds since 1970 UTC."""

    @property
    def directory_position(self) -> int:
        """The last entry of the directory that was known then."""


class _Remembered:
    """The certificates of one grant, and the last verdicts on them that passed, with what they were made from."""

    __slots__ = ("authorities", "certificates", "is_live", "material", "verdicts")

    def __init__(self, certificates: tuple[x509.Certificate, ...]) -> None:
        self.certificates = certificates
        self.authorities: Authorities | None = None
        self.material: ValidationMaterial | None = None
        self.is_live = False
        self.verdicts: tuple[PathVerdict, ...] = ()

    def holds(self, authorities: Authorities, material: ValidationMaterial, at_ms: int, *, is_live: bool) -> bool:
        """Tell whether the verdicts would be the same now; who asks live passes by what is of the future."""
        same = self.authorities is authorities and self.material is material and self.is_live is is_live
        return same and all(one.since_ms <= at_ms <= one.until_ms for one in self.verdicts)


class Paths:
    """Runs C1.23. What it remembers never changes an answer; use one per thread.

    Args:
        material: Gives the lists and responses that are known; nothing is known unless it is given, and then nothing
            that an authority has issued passes.
    """

    def __init__(self, material: Callable[[], ValidationMaterial] = lambda: NOTHING_KNOWN) -> None:
        self._material = material
        self._remembered: dict[bytes, _Remembered] = {}

    @property
    def material(self) -> ValidationMaterial:
        """What is known of certificates' standing now: another object as soon as that is something else."""
        return self._material()

    def check_live(self, grant: CertificateGrant, head: Head, snapshot: TrustSnapshot, now_ms: int) -> Basis | None:
        """Run C1.23 as a recipient: the certificate has a valid path, and is known not to be revoked now.

        Returns:
            What that rests on; None for a certificate that no authority of the directory has issued.

        Raises:
            VerificationError: It has not, or it is revoked.
            IndeterminateError: Its authority has not said for now how it stands, or has put it on hold.
        """
        authorities = snapshot.authorities()
        if not authorities.names:
            return None
        rests_on = self._judge(grant, authorities, now_ms, now_ms + MAX_CLOCK_SKEW_MS)
        # What a recipient files, no auditor may call invalid: there was a path under the directory of the statement.
        self._had_path(grant, snapshot.authorities(head.directory_position), head.made_at)
        return None if rests_on is None else Basis(now_ms, tuple(sorted(set(rests_on))))

    def check_recorded(
        self, grant: CertificateGrant, head: Dated, snapshot: TrustSnapshot, known_at_ms: int | None
    ) -> Basis | None:
        """Run C1.23 as an auditor: it had a valid path, and was not revoked, when the statement or the act was made.

        Args:
            grant: Of the certificate that signed.
            head: Of the statement, or the act.
            snapshot: The directory.
            known_at_ms: A time at which the statement is known to have been there, by other evidence than its own word;
                None for none. A revocation after it does not touch the statement. It is an end and no beginning, so it
                can only help: what does not pass then is judged by the statement's own word, as it is if the time is
                before the one that the statement claims.

        Raises:
            VerificationError: It had not, or was revoked.
            IndeterminateError: Nothing says how it stood; or it was revoked later, and nothing shows which came first.
        """
        authorities = snapshot.authorities(head.directory_position)
        if not authorities.names:
            return None
        rests_on, at_ms = None, head.made_at
        if known_at_ms is not None and known_at_ms >= head.made_at - _SECOND_MS:
            with contextlib.suppress(VerificationError, IndeterminateError):
                at_ms = max(known_at_ms, head.made_at)
                rests_on = self._judge(grant, authorities, at_ms, None)
        if rests_on is None:
            at_ms = head.made_at
            rests_on = self._judge(grant, authorities, at_ms, None, proven=False)
        return None if rests_on is None else Basis(at_ms, tuple(sorted(set(rests_on))))

    def _judge(
        self,
        grant: CertificateGrant,
        authorities: Authorities,
        at_ms: int,
        known_by_ms: int | None,
        *,
        proven: bool = True,
    ) -> list[bytes] | None:
        """Return what the verdicts on all certificates of a grant rest on; None if no authority has issued any."""
        material, found = self._material(), self._of(grant)
        is_live = known_by_ms is not None
        if not found.holds(authorities, material, at_ms, is_live=is_live):
            found.authorities = None
            verdicts = tuple(
                judge(one, grant.agency, authorities, material, at_ms=at_ms, known_by_ms=known_by_ms)
                for one in found.certificates
                if issuer_name(one) in authorities.names
            )
            for verdict in verdicts:
                _pass(verdict)
            found.authorities, found.material, found.verdicts = authorities, material, verdicts
            found.is_live = is_live
        if not proven and any(one.revoked_later for one in found.verdicts):
            undecided(
                checks.PATH,
                "revoked by its authority later, and nothing anchors the statement before that",
                code=checks.REVOKED_BY_AUTHORITY_LATER,
            )
        return [digest for one in found.verdicts for digest in one.rests_on] if found.verdicts else None

    def _had_path(self, grant: CertificateGrant, authorities: Authorities, at_ms: int) -> None:
        found = self._of(grant)
        if found.authorities is authorities and all(one.since_ms <= at_ms <= one.until_ms for one in found.verdicts):
            return  # The verdict on now holds for then as well.
        for one in found.certificates:
            if issuer_name(one) in authorities.names:
                _, steps = validate_path(one, grant.agency, authorities, at_ms=at_ms)
                last = steps[-1]
                if last.outcome is not Outcome.PASSED:
                    failed(checks.PATH, f"{last.step.number} when it was made: {last.text}", code=last.step.code)

    def _of(self, grant: CertificateGrant) -> _Remembered:
        found = self._remembered.get(grant.digest)
        if found is None:
            if len(self._remembered) >= MAX_REMEMBERED:
                del self._remembered[next(iter(self._remembered))]
            parsed = tuple(x509.load_der_x509_certificate(der) for der in grant.certificates)
            found = self._remembered[grant.digest] = _Remembered(parsed)
        return found


def _pass(verdict: PathVerdict) -> None:
    """Return if a verdict passed.

    Raises:
        VerificationError: It failed.
        IndeterminateError: It is neither.
    """
    if verdict.outcome is Outcome.PASSED:
        return
    text = f"{verdict.steps[-1].step.number}: {verdict.text}"
    code = checks.PATH.code if verdict.code == PATH.code else verdict.code
    if verdict.outcome is Outcome.FAILED:
        failed(checks.PATH, text, code=code)
    undecided(checks.PATH, text, code=HOLD if verdict.code == HOLD else KNOWN.code)
