"""C1.14 to C1.18: a statement was found where it belongs, and what travels with it is what it names.

These checks need neither the directory nor the certificate that signed.
"""

from __future__ import annotations

from hashlib import sha256
from typing import TYPE_CHECKING

from docbus.envelope.statement import RECEIPT_TYPE, SUITE_2026, SUITE_NONE, ReceiptBody
from docbus.verification import checks
from docbus.verification.checks import failed

if TYPE_CHECKING:
    from docbus.envelope.envelope import Envelope
    from docbus.envelope.statement import Statement


def check_addressed(statement: Statement, key: bytes | None, recipient: str | None) -> None:
    """C1.14 to C1.16: it was found where it belongs.

    Raises:
        VerificationError: It is not so.
    """
    payload_type, head = statement.payload_type, statement.head
    if recipient is not None and head.recipient != recipient:
        failed(checks.RECIPIENT, f"addressed to {head.recipient}, found in the inbox of {recipient}")
    if key is not None and key != head.sender.encode():
        failed(checks.RECORD_KEY, f"the record key is {key[:64]!r}, the sender {head.sender}")
    if (head.lane == "receipts") != (payload_type == RECEIPT_TYPE):
        failed(checks.LANE, f"{payload_type} in lane {head.lane}")


def check_wraps(envelope: Envelope, statement: Statement) -> None:
    """C1.17: present exactly where the statement names them, and equal to what it names.

    Raises:
        VerificationError: It is not so.
    """
    head, position, keys = statement.head, statement.position, envelope.keys
    if keys is None:
        if head.batch_key_digest is not None or position.content_key_digest is not None:
            failed(checks.KEYS, "the wrapped keys are missing")
        if head.suite != SUITE_NONE:
            failed(checks.KEYS, f"suite {head.suite} without keys")
        return
    if head.suite != SUITE_2026:
        failed(checks.KEYS, f"encryption suite {head.suite} is not known")
    if sha256(keys.batch_key).digest() != head.batch_key_digest:
        failed(checks.KEYS, "the batch key is not the one the statement names")
    if sha256(keys.content_key).digest() != position.content_key_digest:
        failed(checks.KEYS, "the content key is not the one the statement names")


def check_package(envelope: Envelope, statement: Statement) -> None:
    """C1.18: the ciphertext is the one the statement binds, and has the keys to open it.

    Raises:
        VerificationError: It is not so.
    """
    body, package = statement.body, envelope.package
    sealed = None if isinstance(body, ReceiptBody) else body.package
    if package is None:
        if sealed is not None:
            failed(checks.PACKAGE, "the package is missing")
        if envelope.keys is not None:
            failed(checks.PACKAGE, "there are keys and no package")
        return
    if sealed is None:
        failed(checks.PACKAGE, "the statement names no package")
    if envelope.keys is None:
        failed(checks.PACKAGE, "there is a package and no key")
    if len(package) != sealed.size:
        failed(checks.PACKAGE, f"the package has {len(package):,} bytes, the statement says {sealed.size:,}")
    if sha256(package).digest() != sealed.digest:
        failed(checks.PACKAGE, "the package is not the one the statement names")
