"""How far a copy has come, and how the lanes are numbered in the database."""

from __future__ import annotations

from enum import IntEnum

from docbus.envelope.statement import DOCUMENT_TYPE, LANES, RECEIPT_TYPE, STATUS_TYPE


class CopyState(IntEnum):
    """State of one copy: one statement to one recipient. The numbers stand in the database.

    ::

        HELD ─upload→ WAITING ─seal→ SEALED ─send→ SENT ─receipt→ RECEIVED
           │             │              │            ├──receipt→ REFUSED ─later receipt→ RECEIVED
           └─────────────┴─→ FAILED     └────────────┴─→ SUPERSEDED (goes out again in a new epoch, as a new copy)

    HELD waits for large content to be uploaded: its own, or that of a document before it to the same recipient. A
    REFUSED copy whose content is sent again is SUPERSEDED too.

    A receipt may overtake the mark that its statement was sent, so SEALED leads to RECEIVED and REFUSED too.
    """

    WAITING = 0
    SEALED = 1
    SENT = 2
    RECEIVED = 3
    REFUSED = 4
    FAILED = 5
    SUPERSEDED = 6
    HELD = 7

    @property
    def word(self) -> str:
        """The word for it in the house's vocabulary (design section 1)."""
        return _WORDS[self]


_WORDS = {
    CopyState.HELD: "accepted",
    CopyState.WAITING: "accepted",
    CopyState.SEALED: "accepted",
    CopyState.SENT: "sent",
    CopyState.RECEIVED: "received",
    CopyState.REFUSED: "refused",
    CopyState.FAILED: "failed",
    CopyState.SUPERSEDED: "superseded",
}

LANE_NUMBERS = {lane: number for number, lane in enumerate(LANES)}
LANE_RECEIPTS = LANE_NUMBERS["receipts"]
LANE_DOCUMENTS = LANE_NUMBERS["documents"]
"""The other lanes are *express*: their statements do not wait behind documents, neither here nor in an inbox."""
LANES_BY_RANK = tuple(LANE_NUMBERS[lane] for lane in ("urgent", "receipts", "documents"))
"""The order in which lanes are served."""

FORM_OF = {DOCUMENT_TYPE: "document", RECEIPT_TYPE: "receipt", STATUS_TYPE: "status"}
TYPE_OF = {form: payload_type for payload_type, form in FORM_OF.items()}
"""The database keeps the short form, the wire has the payload type."""
