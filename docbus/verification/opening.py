"""C2: open the package of a verified statement with the recipient's keys.

The checklist, in order::

    C2.01 batch key    C2.03 decryption    C2.05 commitment    C2.07 contents
    C2.02 content key  C2.04 plaintext     C2.06 recipients    C2.08 attachments

What lies outside the package is checked part by part, C2.09 to C2.12, see ``parts``.
Cobblestone commits to key and context, so a package that opens for one recipient opens alike for all.
"""

from __future__ import annotations

from hashlib import sha256
from typing import TYPE_CHECKING

from docbus.documents.names import same_name
from docbus.envelope.keys import KeyRing
from docbus.envelope.package import (
    Inside,
    Outside,
    Package,
    content_context,
    decode_package,
    decrypt,
    note_context,
    recipients_digest,
)
from docbus.envelope.statement import DocumentBody, ReceiptBody
from docbus.errors import MalformedError
from docbus.verification import checks
from docbus.verification.checks import failed
from docbus.wire.pae import commitment
from docbus.wire.parts import content_size

if TYPE_CHECKING:
    from collections.abc import Sequence

    from docbus.envelope.statement import Attachment
    from docbus.identity.encryption import Decrypter
    from docbus.verification.verifier import Verified


MAX_RECIPIENT_LISTS = 256
"""Lists of recipients whose digest is remembered: agencies write to the same others again and again."""
MAX_LIST_KEPT = 64
"""Recipients of a list that is remembered beside others; 256 lists of 64 are below 2 MiB."""


class Opener:
    """Runs C2 with one recipient's keys; remembers opened batch keys. Use one per thread."""

    def __init__(self, recipient: str, decrypters: Sequence[Decrypter]) -> None:
        self._recipient = recipient
        self._ring = KeyRing(decrypters)
        self._digests: dict[tuple[str, ...], bytes] = {}

    def open(self, verified: Verified) -> Package | None:
        """Return the package, or None for a statement that has none.

        Raises:
            VerificationError: A check failed.
        """
        package, keys = verified.package, verified.keys
        statement = verified.statement
        head, body = statement.head, statement.body
        if package is None or keys is None or isinstance(body, ReceiptBody):
            return None
        try:  # C2.01
            batch_key = self._ring.batch_key(
                keys.batch_key, environment=head.environment, sender=head.sender, recipient=head.recipient
            )
        except MalformedError as error:
            failed(checks.BATCH_KEY, error.text)
        try:  # C2.02
            content_key = self._ring.content_key(batch_key, keys.content_key)
        except MalformedError as error:
            failed(checks.CONTENT_KEY, error.text)
        if isinstance(body, DocumentBody):
            context = content_context(head.environment, head.sender, body.document_id, body.revision)
        else:
            context = note_context(head.environment, head.sender, body.document, body.code)
        try:  # C2.03
            plaintext = decrypt(package, content_key, context)
        except MalformedError as error:
            failed(checks.DECRYPTION, error.text)
        try:  # C2.04
            opened = decode_package(plaintext)
        except MalformedError as error:
            failed(checks.PLAINTEXT, error.text)
        if body.package is None or commitment(opened.salt, plaintext) != body.package.commitment:  # C2.05
            failed(checks.COMMITMENT, "the commitment opens to another plaintext")
        if isinstance(body, DocumentBody):
            self._check_recipients(opened.manifest.recipients, body)
        _contents(opened)
        _attachments(opened, body.attachments if isinstance(body, DocumentBody) else ())
        return opened

    def _check_recipients(self, recipients: tuple[str, ...], body: DocumentBody) -> None:
        """C2.06: the manifest's recipients are those the sender signed, this agency among them."""
        digest = self._digests.get(recipients)
        if digest is None:
            digest = recipients_digest(recipients)
            if len(self._digests) >= MAX_RECIPIENT_LISTS or len(recipients) > MAX_LIST_KEPT:
                self._digests.clear()
            self._digests[recipients] = digest
        if digest != body.recipients_digest:
            failed(checks.RECIPIENTS, "the recipients are not those the statement commits to")
        if self._recipient not in recipients:
            failed(checks.RECIPIENTS, f"{self._recipient} is not among the recipients")


def _contents(package: Package) -> None:
    """C2.07: every file has a content of its own, with the size and digest that the manifest names."""
    several = len(package.manifest.files) > 1
    met: set[int] = set()
    names: set[str] = set()
    for number, file in enumerate(package.manifest.files, 1):
        # Files are told by their number: a name is plaintext, and this text is stored and shown.
        if several:
            name = same_name(file.name)
            if name in names:
                failed(checks.CONTENTS, f"file {number} is called as another one, letter case aside")
            names.add(name)
        if not isinstance(file.place, Inside):
            continue
        index = file.place.content
        if not 0 <= index < len(package.contents) or index in met:
            failed(checks.CONTENTS, f"file {number} has no content of its own")
        met.add(index)
        content = package.contents[index]
        if len(content) != file.size or sha256(content).digest() != file.digest:
            failed(checks.CONTENTS, f"file {number} is not the one the manifest names")
    if len(met) != len(package.contents):
        failed(checks.CONTENTS, "there is a content that no file names")


def _attachments(package: Package, attachments: Sequence[Attachment]) -> None:
    """C2.08: files that lie outside and attachments of the statement belong together, one to one, with equal sizes."""
    met: set[int] = set()
    for number, file in enumerate(package.manifest.files, 1):
        if not isinstance(file.place, Outside):
            continue
        index = file.place.attachment
        if not 0 <= index < len(attachments) or index in met:
            failed(checks.ATTACHMENTS, f"file {number} has no attachment of its own")
        met.add(index)
        if file.size < 1 or content_size(file.size) != attachments[index].size:
            failed(checks.ATTACHMENTS, f"file {number} has another size than its attachment")
    if len(met) != len(attachments):
        failed(checks.ATTACHMENTS, "there is an attachment that no file names")
