"""A business status as a statement that waits in the outbox (design section 4)."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from docbus.envelope.encrypted import encrypt_note
from docbus.envelope.package import NONCE_BYTES
from docbus.envelope.statement import STATUS_TYPE, StatusBody, encode_status_body
from docbus.producers.outbox import WaitingStatement

if TYPE_CHECKING:
    from docbus.documents.statuses import StatusCode
    from docbus.envelope.statement import Reference


def status_statement(
    reference: Reference,
    code: StatusCode,
    note: str | None,
    *,
    to: str,
    environment: str,
    agency: str,
    now_ms: int,
) -> WaitingStatement:
    """Return a status for an addressee.

    Args:
        reference: The document it is about.
        code: The status.
        note: Free text for the addressee's people, encrypted; none if empty.
        to: Canonical id of the addressee.
        environment: The exchange's name.
        agency: Canonical id of the agency that says so.
        now_ms: Time of the status.
    """
    sealed, ciphertext, content_key = (
        encrypt_note(note, reference, environment=environment, sender=agency, code=code) if note else (None, None, None)
    )
    body = encode_status_body(StatusBody(reference, code, now_ms, sealed, os.urandom(NONCE_BYTES)))
    return WaitingStatement(STATUS_TYPE, to, "documents", body, ciphertext, content_key)
