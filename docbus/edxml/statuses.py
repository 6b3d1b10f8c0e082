"""An edXML status as docbus's fields: which document, which code, free text, time."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from docbus.documents.statuses import StatusCode
from docbus.documents.texts import cut_bytes, show, without_controls_in_lines
from docbus.edxml.dates import milliseconds_of
from docbus.edxml.document_id import make_document_id, split_document_id
from docbus.edxml.notes import EdXMLWarning, Notes
from docbus.errors import EdXMLError
from docbus.limits import MAX_TEXT_BYTES

if TYPE_CHECKING:
    from docbus.edxml.model import EdXMLStatus, Staff


@dataclass(frozen=True, slots=True, kw_only=True)
class StatusFields:
    """A business status, with agencies' codes as given.

    Args:
        sender: Code of the agency that says so.
        addressee: Code of the agency that is told.
        document_sender: Code of the agency that sent the document: the addressee, and the sender of a take-back.
        document_id: Id that the document's sender gave it.
        note: Free text, for a reader.
        staff: Whom to ask, one line each.
        at_text: Time as given.
        at_ms: The same in milliseconds since 1970-01-01T00:00:00Z, read as UTC+7; None if it is missing or impossible.
    """

    sender: str
    addressee: str
    document_sender: str
    document_id: str
    code: StatusCode
    note: str | None
    staff: tuple[str, ...]
    at_text: str | None
    at_ms: int | None
    warnings: tuple[EdXMLWarning, ...]


def to_status(status: EdXMLStatus) -> StatusFields:
    """Map a status that was read.

    Raises:
        EdXMLError: It has no known code, or does not say who speaks about which document: nothing is guessed.
    """
    notes = Notes(status.warnings)
    if status.code is None:
        raise EdXMLError(f"StatusCode: {show(status.code_text or '')} is no known status", hint="Ask its sender.")
    reply = status.reply
    document_id = None if reply is None else reply.document_id
    take_back = status.code is StatusCode.TAKE_BACK
    addressee = None if reply is None else reply.organ_id
    sender = status.sender.organ_id
    if reply is not None and document_id is None:
        maker = sender if take_back else addressee
        document_id = make_document_id(maker, reply.promulgation_date, reply.code)
        if document_id:
            notes.add(
                "N", "MessageHeader.ResponseFor.DocumentId", f"{show(document_id)} was made from the other fields"
            )
    if not (sender and document_id):
        raise EdXMLError("ResponseFor: does not say which document is meant, or From not who says so")
    if addressee is None and not take_back:
        parts = split_document_id(document_id)
        if parts:
            addressee = parts.organ_id
            notes.add("N", "MessageHeader.ResponseFor.OrganId", f"{show(addressee)} was taken from the DocumentId")
    if not addressee:
        raise EdXMLError("ResponseFor: does not say which agency is told")
    if status.code.needs_reason and not status.description:
        notes.add("N", "MessageHeader.Description", f"is missing, though {status.code.text} needs a reason")
    note = status.description
    return StatusFields(
        sender=sender,
        addressee=addressee,
        document_sender=sender if take_back else addressee,
        document_id=document_id,
        code=status.code,
        note=None if note is None else cut_bytes(without_controls_in_lines(note), MAX_TEXT_BYTES),
        staff=tuple(staff_line(staff) for staff in status.staff),
        at_text=status.timestamp,
        at_ms=None if status.timestamp is None else milliseconds_of(status.timestamp),
        warnings=notes.warnings(),
    )


def staff_line(staff: Staff) -> str:
    """Return whom to ask on one line."""
    return ", ".join(part for part in (staff.name, staff.department, staff.email, staff.mobile) if part)
