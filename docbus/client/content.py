"""What an agency does with large content by hand: withdraw it, send it again, fetch one file."""

from __future__ import annotations

import asyncio
import os
import shutil
import stat
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from docbus.client.opened import OpenAgency
from docbus.consumers.bases import read_basis
from docbus.consumers.single import fetch_file
from docbus.envelope.package import Inside
from docbus.errors import DocumentError
from docbus.producers.withdrawing import Resent, Withdrawn, resend, withdraw
from docbus.storage.content import NO_LINK, ContentFolder, storing, sync_path
from docbus.verification.opening import Opener

if TYPE_CHECKING:
    from collections.abc import Sequence

    from docbus.envelope.package import ManifestFile, Package
    from docbus.producers.reading import Progress
    from docbus.verification.verifier import Verified


class ContentMethods(OpenAgency):
    """The part of :class:`~docbus.client.agency.Agency` that is about large content; never used by itself."""

    async def withdraw(self, document_id: str, revision: int | None = None) -> Withdrawn:
        """Take a document back of which nothing is signed yet; parts already uploaded name no document, and expire.

        Args:
            document_id: The id it was published under.
            revision: The newest if left out.

        Raises:
            DocumentError: There is no such document, or it is signed already.
        """
        at_ms = self._clock.now_ms()
        done = await self.database.write(lambda c: withdraw(c, document_id, at_ms=at_ms, revision=revision))
        await asyncio.to_thread(self.content.drop, done.files)
        self._drain.wake()
        return done

    async def resend(self, document_id: str, revision: int | None = None, *, to: Sequence[str] | None = None) -> Resent:
        """Upload a document's large content again, and send it under the same id, revision and digests.

        Args:
            document_id: The id it was published under.
            revision: The newest if left out.
            to: Recipients; all that have not received it if left out.

        Raises:
            DocumentError: There is no such document, it has no large content, it is not kept, or everybody has it.
            IdentityError: A recipient cannot be resolved.
        """
        names = None if to is None else [self.snapshot.resolve(name) for name in to]
        done = await self.database.write(lambda c: resend(c, document_id, revision=revision, recipients=names))
        self._drain.wake()
        return done

    async def fetch(self, envelope: bytes, file: str, target: str | Path, *, progress: Progress | None = None) -> Path:
        """Fetch one file of a document that came to this agency, and no other one of it.

        Args:
            envelope: Exact bytes, such as those of ``envelope.bin`` beside a filed document, or of a dead letter.
            file: The file's name in the document.
            target: Where to put it; nothing may be there. It appears when all of it is verified, and is durable then.
            progress: Told how many bytes are here, and of how many.

        Returns:
            The target.

        Raises:
            VerificationError: The envelope, or what was fetched, is not what it should be.
            IndeterminateError: The envelope cannot be verified yet.
            DocumentError: There is no such file, or something is at the target.
            ContentUnavailableError: Parts have expired, or are nowhere to be found.
            TransportError: The sender's content topic cannot be read.
            StorageError: The target cannot be written.
        """
        place = Path(target)
        if await asyncio.to_thread(place.exists):
            raise DocumentError(f"{place} is there already", hint="Name another file.")
        verified, package, found = await asyncio.to_thread(self._open, envelope, file)
        with storing(place.parent):
            work = Path(tempfile.mkdtemp(prefix=".docbus-fetch-", dir=place.parent))
        try:
            if isinstance(found.place, Inside):
                made = work / "content"
                await asyncio.to_thread(made.write_bytes, package.contents[found.place.content])
            else:
                made = await fetch_file(self.transport, verified, found, ContentFolder(work), progress=progress)
            await asyncio.to_thread(_move, made, place, work / "mode")
        finally:
            await asyncio.to_thread(shutil.rmtree, work, ignore_errors=True)
        return place

    def _open(self, envelope: bytes, name: str) -> tuple[Verified, Package, ManifestFile]:
        # What this agency judged when it took the document, it does not ask again.
        basis = self.database.read_now(lambda connection: read_basis(connection, envelope))
        verified = self._verifier().verify_recorded(
            envelope,
            key=None,
            recipient=self.id,
            snapshot=self.snapshot,
            known_at_ms=None if basis is None else basis.at_ms,
        )
        package = Opener(self.id, self._decrypters).open(verified)
        files = () if package is None else package.manifest.files
        found = next((file for file in files if file.name == name), None)
        if package is None or found is None:
            names = ", ".join(file.name for file in files) or "none"
            raise DocumentError(f"the document has no file {name}", hint=f"Its files are: {names}.")
        return verified, package, found


def _move(made: Path, place: Path, likeness: Path) -> None:
    """Give a file its final name and the mode of any new file, durably, and never over another one."""
    with storing(place.parent):
        likeness.touch()
        made.chmod(stat.S_IMODE(likeness.stat().st_mode))
        sync_path(made)
        try:
            os.link(made, place)
        except OSError as error:
            if error.errno not in NO_LINK:
                raise
            # No second names here, so for a moment somebody else's file of this name would be replaced.
            made.rename(place)
        sync_path(place.parent)
