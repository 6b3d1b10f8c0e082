"""What an edXML file says, field by field, as given; times and dates stay text, because many are impossible."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from docbus.documents.document import Urgency

if TYPE_CHECKING:
    from docbus.documents.document import Kind
    from docbus.documents.statuses import StatusCode
    from docbus.edxml.notes import EdXMLWarning


@dataclass(frozen=True, slots=True, kw_only=True)
class Organization:
    """From, or one To. ``organ_id`` is a code as given, not resolved."""

    organ_id: str | None
    in_charge: str | None = None
    name: str | None = None
    address: str | None = None
    email: str | None = None
    telephone: str | None = None
    fax: str | None = None
    website: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Staff:
    """StaffInfo: whom to ask."""

    department: str | None
    name: str | None
    email: str | None
    mobile: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """ResponseFor: the document that this one answers, or that a status is about."""

    organ_id: str | None
    code: str | None
    promulgation_date: str | None
    document_id: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class TraceHeader:
    """What a hub on the way has added: names and texts in the file's order, verbatim."""

    fields: tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Replacement:
    """One document that is replaced, and for which receivers."""

    document_id: str | None
    organ_ids: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Business:
    """Bussiness: new, recall, update or replacement. ``kind`` is None for a number that is none of them."""

    kind: Kind | None
    document_id: str | None = None
    reason: str | None = None
    paper: bool | None = None
    content_changed: bool | None = None
    receivers_changed: bool | None = None
    receivers: tuple[tuple[str | None, str | None], ...] = ()
    replacements: tuple[Replacement, ...] = ()
    staff: tuple[Staff, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Attachment:
    """A decoded attachment.

    Args:
        name: As given; not yet safe.
        content_type: As given by the attachment, else by the manifest.
        content: Decoded, and unpacked where the sender's software had zipped it; None if it cannot be read.
        unzipped: It was unpacked.
        entry: Name inside the zip that it was unpacked from.
    """

    content_id: str | None
    name: str | None
    content_type: str | None
    description: str | None = None
    content: bytes | None = field(default=None, repr=False)
    unzipped: bool = False
    entry: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class EdXMLDocument:
    """A document (messagetype edoc). ``source`` is the whole file, so that nothing it says is lost."""

    source: bytes = field(repr=False)
    sender: Organization
    recipients: tuple[Organization, ...]
    document_id: str | None = None
    number: str | None = None
    notation: str | None = None
    place: str | None = None
    promulgation_date: str | None = None
    type_list: int | None = None
    type_row: int | None = None
    type_name: str | None = None
    subject: str | None = None
    content: str | None = None
    signer_competence: str | None = None
    signer_position: str | None = None
    signer_name: str | None = None
    due_date: str | None = None
    to_places: tuple[str, ...] = ()
    urgency: Urgency = Urgency.NORMAL
    sphere: str | None = None
    typist: str | None = None
    copies: int | None = None
    pages: int | None = None
    direction: bool | None = None
    appendixes: tuple[str, ...] = ()
    replies: tuple[Reply, ...] = ()
    steering: str | None = None
    tasks: tuple[str, ...] = ()
    traces: tuple[TraceHeader, ...] = ()
    business: Business = field(default_factory=lambda: Business(kind="document"))
    attachments: tuple[Attachment, ...] = ()
    warnings: tuple[EdXMLWarning, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class EdXMLStatus:
    """A status (messagetype status). ``code`` is None where ``code_text`` is no known code."""

    source: bytes = field(repr=False)
    sender: Organization
    reply: Reply | None
    code: StatusCode | None
    code_text: str | None
    description: str | None = None
    timestamp: str | None = None
    staff: tuple[Staff, ...] = ()
    warnings: tuple[EdXMLWarning, ...] = ()
