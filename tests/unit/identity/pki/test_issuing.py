"""What a small authority makes keeps the profile by which it is judged, and what it is asked for is looked at."""

from __future__ import annotations

from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed448, ed25519, mldsa, rsa
from cryptography.hazmat.primitives.serialization import Encoding

from docbus.errors import IdentityError, MalformedError
from docbus.identity.pki.authorities import NO_AUTHORITIES, TrustAnchor, check_anchor
from docbus.identity.pki.crl import Revoked, distribution_points, read_list
from docbus.identity.pki.issuing import (
    MAX_REQUEST_BYTES,
    issue,
    make_authority,
    make_list,
    make_request,
    new_serial,
    read_request,
)
from docbus.identity.pki.judge import judge
from docbus.identity.pki.material import ValidationMaterial
from tests.support.directory import NOW_MS
from tests.support.pki import AGENCY, name_of

P256 = ec.generate_private_key(ec.SECP256R1())
KEY, DER = make_authority("Authority", now_ms=NOW_MS)
AUTHORITY = x509.load_der_x509_certificate(DER)
ANCHOR = TrustAnchor(digest=check_anchor(DER, ()), name="", certificate=DER, intermediates=(), named_at=1)


def outcome(certificate: bytes, *lists: bytes) -> str:
    """Return what judging a certificate of the authority comes to."""
    return judge(
        x509.load_der_x509_certificate(certificate),
        AGENCY,
        NO_AUTHORITIES.with_anchor(ANCHOR),
        ValidationMaterial(read_list(one) for one in lists),
        at_ms=NOW_MS,
        known_by_ms=NOW_MS,
    ).outcome.value


@pytest.mark.parametrize(
    "key",
    [
        pytest.param(P256, id="ES256"),
        pytest.param(rsa.generate_private_key(public_exponent=65537, key_size=3072), id="RSA-3072"),
        pytest.param(mldsa.MLDSA65PrivateKey.generate(), id="ML-DSA-65"),
        pytest.param(ed25519.Ed25519PrivateKey.generate(), id="Ed25519"),
    ],
)
def test_what_is_issued_passes_until_it_is_revoked(key: Any) -> None:
    """For the keys of each profile, from the request to the list."""
    serial = new_serial()
    certificate = issue(
        read_request(make_request(key, AGENCY)), AUTHORITY, KEY, now_ms=NOW_MS, serial=serial, points=["http://ca/x"]
    )
    clean = make_list([], AUTHORITY, KEY, number=1, now_ms=NOW_MS)
    revoked = make_list(
        [(serial, Revoked(NOW_MS, x509.ReasonFlags.key_compromise, NOW_MS - 1000))],
        AUTHORITY,
        KEY,
        number=2,
        now_ms=NOW_MS,
    )

    assert ["indeterminate", "passed", "failed"] == [
        outcome(certificate),
        outcome(certificate, clean),
        outcome(certificate, clean, revoked),
    ]
    assert ("http://ca/x",) == distribution_points(x509.load_der_x509_certificate(certificate))


def test_serial_numbers_have_twenty_bytes_and_do_not_repeat() -> None:
    """Nobody can guess one, so that no certificate can be prepared to look like another."""
    found = {new_serial() for _ in range(100)}

    assert 100 == len(found)
    assert {159} == {serial.bit_length() for serial in found}


NAMES = (x509.UniformResourceIdentifier(f"urn:docbus:agency:{AGENCY}"),)


def _request(key: Any = P256, names: Any = NAMES) -> bytes:
    builder = x509.CertificateSigningRequestBuilder().subject_name(name_of("anything"))
    if names:
        builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=False)
    hashed = None if isinstance(key, ed448.Ed448PrivateKey) else hashes.SHA256()
    return builder.sign(key, hashed).public_bytes(Encoding.PEM)


def _forged() -> bytes:
    der = bytearray(x509.load_pem_x509_csr(_request()).public_bytes(Encoding.DER))
    der[-1] ^= 1
    return x509.load_der_x509_csr(bytes(der)).public_bytes(Encoding.PEM)


URI = x509.UniformResourceIdentifier


@pytest.mark.parametrize(
    ("pem", "error", "expected"),
    [
        pytest.param(b"nothing", MalformedError, "not a certification request", id="other bytes"),
        pytest.param(bytes(MAX_REQUEST_BYTES + 1), MalformedError, "are allowed", id="too large"),
        pytest.param(_request(names=()), IdentityError, "names no agency", id="no agency"),
        pytest.param(_request(names=(URI("urn:x"),)), IdentityError, "not one URI", id="another URI"),
        pytest.param(
            _request(names=(URI("urn:docbus:agency:vn:H26"), URI("urn:docbus:agency:vn:H37"))),
            IdentityError,
            "not one URI",
            id="two agencies",
        ),
        pytest.param(_request(names=(URI("urn:docbus:agency:H26"),)), IdentityError, "no scheme", id="no canonical id"),
        pytest.param(_forged(), IdentityError, "not signed by the key", id="signed by nobody"),
        pytest.param(_request(ed448.Ed448PrivateKey.generate()), IdentityError, "of kind Ed448", id="Ed448"),
        pytest.param(
            _request(rsa.generate_private_key(public_exponent=3, key_size=2048)),
            IdentityError,
            "exponent",
            id="RSA e=3",
        ),
        pytest.param(_request(ec.generate_private_key(ec.SECP384R1())), IdentityError, "only P-256", id="P-384"),
    ],
)
def test_a_request_that_cannot_be_granted_is_refused(pem: bytes, error: type[Exception], expected: str) -> None:
    """A weak or foreign key, another's key, or no agency: each has its reason."""
    with pytest.raises(error, match=expected):
        read_request(pem)
