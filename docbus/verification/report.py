"""What verification says of one record, check by check, for people and for programs.

A verification stops at the first "no"; the report puts that answer back into the whole list, so that a reader sees what
passed before it, what was never reached, and what does not apply and why. Pure: it is made from the result and the
bytes, and asks nothing again.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, Self

from docbus.errors import IndeterminateError, VerificationError
from docbus.verification import checks
from docbus.verification.outcomes import first_part, second_part
from docbus.verification.signing_time import SigningTime, claimed_time
from docbus.verification.subject import Known
from docbus.verification.verifier import DIRECTORY_HASH_FINDING, Verified

if TYPE_CHECKING:
    from collections.abc import Mapping

    from docbus.envelope.package import Package
    from docbus.identity.pki.words import AuthorityWord
    from docbus.identity.snapshot import TrustSnapshot
    from docbus.verification.outcomes import CheckResult, Manner
    from docbus.verification.subject import Given, Subject

Verdict = Literal["valid", "invalid", "indeterminate"]
EXIT_CODES: Mapping[Verdict, int] = {"valid": 0, "invalid": 1, "indeterminate": 3}
"""Exit codes of a verifying command; 2 is wrong usage and 4 that the evidence cannot be read."""


class Trust(NamedTuple):
    """The directory that was asked: another verdict about the same bytes may rest on an earlier or a later one.

    ``genesis`` and ``head`` are the hashes of its first and its last entry, in hex; ``position`` is that of the last.
    """

    environment: str
    genesis: str
    position: int
    head: str


@dataclass(frozen=True, slots=True, kw_only=True)
class VerificationReport:
    """Verdict, all checks in the order of their numbers, and what the bytes are about if they can be read so far.

    ``signing_time`` says on what it rests when it was signed; None unless every check of C1 was passed.
    """

    verdict: Verdict
    checks: tuple[CheckResult, ...]
    subject: Subject | None
    trust: Trust
    signing_time: SigningTime | None = None
    findings: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    words: tuple[AuthorityWord, ...] = ()

    @property
    def exit_code(self) -> int:
        """Exit code of a command that ends with this report."""
        return EXIT_CODES[self.verdict]

    def by_word(self, known_at_ms: int | None) -> Self:
        """Return the report with a time at which the reader says that the envelope was there; None for none.

        One before the time that the statement names shows nothing.
        """
        found = self.signing_time
        if known_at_ms is None or found is None or known_at_ms < found.at_ms:
            return self
        return replace(self, signing_time=found.by_word(known_at_ms))

    def by_time_stamp(self, at_ms: int, authority: str | None) -> Self:
        """Return the report with a time stamp that was verified."""
        found = self.signing_time
        return self if found is None else replace(self, signing_time=found.by_time_stamp(at_ms, authority))

    def to_json(self) -> dict[str, Any]:
        """Return the report as JSON types."""
        subject = {} if self.subject is None else asdict(self.subject)
        return {
            "verdict": self.verdict,
            "checks": [asdict(check) for check in self.checks],
            **subject,
            "trust": self.trust._asdict(),
            "signing_time": None if self.signing_time is None else self.signing_time.to_json(),
            "findings": list(self.findings),
            "notes": list(self.notes),
            "rests_on": [asdict(word) for word in self.words],
        }


def report_of(
    result: Given,
    value: bytes | None,
    manner: Manner,
    snapshot: TrustSnapshot,
    *,
    opening: Package | VerificationError | None = None,
    notes: tuple[str, ...] = (),
    words: tuple[AuthorityWord, ...] = (),
    now_ms: int = 0,
) -> VerificationReport:
    """Return the report on one verification.

    Args:
        result: What the verifier returned or raised.
        value: The bytes it was given.
        manner: How it was asked.
        snapshot: The directory that the verifier was given.
        opening: What the opener returned or raised; None where it had nothing to open or no key was at hand.
        notes: Sentences to carry along, such as what the trust rests on.
        words: The lists and responses on which C1.23 rests, if it passed.
        now_ms: Milliseconds since 1970 UTC, to say which keys have ended since; if it is before the time of the
            directory's last entry, that counts.
    """
    known = Known.of(result, value, words)
    outcomes = {**first_part(result, manner, known, snapshot), **second_part(result, opening, known)}
    if isinstance(result, VerificationError) or isinstance(opening, VerificationError):
        verdict: Verdict = "invalid"
    elif isinstance(result, IndeterminateError) or DIRECTORY_HASH_FINDING in result.findings:
        verdict = "indeterminate"
    else:
        verdict = "valid"
    return VerificationReport(
        verdict=verdict,
        checks=tuple(outcomes[check.number] for check in checks.CHECKS),
        subject=known.subject(proven=outcomes[checks.SENDER.number].result == "passed"),
        trust=Trust(snapshot.environment, snapshot.genesis.hex(), snapshot.position, snapshot.head.hex()),
        signing_time=claimed_time(result, snapshot, now_ms) if isinstance(result, Verified) else None,
        findings=result.findings if isinstance(result, Verified) else (),
        notes=(*notes, *(word.warning for word in words if word.warning is not None)),
        words=words,
    )
