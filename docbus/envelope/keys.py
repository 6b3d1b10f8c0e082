"""Two levels of key wrapping (design D9): a batch key under HPKE, under it content keys with AES-KW.

One HPKE wrap costs as much as ten documents, so there is one per batch and recipient and none per document.
"""

from __future__ import annotations

from hashlib import sha256
from typing import TYPE_CHECKING

from cryptography.hazmat.primitives.keywrap import InvalidUnwrap, aes_key_unwrap, aes_key_wrap

from docbus.envelope.statement import SUITE_2026
from docbus.errors import MalformedError
from docbus.wire.pae import length_prefixed

if TYPE_CHECKING:
    from collections.abc import Sequence

    from docbus.identity.encryption import Decrypter

KEY_BYTES = 32
WRAP_CONTEXT = b"docbus/v1/wrap"
MAX_OPENED_KEYS = 4096
"""Opened batch keys kept in memory, some 400 bytes each: 1.6 MiB, and more than the batches in flight."""


def wrap_context(suite: int, environment: str, sender: str, recipient: str, public_key_digest: bytes) -> bytes:
    """Return HPKE's ``info``: it binds a batch key to this exchange, sender, recipient and key (design D9)."""
    return length_prefixed(
        WRAP_CONTEXT,
        suite.to_bytes(2, "big"),
        environment.encode(),
        sender.encode(),
        recipient.encode(),
        public_key_digest,
    )


def wrap_content_key(batch_key: bytes, content_key: bytes) -> bytes:
    """Return the content key under the batch key, 40 bytes (RFC 3394)."""
    return aes_key_wrap(batch_key, content_key)


class KeyRing:
    """A recipient's decryption keys and the batch keys it has opened with them; for one thread."""

    def __init__(self, decrypters: Sequence[Decrypter]) -> None:
        # Not copied: they may be others when the next wrap comes.
        self._decrypters = decrypters
        # Named by digest: a wrap is 1,168 bytes, and there are thousands of them.
        self._opened: dict[tuple[bytes, str, str, str], bytes] = {}

    def batch_key(self, wrap: bytes, *, environment: str, sender: str, recipient: str) -> bytes:
        """Return the batch key in ``wrap``, 32 bytes.

        Raises:
            MalformedError: No key of the recipient opens it in this context.
        """
        name = sha256(wrap).digest(), environment, sender, recipient
        opened = self._opened.get(name)
        if opened is not None:
            return opened
        for decrypter in self._decrypters:
            context = wrap_context(SUITE_2026, environment, sender, recipient, decrypter.digest)
            try:
                opened = decrypter.decrypt(wrap, context)
            except MalformedError:
                continue
            if len(opened) != KEY_BYTES:
                break
            if len(self._opened) >= MAX_OPENED_KEYS:
                # The oldest goes first; dicts keep insertion order.
                del self._opened[next(iter(self._opened))]
            self._opened[name] = opened
            return opened
        raise MalformedError("no key of the recipient opens the batch key")

    @staticmethod
    def content_key(batch_key: bytes, wrap: bytes) -> bytes:
        """Return the content key in ``wrap``, 32 bytes.

        Raises:
            MalformedError: It was not wrapped under this batch key.
        """
        try:
            key = aes_key_unwrap(batch_key, wrap)
        except (InvalidUnwrap, ValueError):
            raise MalformedError("the batch key does not open the content key") from None
        if len(key) != KEY_BYTES:
            raise MalformedError("the content key is not 32 bytes")
        return key
