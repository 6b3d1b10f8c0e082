"""What docbus has no field for: kept as named texts, the names being the elements' own."""

from __future__ import annotations

from typing import TYPE_CHECKING

from docbus.documents.texts import cut_bytes, without_controls, without_controls_in_lines
from docbus.edxml.document_types import type_of_list
from docbus.edxml.statuses import staff_line
from docbus.limits import MAX_TEXT_BYTES

if TYPE_CHECKING:
    from collections.abc import Iterable

    from docbus.edxml.model import EdXMLDocument, Organization, Reply, TraceHeader
    from docbus.edxml.notes import Notes

PREFIX = "edxml."
"""Of every property that comes from an edXML file; what follows is the path below MessageHeader or its like."""
MISSING_TITLE = "(không có trích yếu)"
"""Title of a document without Subject, Content, type and number: "no subject"."""


def properties_of(edxml: EdXMLDocument, digest: str, notes: Notes) -> tuple[tuple[str, str], ...]:
    """Return every field that docbus has none for; lists have one line for each element.

    Args:
        edxml: What was read.
        digest: SHA-256 of the file, hexadecimal.
        notes: Told when a text is too long.
    """
    business = edxml.business
    fields: dict[str, str | None] = {
        "sha256": digest,
        "From": _organization(edxml.sender),
        "To": _lines(_organization(to) for to in edxml.recipients),
        "DocumentId": edxml.document_id,
        "PromulgationInfo.Place": edxml.place,
        "PromulgationInfo.PromulgationDate": edxml.promulgation_date,
        "DocumentType.Type": _number(edxml.type_list),
        "DocumentType.TypeDetail": _number(edxml.type_row),
        "SignerInfo.Competence": edxml.signer_competence,
        "SignerInfo.Position": edxml.signer_position,
        "SignerInfo.FullName": edxml.signer_name,
        "DueDate": edxml.due_date,
        "ToPlaces": _lines(edxml.to_places),
        "OtherInfo.SphereOfPromulgation": edxml.sphere,
        "OtherInfo.TyperNotation": edxml.typist,
        "OtherInfo.PromulgationAmount": _number(edxml.copies),
        "OtherInfo.PageAmount": _number(edxml.pages),
        "OtherInfo.Direction": _flag(edxml.direction),
        "OtherInfo.Appendixes": _lines(edxml.appendixes),
        "ResponseFor": _lines(_reply(reply) for reply in edxml.replies),
        "ResponseForTask": _lines(edxml.tasks),
        "SteeringType": edxml.steering,
        "TraceHeaderList": _lines(_trace(trace) for trace in edxml.traces),
        "Bussiness.DocumentId": business.document_id,
        "Bussiness.BussinessDocReason": business.reason,
        "Bussiness.Paper": _flag(business.paper),
        "Bussiness.DocumentInfo": _flag(business.content_changed),
        "Bussiness.DocumentReceiver": _flag(business.receivers_changed),
        "Bussiness.ReceiverList": _lines(f"{code or ''} {kind or ''}".strip() for code, kind in business.receivers),
        "Bussiness.ReplacementInfoList": _lines(
            f"{each.document_id or ''}: {', '.join(each.organ_ids)}" for each in business.replacements
        ),
        "Bussiness.StaffInfo": _lines(staff_line(staff) for staff in business.staff),
    }
    return tuple((PREFIX + name, _fit(name, text, notes)) for name, text in fields.items() if text)


def summary_of(edxml: EdXMLDocument, notes: Notes) -> str | None:
    """Return Content, unless it only repeats Subject."""
    if edxml.content is None or edxml.content == edxml.subject:
        return None
    return _fit("Content", edxml.content, notes) or None


def type_of(edxml: EdXMLDocument, notes: Notes) -> str | None:
    """Return TypeName; where it is missing, what Type and TypeDetail stand for."""
    if edxml.type_name is not None:
        return edxml.type_name
    name = type_of_list(edxml.type_list, edxml.type_row)
    if name is not None:
        notes.add("N", "MessageHeader.DocumentType.TypeName", f"is missing; {name}, by Type and TypeDetail")
    return name


def _fit(name: str, text: str, notes: Notes) -> str:
    clean = without_controls_in_lines(text)
    if len(clean.encode()) > MAX_TEXT_BYTES:
        notes.add("R", name, f"is cut to {MAX_TEXT_BYTES} bytes among the properties")
    return cut_bytes(clean, MAX_TEXT_BYTES)


def _organization(organization: Organization) -> str:
    parts = (organization.organ_id, organization.name, organization.address, organization.email)
    return ", ".join(without_controls(part) for part in parts if part)


def _reply(reply: Reply) -> str:
    parts = (reply.organ_id, reply.document_id, reply.code, reply.promulgation_date)
    return "; ".join(part for part in parts if part)


def _trace(trace: TraceHeader) -> str:
    return "; ".join(f"{name} {without_controls(text)}" for name, text in trace.fields)


def _lines(texts: Iterable[str]) -> str | None:
    return "\n".join(text for text in texts if text) or None


def _number(number: int | None) -> str | None:
    return None if number is None else str(number)


def _flag(flag: bool | None) -> str | None:  # noqa: FBT001 - a value, not a switch
    return None if flag is None else str(flag).lower()
