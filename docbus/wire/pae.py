"""DSSE v1.0.2 pre-authentication encoding, and the digests that are made with it."""

from __future__ import annotations

from hashlib import sha256

BATCH_TYPE = b"application/vnd.docbus.batch.v1"
COMMIT_TYPE = b"application/vnd.docbus.commit.v1"
RECIPIENTS_TYPE = b"application/vnd.docbus.recipients.v1"
DIRECTORY_TYPE = b"application/vnd.docbus.directory.v1"
JOIN_TYPE = b"application/vnd.docbus.join.v1"
ACT_TYPE = b"application/vnd.docbus.act.v1"
DESTRUCTION_TYPE = b"application/vnd.docbus.key-destruction.v1"
SIGNED_BATCH_TYPE = b"application/vnd.docbus.signed-batch.v1"
TIME_STAMP_TYPE = b"application/vnd.docbus.time-stamp.v1"


def pae(payload_type: bytes, body: bytes) -> bytes:
    """Return ``DSSEv1 SP LEN(type) SP type SP LEN(body) SP body``; lengths count bytes, in decimal ASCII."""
    return b"DSSEv1 %d %b %d %b" % (len(payload_type), payload_type, len(body), body)


def leaf_digest(payload_type: bytes, body: bytes) -> bytes:
    """Return the RFC 9162 leaf hash of the encoded body: SHA-256(0x00 || PAE), 32 bytes.

    This is the statement digest (design D3): leaf of the batch tree, link of the chain, leaf of a receipt.
    """
    return sha256(b"\x00DSSEv1 %d %b %d %b" % (len(payload_type), payload_type, len(body), body)).digest()


def commitment(salt: bytes, plaintext: bytes) -> bytes:
    """Return the salted commitment to a package's plaintext (design D9), 32 bytes."""
    # The same as one PAE, without copying the plaintext twice.
    digest = sha256(b"DSSEv1 %d %b %d " % (len(COMMIT_TYPE), COMMIT_TYPE, len(salt) + len(plaintext)))
    digest.update(salt)
    digest.update(plaintext)
    return digest.digest()


def length_prefixed(*parts: bytes) -> bytes:
    """Join parts, each behind its length as a big-endian u32, so that no two lists give the same bytes."""
    return b"".join([len(part).to_bytes(4, "big") + part for part in parts])
