"""The authorities that the directory names: trust anchors, and intermediate ones below them (RFC 5280 6.1.1)."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from hashlib import sha256
from typing import TYPE_CHECKING

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.x509.verification import Store

from docbus.errors import IdentityError
from docbus.identity.pki.profile import check_authority, is_issued, load_certificate, subject_name

if TYPE_CHECKING:
    from cryptography import x509

MAX_INTERMEDIATES = 4
"""Intermediate authorities that one entry names below an anchor: four, with ML-DSA-65, and the anchor have 28 KiB."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TrustAnchor:
    """A trust anchor as the directory names it.

    Attributes:
        digest: SHA-256 of its certificate, 32 bytes.
        name: For people.
        certificate: DER.
        intermediates: Certificates of authorities below it, DER.
        named_at: Position of the entry that names it so.
    """

    digest: bytes
    name: str
    certificate: bytes
    intermediates: tuple[bytes, ...]
    named_at: int


class Authorities:
    """All trust anchors in force from one entry of the directory on; never changes, may be used from any thread.

    Args:
        anchors: In the order in which they were named.
        names: Subjects, DER, of all authorities that were ever named, those that were ended included: who was issued a
            certificate by one of them is judged by its path.
    """

    def __init__(self, anchors: tuple[TrustAnchor, ...] = (), names: frozenset[bytes] = frozenset()) -> None:
        self.anchors = anchors
        self.names = names

    def with_anchor(self, anchor: TrustAnchor) -> Authorities:
        """Return these, with one more, or in place of one with the same certificate."""
        kept = tuple(one for one in self.anchors if one.digest != anchor.digest)
        named = {subject_name(load_certificate(der)) for der in (anchor.certificate, *anchor.intermediates)}
        return Authorities((*kept, anchor), self.names | named)

    def without_anchor(self, digest: bytes) -> Authorities:
        """Return these without one; what it has issued is still judged by its path, which then leads nowhere."""
        return Authorities(tuple(one for one in self.anchors if one.digest != digest), self.names)

    def anchor(self, digest: bytes) -> TrustAnchor | None:
        """Return the anchor with this SHA-256 of its certificate, if it is in force."""
        return next((one for one in self.anchors if one.digest == digest), None)

    @cached_property
    def roots(self) -> tuple[x509.Certificate, ...]:
        """The anchors' certificates."""
        return tuple(load_certificate(one.certificate) for one in self.anchors)

    @cached_property
    def intermediates(self) -> tuple[x509.Certificate, ...]:
        """The certificates of the authorities below them."""
        return tuple(load_certificate(der) for one in self.anchors for der in one.intermediates)

    @cached_property
    def store(self) -> Store | None:
        """The anchors' certificates, for path validation; None if there are none."""
        return Store(list(self.roots)) if self.roots else None


NO_AUTHORITIES = Authorities()
"""Before the directory has named any."""


def check_anchor(certificate: bytes, intermediates: tuple[bytes, ...]) -> bytes:
    """Return the SHA-256 of an anchor's certificate, if it and those below it may stand in the directory.

    Whether they are valid at some time is asked when a path is validated; whether an intermediate was issued by this
    anchor, too, because a path is sought among all that the directory names.

    Raises:
        IdentityError: They may not; the text says why.
    """
    if len(intermediates) > MAX_INTERMEDIATES:
        raise IdentityError(f"{len(intermediates)} intermediate authorities; {MAX_INTERMEDIATES} are allowed")
    root = load_certificate(certificate)
    check_authority(root)
    if not is_issued(root):
        try:
            root.verify_directly_issued_by(root)
        except (ValueError, TypeError, InvalidSignature, UnsupportedAlgorithm) as error:
            raise IdentityError("an authority's self-issued certificate whose signature is not valid") from error
    for der in intermediates:
        below = load_certificate(der)
        check_authority(below)
        if not is_issued(below):
            raise IdentityError("an intermediate authority that nobody else has issued")
    digests = [sha256(der).digest() for der in (certificate, *intermediates)]
    if len(set(digests)) != len(digests):
        raise IdentityError("a certificate of an authority twice")
    return digests[0]
