"""Whose signatures an entry of the directory log needs: at each position, those that the entries before have named.

The genesis entry names the first keys. A registrar rotation names others: enough of the keys before must have signed
it, so that nobody else can, and enough of the new ones, so that nobody names keys that cannot be used.
"""

from __future__ import annotations

from hashlib import sha256
from typing import TYPE_CHECKING, NamedTuple

from cryptography.exceptions import InvalidSignature

from docbus.errors import IdentityError
from docbus.identity.entries import MAX_SIGNATURES, Genesis, Heartbeat, RegistrarRotation
from docbus.identity.signing import load_public_key, verify_signature
from docbus.wire.pae import DIRECTORY_TYPE, pae

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from docbus.identity.entries import Change, DirectoryRecord


class RegistrarTerms(NamedTuple):
    """The registrar's keys, by the SHA-256 of their SubjectPublicKeyInfo.

    Attributes:
        keys: Those that sign every entry.
        threshold: How many of them.
        heartbeat_keys: Those of which one alone may sign a heartbeat, and nothing else.
    """

    keys: Mapping[bytes, object]
    threshold: int
    heartbeat_keys: Mapping[bytes, object]


def terms_of(named: Genesis | RegistrarRotation) -> RegistrarTerms:
    """Return the terms that an entry names.

    Raises:
        IdentityError: A key that may not sign, one twice, or a threshold that the keys cannot meet.
    """
    keys = _keys(named.keys)
    heartbeat_keys = _keys(named.heartbeat_keys) if isinstance(named, RegistrarRotation) else {}
    if keys.keys() & heartbeat_keys.keys():
        raise IdentityError("a key signs every entry and is a key for heartbeats, too")
    if not 1 <= named.threshold <= len(keys) <= MAX_SIGNATURES or len(heartbeat_keys) > MAX_SIGNATURES:
        raise IdentityError(
            f"{named.threshold} of {len(keys)} keys would have to sign; there have to be that many, and at most"
            f" {MAX_SIGNATURES}"
        )
    return RegistrarTerms(keys, named.threshold, heartbeat_keys)


def _keys(encoded: Iterable[bytes]) -> dict[bytes, object]:
    keys: dict[bytes, object] = {}
    for one in encoded:
        digest = sha256(one).digest()
        if digest in keys:
            raise IdentityError("a registrar key stands twice")
        try:
            keys[digest] = load_public_key(one)
        except IdentityError as error:
            raise IdentityError(f"a registrar key is {error.text}") from error
    return keys


def verify_registrar(
    record: DirectoryRecord, change: Change | None, terms: RegistrarTerms, named: RegistrarTerms | None = None
) -> None:
    """Return if enough registrar keys signed the entry, each once, and nobody else.

    Args:
        record: What was read.
        change: What its entry says; None if that cannot be read, which is then judged as any entry.
        terms: In force before the entry.
        named: Terms that the entry itself names, if it is a rotation of them.

    Raises:
        IdentityError: A signature of somebody else, a wrong one, two of one key, or too few.
    """
    if len(record.signatures) > MAX_SIGNATURES:
        raise IdentityError(f"{len(record.signatures)} signatures; {MAX_SIGNATURES} are allowed")
    beats = isinstance(change, Heartbeat)
    known = {**terms.keys, **(terms.heartbeat_keys if beats else {}), **({} if named is None else named.keys)}
    signed = _signers(record, known)
    if beats and signed & terms.heartbeat_keys.keys():
        return
    count = len(signed & terms.keys.keys())
    if count < terms.threshold:
        raise IdentityError(f"signed by {count} registrar keys; {terms.threshold} are asked for")
    if named is not None:
        count = len(signed & named.keys.keys())
        if count < named.threshold:
            raise IdentityError(f"signed by {count} of the registrar's new keys; {named.threshold} are asked for")


def _signers(record: DirectoryRecord, known: Mapping[bytes, object]) -> set[bytes]:
    """Return the keys that signed, each of which must be known, once, and right."""
    tbs = pae(DIRECTORY_TYPE, record.entry)
    seen: set[bytes] = set()
    for block in record.signatures:
        key = known.get(block.key)
        if key is None:
            raise IdentityError(f"signed by {block.key.hex()[:16]}…, which is no key of the registrar for this entry")
        if block.key in seen:
            raise IdentityError(f"signed twice by the registrar key {block.key.hex()[:16]}…")
        seen.add(block.key)
        try:
            verify_signature(block.profile, key, block.signature, tbs)
        except InvalidSignature as error:
            raise IdentityError(f"the signature of registrar key {block.key.hex()[:16]}… is not valid") from error
    return seen
