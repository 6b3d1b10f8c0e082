"""Certificate revocation lists: read once, asked often (RFC 5280 section 5).

A list of 100,000 entries is read into a dict; asked one by one it would be searched from its beginning each time.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import StrEnum
from hashlib import sha256
from typing import TYPE_CHECKING, NamedTuple

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.x509.oid import CRLEntryExtensionOID, ExtensionOID

from docbus.errors import IdentityError, MalformedError
from docbus.identity.pki.profile import may_sign_lists, subject_name
from docbus.limits import MIB

if TYPE_CHECKING:
    from collections.abc import Mapping

MAX_LIST_BYTES = 16 * MIB
"""Bytes of one revocation list; 100,000 entries have 3.6 to 5."""
MAX_LIST_ENTRIES = 400_000
"""Entries of one revocation list, some 100 MB of memory: three times the agencies of the nation."""

STRONG = (hashes.SHA256, hashes.SHA384, hashes.SHA512, hashes.SHA3_256, hashes.SHA3_384, hashes.SHA3_512)
"""Hashes under which a signature on a revocation list or a response counts."""
_SHA256 = hashes.SHA256()
_UNREADABLE = (x509.DuplicateExtension, x509.UnsupportedGeneralNameType, x509.InvalidVersion)
"""What reading a list's extensions may raise beside ValueError."""
_UNDERSTOOD = frozenset({ExtensionOID.CRL_NUMBER, ExtensionOID.ISSUING_DISTRIBUTION_POINT})
_ENTRY_UNDERSTOOD = frozenset({CRLEntryExtensionOID.CRL_REASON, CRLEntryExtensionOID.INVALIDITY_DATE})


class Scope(StrEnum):
    """Of which certificates a list speaks."""

    ALL = "all"
    AGENCIES = "end-entity certificates"
    AUTHORITIES = "certificates of authorities"


class Revoked(NamedTuple):
    """What an authority says of a certificate that it has revoked; times in milliseconds since 1970 UTC.

    ``compromised_at`` is the time since which its key may have been somebody else's, where the authority says one.
    """

    revoked_at: int
    reason: x509.ReasonFlags
    compromised_at: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True, repr=False, eq=False)
class RevocationList:
    """A revocation list that can be used; whose it is has not been proven, see :meth:`is_signed_by`.

    Attributes:
        digest: SHA-256 of the list, DER.
        content: The list, DER.
        issuer: Its issuer's name, DER.
        this_update_ms: When it was made, milliseconds since 1970 UTC.
        next_update_ms: Until when there will be another one.
        number: Its number, which only grows.
        scope: Of which certificates it speaks.
        points: URIs of the distribution point that it is for; empty if it is for all.
        revoked: By serial number.
        parsed: What was read.
        signers: Whether it is signed by an authority, by the SHA-256 of its certificate, as far as that was asked.
    """

    digest: bytes
    content: bytes
    issuer: bytes
    this_update_ms: int
    next_update_ms: int
    number: int
    scope: Scope
    points: frozenset[str]
    revoked: Mapping[int, Revoked]
    parsed: x509.CertificateRevocationList
    signers: dict[bytes, bool] = field(default_factory=dict)

    @property
    def place(self) -> tuple[bytes, Scope, frozenset[str]]:
        """What its number counts in: lists of other certificates of the same authority may have their own."""
        return self.issuer, self.scope, self.points

    def is_signed_by(self, authority: x509.Certificate) -> bool:
        """Tell whether the authority whose name it bears has signed it, and may."""
        if subject_name(authority) != self.issuer or not may_sign_lists(authority):
            return False
        # Hashing five megabytes takes a fifth of a second; authorities are few, as the directory bounds them.
        name = authority.fingerprint(_SHA256)
        known = self.signers.get(name)
        if known is None:
            try:
                known = self.parsed.is_signature_valid(authority.public_key())  # type: ignore[arg-type] # or it says so
            except (TypeError, ValueError, UnsupportedAlgorithm):
                known = False
            self.signers[name] = known
        return known

    def covers(self, certificate: x509.Certificate) -> bool:
        """Tell whether it would list a certificate of this kind, and from this distribution point."""
        extensions = certificate.extensions
        try:
            is_authority = extensions.get_extension_for_class(x509.BasicConstraints).value.ca
        except x509.ExtensionNotFound:
            is_authority = False
        if self.scope is not Scope.ALL and is_authority != (self.scope is Scope.AUTHORITIES):
            return False
        return not self.points or bool(self.points & set(distribution_points(certificate)))


def distribution_points(certificate: x509.Certificate) -> tuple[str, ...]:
    """Return the URIs from which a certificate says that its revocation list can be had."""
    try:
        points = certificate.extensions.get_extension_for_class(x509.CRLDistributionPoints).value
    except x509.ExtensionNotFound:
        return ()
    return tuple(
        name.value
        for point in points
        for name in point.full_name or ()
        if isinstance(name, x509.UniformResourceIdentifier)
    )


def read_list(content: bytes) -> RevocationList:
    """Return a revocation list of the kinds that are used here: complete, direct, and numbered.

    Raises:
        MalformedError: It is too large, or no revocation list.
        IdentityError: It is a delta or an indirect list, or something in it that must be understood is not.
    """
    if len(content) > MAX_LIST_BYTES:
        raise MalformedError(f"a revocation list of {len(content):,} bytes; {MAX_LIST_BYTES:,} are allowed")
    try:
        parsed = x509.load_der_x509_crl(content)
        number, scope, points = _read_extensions(parsed.extensions)
        hashed, issuer = parsed.signature_hash_algorithm, parsed.issuer.public_bytes()
        revoked = _read_entries(parsed)
    except (ValueError, TypeError, UnsupportedAlgorithm, *_UNREADABLE) as error:
        raise MalformedError("a revocation list that cannot be read (X.509, DER)") from error
    if parsed.next_update_utc is None:
        raise IdentityError("a revocation list that does not say when there will be the next one")
    if hashed is not None and not isinstance(hashed, STRONG):
        raise IdentityError(f"a revocation list that is signed over a {hashed.name} hash, which proves nothing")
    return RevocationList(
        digest=sha256(content).digest(),
        content=content,
        issuer=issuer,
        this_update_ms=milliseconds(parsed.last_update_utc),
        next_update_ms=milliseconds(parsed.next_update_utc),
        number=number,
        scope=scope,
        points=points,
        revoked=revoked,
        parsed=parsed,
    )


def milliseconds(moment: datetime) -> int:
    """Return milliseconds since 1970 UTC."""
    return int(moment.replace(tzinfo=UTC).timestamp()) * 1000


def _read_extensions(extensions: x509.Extensions) -> tuple[int, Scope, frozenset[str]]:
    number: int | None = None
    scope, points = Scope.ALL, frozenset[str]()
    for extension in extensions:
        value = extension.value
        if isinstance(value, x509.DeltaCRLIndicator):
            raise IdentityError("a delta revocation list; only complete ones are used")
        if isinstance(value, x509.CRLNumber):
            number = value.crl_number
        elif isinstance(value, x509.IssuingDistributionPoint):
            scope, points = _read_point(value)
        elif extension.critical and extension.oid not in _UNDERSTOOD:
            raise IdentityError(
                f"a revocation list with a critical extension that is not understood ({extension.oid.dotted_string})"
            )
    if number is None:
        raise IdentityError("a revocation list without a number, so that nobody could tell an older one")
    return number, scope, points


def _read_point(point: x509.IssuingDistributionPoint) -> tuple[Scope, frozenset[str]]:
    if point.indirect_crl:
        raise IdentityError("an indirect revocation list; only an authority's own are used")
    if point.only_some_reasons or point.only_contains_attribute_certs:
        raise IdentityError("a revocation list for some reasons, or for attribute certificates, only")
    names = point.full_name
    if point.relative_name is not None or (
        names is not None and not all(isinstance(name, x509.UniformResourceIdentifier) for name in names)
    ):
        raise IdentityError("a revocation list for a distribution point that is named otherwise than by a URI")
    scope = Scope.ALL
    if point.only_contains_user_certs:
        scope = Scope.AGENCIES
    elif point.only_contains_ca_certs:
        scope = Scope.AUTHORITIES
    return scope, frozenset(str(name.value) for name in names or ())


def _read_entries(parsed: x509.CertificateRevocationList) -> dict[int, Revoked]:
    found: dict[int, Revoked] = {}
    for entry in parsed:
        if len(found) >= MAX_LIST_ENTRIES:
            raise IdentityError(f"a revocation list of more than {MAX_LIST_ENTRIES:,} entries")
        reason, compromised = x509.ReasonFlags.unspecified, None
        for extension in entry.extensions:
            value = extension.value
            if isinstance(value, x509.CRLReason):
                reason = value.reason
                if reason is x509.ReasonFlags.remove_from_crl:
                    raise IdentityError("a revocation list that takes an entry back, as only delta lists may")
            elif isinstance(value, x509.InvalidityDate):
                compromised = milliseconds(value.invalidity_date_utc)
            elif extension.critical and extension.oid not in _ENTRY_UNDERSTOOD:
                raise IdentityError(
                    "a revocation list with an entry whose critical extension is not understood"
                    f" ({extension.oid.dotted_string})"
                )
        found[entry.serial_number] = Revoked(milliseconds(entry.revocation_date_utc), reason, compromised)
    return found
