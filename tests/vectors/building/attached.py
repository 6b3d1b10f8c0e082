"""Large attachments: encrypted in parts before they are signed, so that a vector can change any one of them.

What is a few hundred bytes travels outside here, because a vector says so; docbus itself would put it into the package.
"""

from __future__ import annotations

from dataclasses import dataclass
from hashlib import sha256
from typing import TYPE_CHECKING, Any

from docbus.envelope.package import ManifestFile, Outside
from docbus.envelope.parts import (
    AttachmentContext,
    Part,
    decode_part,
    encode_part,
    open_part,
    part_leaf,
    seal_part,
)
from docbus.envelope.statement import Attachment
from docbus.errors import MalformedError
from docbus.limits import PART_BYTES
from docbus.wire.tree import levels, path_of
from tests.vectors.building.drawn import derived
from tests.vectors.building.letters import make_package, write_document
from tests.vectors.building.world import ENVIRONMENT, HANOI, World

if TYPE_CHECKING:
    from docbus.envelope.package import Package
    from tests.vectors.building.letters import Letter

TEXT = "text/plain"


@dataclass(frozen=True, slots=True, kw_only=True)
class Attached:
    """One attachment: the file as the manifest names it, its plaintext, and the ciphertext of each part."""

    file: ManifestFile
    plaintext: bytes
    parts: tuple[bytes, ...]

    @property
    def attachment(self) -> Attachment:
        """What the statement says of it."""
        return Attachment(sum(len(part) for part in self.parts), levels(self._leaves())[-1][0])

    def _leaves(self) -> list[bytes]:
        return [part_leaf(part) for part in self.parts]

    def part(self, index: int) -> Part:
        """Return a part with its path."""
        size, digest = self.attachment
        return Part(digest, size, index, path_of(levels(self._leaves()), index), self.parts[index])

    def record(self, index: int, /, **changes: Any) -> bytes:
        """Return the value of the record that carries a part, and what ``changes`` say."""
        return encode_part(self.part(index)._replace(**changes))

    @property
    def records(self) -> tuple[bytes, ...]:
        """The values of all records, in the order of the parts."""
        return tuple(self.record(index) for index in range(len(self.parts)))


def attach(
    world: World,
    label: str,
    plaintext: bytes,
    *,
    index: int = 0,
    name: str = "plan.txt",
    context: AttachmentContext | None = None,
    first_part: int = 0,
) -> Attached:
    """Return an attachment of the document that a label names.

    Args:
        world: What was drawn.
        label: Names the document; key and context come from it.
        plaintext: What the file holds.
        index: Which attachment of the document it is.
        name: The file's name.
        context: In place of the right one, if it is to be wrong.
        first_part: The number that the first part's context has, if it is to be wrong.
    """
    context = context or context_of(label, index)
    key = key_of(label, index)
    parts = [
        _seal(
            world, f"{label}/part-{number}", plaintext[at : at + PART_BYTES], key, context.of_part(number + first_part)
        )
        for number, at in enumerate(range(0, len(plaintext), PART_BYTES))
    ]
    file = ManifestFile(name, TEXT, len(plaintext), sha256(plaintext).digest(), Outside(index, key))
    return Attached(file=file, plaintext=plaintext, parts=tuple(parts))


def key_of(label: str, index: int = 0) -> bytes:
    """Return the key of an attachment of a document."""
    return derived(f"attachment key {label} {index}", 32)


def context_of(label: str, index: int = 0, *, sender: str = HANOI) -> AttachmentContext:
    """Return what the parts of an attachment of a document are bound to."""
    return AttachmentContext(ENVIRONMENT, sender, f"vector-{label}", 1, index)


def _seal(world: World, file: str, plaintext: bytes, key: bytes, context: bytes) -> bytes:
    if len(plaintext) < PART_BYTES:
        return world.drawn.take("part", (key, context, plaintext), lambda: seal_part(plaintext, key, context))

    def read(record: bytes) -> bytes | None:
        try:
            found = decode_part(record).content
            return found if open_part(found, key, context) == plaintext else None
        except MalformedError:
            return None

    return world.drawn.take_large(f"envelope/v1-{file}.bin", read, lambda: seal_part(plaintext, key, context))


def enclose(label: str, *attached: Attached, **changes: Any) -> Package:
    """Return a package that has only what opens these attachments, and what ``changes`` say of its manifest."""
    return make_package(label, **{"files": tuple(one.file for one in attached), "contents": ()} | changes)


def write_attached(
    world: World, label: str, *attached: Attached, package: Package | None = None, **changes: Any
) -> Letter:
    """Return the letter of a document with these attachments, and what ``changes`` say of its body."""
    return write_document(
        world,
        label,
        package=package or enclose(label, *attached),
        **{"attachments": tuple(one.attachment for one in attached)} | changes,
    )
