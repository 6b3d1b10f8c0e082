"""An edXML document as docbus's fields; agencies' codes stay as given until somebody resolves them."""

from __future__ import annotations

from dataclasses import dataclass
from hashlib import sha256
from typing import TYPE_CHECKING, Literal

from docbus.documents.document import Document, DocumentReference, check_document_id
from docbus.documents.texts import cut_bytes, show, without_controls
from docbus.edxml.contents import attached_files, unreadable, whole_file
from docbus.edxml.document_id import join_number, make_document_id
from docbus.edxml.notes import EdXMLWarning, Notes
from docbus.edxml.properties import MISSING_TITLE, properties_of, summary_of, type_of
from docbus.errors import DocumentError, EdXMLError, IdentityError
from docbus.limits import MAX_TEXT_BYTES

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from docbus.documents.document import Kind, Urgency
    from docbus.documents.file import File
    from docbus.edxml.model import EdXMLDocument

Contents = Literal["auto", "attachments", "file"]
"""Which files the document has: its attachments; the edXML file itself; or the attachments if all can be read."""

_DIGEST_CHARACTERS = 32
"""Hexadecimal digits, 128 bits, of the file's SHA-256 in an id that has to be made up."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DocumentFields:
    """A document whose agencies are codes as given.

    Args:
        sender: Code in From.
        recipients: Codes in To, each once.
        concerns: Ids that a recall, update or replacement is about; their sender is the sender of this document.
        reply: Code of the agency and id of the document that is answered.
        warnings: The reader's, and what mapping added.
    """

    sender: str | None
    document_id: str
    title: str
    number: str | None
    type: str | None
    summary: str | None
    urgency: Urgency
    kind: Kind
    recipients: tuple[str, ...]
    concerns: tuple[str, ...]
    reply: tuple[str, str] | None
    files: tuple[File, ...]
    properties: tuple[tuple[str, str], ...]
    warnings: tuple[EdXMLWarning, ...]

    def document(
        self, *, sender: str, resolve: Callable[[str], str], recipients: Sequence[str] | None = None
    ) -> Document:
        """Return the document, ready to be published.

        Args:
            sender: Canonical id of the agency that publishes it.
            resolve: Canonical id of a code, as ``TrustSnapshot.resolve``.
            recipients: Codes or ids to send to in place of those in the file.

        Raises:
            IdentityError: A recipient's code cannot be resolved.
            DocumentError: No recipient, or another field that is not allowed.
        """
        codes = self.recipients if recipients is None else recipients
        # Two codes of one agency are one recipient.
        resolved = tuple(dict.fromkeys(resolve(code) for code in codes))
        return Document(
            document_id=self.document_id,
            title=self.title,
            files=self.files,
            recipients=resolved,
            kind=self.kind,
            urgency=self.urgency,
            number=self.number,
            type=self.type,
            summary=self.summary,
            in_reply_to=self._in_reply_to(resolve),
            concerns=tuple(DocumentReference(sender=sender, document_id=each) for each in self.concerns),
            properties=self.properties,
        )

    def _in_reply_to(self, resolve: Callable[[str], str]) -> DocumentReference | None:
        """Return the reference, or None where its agency is unknown: the text stays in the properties."""
        if self.reply is None:
            return None
        code, document_id = self.reply
        try:
            return DocumentReference(sender=resolve(code), document_id=document_id)
        except (IdentityError, DocumentError):
            return None


def to_document(edxml: EdXMLDocument, *, name: str = "document.edxml", contents: Contents = "auto") -> DocumentFields:
    """Map a document that was read.

    Args:
        edxml: What was read.
        name: Name for the edXML file itself, where it becomes a file of the document.
        contents: Which files the document has.

    Raises:
        EdXMLError: Its business is unknown, or it does not say which document it is about; with
            ``contents="attachments"`` also if one cannot be read.
        DocumentError: ``name`` is not safe.
    """
    notes = Notes(edxml.warnings)
    kind = edxml.business.kind
    if kind is None:
        raise EdXMLError(
            "BussinessDocType: not 0 to 3, so that it is unknown what to do with it",
            hint="Publish the file as an ordinary document, or ask its sender.",
        )
    document_id = _document_id(edxml, notes)
    concerns = _concerns(edxml, kind, document_id, notes)
    digest = sha256(edxml.source).hexdigest()
    return DocumentFields(
        sender=edxml.sender.organ_id,
        document_id=_own_id(document_id, kind, concerns, digest, notes),
        title=_title(edxml, notes),
        number=_line(join_number(edxml.number, edxml.notation)),
        type=_line(type_of(edxml, notes)),
        summary=summary_of(edxml, notes),
        urgency=edxml.urgency,
        kind=kind,
        recipients=tuple(dict.fromkeys(to.organ_id for to in edxml.recipients if to.organ_id is not None)),
        concerns=concerns,
        reply=_reply(edxml, notes),
        files=_files(edxml, name, contents, notes),
        properties=properties_of(edxml, digest, notes),
        warnings=notes.warnings(),
    )


def _document_id(edxml: EdXMLDocument, notes: Notes) -> str | None:
    """Return the file's id, or the canonical form made of its other fields, or None."""
    path = "MessageHeader.DocumentId"
    made = make_document_id(edxml.sender.organ_id, edxml.promulgation_date, join_number(edxml.number, edxml.notation))
    for document_id in (edxml.document_id, made):
        if document_id is None:
            continue
        try:
            check_document_id(document_id)
        except DocumentError as error:
            notes.add("M", path, f"cannot be used: {error.text}")
            continue
        if document_id != edxml.document_id:
            notes.add("N", path, f"{show(document_id)} was made from the other fields")
        return document_id
    return None


def _own_id(document_id: str | None, kind: Kind, concerns: Sequence[str], digest: str, notes: Notes) -> str:
    """Return the id of this very document.

    A recall carries the id of what it recalls, and an update often does. Here each is a document of its own, so that it
    gets an id of its own: made from the file, so that the same file is the same document again.
    """
    if document_id is not None and kind not in {"recall", "update"} and document_id not in concerns:
        return document_id
    made = f"edxml-{kind}-{digest[:_DIGEST_CHARACTERS]}"
    if document_id is None:
        notes.add("N", "MessageHeader.DocumentId", f"is missing; this is sent as {made}")
    else:
        notes.add("R", "MessageHeader.DocumentId", f"is not this {kind}'s own; the {kind} is sent as {made}")
    return made


def _concerns(edxml: EdXMLDocument, kind: Kind, document_id: str | None, notes: Notes) -> tuple[str, ...]:
    if kind == "document":
        return ()
    named = [each.document_id for each in edxml.business.replacements] if kind == "replacement" else []
    # A recall, and an update that says nothing else, are about the document whose id they carry.
    fallback = edxml.business.document_id or (None if kind == "replacement" else document_id)
    ids = tuple(dict.fromkeys(each for each in named if each)) or ((fallback,) if fallback else ())
    if not ids:
        raise EdXMLError(f"the file is a {kind} and does not say of which document", hint="Ask its sender.")
    for each in ids:
        try:
            check_document_id(each)
        except DocumentError as error:
            raise EdXMLError(f"the file is a {kind} of a document that cannot be named: {error.text}") from error
    if not named and edxml.business.document_id is None:
        notes.add("N", "TraceHeaderList.Bussiness.DocumentId", f"is missing; the {kind} is about {show(ids[0])}")
    return ids


def _title(edxml: EdXMLDocument, notes: Notes) -> str:
    number = join_number(edxml.number, edxml.notation)
    named = " ".join(part for part in (edxml.type_name, number) if part)
    title = next((line for line in map(_line, (edxml.subject, edxml.content, named)) if line), MISSING_TITLE)
    if _line(edxml.subject) is None:
        notes.add("N", "MessageHeader.Subject", f"is missing; the title is {show(title)}")
    elif len((edxml.subject or "").encode()) > MAX_TEXT_BYTES:
        notes.add("R", "MessageHeader.Subject", f"is cut to {MAX_TEXT_BYTES} bytes for the title")
    return title


def _reply(edxml: EdXMLDocument, notes: Notes) -> tuple[str, str] | None:
    usable = [(each.organ_id, each.document_id) for each in edxml.replies if each.organ_id and each.document_id]
    if len(edxml.replies) > 1:
        notes.add("R", "MessageHeader.ResponseFor", "is there more than once; the others are among the properties")
    return usable[0] if usable else None


def _files(edxml: EdXMLDocument, name: str, contents: Contents, notes: Notes) -> tuple[File, ...]:
    if contents == "file":
        return (whole_file(edxml, name),)
    problem = unreadable(edxml)
    if problem is None:
        return attached_files(edxml, notes)
    if contents == "attachments":
        raise EdXMLError(
            f"AttachmentEncoded: {problem}", hint="Ask the sender for the file again, or publish the edXML file itself."
        )
    notes.add("N", "AttachmentEncoded", f"{problem}; the edXML file itself is the document")
    return (whole_file(edxml, name),)


def _line(text: str | None) -> str | None:
    """Return a text on one line and short enough, or None if nothing is left."""
    return (cut_bytes(without_controls(text), MAX_TEXT_BYTES).strip() or None) if text else None
