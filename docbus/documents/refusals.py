"""Reasons for which a recipient refuses a document because of its large content; they stand in receipts, in clear."""

from __future__ import annotations

from typing import Final

CONTENT_EXPIRED: Final = "content_expired"
"""Parts are older than what the sender's content topic keeps."""
CONTENT_MISSING: Final = "content_missing"
"""Parts are nowhere to be found, though they should be there."""
CONTENT_UNREADABLE: Final = "content_unreadable"
"""The brokers do not let this recipient read the sender's content topic."""
CONTENT_DAMAGED: Final = "content_damaged"
"""Something lies in the place of parts that is not what the sender has signed."""
CONTENT_TOO_LARGE: Final = "content_too_large"
"""More than this recipient takes."""

RESENDABLE: Final = frozenset(
    {CONTENT_EXPIRED, CONTENT_MISSING, CONTENT_UNREADABLE, CONTENT_DAMAGED, CONTENT_TOO_LARGE}
)
"""Reasons that say nothing about the document itself: the sender keeps its content, and may send it again."""
