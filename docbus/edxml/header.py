"""MessageHeader, TraceHeaderList and Bussiness, field by field (domain notes 1.2 and 1.3)."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypedDict

from docbus.documents.document import KINDS, Urgency
from docbus.documents.statuses import StatusCode
from docbus.documents.texts import show
from docbus.edxml.dates import day_of, milliseconds_of
from docbus.edxml.document_id import contradictions, join_number
from docbus.edxml.model import Business, Organization, Replacement, Reply, Staff, TraceHeader

if TYPE_CHECKING:
    from docbus.documents.document import Kind
    from docbus.edxml.cursor import Cursor


class DocumentHeader(TypedDict):
    """Fields of a document that its header gives; names as in :class:`~docbus.edxml.model.EdXMLDocument`."""

    sender: Organization
    recipients: tuple[Organization, ...]
    document_id: str | None
    number: str | None
    notation: str | None
    place: str | None
    promulgation_date: str | None
    type_list: int | None
    type_row: int | None
    type_name: str | None
    subject: str | None
    content: str | None
    signer_competence: str | None
    signer_position: str | None
    signer_name: str | None
    due_date: str | None
    to_places: tuple[str, ...]
    urgency: Urgency
    sphere: str | None
    typist: str | None
    copies: int | None
    pages: int | None
    direction: bool | None
    appendixes: tuple[str, ...]
    replies: tuple[Reply, ...]
    steering: str | None
    tasks: tuple[str, ...]
    traces: tuple[TraceHeader, ...]
    business: Business


class StatusHeader(TypedDict):
    """Fields of a status; names as in :class:`~docbus.edxml.model.EdXMLStatus`."""

    sender: Organization
    reply: Reply | None
    code: StatusCode | None
    code_text: str | None
    description: str | None
    timestamp: str | None
    staff: tuple[Staff, ...]


def read_document_fields(header: Cursor, traces: Cursor, business: Cursor) -> DocumentHeader:
    """Read everything about a document but its attachments."""
    code = header.one("Code", required=True)
    promulgation = header.one("PromulgationInfo", required=True)
    kind = header.one("DocumentType", required=True)
    signer = header.one("SignerInfo", required=True)
    other = header.one("OtherInfo")
    appendixes = other.one("Appendixes")
    fields = DocumentHeader(
        sender=_sender(header),
        recipients=_recipients(header),
        document_id=header.text("DocumentId"),
        number=code.text("CodeNumber", required=True),
        notation=code.text("CodeNotation", required=True),
        place=promulgation.text("Place", required=True),
        promulgation_date=_day(promulgation, "PromulgationDate", required=True),
        type_list=kind.number("Type", required=True),
        type_row=kind.number("TypeDetail"),
        type_name=kind.text("TypeName", required=True),
        subject=header.text("Subject", required=True),
        content=header.text("Content"),
        signer_competence=signer.text("Competence"),
        signer_position=signer.text("Position"),
        signer_name=signer.text("FullName"),
        due_date=_day(header, "DueDate"),
        to_places=_values(header.one("ToPlaces"), "Place"),
        urgency=_urgency(other),
        sphere=other.text("SphereOfPromulgation"),
        typist=other.text("TyperNotation"),
        copies=other.number("PromulgationAmount"),
        pages=other.number("PageAmount"),
        direction=other.flag("Direction"),
        appendixes=_values(appendixes, "Appendix"),
        replies=_replies(header),
        steering=header.text("SteeringType"),
        tasks=_values(header.one("ResponseForTask"), "TaskCode"),
        traces=_traces(traces),
        business=_business(business),
    )
    # Known to the SDK's classes and not used by anybody; they are neither read nor reported.
    header.text("ApplicationType")
    for name in ("ReplyFors", "ReferenceCodes"):
        other.one(name)
    for cursor in (code, promulgation, kind, signer, other):
        cursor.close()
    _check_document_id(header, fields)
    return fields


def read_status_fields(header: Cursor) -> StatusHeader:
    """Read a status."""
    replies = _replies(header)
    if not replies:
        header.warn("N", "ResponseFor", "says nothing about which document is meant")
    elif len(replies) > 1:
        header.warn("R", "ResponseFor", "is there more than once; the first is used")
    text = header.text("StatusCode", required=True)
    timestamp = header.text("Timestamp", required=True)
    if timestamp is not None and milliseconds_of(timestamp) is None:
        header.warn("M", "Timestamp", f"{show(timestamp)} is not a time yyyy/MM/dd HH:mm:ss; kept as text")
    return StatusHeader(
        sender=_sender(header),
        reply=replies[0] if replies else None,
        code=_status_code(header, text),
        code_text=text,
        description=header.text("Description"),
        timestamp=timestamp,
        staff=_staff(header),
    )


def _status_code(header: Cursor, text: str | None) -> StatusCode | None:
    if text is None:
        return None
    # Never mapped to another code: a hub that turned unknown ones into 01 lost refusals (domain notes 4.4).
    code = next((code for code in StatusCode if code.of_edxml and text in {code.text, str(int(code))}), None)
    if code is None:
        header.warn("M", "StatusCode", f"{show(text)} is no known status")
    return code


def _sender(header: Cursor) -> Organization:
    return _organization(header.one("From", required=True))


def _recipients(header: Cursor) -> tuple[Organization, ...]:
    cursors = header.many("To")
    if not cursors:
        header.warn("N", "To", "is missing")
    organizations = []
    seen: set[str] = set()
    for cursor in cursors:
        organization = _organization(cursor)
        if organization.organ_id is not None:
            if organization.organ_id in seen:
                cursor.warn("R", "OrganId", f"{show(organization.organ_id)} is there twice; it is sent once")
            seen.add(organization.organ_id)
        organizations.append(organization)
    return tuple(organizations)


def _organization(cursor: Cursor) -> Organization:
    organization = Organization(
        organ_id=cursor.text("OrganId", required=True),
        in_charge=cursor.text("OrganizationInCharge"),
        name=cursor.text("OrganName", required=True),
        address=cursor.text("OrganAdd"),
        email=cursor.text("Email"),
        telephone=cursor.text("Telephone"),
        fax=cursor.text("Fax"),
        website=cursor.text("Website"),
    )
    cursor.close()
    return organization


def _urgency(other: Cursor) -> Urgency:
    number = other.number("Priority")
    if number is None:
        return Urgency.NORMAL
    try:
        return Urgency(number)
    except ValueError:
        other.warn("R", "Priority", f"{number} is not 0 to 4; taken as 0")
        return Urgency.NORMAL


def _replies(header: Cursor) -> tuple[Reply, ...]:
    replies = []
    for cursor in header.many("ResponseFor"):
        if cursor.is_empty:
            cursor.warn("N", "", "is empty")
            continue
        reply = Reply(
            organ_id=cursor.text("OrganId", required=True),
            code=cursor.text("Code"),
            promulgation_date=_day(cursor, "PromulgationDate"),
            document_id=cursor.text("DocumentId", required=True),
        )
        cursor.close()
        if reply.document_id is not None:
            # The agency named beside it is left out: in a take-back it is the recipient, not the id's maker.
            for found in contradictions(reply.document_id, None, reply.promulgation_date, reply.code):
                cursor.warn("M", "DocumentId", found)
        replies.append(reply)
    return tuple(replies)


def _staff(cursor: Cursor) -> tuple[Staff, ...]:
    staff = []
    for each in cursor.many("StaffInfo"):
        staff.append(
            Staff(
                department=each.text("Department"),
                name=each.text("Staff"),
                email=each.text("Email"),
                mobile=each.text("Mobile"),
            )
        )
        each.close()
    return tuple(staff)


def _traces(traces: Cursor) -> tuple[TraceHeader, ...]:
    headers = []
    for cursor in traces.many("TraceHeader"):
        fields = tuple(cursor.texts())
        texts = dict(fields)
        for name in ("OrganId", "Timestamp"):
            text = texts.get(name, "").strip()
            if text in {"", "null"}:
                cursor.warn("N", name, f"is {show(text)}" if text else "is missing")
        stamp = texts.get("Timestamp", "").strip()
        if stamp not in {"", "null"} and milliseconds_of(stamp) is None:
            cursor.warn("M", "Timestamp", f"{show(stamp)} is not a time yyyy/MM/dd HH:mm:ss; kept as text")
        headers.append(TraceHeader(fields=fields))
    if traces.exists and not headers:
        traces.warn("N", "TraceHeader", "is missing")
    traces.one("Bussiness")
    traces.close()
    return tuple(headers)


def _business(cursor: Cursor) -> Business:
    if not cursor.exists:
        cursor.warn("N", "", "is missing; taken as a new document")
        return Business(kind="document")
    changes = cursor.one("BussinessDocumentInfo")
    business = Business(
        kind=_kind(cursor),
        document_id=cursor.text("DocumentId"),
        reason=cursor.text("BussinessDocReason"),
        paper=cursor.flag("Paper"),
        content_changed=changes.flag("DocumentInfo"),
        receivers_changed=changes.flag("DocumentReceiver"),
        receivers=tuple(
            (receiver.text("OrganId", required=True), receiver.text("ReceiverType"))
            for receiver in changes.one("ReceiverList").many("Receiver")
        ),
        replacements=_replacements(cursor.one("ReplacementInfoList")),
        staff=_staff(cursor),
    )
    changes.close()
    cursor.close()
    if business.document_id is not None:
        for found in contradictions(business.document_id, None, None, None):
            cursor.warn("M", "DocumentId", found)
    return business


def _kind(cursor: Cursor) -> Kind | None:
    number = cursor.number("BussinessDocType", required=True)
    if number is None:
        # Missing is new; something that is no number is not guessed at.
        return None if cursor.text("BussinessDocType") else "document"
    if number < len(KINDS):
        return KINDS[number]
    cursor.warn("R", "BussinessDocType", f"{number} is not 0 to {len(KINDS) - 1}")
    return None


def _replacements(cursor: Cursor) -> tuple[Replacement, ...]:
    replacements = []
    for each in cursor.many("ReplacementInfo"):
        replacements.append(
            Replacement(
                document_id=each.text("DocumentId", required=True),
                organ_ids=_values(each.one("OrganIdList"), "OrganId"),
            )
        )
        each.close()
    return tuple(replacements)


def _values(cursor: Cursor, name: str) -> tuple[str, ...]:
    values = tuple(value for value in (child.value() for child in cursor.many(name)) if value is not None)
    cursor.close()
    return values


def _day(cursor: Cursor, name: str, *, required: bool = False) -> str | None:
    text = cursor.text(name, required=required)
    if text is not None and day_of(text) is None:
        cursor.warn("M", name, f"{show(text)} is not a day yyyy/MM/dd; kept as text")
    return text


def _check_document_id(header: Cursor, fields: DocumentHeader) -> None:
    document_id = fields["document_id"]
    if document_id is None:
        header.warn("N", "DocumentId", "is missing")
        return
    number = join_number(fields["number"], fields["notation"])
    sender = fields["sender"].organ_id
    for found in contradictions(document_id, sender, fields["promulgation_date"], number):
        header.warn("M", "DocumentId", found)
