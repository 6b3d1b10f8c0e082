"""A document as its sender gives it."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from typing import TYPE_CHECKING, Literal, get_args

from docbus.documents.file import File, FileStream
from docbus.documents.given import MAYBE_TEXT, NUMBER, TEXT, TEXTS, TIME, Wanted, check_given
from docbus.documents.names import same_name
from docbus.documents.texts import check_text, show
from docbus.errors import DocumentError
from docbus.limits import (
    MAX_AGENCY_ID_BYTES,
    MAX_CONCERNS,
    MAX_DOCUMENT_ID_BYTES,
    MAX_FILES,
    MAX_NAME_BYTES,
    MAX_PROPERTIES,
    MAX_RECIPIENTS,
    MAX_TEXT_BYTES,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

Kind = Literal["document", "recall", "update", "replacement"]
KINDS: tuple[Kind, ...] = get_args(Kind)
"""In the order of edXML's BussinessDocType: 0 new, 1 recall, 2 update, 3 replacement."""
FIRST_REVISION = 1
MAX_REVISION = 2**31 - 1
"""Revisions are an Avro int."""


class Urgency(IntEnum):
    """Degrees of urgency, numbered as edXML's Priority; Decree 30/2020 has all but the last."""

    NORMAL = 0
    URGENT = 1
    VERY_URGENT = 2
    FLASH = 3
    FLASH_AT_SET_TIME = 4

    @property
    def vietnamese(self) -> str:
        """The name that stands on the document."""
        return ("Thường", "Khẩn", "Thượng khẩn", "Hỏa tốc", "Hỏa tốc hẹn giờ")[self]


@dataclass(frozen=True, slots=True, kw_only=True)
class DocumentReference:
    """Another document, by the id that its sender gave it.

    Raises:
        DocumentError: A field is not allowed; the text begins with its name.
    """

    sender: str
    document_id: str
    revision: int = FIRST_REVISION

    def __post_init__(self) -> None:
        """Refuse what can refer to nothing."""
        wanted = {"sender": TEXT, "document_id": TEXT, "revision": NUMBER}
        check_given(wanted, {name: getattr(self, name) for name in wanted})
        check_text("sender", self.sender, limit=MAX_AGENCY_ID_BYTES)
        check_document_id(self.document_id)
        _check_revision(self.revision)


_WANTED = {
    "document_id": TEXT,
    "title": TEXT,
    "files": Wanted((File, FileStream), "a list of File or FileStream", listed=True),
    "recipients": TEXTS,
    "revision": NUMBER,
    "kind": TEXT,
    "number": MAYBE_TEXT,
    "type": MAYBE_TEXT,
    "summary": MAYBE_TEXT,
    "in_reply_to": Wanted((DocumentReference,), "a DocumentReference", optional=True),
    "concerns": Wanted((DocumentReference,), "a list of DocumentReference", listed=True),
    "created": TIME,
    "not_after": TIME,
    "properties": Wanted((tuple, list), "a list of pairs (name, value)", listed=True),
    "on_behalf_of": MAYBE_TEXT,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Document:
    """What an agency sends, before it is encrypted and signed; immutable, and valid once it exists.

    Args:
        document_id: Unique for its sender: UUIDv7, or the sender's own string of at most 200 UTF-8 bytes.
        title: What it is about, one line.
        files: In the order in which they are to be shown; a recall or an update may have none.
        recipients: Canonical agency ids, each once. Whether they exist is for the directory to say.
        kind: Everything but a plain document says which documents it ``concerns``.
        number: Number and notation, such as ``7816/VPCP-TTĐT``.
        type: Name of the document type, such as ``Công văn``.
        created: Milliseconds since 1970-01-01T00:00:00Z; None: when it is accepted.
        not_after: Milliseconds likewise; the document is of no use later. None: it never ends.
        properties: Further fields, names unique; they travel encrypted.
        on_behalf_of: Agency for which it is sent, which the directory must have delegated; stands in clear.

    Raises:
        DocumentError: A field is not allowed; the text begins with its name.
    """

    document_id: str
    title: str
    files: tuple[File | FileStream, ...]
    recipients: tuple[str, ...]
    revision: int = FIRST_REVISION
    kind: Kind = "document"
    urgency: Urgency = Urgency.NORMAL
    number: str | None = None
    type: str | None = None
    summary: str | None = None
    in_reply_to: DocumentReference | None = None
    concerns: tuple[DocumentReference, ...] = ()
    created: int | None = None
    not_after: int | None = None
    properties: tuple[tuple[str, str], ...] = ()
    on_behalf_of: str | None = None

    def __post_init__(self) -> None:
        """Bring plain numbers and lists into shape, then validate."""
        check_given(_WANTED, {name: getattr(self, name) for name in _WANTED})
        for name in ("files", "recipients", "concerns", "properties"):
            object.__setattr__(self, name, tuple(getattr(self, name)))
        try:
            object.__setattr__(self, "urgency", Urgency(self.urgency))
        except (ValueError, TypeError):
            raise DocumentError(f"urgency: {self.urgency!r} is not 0 to 4") from None
        self.validate()

    def validate(self) -> None:
        """Check every field; called when the document is made.

        Raises:
            DocumentError: A field is not allowed; the text begins with its name.
        """
        check_document_id(self.document_id)
        _check_revision(self.revision)
        if self.kind not in KINDS:
            raise DocumentError(f"kind: {self.kind!r} is none of {', '.join(KINDS)}")
        check_text("title", self.title, limit=MAX_TEXT_BYTES)
        if self.number is not None:
            check_text("number", self.number, limit=MAX_TEXT_BYTES)
        if self.type is not None:
            check_text("type", self.type, limit=MAX_TEXT_BYTES)
        if self.summary is not None:
            check_text("summary", self.summary, limit=MAX_TEXT_BYTES, lines=True, empty=True)
        if self.on_behalf_of is not None:
            check_text("on_behalf_of", self.on_behalf_of, limit=MAX_AGENCY_ID_BYTES)
        _check_recipients(self.recipients)
        _check_files(self.files, self.kind)
        _check_concerns(self.concerns, self.kind)
        _check_times(self.created, self.not_after)
        if self.properties:
            _check_properties(self.properties)


def check_document_id(document_id: str) -> None:
    """Check a document's id.

    Raises:
        DocumentError: Empty, over 200 UTF-8 bytes, with control characters, or with spaces around it.
    """
    check_text("document_id", document_id, limit=MAX_DOCUMENT_ID_BYTES)
    if document_id != document_id.strip():
        raise DocumentError(f"document_id: {show(document_id)} begins or ends with a space", hint="Remove it.")


def _check_revision(revision: int) -> None:
    if not FIRST_REVISION <= revision <= MAX_REVISION:
        raise DocumentError(f"revision: {revision} is not {FIRST_REVISION} to {MAX_REVISION}")


def _check_recipients(recipients: Sequence[str]) -> None:
    if not recipients:
        raise DocumentError("recipients: none given", hint="Name at least one agency.")
    if len(recipients) > MAX_RECIPIENTS:
        raise DocumentError(
            f"recipients: {len(recipients):,}, at most {MAX_RECIPIENTS:,} are allowed", hint="Send it in several parts."
        )
    for recipient in recipients:
        check_text("recipients", recipient, limit=MAX_AGENCY_ID_BYTES)
    if len(set(recipients)) < len(recipients):
        raise DocumentError(f"recipients: {show(_repeated(recipients))} is there twice", hint="Name each agency once.")


def _check_files(files: Sequence[File | FileStream], kind: Kind) -> None:
    # A recall says what it is about in `concerns`, an update may change recipients only: both may go without a file.
    if not files and kind in {"document", "replacement"}:
        raise DocumentError("files: none given", hint="Give at least one file.")
    if len(files) > MAX_FILES:
        raise DocumentError(
            f"files: {len(files):,}, at most {MAX_FILES:,} are allowed", hint="Pack some of them together."
        )
    if len(files) > 1:
        names = [same_name(file.name) for file in files]
        if len(set(names)) < len(names):
            name = files[names.index(_repeated(names))].name
            raise DocumentError(
                f"files: two are named {show(name)}, or differ in letter case only, which not every system tells apart",
                hint="Rename one of them.",
            )


def _check_concerns(concerns: Sequence[DocumentReference], kind: Kind) -> None:
    if kind != "document" and not concerns:
        raise DocumentError(f"concerns: empty, though the kind is {kind}", hint="Say which documents it is about.")
    if kind == "document" and concerns:
        raise DocumentError(
            "concerns: given, though the kind is document", hint=f"The kind must be one of {', '.join(KINDS[1:])}."
        )
    if len(concerns) > MAX_CONCERNS:
        raise DocumentError(f"concerns: {len(concerns):,}, at most {MAX_CONCERNS:,} are allowed")
    if len(set(concerns)) < len(concerns):
        raise DocumentError("concerns: one document is there twice", hint="Name each document once.")


def _check_times(created: int | None, not_after: int | None) -> None:
    for name, moment in (("created", created), ("not_after", not_after)):
        if moment is not None and not 0 <= moment < 2**63:
            raise DocumentError(f"{name}: {moment} is not a number of milliseconds since 1970")
    if created is not None and not_after is not None and not_after < created:
        raise DocumentError("not_after: earlier than created, so that the document would never be of use")


def _check_properties(properties: Sequence[tuple[str, str]]) -> None:
    if len(properties) > MAX_PROPERTIES:
        raise DocumentError(f"properties: {len(properties):,}, at most {MAX_PROPERTIES:,} are allowed")
    pairs: Sequence[Sequence[object]] = properties
    for pair in pairs:
        if len(pair) != 2 or not all(isinstance(one, str) for one in pair):  # noqa: PLR2004 - a pair
            raise DocumentError("properties: a pair is not two texts", hint="Write [(name, value)].", step="P1")
    for name, value in properties:
        check_text("properties", name, limit=MAX_NAME_BYTES)
        check_text(f"properties[{name}]", value, limit=MAX_TEXT_BYTES, lines=True, empty=True)
    names = [name for name, _ in properties]
    if len(set(names)) < len(names):
        raise DocumentError(f"properties: {show(_repeated(names))} is there twice")


def _repeated(texts: Sequence[str]) -> str:
    seen: set[str] = set()
    return next(text for text in texts if text in seen or seen.add(text))  # type: ignore[func-returns-value]  # add returns None
