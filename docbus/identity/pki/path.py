"""Paths from an agency's certificate to an authority of the directory, at a time (RFC 5280 section 6.1).

Signatures, names, periods, basic constraints, path lengths and name constraints are the work of
``cryptography.x509.verification``. It knows web servers and their clients only, so that the extensions of an agency's
certificate are checked before (:mod:`docbus.identity.pki.profile`), and nothing is asked of them here.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

from cryptography import x509
from cryptography.x509.verification import Criticality, ExtensionPolicy, PolicyBuilder, VerificationError

from docbus.errors import IdentityError

if TYPE_CHECKING:
    from cryptography.x509.verification import Policy

    from docbus.identity.pki.authorities import Authorities

MAX_PATH_AUTHORITIES = 3
"""Authorities between an agency's certificate and the trust anchor: national hierarchies have one or two."""


def find_path(leaf: x509.Certificate, authorities: Authorities, at_ms: int) -> tuple[x509.Certificate, ...]:
    """Return a path, the agency's certificate first and the trust anchor last, that is valid at a time.

    Args:
        leaf: An agency's certificate.
        authorities: In force by the directory.
        at_ms: Milliseconds since 1970-01-01T00:00:00Z.

    Raises:
        IdentityError: There is none; the text says why.
    """
    store = authorities.store
    if store is None:
        raise IdentityError("the directory names no authority any more")
    moment = datetime.fromtimestamp(at_ms / 1000, UTC).replace(tzinfo=None)
    verifier = (
        PolicyBuilder()
        .store(store)
        .time(moment)
        .max_chain_depth(MAX_PATH_AUTHORITIES)
        .extension_policies(ca_policy=_AUTHORITIES, ee_policy=_LEAF)
        .build_client_verifier()
    )
    try:
        path = tuple(verifier.verify(leaf, list(authorities.intermediates)).chain)
    except VerificationError as error:
        raise IdentityError(f"no valid path leads to an authority of the directory: {error}") from error
    root = path[-1]
    # The anchor's own period is no part of RFC 5280's algorithm; the registrar ends an anchor, and so does its time.
    if not root.not_valid_before_utc <= moment.replace(tzinfo=UTC) <= root.not_valid_after_utc:
        raise IdentityError("the trust anchor at the end of the path is not valid at that time")
    return path


def _authority(_policy: Policy, _certificate: x509.Certificate, constraints: x509.BasicConstraints) -> None:
    if not constraints.ca:
        raise ValueError("an authority's certificate is none")


def _issues(_policy: Policy, _certificate: x509.Certificate, usage: x509.KeyUsage) -> None:
    if not usage.key_cert_sign:
        raise ValueError("an authority's key usage does not have keyCertSign")


_AUTHORITIES = (
    ExtensionPolicy.permit_all()
    .require_present(x509.BasicConstraints, Criticality.AGNOSTIC, _authority)
    .require_present(x509.KeyUsage, Criticality.AGNOSTIC, _issues)
    .may_be_present(x509.CertificatePolicies, Criticality.AGNOSTIC, None)
)
# Any policy is accepted: the initial policy set of RFC 5280 section 6.1.1 (c) is any-policy.
_LEAF = ExtensionPolicy.permit_all().may_be_present(x509.CertificatePolicies, Criticality.AGNOSTIC, None)
