"""Letters: statements in their parts before they are signed, so that a vector can change any one of them.

This repeats what :mod:`docbus.envelope.batch` does with other bytes in place of the random ones; a unit test compares
the two.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from hashlib import sha256
from typing import TYPE_CHECKING, Any

from cryptography.hazmat.primitives.keywrap import aes_key_wrap

from docbus.envelope.batch import batch_signed_bytes
from docbus.envelope.envelope import Envelope, Keys, Proof, Signature
from docbus.envelope.keys import wrap_context
from docbus.envelope.package import (
    Inside,
    Manifest,
    ManifestFile,
    Package,
    content_context,
    encode_package,
    encrypt,
    note_context,
    recipients_digest,
)
from docbus.envelope.statement import (
    DOCUMENT_TYPE,
    FIRST_PREVIOUS,
    RECEIPT_TYPE,
    STATUS_TYPE,
    SUITE_2026,
    SUITE_NONE,
    VERSION,
    DocumentBody,
    Head,
    Position,
    ReceiptBody,
    Reference,
    SealedPackage,
    Statement,
    StatusBody,
    encode_document_body,
    encode_head,
    encode_position,
    encode_receipt_body,
    encode_status_body,
)
from docbus.wire.pae import commitment, leaf_digest
from docbus.wire.tree import levels, path_of
from tests.vectors.building.drawn import derived, derived_uuid7
from tests.vectors.building.world import ALL_OPEN, ENVIRONMENT, HANOI, NOW, TAY_NINH, World, signatures_by

if TYPE_CHECKING:
    from collections.abc import Sequence

    from docbus.identity.signing import HybridSigner, KeySigner


@dataclass(frozen=True, slots=True, kw_only=True)
class Letter:
    """One statement to be signed, and what travels beside it."""

    payload_type: str
    head: Head
    position: Position
    body: Any
    """A DocumentBody, ReceiptBody or StatusBody; loosely typed, because vectors change any field of any of them."""
    sealed: bytes | None = None
    keys: Keys | None = None
    package: Package | None = None
    raw: bytes | None = field(default=None, repr=False)
    """Statement bytes to sign in place of the encoded parts."""

    @property
    def statement(self) -> bytes:
        """The bytes that become a leaf."""
        if self.raw is not None:
            return self.raw
        body = self.body
        if isinstance(body, DocumentBody):
            encoded = encode_document_body(body)
        elif isinstance(body, ReceiptBody):
            encoded = encode_receipt_body(body)
        else:
            encoded = encode_status_body(body)
        return encode_head(self.head) + encode_position(self.position) + encoded

    @property
    def digest(self) -> bytes:
        """The statement digest."""
        return leaf_digest(self.payload_type.encode(), self.statement)

    @property
    def sealed_digest(self) -> bytes:
        """SHA-256 of the package's ciphertext."""
        return sha256(self.sealed or b"").digest()

    @property
    def decoded(self) -> Statement:
        """What a reader must find."""
        return Statement(self.payload_type, self.head, self.position, self.body)


@dataclass(frozen=True, slots=True, kw_only=True)
class Sealing:
    """How a package is encrypted; what is None is done as it should be, everything else is wrong on purpose."""

    plaintext: bytes | None = None
    ciphertext: bytes | None = None
    context: bytes | None = None
    content_key: bytes | None = None
    committed: bytes | None = None
    batch_key: bytes | None = None
    batch_key_for: str | None = None
    batch_key_from: str | None = None
    batch_key_in: str | None = None
    wrapping_key: bytes | None = None
    wrapped_content_key: bytes | None = None


AS_IT_SHOULD_BE = Sealing()


def seal_batch(world: World, signer: KeySigner | HybridSigner, letters: Sequence[Letter]) -> list[Envelope]:
    """Return the envelopes of one batch under one signature."""
    tree = levels([letter.digest for letter in letters])
    signed = batch_signed_bytes(signer.profile, signer.certificate, len(letters), tree[-1][0])
    blocks = tuple(
        Signature(signer.profile, signer.certificate, signature) for signature in signatures_by(world, signer, signed)
    )
    return [
        Envelope(
            statement=letter.statement,
            proof=Proof(len(letters), index, path_of(tree, index)),
            payload_type=letter.payload_type,
            signatures=blocks,
            package=letter.sealed,
            keys=letter.keys,
            hints=(),
        )
        for index, letter in enumerate(letters)
    ]


def files_of(*files: tuple[str, str, bytes]) -> tuple[tuple[ManifestFile, ...], tuple[bytes, ...]]:
    """Return manifest files and contents for (name, media type, content)."""
    made = tuple(
        ManifestFile(name, media_type, len(content), sha256(content).digest(), Inside(index))
        for index, (name, media_type, content) in enumerate(files)
    )
    return made, tuple(content for _, _, content in files)


def make_package(label: str, *, recipients: tuple[str, ...] = (TAY_NINH,), **changes: Any) -> Package:
    """Return a package with one small file, and what ``changes`` say."""
    files, contents = files_of(("notice.txt", "text/plain", f"Contents of {label}.\n".encode()))
    contents = changes.pop("contents", contents)
    manifest = Manifest("Notice", "1/TB-UBND", "Thông báo", None, recipients, (), files)._replace(**changes)
    return Package(derived(f"salt {label}", 32), manifest, contents)


def make_head(
    world: World, label: str, *, sender: str = HANOI, recipient: str = TAY_NINH, lane: str = "documents", **changes: Any
) -> Head:
    """Return a head without encryption, and what ``changes`` say."""
    head = Head(
        version=VERSION,
        environment=ENVIRONMENT,
        sender=sender,
        on_behalf_of=None,
        certificate=world.parties[sender].signer.certificate,
        recipient=recipient,
        lane=lane,
        epoch=derived(f"epoch {label}", 16),
        directory_position=ALL_OPEN,
        directory_hash=world.hashes[ALL_OPEN],
        made_at=NOW,
        suite=SUITE_NONE,
        batch_key_digest=None,
    )
    return head._replace(**changes)


def write_document(
    world: World,
    label: str,
    *,
    head: Head | None = None,
    package: Package | None = None,
    sealing: Sealing = AS_IT_SHOULD_BE,
    batch: str | None = None,
    sequence: int = 1,
    previous: bytes = FIRST_PREVIOUS,
    **changes: Any,
) -> Letter:
    """Return a document's letter.

    Args:
        world: Keys and directory.
        label: Names the document; everything derived comes from it.
        head: Its head without encryption.
        package: Its package.
        sealing: What is to be wrong about the encryption.
        batch: Names the batch key, where several letters share one.
        sequence: Place in the stream.
        previous: Statement digest of the one before.
        changes: Fields of the body that differ from the usual.
    """
    head = head or make_head(world, label)
    package = package or make_package(label, recipients=(head.recipient,))
    body = DocumentBody(
        document_id=changes.pop("document_id", f"vector-{label}"),
        revision=changes.pop("revision", 1),
        kind="document",
        urgency=0,
        created=NOW,
        not_after=None,
        package=SealedPackage(1, bytes(32), bytes(32)),
        attachments=(),
        recipients_digest=recipients_digest(package.manifest.recipients),
        in_reply_to=None,
        concerns=(),
        nonce=derived(f"nonce {label}", 16),
    )
    context = content_context(head.environment, head.sender, body.document_id, body.revision)
    bound, sealed, keys = _encrypt(
        world, label, batch=batch or label, head=head, package=package, context=context, sealing=sealing
    )
    return Letter(
        payload_type=DOCUMENT_TYPE,
        head=head._replace(suite=SUITE_2026, batch_key_digest=sha256(keys.batch_key).digest()),
        position=Position(sequence, previous, derived_uuid7(label, NOW), sha256(keys.content_key).digest()),
        body=body._replace(package=bound)._replace(**changes),
        sealed=sealed,
        keys=keys,
        package=package,
    )


def write_receipt(world: World, label: str, **changes: Any) -> Letter:
    """Return the letter of a receipt of Tây Ninh to Hanoi."""
    lane = changes.pop("lane", "receipts")
    head = make_head(world, label, sender=TAY_NINH, recipient=HANOI, lane=lane)._replace(**changes.pop("head", {}))
    body = ReceiptBody(
        epoch=derived("epoch batch-of-five", 16),
        first=1,
        last=5,
        root=derived("a root", 32),
        refused=(),
        nonce=derived(f"nonce {label}", 16),
    )
    return Letter(
        payload_type=RECEIPT_TYPE,
        head=head,
        position=Position(1, FIRST_PREVIOUS, derived_uuid7(label, NOW), None),
        body=body._replace(**changes),
    )


def write_status(world: World, label: str, *, code: int, note: str | None) -> Letter:
    """Return the letter of a status that Tây Ninh reports to Hanoi."""
    head = make_head(world, label, sender=TAY_NINH, recipient=HANOI)
    reference = Reference(HANOI, "vector-document", 1)
    body = StatusBody(reference, code, NOW, None, derived(f"nonce {label}", 16))
    position = Position(1, FIRST_PREVIOUS, derived_uuid7(label, NOW), None)
    if note is None:
        return Letter(payload_type=STATUS_TYPE, head=head, position=position, body=body)
    package = Package(derived(f"salt {label}", 32), Manifest("", None, None, note, (), (), ()), ())
    context = note_context(ENVIRONMENT, TAY_NINH, reference, code)
    bound, sealed, keys = _encrypt(
        world, label, batch=label, head=head, package=package, context=context, sealing=AS_IT_SHOULD_BE
    )
    return Letter(
        payload_type=STATUS_TYPE,
        head=head._replace(suite=SUITE_2026, batch_key_digest=sha256(keys.batch_key).digest()),
        position=position._replace(content_key_digest=sha256(keys.content_key).digest()),
        body=body._replace(package=bound),
        sealed=sealed,
        keys=keys,
        package=package,
    )


def _encrypt(
    world: World, label: str, *, batch: str, head: Head, package: Package, context: bytes, sealing: Sealing
) -> tuple[SealedPackage, bytes, Keys]:
    plaintext = encode_package(package) if sealing.plaintext is None else sealing.plaintext
    context = sealing.context or context
    content_key = derived(f"content key {label}", 32)
    used_key = sealing.content_key or content_key
    ciphertext = sealing.ciphertext or world.drawn.take(
        "package", (used_key, context, plaintext), lambda: encrypt(plaintext, package.salt, used_key, context)[1]
    )
    committed = commitment(package.salt, plaintext) if sealing.committed is None else sealing.committed
    batch_key = sealing.batch_key or derived(f"batch key {batch}", 32)
    wrap = wrap_batch_key(
        world,
        batch_key,
        sender=sealing.batch_key_from or head.sender,
        recipient=sealing.batch_key_for or head.recipient,
        environment=sealing.batch_key_in or ENVIRONMENT,
    )
    wrapping_key = sealing.wrapping_key or batch_key.ljust(32, b"\0")
    keys = Keys(wrap, aes_key_wrap(wrapping_key, sealing.wrapped_content_key or content_key))
    return SealedPackage(len(ciphertext), sha256(ciphertext).digest(), committed), ciphertext, keys


def wrap_batch_key(
    world: World, batch_key: bytes, *, sender: str, recipient: str, environment: str = ENVIRONMENT
) -> bytes:
    """Return a batch key under HPKE."""
    encrypter = world.parties[recipient].encrypter
    context = wrap_context(SUITE_2026, environment, sender, recipient, encrypter.digest)
    return world.drawn.take(
        "wrap", (encrypter.digest, context, batch_key), lambda: encrypter.encrypt(batch_key, context)
    )
