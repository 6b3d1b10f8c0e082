"""The authorities that somebody believes: certificates from a file of the reader's own."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm

from docbus.errors import ConfigurationError
from docbus.limits import KIB

if TYPE_CHECKING:
    from collections.abc import Sequence

MAX_ANCHOR_BYTES = 256 * KIB
"""Bytes of an anchor file."""
MAX_ANCHORS = 64
"""Certificates in an anchor file: one national root and its followers over the years."""
UNREADABLE = (
    ValueError,
    TypeError,
    LookupError,
    OverflowError,
    UnsupportedAlgorithm,
    x509.InvalidVersion,
    x509.DuplicateExtension,
    x509.UnsupportedGeneralNameType,
)
"""What `cryptography` says of a certificate that is none, wherever it is asked; they have no class in common."""
MAX_CHAIN = 6
"""Certificates from the signer to an anchor; real ones have two or three."""


@dataclass(frozen=True, slots=True)
class Anchors:
    """Pinned certificates.

    Attributes:
        roots: Those that sign themselves, in which trust ends.
        intermediates: The others, which only fill gaps in a token's chain.
    """

    roots: tuple[x509.Certificate, ...] = ()
    intermediates: tuple[x509.Certificate, ...] = ()

    @classmethod
    def load(cls, pem: bytes, source: str) -> Anchors:
        """Return the anchors of a PEM file.

        Args:
            pem: Its content.
            source: Its name, for errors.

        Raises:
            ConfigurationError: It has no certificate that signs itself, or is no PEM file of bounded size.
        """
        hint = "The authority publishes the certificate of its root; put it into a PEM file."
        if len(pem) > MAX_ANCHOR_BYTES:
            raise ConfigurationError(f"{source} has {len(pem)} bytes; {MAX_ANCHOR_BYTES} are allowed", hint=hint)
        try:
            found = x509.load_pem_x509_certificates(pem)
        except UNREADABLE as error:
            raise ConfigurationError(f"{source} has no certificates in PEM: {error}", hint=hint) from error
        if len(found) > MAX_ANCHORS:
            raise ConfigurationError(f"{source} has {len(found)} certificates; {MAX_ANCHORS} are allowed", hint=hint)
        roots = tuple(one for one in found if is_issued_by(one, one))
        if not roots:
            raise ConfigurationError(f"{source} has no root: no certificate in it signs itself", hint=hint)
        return cls(roots, tuple(one for one in found if one not in roots))

    def chain_of(
        self, signer: x509.Certificate, embedded: Sequence[x509.Certificate]
    ) -> tuple[x509.Certificate, ...] | None:
        """Return the certificates from a signer to a pinned root, or None if no chain leads to one.

        Only names and signatures are looked at, so that a stranger can be told from a forgery; what a chain is worth
        is decided afterwards.
        """
        issuers = (*self.roots, *self.intermediates, *embedded)
        chain: tuple[x509.Certificate, ...] = (signer,)
        while len(chain) < MAX_CHAIN:
            if chain[-1] in self.roots:
                return chain
            above = next((one for one in issuers if one not in chain and is_issued_by(chain[-1], one)), None)
            if above is None:
                return None
            chain = (*chain, above)
        return chain if chain[-1] in self.roots else None


def is_issued_by(certificate: x509.Certificate, issuer: x509.Certificate) -> bool:
    """Tell whether one certificate's name and key issued the other."""
    try:
        if certificate.issuer != issuer.subject:
            return False
        certificate.verify_directly_issued_by(issuer)
    except (*UNREADABLE, InvalidSignature):
        return False
    return True
