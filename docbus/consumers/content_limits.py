"""How much large content a recipient takes."""

from __future__ import annotations

from dataclasses import dataclass

from docbus.limits import KIB, MIB


@dataclass(frozen=True, slots=True, kw_only=True)
class ContentLimits:
    """How much large content is taken.

    Args:
        document_bytes: Of one document; more is refused.
        spool_bytes: Of all documents that are not filed yet; more waits. At least ``document_bytes``.
    """

    document_bytes: int = 4 * KIB * MIB
    """4 GiB."""
    spool_bytes: int = 16 * KIB * MIB
    """16 GiB."""


USUAL_LIMITS = ContentLimits()
"""Those that apply where nothing else is said."""
