"""What statements say of documents, across all inboxes: contents by id, and business statuses."""

from __future__ import annotations

from collections import Counter
from hashlib import blake2b, sha256
from typing import TYPE_CHECKING, NamedTuple

from docbus.documents.statuses import StatusCode, replay
from docbus.envelope.statement import Reference, encode_document_body
from docbus.wire.pae import length_prefixed

if TYPE_CHECKING:
    from collections.abc import Callable

    from docbus.envelope.statement import DocumentBody, Head, StatusBody
    from docbus.identity.snapshot import TrustSnapshot

_NAME_BYTES = 16
"""Bytes that stand for (sender, id, revision) in memory; a sender who searches for a collision accuses only itself."""
_DIGEST_BYTES = 32
MAX_SUCCESSORS = 64
"""Mergers that are followed from an agency to the one that speaks for it."""


class Contents:
    """The body of every document, by its name; another body under the same name is equivocation (design D3)."""

    def __init__(self) -> None:
        self._known: dict[bytes, bytes] = {}
        """Name to body digest and first place."""
        self.equivocations: dict[Reference, dict[bytes, int]] = {}
        """Documents with several bodies: body digest to first place."""

    def __len__(self) -> int:
        """Return how many documents there are, each revision counted."""
        return len(self._known)

    def add(self, sender: str, body: DocumentBody, place: int) -> None:
        """Take in one copy of a document; a copy again changes nothing.

        The decoder accepts one encoding only, so encoding the body anew gives the bytes that were signed.
        """
        name = blake2b(
            length_prefixed(sender.encode(), body.document_id.encode(), body.revision.to_bytes(4, "big")),
            digest_size=_NAME_BYTES,
        ).digest()
        digest = sha256(encode_document_body(body)).digest()
        entry = digest + place.to_bytes(8, "big")
        known = self._known.get(name)
        if known is None:
            self._known[name] = entry
            return
        if known.startswith(digest):
            # Both begin with the same digest, so the smaller one lies earlier.
            self._known[name] = min(known, entry)
        reference = Reference(sender, body.document_id, body.revision)
        bodies = self.equivocations.get(reference)
        if bodies is None:
            if known.startswith(digest):
                return
            first = int.from_bytes(known[_DIGEST_BYTES:], "big")
            bodies = self.equivocations[reference] = {known[:_DIGEST_BYTES]: first}
        bodies[digest] = min(place, bodies.get(digest, place))


class Report(NamedTuple):
    """A status as it was reported, and the position of its statement."""

    stream: int
    sequence: int
    code: int


class Journey(NamedTuple):
    """The statuses of one document at one recipient, in the order in which they lie in the inbox.

    ``impossible`` are indexes into ``reports`` of those that could not follow what was before them.
    """

    document: Reference
    recipient: str
    reports: tuple[Report, ...]
    impossible: tuple[int, ...]


class Statuses:
    """Business statuses by document and recipient.

    What a recipient reports lies in the document's sender's inbox, what the sender asks for in the recipient's, and
    nobody orders one against the other. So a request is taken to have come in time for the answer to it.
    """

    def __init__(self, snapshot: TrustSnapshot) -> None:
        self._snapshot = snapshot
        self._reports: dict[tuple[Reference, str], list[Report]] = {}
        self._requests: Counter[tuple[Reference, str, bool]] = Counter()
        self.codes: Counter[int] = Counter()

    def add(self, head: Head, body: StatusBody, stream: int, sequence: int) -> str | None:
        """Take a status in; return what is wrong with who sent it to whom, if anything is."""
        self.codes[body.code] += 1
        document = body.document
        if body.code == StatusCode.TAKE_BACK:
            if not self.speaks_for(head.sender, document.sender):
                return f"{head.sender} asks back a document of {document.sender}"
            self._requests[document, head.recipient, False] += 1
            return None
        if not self.speaks_for(head.recipient, document.sender):
            return f"{head.sender} tells {head.recipient} of a document of {document.sender}"
        self._reports.setdefault((document, head.sender), []).append(Report(stream, sequence, body.code))
        return None

    def add_change(self, head: Head, body: DocumentBody) -> str | None:
        """Take in a recall, update or replacement; return whose document it wrongly is about, if any."""
        foreign = None
        for document in body.concerns:
            if not self.speaks_for(head.sender, document.sender):
                foreign = document.sender
            elif body.kind != "document":
                self._requests[document, head.recipient, body.kind == "update"] += 1
        return foreign if body.kind != "document" else None

    def speaks_for(self, agency: str, original: str) -> bool:
        """Tell whether an agency is the original one, or what it was merged into."""
        for _ in range(MAX_SUCCESSORS):
            if agency == original:
                return True
            found = self._snapshot.agency(original)
            if found is None or found.successor is None:
                return False
            original = found.successor
        return False

    def journeys(self, place: Callable[[Report], int], *, visible: Callable[[str], bool]) -> list[Journey]:
        """Return all journeys.

        Args:
            place: Tells where a report lies.
            visible: Tells whether an agency's inbox was read, so that requests to it are known.
        """
        return [
            self._journey(document, recipient, _in_order(sorted(reports, key=place)), known=visible(recipient))
            for (document, recipient), reports in sorted(self._reports.items())
        ]

    def _journey(self, document: Reference, recipient: str, reports: list[Report], *, known: bool) -> Journey:
        # In whose order the sender asked is not known either, so updates, which end nothing, are taken to come first.
        updates = self._requests[document, recipient, True] if known else len(reports)
        requests = updates + self._requests[document, recipient, False] if known else len(reports)
        amending: set[int] = set()
        codes: list[StatusCode] = []
        origin: list[int] = []
        unknown: list[int] = []
        for index, report in enumerate(reports):
            try:
                code = StatusCode(report.code)
            except ValueError:
                unknown.append(index)
                continue
            if code in (StatusCode.CHANGE_AGREED, StatusCode.CHANGE_REFUSED) and requests:
                requests -= 1
                if updates:
                    updates -= 1
                    amending.add(len(codes))
                codes.append(StatusCode.TAKE_BACK)
                origin.append(-1)
            codes.append(code)
            origin.append(index)
        _state, flagged = replay(codes, amending)
        impossible = sorted({*unknown, *(origin[at] for at in flagged if origin[at] >= 0)})
        return Journey(document, recipient, tuple(reports), tuple(impossible))


def _in_order(reports: list[Report]) -> list[Report]:
    """Put reports of each stream in the order that their issuer has signed; streams keep the places they have.

    In which order brokers have stored them says nothing about the issuer.
    """
    streams: dict[int, list[Report]] = {}
    for report in reports:
        streams.setdefault(report.stream, []).append(report)
    signed = {stream: iter(sorted(found, key=lambda one: one.sequence)) for stream, found in streams.items()}
    return [next(signed[report.stream]) for report in reports]
