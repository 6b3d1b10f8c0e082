"""Waiting for a document at the terminal: how much of its large content is uploaded is shown meanwhile."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Literal

from docbus.cli.progress import progress

if TYPE_CHECKING:
    from docbus.cli.session import Session
    from docbus.client.agency import Agency
    from docbus.producers.journey import Journey
    from docbus.producers.publisher import Accepted

LOOK_SECONDS = 0.25
"""Seconds between two looks at how far the upload is."""


async def wait_showing(
    session: Session,
    agency: Agency,
    accepted: Accepted,
    until: Literal["sent", "received"],
    timeout: float,  # noqa: ASYNC109 - the caller's own limit, which ends in a named error
) -> Journey:
    """Wait until a document has come so far at every recipient.

    Raises:
        WaitTimeoutError: It took longer; the document is safe in the outbox.
    """
    waiting = asyncio.ensure_future(
        agency.wait(accepted.document_id, until=until, timeout=timeout, revision=accepted.revision)
    )
    try:
        with progress(session, f"uploading {accepted.document_id}") as tell:
            while not waiting.done():
                found = await agency.track(accepted.document_id, accepted.revision)
                if found.content is None:
                    break
                tell(found.content.uploaded, found.content.size)
                if found.content.uploaded == found.content.size:
                    break
                await asyncio.wait({waiting}, timeout=LOOK_SECONDS)
        return await waiting
    finally:
        waiting.cancel()
