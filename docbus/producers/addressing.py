"""From what people call agencies to what the directory calls them, and whether a document may go to them (step P1)."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

from docbus.clock import no_earlier
from docbus.errors import AgencyClosedError, UnknownAgencyError
from docbus.producers.delegations import delegation_error

if TYPE_CHECKING:
    from collections.abc import Sequence

    from docbus.clock import Clock
    from docbus.documents.document import Document, DocumentReference
    from docbus.identity.snapshot import TrustSnapshot


def address(documents: Sequence[Document], snapshot: TrustSnapshot, *, sender: str, clock: Clock) -> list[Document]:
    """Return the documents with canonical ids in place of codes and aliases.

    Args:
        documents: As they were given.
        snapshot: Where agencies are looked up.
        sender: Canonical id of the sending agency.
        clock: Tells whether a delegation is in force.

    Raises:
        AgencyCodeError: An agency is not named by a code.
        UnknownAgencyError: One is not in the directory.
        AgencyClosedError: A recipient is closed.
        DelegationError: A document is to be sent for another agency, and may not.
    """
    known: dict[str, str] = {}
    for name in {recipient for document in documents for recipient in document.recipients}:
        known[name] = _recipient(name, snapshot)
    addressed = []
    for document in documents:
        recipients = tuple(known[name] for name in document.recipients)
        if recipients != document.recipients:
            document = dataclasses.replace(document, recipients=recipients)  # noqa: PLW2901 - same document, names resolved
        if document.in_reply_to is not None or document.concerns:
            document = _refer(document, snapshot)  # noqa: PLW2901 - likewise
        if document.on_behalf_of is not None:
            document = _represent(document, document.on_behalf_of, snapshot, sender, clock)  # noqa: PLW2901 - likewise
        addressed.append(document)
    return addressed


def _represent(document: Document, name: str, snapshot: TrustSnapshot, sender: str, clock: Clock) -> Document:
    represented = snapshot.resolve(name)
    now_ms = no_earlier(clock, snapshot.made_at)
    error = delegation_error(represented, sender, document.kind, snapshot, now_ms, step="P1")
    if error is not None:
        raise error
    return dataclasses.replace(document, on_behalf_of=represented)


def _refer(document: Document, snapshot: TrustSnapshot) -> Document:
    """Put canonical ids in place of what people call the senders of documents referred to."""

    def resolved(reference: DocumentReference) -> DocumentReference:
        return dataclasses.replace(reference, sender=snapshot.resolve(reference.sender))

    reply = document.in_reply_to
    return dataclasses.replace(
        document,
        in_reply_to=None if reply is None else resolved(reply),
        concerns=tuple(resolved(reference) for reference in document.concerns),
    )


def _recipient(name: str, snapshot: TrustSnapshot) -> str:
    found = snapshot.resolve(name)
    agency = snapshot.agency(found)
    if agency is None:
        raise UnknownAgencyError(f"recipient {found} is not in the directory", step="P1")
    if agency.closed_at is not None:
        raise AgencyClosedError(
            f"recipient {name} is closed since directory entry {agency.closed_at}",
            hint=f"Its successor is {agency.successor}." if agency.successor else "It has no successor.",
            step="P1",
        )
    return found
