"""Noticing a token that uses a nonce of ECDSA twice, by which its private key is known to whoever sees both signatures.

docbus draws nonces after RFC 6979; a token draws its own, and nobody can see how. A nonce that comes again shows as the
same r under another text. It is looked for before a signature leaves, among the last that this process has seen.
"""

from __future__ import annotations

import threading
from hashlib import sha256

from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature

from docbus.errors import KeyFileError

MAX_NONCES = 4096
"""Signatures that are remembered: a token with a bad source of randomness repeats itself soon, or after each start."""


class NonceWatch:
    """Remembers the last signatures of one key, as far as they tell one nonce from another. Any thread may use it."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._seen: dict[int, bytes] = {}

    def note(self, signature: bytes, tbs: bytes) -> None:
        """Remember a signature, in DER; the same text may be signed twice with one nonce, as RFC 6979 asks for.

        Raises:
            KeyFileError: Another text was signed with this nonce.
        """
        r, _ = decode_dss_signature(signature)
        digest = sha256(tbs).digest()
        with self._lock:
            repeated = self._seen.setdefault(r, digest) != digest
            if len(self._seen) > MAX_NONCES:
                del self._seen[next(iter(self._seen))]
        if repeated:
            raise KeyFileError(
                "the token has used a nonce of ECDSA twice, by which its private key can be computed",
                hint="Do not use this token any more; have the certificate revoked, and make a key on another one.",
            )
