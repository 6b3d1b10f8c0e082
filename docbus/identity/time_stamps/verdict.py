"""Does a token prove that bytes existed at its time? Passed, failed, or indeterminate with the reason (design D8)."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from typing import TYPE_CHECKING

from cryptography import x509
from cryptography.x509.oid import ExtendedKeyUsageOID
from rfc3161_client import VerificationError as TokenError
from rfc3161_client import VerifierBuilder

from docbus.clock import format_time
from docbus.errors import MalformedError
from docbus.identity.time_stamps.anchors import UNREADABLE
from docbus.identity.time_stamps.token import IMPRINTS, decode_response, read_token, response_of

if TYPE_CHECKING:
    from docbus.identity.time_stamps.anchors import Anchors
    from docbus.identity.time_stamps.token import TimeStamp


class Outcome(StrEnum):
    """The three answers of every verification."""

    PASSED = "passed"
    FAILED = "failed"
    INDETERMINATE = "indeterminate"


class Reason(StrEnum):
    """Why a token proves nothing; stable, and in ``docs/specification/time-stamps.md``."""

    MALFORMED = "token_malformed"
    ALGORITHM = "imprint_algorithm"
    IMPRINT = "imprint_differs"
    OWNER = "owner_differs"
    NO_ANCHOR = "anchor_missing"
    UNKNOWN_AUTHORITY = "authority_unknown"
    SIGNER = "signer_missing"
    USAGE = "certificate_usage"
    EXPIRED = "certificate_not_valid_then"
    POLICY = "policy_differs"
    SIGNATURE = "signature_invalid"


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """What a token proves.

    Attributes:
        outcome: Passed only if everything was checked and is right.
        reason: Why not; None if it passed.
        text: The same in a sentence.
        stamp: What the token says; None where it cannot be read.
    """

    outcome: Outcome
    reason: Reason | None
    text: str
    stamp: TimeStamp | None


def judge(token: bytes, stamped: bytes, anchors: Anchors | None, *, policy: str | None = None) -> Verdict:
    """Return whether a token proves that ``stamped`` existed at its time.

    The checks are numbered in ``docs/specification/time-stamps.md``. Whether the authority's certificate was revoked
    is not among them.

    Args:
        token: A CMS ContentInfo, DER.
        stamped: The bytes whose digest it is to hold.
        anchors: Whom the reader believes; None if nobody was named.
        policy: Dotted identifier of the only policy to accept; None for any.
    """
    try:
        stamp = read_token(token)
    except MalformedError as error:
        return Verdict(outcome=Outcome.FAILED, reason=Reason.MALFORMED, text=error.text, stamp=None)
    return judge_stamp(stamp, imprint_refusal(stamp, stamped), anchors, policy=policy)


def judge_stamp(
    stamp: TimeStamp, about: tuple[Reason, str] | None, anchors: Anchors | None, *, policy: str | None = None
) -> Verdict:
    """Return what :func:`judge` does, of a token that was read.

    Args:
        stamp: It.
        about: Why it is not about what it should be; None if it is.
        anchors: Whom the reader believes.
        policy: The only policy to accept.
    """
    try:
        found = about or _refusal(stamp, anchors, policy)
    except UNREADABLE as error:
        found = Reason.MALFORMED, f"a certificate in it cannot be read: {error}"
    if found is None:
        text = f"existed at latest at {format_time(stamp.time_ms)} by {stamp.authority}"
        return Verdict(outcome=Outcome.PASSED, reason=None, text=text, stamp=stamp)
    reason, text = found
    unsure = reason in {Reason.NO_ANCHOR, Reason.UNKNOWN_AUTHORITY}
    outcome = Outcome.INDETERMINATE if unsure else Outcome.FAILED
    return Verdict(outcome=outcome, reason=reason, text=text, stamp=stamp)


def imprint_refusal(stamp: TimeStamp, stamped: bytes) -> tuple[Reason, str] | None:
    """Return why a token is not about these bytes, or None if it is."""
    if stamp.algorithm not in IMPRINTS.values():
        return Reason.ALGORITHM, f"its imprint is made with {stamp.algorithm}, which is not accepted"
    if hashlib.new(stamp.algorithm, stamped).digest() != stamp.imprint:
        return Reason.IMPRINT, f"it is about other bytes: its imprint is {stamp.imprint.hex()}"
    return None


def _refusal(stamp: TimeStamp, anchors: Anchors | None, policy: str | None) -> tuple[Reason, str] | None:
    if anchors is None:
        return Reason.NO_ANCHOR, "not checked: no anchor was given, so anybody may have made it"
    if policy is not None and stamp.policy != policy:
        return Reason.POLICY, f"it is under the policy {stamp.policy}, not {policy}"
    if stamp.signer is None:
        return Reason.SIGNER, "the certificate of its signer is not in it"
    return _signer_refusal(stamp, stamp.signer, anchors) or _signature_refusal(stamp, anchors)


def _signer_refusal(stamp: TimeStamp, signer: x509.Certificate, anchors: Anchors) -> tuple[Reason, str] | None:
    chain = anchors.chain_of(signer, stamp.certificates)
    if chain is None:
        return Reason.UNKNOWN_AUTHORITY, f"no chain leads from {stamp.authority} to an anchor"
    usage = _usage(signer)
    if usage is not None:
        return Reason.USAGE, usage
    then = datetime.fromtimestamp(stamp.time_ms / 1000, UTC)
    for one in chain:
        if not one.not_valid_before_utc <= then <= one.not_valid_after_utc:
            name = one.subject.rfc4514_string()
            return Reason.EXPIRED, f"the certificate of {name} was not valid at {format_time(stamp.time_ms)}"
    return None


def _usage(signer: x509.Certificate) -> str | None:
    """Return what is wrong with the purpose of the signer's certificate (RFC 3161 section 2.3)."""
    try:
        found = signer.extensions.get_extension_for_class(x509.ExtendedKeyUsage)
    except (x509.ExtensionNotFound, *UNREADABLE):
        return "the certificate of its signer names no purpose"
    if not found.critical or list(found.value) != [ExtendedKeyUsageOID.TIME_STAMPING]:
        return "the certificate of its signer is not for time stamping alone, or that is not critical"
    return None


def _signature_refusal(stamp: TimeStamp, anchors: Anchors) -> tuple[Reason, str] | None:
    builder = VerifierBuilder(roots=list(anchors.roots), intermediates=list(anchors.intermediates))
    try:
        builder.build().verify(decode_response(response_of(stamp.token)), stamp.imprint)
    except (TokenError, x509.ExtensionNotFound, *UNREADABLE):
        # The library's text is OpenSSL's stack of errors, which says nothing to whoever reads a report.
        return Reason.SIGNATURE, f"its signature, or the chain of {stamp.authority}, does not verify"
    return None
