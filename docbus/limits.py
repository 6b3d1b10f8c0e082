"""Every limit on what is accepted from outside: name, unit, reason (design D12)."""

from __future__ import annotations

KIB = 1024
MIB = 1024 * KIB

# --- the wire -------------------------------------------------------------------------------------
MAX_ENVELOPE_BYTES = 1 * MIB
"""Bytes of one record value; the topics allow 1.25 MiB, so that the broker never is the one to refuse."""
MAX_PACKAGE_BYTES = 256 * KIB
"""Bytes of package ciphertext inside an envelope; what is more travels in parts, once for all recipients."""
MAX_STATEMENT_BYTES = 64 * KIB
"""Bytes of one statement: about 900 references or refusals with names at their limits, thousands with usual ones."""
MAX_STATEMENT_HEAD_BYTES = 1 * KIB
"""Bytes of a statement's head and position; all names at their limits make 550."""
MAX_PATH_HASHES = 20
"""Hashes in an inclusion proof, so at most 2**20 statements in a batch (RFC 9162 section 2.1.3)."""
MAX_SIGNATURES = 2
"""Signatures in an envelope: one, or the two of a hybrid profile (design D10)."""
MAX_SIGNATURE_BYTES = 8 * KIB
"""Bytes of one signature; ML-DSA-65 has 3,309 and RSA-8192 has 1,024."""
MAX_WRAP_BYTES = 2 * KIB
"""Bytes of a wrapped key; X-Wing with AES-256-GCM makes 1,168."""
MAX_HINTS = 4096
"""Hints about large content; unsigned, so kept few."""
MAX_HINTED_OFFSETS = 16_384
"""Offsets in all hints of one envelope, some 600 KiB of memory; a reader finds the rest by reading on."""
PART_BYTES = 512 * KIB
"""Bytes of plaintext in every part of large content but the last: two parts, encrypted, fit one batch of a topic."""
MAX_PARTS = 131_072
"""Parts of all large content of one document, 64 GiB: bounds tree and path, whatever a statement declares."""
MAX_PART_RECORD_BYTES = 640 * KIB
"""Bytes of a record with one part: 524,872 of ciphertext, 17 hashes, and room."""

# --- statements -----------------------------------------------------------------------------------
MAX_AGENCY_ID_BYTES = 64
"""Bytes of a canonical agency id: a scheme and a value of at most 35 (Decision 20/2020/QD-TTg)."""
MAX_ENVIRONMENT_BYTES = 64
"""Bytes of an environment's name."""
MAX_DOCUMENT_ID_BYTES = 200
"""UTF-8 bytes of a document id (edXML DocumentId has 200, QCVN 102:2016)."""
MAX_RECIPIENTS = 4096
"""Recipients of one document: more than all communes of any province."""
MAX_REFUSALS = 1000
"""Refused statements named in one receipt."""
MAX_RECEIPT_RANGE = 4096
"""Statements covered by one receipt; bounds the tree its reader must build."""
MAX_REASON_BYTES = 64
"""Bytes of a refusal's code."""
MAX_CONCERNS = 1024
"""Documents that one recall, update or replacement may be about."""
MAX_ATTACHMENTS = 1024
"""Large attachments of one document."""

# --- the package ----------------------------------------------------------------------------------
MAX_NAME_BYTES = 255
"""UTF-8 bytes of a file's name, the limit of ext4, XFS and NTFS."""
MAX_FILES = 1024
"""Files in one document."""
MAX_TEXT_BYTES = 8 * KIB
"""UTF-8 bytes of a title, number, type or summary (edXML has 500 characters)."""
MAX_PROPERTIES = 128
"""Further descriptive fields of one document."""

# --- acts -----------------------------------------------------------------------------------------
MAX_OPERATOR_BYTES = 128
"""UTF-8 bytes of an operator's name in an act."""
MAX_ACT_REASON_BYTES = 1 * KIB
"""UTF-8 bytes of the reason in an act: a few sentences; it also fits the note of a status."""

# --- clocks ---------------------------------------------------------------------------------------
MAX_CLOCK_SKEW_MS = 5 * 60 * 1000
"""Milliseconds by which a sender's clock may run ahead; beyond, a statement waits until its time has come."""
MAX_TIME_MS = 253_402_300_799_999
"""Milliseconds since 1970 of the last moment of the year 9999, beyond which calendars, and Python's, do not go."""

# --- streams --------------------------------------------------------------------------------------
MAX_OPEN_EPOCHS = 64
"""Open epochs per proven sender at a recipient (design D5)."""

MAX_PARTITIONS = 64
"""Partitions of an inbox; the largest agencies need a handful."""
DEFAULT_PARTITIONS = 2
"""Of an inbox: one for documents, and one for what must not wait behind them."""
