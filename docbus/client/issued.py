"""The certificates in force that authorities of the directory have issued."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm

from docbus.identity.pki.profile import issuer_name, subject_name

if TYPE_CHECKING:
    from collections.abc import Iterator

    from docbus.identity.pki.authorities import Authorities
    from docbus.identity.snapshot import TrustSnapshot


def issued_in_force(snapshot: TrustSnapshot) -> Iterator[x509.Certificate]:
    """Yield those of agencies, and those of authorities below others; some seconds of work for a national directory."""
    authorities = snapshot.authorities()
    if not authorities.names:
        return
    for agency in snapshot.agencies():
        yield from issued_to(snapshot, agency.id)
    yield from authorities.intermediates


def issued_to(snapshot: TrustSnapshot, agency_id: str) -> list[x509.Certificate]:
    """Return those of one agency; none if it has made its own, is closed, or is not in the directory."""
    agency, names = snapshot.agency(agency_id), snapshot.authorities().names
    if agency is None or agency.closed_at is not None or not names:
        return []
    grants = [snapshot.certificate(digest) for digest in agency.certificates]
    ders = [der for grant in grants if grant is not None and grant.may_sign for der in grant.certificates]
    found = [x509.load_der_x509_certificate(der) for der in ders]
    return [one for one in found if issuer_name(one) in names]


def issuer_of(certificate: x509.Certificate, authorities: Authorities) -> x509.Certificate | None:
    """Return the certificate of the authority in force that has issued another one; None if there is none."""
    for one in (*authorities.intermediates, *authorities.roots):
        if subject_name(one) == issuer_name(certificate):
            try:
                certificate.verify_directly_issued_by(one)
            except (ValueError, TypeError, InvalidSignature, UnsupportedAlgorithm):
                continue
            return one
    return None
