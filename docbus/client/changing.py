"""Recalling what was published."""

from __future__ import annotations

from hashlib import sha256
from typing import TYPE_CHECKING

from docbus.client.opened import OpenAgency
from docbus.documents.document import Document, DocumentReference
from docbus.limits import MAX_DOCUMENT_ID_BYTES
from docbus.producers.changes import document_and_recipients

if TYPE_CHECKING:
    from collections.abc import Sequence

    from docbus.producers.publisher import Accepted


class ChangingMethods(OpenAgency):
    """The part of :class:`~docbus.client.agency.Agency` that asks for documents back; never used by itself."""

    async def recall(
        self, document_id: str, *, reason: str, revision: int | None = None, to: Sequence[str] | None = None
    ) -> Accepted:
        """Ask recipients to cancel a document; each answers with status 15 or 16, which :meth:`track` shows.

        The recall goes in the lane of the document, so that it arrives after it. Doing it twice is one recall.

        Args:
            document_id: The id it was published under.
            reason: Why, for the recipients' people; travels encrypted.
            revision: The newest if left out.
            to: Recipients by code, id or alias; all that it was published to if left out.

        Raises:
            DocumentError: There is no such document, or it was recalled for another reason before.
            IdentityError: A recipient is not in the directory, or closed.
            StorageError: The outbox is full or cannot be written.
        """
        original, everybody = await self.database.read(
            lambda connection: document_and_recipients(connection, document_id, revision)
        )
        recipients = everybody if to is None else tuple(self.snapshot.resolve(name) for name in to)
        document = Document(
            document_id=recall_id(document_id, original.revision, None if to is None else recipients),
            title=f"Thu hồi: {document_id}",
            summary=reason,
            files=(),
            recipients=recipients,
            kind="recall",
            urgency=original.urgency,  # type: ignore[arg-type] # Document makes an Urgency of it
            concerns=(DocumentReference(sender=self.id, document_id=document_id, revision=original.revision),),
        )
        return (await self._publisher.publish_many([document]))[0]


def recall_id(document_id: str, revision: int, recipients: Sequence[str] | None) -> str:
    """Return the id of a document's recall: the same for the same, so that it is one however often it is asked for."""
    whom = "" if recipients is None else f"~{sha256(' '.join(sorted(recipients)).encode()).hexdigest()[:16]}"
    named = f"recall~{revision}~{document_id}{whom}"
    if len(named.encode()) <= MAX_DOCUMENT_ID_BYTES:
        return named
    return f"recall~{revision}~{sha256(document_id.encode()).hexdigest()}{whom}"
