"""When was it, by somebody else's clock? Time stamps of documents and of the directory, for who brings an anchor."""

from __future__ import annotations

import base64
import binascii
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from docbus.envelope.envelope import decode_envelope
from docbus.envelope.stamped_batch import batch_digest_of
from docbus.envelope.statement import decode_statement
from docbus.errors import AuditError, MalformedError
from docbus.identity.time_stamps.log import carried_stamps, judge_carried
from docbus.identity.time_stamps.stamped import stamped_batches
from docbus.identity.time_stamps.verdict import Outcome, Reason, Verdict, judge
from docbus.limits import KIB
from docbus.wire.tree import HASH_BYTES, root_from_path

if TYPE_CHECKING:
    from docbus.identity.snapshot import TrustSnapshot
    from docbus.identity.time_stamps.anchors import Anchors

FORMAT = "docbus-time-stamp-v1"
MAX_EVIDENCE_BYTES = 64 * KIB
"""Bytes of the file that says how a batch leads to a time stamp; the largest token makes half of it."""
_FIELDS = {"format": str, "environment": str, "agency": str, "count": int, "index": int, "path": list, "token": str}


@dataclass(frozen=True, slots=True, kw_only=True)
class StampEvidence:
    """How a signed batch leads to a token.

    Attributes:
        environment: Name of the exchange.
        agency: Canonical id of whoever had it stamped.
        count: Batches under the token.
        index: Place of this one among them, from 0.
        path: Hashes from its digest up to their root, 32 bytes each.
        token: A CMS ContentInfo, DER.
    """

    environment: str
    agency: str
    count: int
    index: int
    path: bytes
    token: bytes

    def stamped(self, digest: bytes) -> bytes | None:
        """Return the bytes that the token is about if a batch with this digest is under it; None if it cannot be."""
        root = root_from_path(digest, self.index, self.count, self.path)
        return None if root is None else stamped_batches(self.environment, self.agency, self.count, root)


def dump_evidence(evidence: StampEvidence) -> bytes:
    """Return the evidence as a file, JSON."""
    path = [evidence.path[at : at + HASH_BYTES].hex() for at in range(0, len(evidence.path), HASH_BYTES)]
    content = {
        "format": FORMAT,
        "environment": evidence.environment,
        "agency": evidence.agency,
        "count": evidence.count,
        "index": evidence.index,
        "path": path,
        "token": base64.b64encode(evidence.token).decode(),
    }
    return json.dumps(content, ensure_ascii=False, indent=1).encode() + b"\n"


def load_evidence(content: bytes) -> StampEvidence:
    """Return the evidence in a file.

    Raises:
        AuditError: It is none of this format.
    """
    hint = "`docbus export time-stamp` writes it."
    if len(content) > MAX_EVIDENCE_BYTES:
        raise AuditError(f"time stamp evidence of {len(content)} bytes; {MAX_EVIDENCE_BYTES} are allowed", hint=hint)
    try:
        found: Any = json.loads(content)
    except (ValueError, RecursionError) as error:
        raise AuditError("time stamp evidence is JSON, and this is not", hint=hint) from error
    if not isinstance(found, dict) or found.get("format") != FORMAT or not _has_fields(found):
        raise AuditError(f"this is no time stamp evidence of the format {FORMAT}", hint=hint)
    try:
        path = b"".join(_hash(text) for text in found["path"])
        token = base64.b64decode(found["token"], validate=True)
    except (ValueError, TypeError, binascii.Error) as error:
        raise AuditError("path or token of the time stamp evidence cannot be read", hint=hint) from error
    return StampEvidence(
        environment=found["environment"],
        agency=found["agency"],
        count=found["count"],
        index=found["index"],
        path=path,
        token=token,
    )


def _has_fields(found: dict[str, Any]) -> bool:
    kinds = {name: type(value) for name, value in found.items()}
    return kinds == _FIELDS and 0 <= found["index"] < found["count"] < 1 << 63


def _hash(text: str) -> bytes:
    made = bytes.fromhex(text)
    if len(made) != HASH_BYTES:
        raise ValueError(text)
    return made


def judge_envelope(
    value: bytes, evidence: StampEvidence, anchors: Anchors | None, *, policy: str | None = None
) -> Verdict:
    """Return whether evidence proves that an envelope's signature existed at a time; the envelope is not verified.

    Args:
        value: The exact bytes of the record's value.
        evidence: What the agency has exported.
        anchors: Whom the reader believes; None if nobody was named.
        policy: The only policy to accept; None for any.
    """
    try:
        envelope = decode_envelope(value)
        head = decode_statement(envelope.payload_type, envelope.statement).head
        stamped = evidence.stamped(batch_digest_of(envelope))
    except MalformedError as error:
        return Verdict(outcome=Outcome.FAILED, reason=Reason.IMPRINT, text=error.text, stamp=None)
    except KeyError:
        text = "the envelope is of a type that is none of a statement"
        return Verdict(outcome=Outcome.FAILED, reason=Reason.IMPRINT, text=text, stamp=None)
    if (evidence.environment, evidence.agency) != (head.environment, head.sender):
        text = (
            f"the evidence is about batches of {evidence.agency} in {evidence.environment};"
            f" the statement is of {head.sender} in {head.environment}"
        )
        return Verdict(outcome=Outcome.FAILED, reason=Reason.OWNER, text=text, stamp=None)
    if stamped is None:
        text = "the path in the evidence has not the length that index and count demand"
        return Verdict(outcome=Outcome.FAILED, reason=Reason.IMPRINT, text=text, stamp=None)
    return judge(evidence.token, stamped, anchors, policy=policy)


@dataclass(frozen=True, slots=True, kw_only=True)
class DirectoryStamps:
    """What the time stamps in a directory prove.

    Attributes:
        tokens: How many there are.
        passed: How many of them prove something.
        failed: How many prove nothing.
        indeterminate: How many could not be decided.
        entry: The newest entry that is proven; None if none is.
        at: When it existed at latest, milliseconds since 1970 UTC.
        authority: By whom.
        reasons: Reason to number of tokens that prove nothing, or could not be decided.
    """

    tokens: int
    passed: int
    failed: int
    indeterminate: int
    entry: int | None
    at: int | None
    authority: str | None
    reasons: dict[str, int]


def judge_directory(snapshot: TrustSnapshot, anchors: Anchors | None, *, policy: str | None = None) -> DirectoryStamps:
    """Return what the time stamps in a directory prove to somebody who believes these anchors."""
    outcomes = dict.fromkeys(Outcome, 0)
    reasons: dict[str, int] = {}
    newest: tuple[int | None, int | None, str | None] = (None, None, None)
    for carried in carried_stamps(snapshot):
        verdict = judge_carried(carried, anchors, policy=policy)
        outcomes[verdict.outcome] += 1
        if verdict.reason is not None:
            reasons[verdict.reason] = reasons.get(verdict.reason, 0) + 1
        elif verdict.stamp is not None and (newest[0] is None or (carried.position or 0) > newest[0]):
            newest = carried.position, verdict.stamp.time_ms, verdict.stamp.authority
    return DirectoryStamps(
        tokens=sum(outcomes.values()),
        passed=outcomes[Outcome.PASSED],
        failed=outcomes[Outcome.FAILED],
        indeterminate=outcomes[Outcome.INDETERMINATE],
        entry=newest[0],
        at=newest[1],
        authority=newest[2],
        reasons=dict(sorted(reasons.items())),
    )


def judge_entry(
    snapshot: TrustSnapshot, position: int, anchors: Anchors | None, *, policy: str | None = None
) -> Verdict | None:
    """Return the earliest proof that an entry existed, by a token about it or about a later one.

    Without a proof, the verdict on the newest token that could have been one; None where the log has none.
    """
    best: Verdict | None = None
    for carried in carried_stamps(snapshot):
        if carried.carrier <= position:
            break
        if carried.position is None or carried.position < position:
            continue
        verdict = judge_carried(carried, anchors, policy=policy)
        if best is None or _is_better(verdict, best):
            best = verdict
    return best


def _is_better(one: Verdict, other: Verdict) -> bool:
    if one.outcome is not Outcome.PASSED or one.stamp is None:
        return False
    return other.outcome is not Outcome.PASSED or other.stamp is None or one.stamp.time_ms <= other.stamp.time_ms
