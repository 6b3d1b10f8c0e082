"""What judging an issued certificate comes to, step by step (design D8)."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import NamedTuple


class Outcome(StrEnum):
    """Of a step, and of all together."""

    PASSED = "passed"
    FAILED = "failed"
    INDETERMINATE = "indeterminate"


class Step(NamedTuple):
    """A step of the checklist: number, code of its "no", and what must be so."""

    number: str
    code: str
    title: str


FORM = Step("X1", "certificate_unfit", "the certificate keeps the profile for issued certificates")
PATH = Step("X2", "path_invalid", "a path leads from it to an authority of the directory, all valid at the time")
AUTHORITY = Step("X3", "authority_unfit", "every authority on the path keeps the profile for authorities")
KNOWN = Step("X4", "revocation_unknown", "its authority says of every certificate of the path how it stands")
REVOKED = Step("X5", "revoked_by_authority", "no certificate of the path was revoked at the time")
HOLD = "certificate_on_hold"
"""Code under X5 of a certificate that its authority has put on hold, and may release: indeterminate."""
STEPS: tuple[Step, ...] = (FORM, PATH, AUTHORITY, KNOWN, REVOKED)


class StepResult(NamedTuple):
    """What a step said; ``text`` says what was found, or what is wrong."""

    step: Step
    outcome: Outcome
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class PathVerdict:
    """What judging one certificate at one time came to.

    Attributes:
        outcome: Passed if every step did.
        code: Of what said no; None if nothing did.
        text: What it said.
        steps: Those that were reached, in their order.
        path: SHA-256 of each certificate of the path, the agency's own first; empty if there is none.
        rests_on: SHA-256 of each revocation list and response that was needed, sorted.
        since_ms: The answer is the same from then on, milliseconds since 1970 UTC; the time itself unless passed.
        until_ms: The answer is the same until then, this millisecond included.
        revoked_later: Whether a certificate of the path is known to be revoked from a later time on.
    """

    outcome: Outcome
    code: str | None
    text: str
    steps: tuple[StepResult, ...]
    path: tuple[bytes, ...] = ()
    rests_on: tuple[bytes, ...] = ()
    since_ms: int
    until_ms: int
    revoked_later: bool = False
