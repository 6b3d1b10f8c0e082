"""The exact bytes that are time-stamped; a token's imprint is their SHA-256, or SHA-512 (RFC 3161 section 2.4.1).

They are made so that an outsider's ``openssl ts -verify -data`` can read them from a file.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from docbus.wire.pae import DIRECTORY_TYPE, SIGNED_BATCH_TYPE, TIME_STAMP_TYPE, leaf_digest, length_prefixed, pae

if TYPE_CHECKING:
    from collections.abc import Iterable

SignatureBlock = tuple[int, bytes, bytes]
"""Profile, certificate hash, signature, as they stand in an envelope."""


def stamped_entry(entry: bytes) -> bytes:
    """Return what is stamped for an entry of the directory; its SHA-256 is the entry's hash.

    The hash covers all entries before it, so one token dates the whole log up to there.
    """
    return b"\x00" + pae(DIRECTORY_TYPE, entry)


def stamped_batches(environment: str, agency: str, count: int, root: bytes) -> bytes:
    """Return what an agency has stamped: the RFC 9162 root over so many signed batches, in the order of sealing.

    Args:
        environment: Name of the environment.
        agency: Canonical id of whoever signed the batches.
        count: Leaves of the tree, at least 1.
        root: Of the tree, 32 bytes.
    """
    body = length_prefixed(environment.encode(), agency.encode()) + count.to_bytes(8, "big") + root
    return pae(TIME_STAMP_TYPE, body)


def signed_batch_digest(tree_size: int, root: bytes, signatures: Iterable[SignatureBlock]) -> bytes:
    """Return the leaf that stands for a signed batch, 32 bytes.

    It covers the signatures and not only what was signed: a root that existed says nothing about when it was signed.

    Args:
        tree_size: Statements of the batch.
        root: Of its tree, 32 bytes.
        signatures: In the order in which they stand in its envelopes.
    """
    body = tree_size.to_bytes(4, "big") + root
    for profile, certificate, signature in signatures:
        body += profile.to_bytes(2, "big") + certificate + length_prefixed(signature)
    return leaf_digest(SIGNED_BATCH_TYPE, body)
