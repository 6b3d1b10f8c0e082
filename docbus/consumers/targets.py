"""What the ledger knows of the documents that a recall, an update or a replacement concerns (step C3). Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from docbus.consumers.sinks.port import Target

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    from docbus.consumers.ledger import DocumentKey, KnownDocument
    from docbus.consumers.sinks.port import Delivery
    from docbus.envelope.statement import Reference


def concerned_by(deliveries: Sequence[Delivery]) -> list[DocumentKey]:
    """Return the documents that changes among deliveries concern, each once."""
    return list(dict.fromkeys(_key(target) for delivery in deliveries for target in delivery.concerns))


def with_targets(deliveries: Sequence[Delivery], known: Mapping[DocumentKey, KnownDocument]) -> list[Delivery]:
    """Return deliveries of which those that concern others say what is known of these.

    Args:
        deliveries: Of one call of the sink, in order.
        known: The ledger's outcomes of what they concern.
    """
    before: set[DocumentKey] = set()
    told = []
    for delivery in deliveries:
        targets = tuple(_target(_key(reference), known, before) for reference in delivery.concerns)
        told.append(delivery._replace(targets=targets) if targets else delivery)
        before.add((delivery.sender, delivery.document_id, delivery.revision))
    return told


def _target(key: DocumentKey, known: Mapping[DocumentKey, KnownDocument], before: Collection[DocumentKey]) -> Target:
    found = known.get(key)
    if found is not None and found.reason is None:
        return Target(*key, "filed", found.reference)
    if key in before:
        return Target(*key, "in_batch")
    if found is not None:
        return Target(*key, "refused", reason=found.reason)
    return Target(*key, "unknown")


def _key(reference: Reference) -> DocumentKey:
    return reference.sender, reference.document_id, reference.revision
