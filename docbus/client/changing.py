"""Recalling, updating and replacing what was published."""

from __future__ import annotations

import asyncio
from hashlib import sha256
from typing import TYPE_CHECKING

from docbus.client.files import read_file
from docbus.client.opened import OpenAgency
from docbus.documents.document import Document, DocumentReference
from docbus.documents.given import MAYBE_TEXT, TEXT, TEXTS, Wanted, check_given, texts_of
from docbus.errors import DocumentConflictError, DocumentError
from docbus.limits import MAX_DOCUMENT_ID_BYTES
from docbus.producers.changes import next_revision, read_originals, read_refusing, recipients_of
from docbus.wire.ids import uuid7_text

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from docbus.documents.document import Kind
    from docbus.documents.file import File, FileStream
    from docbus.producers.changes import Original
    from docbus.producers.publisher import Accepted
    from docbus.producers.reading import Progress

_NAMED = {"document_id": TEXT, "revision": Wanted((int,), "a whole number", optional=True)}


class ChangingMethods(OpenAgency):
    """The part of :class:`~docbus.client.agency.Agency` that changes what was published; never used by itself."""

    async def recall(
        self,
        document_id: str,
        *,
        reason: str,
        revision: int | None = None,
        to: Sequence[str] | None = None,
        again: bool = False,
    ) -> Accepted:
        """Ask recipients to cancel a document; each answers with status 15 or 16, which :meth:`track` shows.

        The recall goes in the lane of the document, so that it arrives after it. Doing it twice is one recall.

        Args:
            document_id: The id it was published under.
            reason: Why, for the recipients' people; travels encrypted.
            revision: The newest if left out.
            to: Recipients by code, id or alias; all that were sent it if left out.
            again: Ask those of them once more whose last answer was 16.

        Raises:
            DocumentError: There is no such document, nobody was sent it, one of ``to`` was not, no reason is given,
                or nobody is to be asked again.
            DocumentConflictError: The same recipients were asked before, for another reason.
            IdentityError: A recipient is not in the directory, or closed.
            StorageError: The outbox is full or cannot be written.
        """
        _check_reason(reason)
        originals, recipients = await self._concerned([(document_id, revision)], to)
        (original,) = originals
        named, own_revision = recall_id(document_id, original.revision, None if to is None else recipients), 1
        if again:
            named = recall_id(document_id, original.revision, None)
            recipients, own_revision = await self._refusing(original, recipients, named)
        document = Document(
            document_id=named,
            revision=own_revision,
            title=f"Thu hồi: {document_id}",
            summary=reason,
            files=(),
            recipients=recipients,
            kind="recall",
            urgency=original.urgency,  # type: ignore[arg-type] # Document makes an Urgency of it
            concerns=self._references(originals),
        )
        try:
            return (await self._publisher.publish_many([document]))[0]
        except DocumentConflictError as error:
            raise DocumentConflictError(
                f"document {document_id} revision {original.revision} was recalled before, for another reason",
                hint=f"`docbus track {document_id}` shows the answers; whoever refused can be asked again: --again.",
                step="P1",
            ) from error

    async def update(
        self,
        document_id: str,
        *files: str | Path | File | FileStream,
        reason: str,
        revision: int | None = None,
        to: Sequence[str] | None = None,
        id: str | None = None,  # noqa: A002 - the word that a reader of the call expects
        title: str | None = None,
        number: str | None = None,
        type: str | None = None,  # noqa: A002 - likewise
        progress: Progress | None = None,
    ) -> Accepted:
        """Amend a document at its recipients; each answers with status 15 or 16, which :meth:`track` shows.

        The update is a document of its own, which says what it amends. It goes in the lane of that document.

        Args:
            document_id: The id that the document to amend was published under.
            files: The files as they are now; none if the reason says it all.
            reason: What is different and why, for the recipients' people; travels encrypted.
            revision: Of the document to amend; the newest if left out.
            to: Recipients by code, id or alias; all that were sent the document if left out.
            id: The update's own id; a new UUIDv7 if left out. The same id with the same content is the same update.
            title: The first file's name if left out.
            number: Number and notation of the update.
            type: Document type.
            progress: As for :meth:`publish`.

        Raises:
            DocumentError: There is no such document, nobody was sent it, one of ``to`` was not, no reason is given,
                or a file cannot be read.
            DocumentConflictError: The id was published before with other content.
            IdentityError: A recipient is not in the directory, or closed.
            StorageError: The outbox is full or cannot be written.
        """
        return await self._change(
            "update",
            [(document_id, revision)],
            files,
            to=to,
            progress=progress,
            id=id,
            title=title,
            number=number,
            type=type,
            summary=reason,
        )

    async def replace(
        self,
        document_id: str,
        *files: str | Path | File | FileStream,
        reason: str,
        revision: int | None = None,
        also: Sequence[str] = (),
        to: Sequence[str] | None = None,
        id: str | None = None,  # noqa: A002 - as in update
        title: str | None = None,
        number: str | None = None,
        type: str | None = None,  # noqa: A002 - likewise
        progress: Progress | None = None,
    ) -> Accepted:
        """Publish a document in the place of former ones; each recipient answers for each with status 15 or 16.

        Args:
            document_id: The id of the document that is replaced.
            files: The files of the new one, at least one.
            reason: Why, for the recipients' people; travels encrypted.
            revision: Of the document that is replaced; the newest if left out.
            also: Ids of further documents that are replaced, each in its newest revision.
            to: Recipients by code, id or alias; all that were sent the former documents if left out. Each of them must
                have been sent all of these.
            id: The new document's id; a new UUIDv7 if left out.
            title: The first file's name if left out.
            number: Number and notation of the new document.
            type: Document type.
            progress: As for :meth:`publish`.

        Raises:
            DocumentError: As for :meth:`update`, or there is no file.
            DocumentConflictError: The id was published before with other content.
            IdentityError: A recipient is not in the directory, or closed.
            StorageError: The outbox is full or cannot be written.
        """
        check_given({"also": TEXTS}, {"also": also})
        return await self._change(
            "replacement",
            [(document_id, revision), *((name, None) for name in also)],
            files,
            to=to,
            progress=progress,
            id=id,
            title=title,
            number=number,
            type=type,
            summary=reason,
        )

    async def _change(
        self,
        kind: Kind,
        named: Sequence[tuple[str, int | None]],
        files: Sequence[str | Path | File | FileStream],
        *,
        to: Sequence[str] | None,
        progress: Progress | None,
        id: str | None,  # noqa: A002 - as in update
        title: str | None,
        number: str | None,
        type: str | None,  # noqa: A002 - likewise
        summary: str,
    ) -> Accepted:
        _check_reason(summary)
        check_given({"id": MAYBE_TEXT, "title": MAYBE_TEXT}, {"id": id, "title": title})
        read = await asyncio.to_thread(lambda: tuple(read_file(file) for file in files))
        originals, recipients = await self._concerned(named, to)
        document = Document(
            document_id=id if id is not None else uuid7_text(self._clock.now_ms()),
            kind=kind,
            title=title or (read[0].name if read else f"Cập nhật: {named[0][0]}"),
            number=number,
            type=type,
            summary=summary,
            files=read,
            recipients=recipients,
            urgency=max(one.urgency for one in originals),  # type: ignore[arg-type] # Document makes an Urgency of it
            concerns=self._references(originals),
        )
        return (await self._publisher.publish_many([document], progress))[0]

    async def _refusing(self, original: Original, recipients: Sequence[str], named: str) -> tuple[tuple[str, ...], int]:
        """Return those who refused, and the revision of the recall that asks them again."""
        refusing, revision = await self.database.read(
            lambda connection: (
                read_refusing(connection, original, sender=self.id),
                next_revision(connection, named),
            )
        )
        left = tuple(name for name in recipients if name in refusing)
        if not left:
            raise DocumentError(
                f"nobody has refused to change {original.document_id} revision {original.revision}",
                hint=f"`docbus track {original.document_id}` shows who has answered.",
                step="P1",
            )
        return left, revision

    async def _concerned(
        self, named: Sequence[tuple[str, int | None]], to: Sequence[str] | None
    ) -> tuple[list[Original], tuple[str, ...]]:
        """Return what a change is about, and who gets it.

        Raises:
            DocumentError: See :func:`~docbus.producers.changes.read_originals`, and the function after it.
            IdentityError: A recipient is no code, or not in the directory.
        """
        names = None if to is None else texts_of("to", to)
        for document_id, revision in named:
            check_given(_NAMED, {"document_id": document_id, "revision": revision})
        originals = await self.database.read(lambda connection: read_originals(connection, named))
        chosen = None if names is None else tuple(self.snapshot.resolve(name) for name in names)
        return originals, recipients_of(originals, chosen)

    def _references(self, originals: Sequence[Original]) -> tuple[DocumentReference, ...]:
        return tuple(
            DocumentReference(sender=self.id, document_id=one.document_id, revision=one.revision) for one in originals
        )


def _check_reason(reason: str) -> None:
    check_given({"reason": TEXT}, {"reason": reason})
    if not reason.strip():
        raise DocumentError("reason: empty", hint="Say why, for the people at the recipients.", step="P1")


def recall_id(document_id: str, revision: int, recipients: Sequence[str] | None) -> str:
    """Return the id of a document's recall: the same for the same, so that it is one however often it is asked for."""
    whom = "" if recipients is None else f"~{sha256(' '.join(sorted(recipients)).encode()).hexdigest()[:16]}"
    named = f"recall~{revision}~{document_id}{whom}"
    if len(named.encode()) <= MAX_DOCUMENT_ID_BYTES:
        return named
    return f"recall~{revision}~{sha256(document_id.encode()).hexdigest()}{whom}"
