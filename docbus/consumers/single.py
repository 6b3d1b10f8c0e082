"""Fetching one attachment by itself, for somebody who has the envelope: the same checks, and no ledger."""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING, Any, TypeVar

from docbus.consumers.assembling import Assembly
from docbus.consumers.locating import Locator
from docbus.consumers.threads import to_end
from docbus.consumers.wanted import Wanted, runs_of
from docbus.documents.refusals import CONTENT_EXPIRED, CONTENT_MISSING
from docbus.envelope.package import Outside
from docbus.envelope.parts import AttachmentContext
from docbus.envelope.statement import DocumentBody
from docbus.errors import ContentUnavailableError
from docbus.verification.parts import WantedContent

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from docbus.envelope.package import ManifestFile
    from docbus.storage.content import ContentFolder
    from docbus.transport.port import Transport
    from docbus.verification.verifier import Verified

T = TypeVar("T")

_NUMBER = 0
"""There is only one file in the folder."""


async def fetch_file(
    transport: Transport,
    verified: Verified,
    file: ManifestFile,
    content: ContentFolder,
    *,
    progress: Callable[[int, int | None], None] | None = None,
) -> Path:
    """Fetch a file that lies outside its package (C2.09 to C2.12).

    Args:
        transport: Started.
        verified: The document's statement, which passed C1.
        file: From the manifest, which passed C2.08.
        content: An empty folder, on the file system where the file is to lie.
        progress: Told how many bytes are here, and of how many.

    Returns:
        The file in the folder, all of it verified; not synced.

    Raises:
        VerificationError: The sender has signed what does not open, or is another file.
        ContentUnavailableError: Parts are gone, or nowhere to be found.
        TransportError: The sender's content topic cannot be read.
        StorageError: The folder cannot be written.
    """
    wanted = _wanted(verified, file)
    assembly = Assembly(content, _NUMBER, wanted.content)
    try:
        await _in_thread(assembly.open)
        locator = Locator(transport, wanted, lambda: assembly.missing)
        async with contextlib.aclosing(locator.records()) as found:
            async for records in found:
                taken = await _in_thread(assembly.take, records)
                locator.useful = bool(taken.parts or taken.known)
                await _in_thread(assembly.digest, taken.parts)
                if assembly.heavy:
                    await _in_thread(assembly.let_go)
                if progress is not None:
                    progress(assembly.have_bytes, wanted.content.size)
        if assembly.missing:
            raise ContentUnavailableError(
                CONTENT_EXPIRED if locator.expired else CONTENT_MISSING,
                f"{assembly.missing:,} of {wanted.content.parts:,} parts are not in {wanted.sender}'s content topic",
                hint="Ask the sender for `docbus resend`.",
            )
        await _in_thread(assembly.finish)
    finally:
        assembly.close()
    return content.incoming(_NUMBER)


async def _in_thread(job: Callable[..., T], *arguments: Any) -> T:
    return await to_end(asyncio.ensure_future(asyncio.to_thread(job, *arguments)))


def _wanted(verified: Verified, file: ManifestFile) -> Wanted:
    head, body = verified.statement.head, verified.statement.body
    if not isinstance(body, DocumentBody) or not isinstance(file.place, Outside):
        raise TypeError("only a file outside the package of a document is fetched")
    attachment = body.attachments[file.place.attachment]
    content = WantedContent(
        AttachmentContext(head.environment, head.sender, body.document_id, body.revision, file.place.attachment),
        attachment.size,
        attachment.digest,
        file.place.key,
        file.size,
        file.digest,
    )
    runs = tuple(runs_of(verified.hints, head.sender).get(file.place.attachment, ()))
    return Wanted(_NUMBER, head.epoch, content, runs, head.made_at, head.made_at, 0, None)
