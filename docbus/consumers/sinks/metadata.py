"""``metadata.json``: everything docbus knows of a filed document, for people and for the DMS that picks it up."""

from __future__ import annotations

import json
import uuid
from typing import TYPE_CHECKING, Any

from docbus.clock import format_time
from docbus.documents.names import safe_name, same_name

if TYPE_CHECKING:
    from collections.abc import Sequence

    from docbus.consumers.sinks.port import Delivery
    from docbus.envelope.statement import Reference

FORMAT = "docbus-filed-1"


def stored_names(names: Sequence[str]) -> list[str]:
    """Return a safe file name for each name of a manifest; no two are the same on any file system."""
    taken: set[str] = set()
    stored = []
    for number, name in enumerate(names, 1):
        chosen = safe_name(name, fallback=f"file-{number}", taken=taken)
        taken.add(same_name(chosen))
        stored.append(chosen)
    return stored


def document_part(delivery: Delivery, stored: Sequence[str]) -> dict[str, Any]:
    """Return what two copies of the same document agree in, whatever stream they came in."""
    manifest = delivery.manifest
    represented = delivery.on_behalf_of
    return {
        "sender": delivery.sender,
        # Only where there is one, so that what was filed before there were any compares as the same.
        **({} if represented is None else {"on_behalf_of": represented}),
        "recipient": delivery.recipient,
        "document_id": delivery.document_id,
        "revision": delivery.revision,
        "kind": delivery.kind,
        "urgency": delivery.urgency,
        "created": _time(delivery.body.created),
        "not_after": None if delivery.body.not_after is None else _time(delivery.body.not_after),
        "title": manifest.title,
        "number": manifest.number,
        "type": manifest.type,
        "summary": manifest.summary,
        "recipients": list(manifest.recipients),
        "properties": [{"name": name, "value": value} for name, value in manifest.properties],
        "in_reply_to": None if delivery.in_reply_to is None else _reference(delivery.in_reply_to),
        "concerns": [_reference(reference) for reference in delivery.concerns],
        "files": [
            {
                "name": file.name,
                "path": f"files/{name}",
                "media_type": file.media_type,
                "size": file.size,
                "sha256": file.digest.hex(),
            }
            for file, name in zip(delivery.files, stored, strict=True)
        ],
    }


def encode_metadata(delivery: Delivery, stored: Sequence[str]) -> bytes:
    """Return ``metadata.json``: the document's part, the statement it came with, and when."""
    head, position = delivery.head, delivery.position
    content = {
        "format": FORMAT,
        "document": document_part(delivery, stored),
        "statement": {
            "digest": delivery.digest.hex(),
            "envelope_id": str(uuid.UUID(bytes=position.envelope_id)),
            "environment": head.environment,
            "certificate": head.certificate.hex(),
            "lane": head.lane,
            "epoch": head.epoch.hex(),
            "sequence": position.sequence,
            "made_at": _time(head.made_at),
        },
        "stored_at": _time(delivery.stored_at),
    }
    return json.dumps(content, ensure_ascii=False, indent=1).encode() + b"\n"


def same_document(found: bytes, delivery: Delivery, stored: Sequence[str]) -> bool:
    """Tell whether a ``metadata.json`` that was read back is of this document."""
    try:
        content = json.loads(found)
    except ValueError:
        return False
    return isinstance(content, dict) and content.get("document") == document_part(delivery, stored)


def _reference(reference: Reference) -> dict[str, Any]:
    return {"sender": reference.sender, "document_id": reference.document_id, "revision": reference.revision}


def _time(milliseconds: int) -> str | int:
    """A time for people; a sender may claim one that no calendar has, which stays a number."""
    text = format_time(milliseconds)
    return text if text.endswith("Z") else milliseconds
