"""What `docbus verify` says about when something was: the document, and the directory entry it was signed under."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from docbus.cli.export_stamps import EVIDENCE_NAME
from docbus.cli.files import read_file

if TYPE_CHECKING:
    from pathlib import Path

    from docbus.identity.snapshot import TrustSnapshot
    from docbus.identity.time_stamps.anchors import Anchors
    from docbus.identity.time_stamps.token import TimeStamp
    from docbus.identity.time_stamps.verdict import Verdict
    from docbus.verification.report import VerificationReport

INVALID, UNDECIDED = 1, 3
"""Exit codes, as those of a verification."""


class Times(NamedTuple):
    """What was found.

    Attributes:
        document: About the signature of the document; None where no evidence was given.
        directory: About the entry that it was signed under; None where no time stamp is about that or a later one.
        entry: Its position; None where the envelope cannot be read so far.
        anchored: Whether anybody was named whom to believe.
        whose: Whose batches the evidence is about, as it says itself; None where none was given.
    """

    document: Verdict | None
    directory: Verdict | None
    entry: int | None
    anchored: bool
    whose: str | None = None


def judged(
    value: bytes,
    snapshot: TrustSnapshot,
    report: VerificationReport,
    *,
    folder: Path | None,
    anchors: Anchors | None,
    policy: str | None,
) -> Times:
    """Verify the time stamps that there are.

    Args:
        value: The envelope.
        snapshot: The directory to its end.
        report: What the envelope's verification came to.
        folder: With the evidence about the document; None if there is none.
        anchors: Whom to believe.
        policy: The only policy to accept.

    Raises:
        AuditError: The evidence cannot be read.
    """
    from docbus.audit.time_stamps import judge_entry, judge_envelope, load_evidence

    document, whose = None, None
    if folder is not None:
        evidence = load_evidence(_read(folder / EVIDENCE_NAME))
        document = judge_envelope(value, evidence, anchors, policy=policy)
        whose = f"{evidence.agency} in {evidence.environment}"
    entry = None if report.subject is None else report.subject.directory_position
    directory = None if entry is None else judge_entry(snapshot, entry, anchors, policy=policy)
    return Times(document, directory, entry, anchors is not None, whose)


def proof(times: Times) -> TimeStamp | None:
    """Return the time stamp that proves by when the document was signed; None if none does."""
    found = times.document
    if found is None or not times.anchored or found.outcome != "passed":
        return None
    return found.stamp


def lines(times: Times) -> list[str]:
    """Say what is proven, and what was not checked."""
    told = []
    if times.document is not None:
        told.append(f"time stamp: {said(times.document, 'its signature ')}; evidence of {times.whose}")
    if times.directory is not None:
        told.append(f"directory entry {times.entry}, under which it was made: {said(times.directory)}")
    return told


def said(verdict: Verdict, what: str = "") -> str:
    """Say what a time stamp proves, of whatever it is about."""
    return f"{verdict.outcome}: {what if verdict.reason is None else ''}{verdict.text}"


def to_json(times: Times) -> dict[str, Any]:
    """Return the same for programs."""
    document = as_json(times.document)
    if document is not None:
        document["evidence_of"] = times.whose
    return {"time_stamp": document, "directory_time_stamp": as_json(times.directory)}


def as_json(verdict: Verdict | None) -> dict[str, Any] | None:
    """Return the same for programs; None where there is no time stamp."""
    from docbus.clock import format_time

    if verdict is None:
        return None
    stamp = verdict.stamp
    return {
        "outcome": verdict.outcome.value,
        "reason": verdict.reason,
        "text": verdict.text,
        "time": None if stamp is None else format_time(stamp.time_ms),
        "authority": None if stamp is None else stamp.authority,
    }


def exit_code(code: int, times: Times) -> int:
    """Return the exit code of a verification with that of the document's time stamp, if it was to be checked."""
    if code or times.document is None or not times.anchored:
        return code
    return {"passed": code, "failed": INVALID, "indeterminate": UNDECIDED}[times.document.outcome]


def _read(path: Path) -> bytes:
    from docbus.audit.time_stamps import MAX_EVIDENCE_BYTES
    from docbus.errors import AuditError

    return read_file(path, MAX_EVIDENCE_BYTES, AuditError, "Name the folder that `docbus export time-stamp` made.")
