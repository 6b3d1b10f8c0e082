"""Every check: number, code, title. The numbers are the order in which they run: the cheap ones first."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NoReturn

from docbus.errors import IndeterminateError, VerificationError


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """One check; ``outcome`` is what a "no" means: failed, or indeterminate (design D8)."""

    number: str
    code: str
    title: str
    outcome: str = "failed"


def _check(number: str, code: str, title: str, outcome: str = "failed") -> Check:
    return Check(number=number, code=code, title=title, outcome=outcome)


SIZE = _check("C1.01", "envelope_too_large", "the value is present and at most 1 MiB")
ENVELOPE = _check("C1.02", "envelope_malformed", "the value is the one encoding of an envelope within all limits")
PAYLOAD_TYPE = _check("C1.03", "payload_type_unknown", "the payload type names a schema of this version")
CERTIFICATE = _check("C1.04", "certificate_unknown", "the directory grants the certificate to an agency")
PROFILE = _check("C1.05", "profile_mismatch", "the profile is the one of the granted key")
SIGNATURE_COUNT = _check("C1.06", "signature_count", "there are as many signatures as the profile demands")
PROOF = _check("C1.07", "proof_invalid", "index, tree size and path length fit together")
SIGNATURE = _check("C1.08", "signature_invalid", "the signature covers the root that leaf and path lead to")
STATEMENT = _check("C1.09", "statement_malformed", "the statement is the one encoding of its type within all limits")
SAME_CERTIFICATE = _check("C1.10", "certificate_mismatch", "the statement names the certificate that signed")
SENDER = _check("C1.11", "sender_mismatch", "the sender is the agency to which the certificate is granted")
DELEGATION = _check("C1.12", "delegation_unknown", "nobody is represented without a delegation in the directory")
ENVIRONMENT = _check("C1.13", "environment_mismatch", "the statement is of this exchange")
RECIPIENT = _check("C1.14", "recipient_mismatch", "the statement is addressed to the owner of the inbox")
RECORD_KEY = _check("C1.15", "record_key_mismatch", "the record key is the sender")
LANE = _check("C1.16", "lane_mismatch", "receipts travel in their lane, and nothing else does")
KEYS = _check("C1.17", "wrap_mismatch", "the wrapped keys are those the statement names")
PACKAGE = _check("C1.18", "package_mismatch", "size and digest of the package are those the statement names")
AUTHORITY = _check(
    "C1.19", "authority_missing", "the key may sign: not revoked, retired or expired; agency open, not suspended"
)
DIRECTORY = _check(
    "C1.20", "directory_behind", "the directory is known up to the entry the statement was made under", "indeterminate"
)
TIME = _check("C1.21", "made_in_future", "the statement was not made in the future", "indeterminate")
FRESHNESS = _check("C1.22", "directory_stale", "the directory is not older than it says it may be", "indeterminate")
PATH = _check(
    "C1.23", "path_invalid", "what an authority of the directory issued has a valid path to it, and was not revoked"
)
BATCH_KEY = _check("C2.01", "batch_key_unusable", "a key of the recipient opens the batch key")
CONTENT_KEY = _check("C2.02", "content_key_unusable", "the batch key opens the content key")
DECRYPTION = _check("C2.03", "decryption_failed", "the content key opens the package in this document's context")
PLAINTEXT = _check("C2.04", "package_malformed", "the plaintext is the one encoding of a package within all limits")
COMMITMENT = _check("C2.05", "commitment_mismatch", "the commitment opens to this plaintext")
RECIPIENTS = _check("C2.06", "recipients_mismatch", "the recipients are those committed to, this agency among them")
CONTENTS = _check("C2.07", "content_mismatch", "every file has the size and digest of the manifest")
ATTACHMENTS = _check("C2.08", "attachment_mismatch", "every large attachment belongs to one file, and has its size")
PART = _check("C2.09", "part_malformed", "the record is the one encoding of a part within all limits")
PART_PROOF = _check("C2.10", "part_mismatch", "the bytes are those at the part's place under the signed digest")
PART_DECRYPTION = _check("C2.11", "part_undecryptable", "the attachment's key opens the part in its document's context")
ATTACHMENT_CONTENT = _check("C2.12", "attachment_content_mismatch", "the plaintext has the manifest's size and digest")

CHECKS: tuple[Check, ...] = (
    SIZE,
    ENVELOPE,
    PAYLOAD_TYPE,
    CERTIFICATE,
    PROFILE,
    SIGNATURE_COUNT,
    PROOF,
    SIGNATURE,
    STATEMENT,
    SAME_CERTIFICATE,
    SENDER,
    DELEGATION,
    ENVIRONMENT,
    RECIPIENT,
    RECORD_KEY,
    LANE,
    KEYS,
    PACKAGE,
    AUTHORITY,
    DIRECTORY,
    TIME,
    FRESHNESS,
    PATH,
    BATCH_KEY,
    CONTENT_KEY,
    DECRYPTION,
    PLAINTEXT,
    COMMITMENT,
    RECIPIENTS,
    CONTENTS,
    ATTACHMENTS,
    PART,
    PART_PROOF,
    PART_DECRYPTION,
    ATTACHMENT_CONTENT,
)
OF_PARTS = frozenset({PART, PART_PROOF, PART_DECRYPTION, ATTACHMENT_CONTENT})
"""Asked of records in the sender's content topic, where there are large attachments."""

NOT_KNOWN_YET = "certificate_not_known_yet"
CERTIFICATE_CODES = (NOT_KNOWN_YET,)
"""Under C1.04: an auditor's, and indeterminate. The directory that is given ends before the entry that is named."""

REVOKED = "certificate_revoked"
RETIRED = "certificate_retired"
EXPIRED = "certificate_expired"
CLOSED = "agency_closed"
SUSPENDED = "agency_suspended"
DELEGATION_ENDED = "delegation_ended"
REVOKED_LATER = "revoked_later"
SUSPENDED_LATER = "suspended_later"
LATER_CODES = (REVOKED_LATER, SUSPENDED_LATER)
"""The indeterminate ones: ``revoked_later`` is an auditor's, ``suspended_later`` a recipient's."""
AUTHORITY_CODES = (REVOKED, RETIRED, EXPIRED, CLOSED, SUSPENDED, DELEGATION_ENDED, *LATER_CODES)
"""Codes under C1.19 that say which authority is missing."""

CERTIFICATE_UNFIT = "certificate_unfit"
AUTHORITY_UNFIT = "authority_unfit"
REVOKED_BY_AUTHORITY = "revoked_by_authority"
REVOCATION_UNKNOWN = "revocation_unknown"
ON_HOLD = "certificate_on_hold"
REVOKED_BY_AUTHORITY_LATER = "revoked_by_authority_later"
UNDECIDED_PATH_CODES = (REVOCATION_UNKNOWN, ON_HOLD, REVOKED_BY_AUTHORITY_LATER)
"""The indeterminate ones; the last of them is an auditor's."""
PATH_CODES = (CERTIFICATE_UNFIT, AUTHORITY_UNFIT, REVOKED_BY_AUTHORITY, *UNDECIDED_PATH_CODES)
"""Codes under C1.23 that say what is wrong."""


def failed(check: Check, text: str, *, code: str | None = None) -> NoReturn:
    """Raise the "no" of a check.

    Raises:
        VerificationError: Always.
    """
    raise VerificationError(code or check.code, text, step=check.number)


def undecided(check: Check, text: str, *, code: str | None = None) -> NoReturn:
    """Raise the "not yet" of a check.

    Raises:
        IndeterminateError: Always.
    """
    raise IndeterminateError(code or check.code, text, step=check.number)
