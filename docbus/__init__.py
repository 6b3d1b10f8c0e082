"""docbus: signed documents between public agencies, over Kafka, with evidence that an outsider can check.

The journey of a document; the step numbers stand in code, errors, tests and specification alike:

=========  ==================================  ==============================================================
step       where                               what
=========  ==================================  ==============================================================
P1 accept  ``producers.publisher``             checked, encrypted (P2), and on disk in the outbox
P2 parts   ``producers.staging``               large content encrypted part by part, on disk beside the outbox
P4 upload  ``producers.uploading``             parts acknowledged, once for all recipients, before anything is sealed
P3 sign    ``envelope.batch``                  everything waiting becomes one batch; exact bytes are stored
P4 send    ``producers.drain``                 acknowledged by all in-sync replicas, in stream order
C1 verify  ``verification.verifier``           a numbered checklist, bytes in, result or error out
C2 open    ``verification.opening``            unwrapped, decrypted, every digest and the commitment checked
C2 fetch   ``consumers.fetching``              parts checked one by one, the whole at the end; only its stream waits
C3 deliver ``consumers.sinks``                 filed in the DMS, idempotent by name
C4 receipt ``consumers``, ``producers``        outcome and signed range receipt in one transaction
C5 commit  ``consumers.subscriber``            the lowest undecided offset, last of all
audit      ``audit``                           anyone with read access replays and verifies
=========  ==================================  ==============================================================

A document is *accepted* when the outbox has it on disk, *sent* when the brokers acknowledged it, *delivered* when the
DMS holds it, *received* when the sender holds the signed receipt.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from docbus.client.agency import Agency
    from docbus.client.redrive import Redriven
    from docbus.consumers.selection import Selection
    from docbus.consumers.sinks.handler import IncomingDocument
    from docbus.consumers.sinks.port import (
        AlreadyThere,
        Answer,
        Conflict,
        Created,
        DeliveredFile,
        Delivery,
        Reject,
        Retry,
        Sink,
        Target,
    )
    from docbus.documents.document import Document, DocumentReference, Urgency
    from docbus.documents.file import File, FileStream
    from docbus.documents.statuses import StatusCode
    from docbus.errors import DocbusError, SinkUnavailableError
    from docbus.identity.agency import AgencyId
    from docbus.producers.journey import Journey, Leg
    from docbus.producers.publisher import Accepted

__version__ = "0.1.0"

_HOMES = {
    "Accepted": "docbus.producers.publisher",
    "Agency": "docbus.client.agency",
    "AgencyId": "docbus.identity.agency",
    "AlreadyThere": "docbus.consumers.sinks.port",
    "Answer": "docbus.consumers.sinks.port",
    "Conflict": "docbus.consumers.sinks.port",
    "Created": "docbus.consumers.sinks.port",
    "DeliveredFile": "docbus.consumers.sinks.port",
    "Delivery": "docbus.consumers.sinks.port",
    "DocbusError": "docbus.errors",
    "Document": "docbus.documents.document",
    "DocumentReference": "docbus.documents.document",
    "File": "docbus.documents.file",
    "FileStream": "docbus.documents.file",
    "IncomingDocument": "docbus.consumers.sinks.handler",
    "Journey": "docbus.producers.journey",
    "Leg": "docbus.producers.journey",
    "Redriven": "docbus.client.redrive",
    "Reject": "docbus.consumers.sinks.port",
    "Retry": "docbus.consumers.sinks.port",
    "Selection": "docbus.consumers.selection",
    "Sink": "docbus.consumers.sinks.port",
    "SinkUnavailableError": "docbus.errors",
    "StatusCode": "docbus.documents.statuses",
    "Target": "docbus.consumers.sinks.port",
    "Urgency": "docbus.documents.document",
}
"""Where each public name lives. They are loaded on first use, so that the command line starts quickly."""

__all__ = [
    "Accepted",
    "Agency",
    "AgencyId",
    "AlreadyThere",
    "Answer",
    "Conflict",
    "Created",
    "DeliveredFile",
    "Delivery",
    "DocbusError",
    "Document",
    "DocumentReference",
    "File",
    "FileStream",
    "IncomingDocument",
    "Journey",
    "Leg",
    "Redriven",
    "Reject",
    "Retry",
    "Selection",
    "Sink",
    "SinkUnavailableError",
    "StatusCode",
    "Target",
    "Urgency",
]


def __getattr__(name: str) -> Any:
    """Load a public name.

    Raises:
        AttributeError: There is no such name.
    """
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module 'docbus' has no attribute {name!r}")
    return getattr(import_module(home), name)
