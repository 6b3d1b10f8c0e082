"""Certificates of agencies: what passes, and every single thing that does not."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from hashlib import sha256
from typing import TYPE_CHECKING

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import ExtendedKeyUsageOID, ExtensionOID, NameOID

from docbus.errors import IdentityError
from docbus.identity.certificates import (
    DOCUMENT_SIGNING,
    MAX_CERTIFICATE_BYTES,
    VALIDITY,
    check_certificate,
    check_for_registration,
    load_certificate_key,
    make_certificate,
)
from docbus.identity.signing import generate_signing_key, public_key_bytes
from docbus.limits import MAX_CLOCK_SKEW_MS
from docbus.wire.profiles import Algorithm, Profile
from tests.support.directory import NOW_MS

if TYPE_CHECKING:
    from collections.abc import Sequence

AGENCY = "vn:H37.02.02"
KEY = ec.generate_private_key(ec.SECP256R1())
NAMES = (x509.UniformResourceIdentifier(f"urn:docbus:agency:{AGENCY}"),)
UNREADABLE = x509.UnrecognizedExtension(ExtensionOID.SUBJECT_ALTERNATIVE_NAME, b"names")
DAY_MS = 24 * 60 * 60 * 1000


def _usage(**changed: bool) -> x509.KeyUsage:
    fields = dict.fromkeys(
        ("key_encipherment", "data_encipherment", "key_agreement", "key_cert_sign", "crl_sign"), False
    ) | {"encipher_only": False, "decipher_only": False, "digital_signature": True, "content_commitment": True}
    return x509.KeyUsage(**(fields | changed))


def certificate(
    *,
    key: object = KEY,
    names: Sequence[x509.GeneralName] | None = NAMES,
    usage: tuple[x509.KeyUsage, bool] | None = (_usage(), True),
    purposes: Sequence[x509.ObjectIdentifier] | None = (DOCUMENT_SIGNING,),
    ca: bool | None = False,
    more: x509.ExtensionType | None = None,
    begins: int = 0,
    ends: int = 700,
) -> bytes:
    """Return a certificate that passes, except for what is changed; days count from the time of the tests."""
    now = datetime.fromtimestamp(NOW_MS // 1000, UTC)
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "anything")])
    builder = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())  # type: ignore[attr-defined] # a private key
        .serial_number(1)
        .not_valid_before(now + timedelta(days=begins))
        .not_valid_after(now + timedelta(days=ends))
    )
    if names is not None:
        builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=False)
    if usage is not None:
        builder = builder.add_extension(usage[0], critical=usage[1])
    if purposes is not None:
        builder = builder.add_extension(x509.ExtendedKeyUsage(purposes), critical=False)
    if ca is not None:
        builder = builder.add_extension(x509.BasicConstraints(ca=ca, path_length=None), critical=True)
    if more is not None:
        builder = builder.add_extension(more, critical=True)
    algorithm = None if isinstance(key, ed25519.Ed25519PrivateKey) else hashes.SHA256()
    return builder.sign(key, algorithm).public_bytes(Encoding.DER)  # type: ignore[arg-type] # a private key


def test_certificate_made_here_passes() -> None:
    """What docbus makes keeps its own profile, for each kind of key."""
    for profile, algorithm in (
        (Profile.ES256, Algorithm.ES256),
        (Profile.RSA_PSS_SHA256, Algorithm.RSA_PSS_SHA256),
        (Profile.ED25519, Algorithm.ED25519),
    ):
        key = generate_signing_key(profile)

        der = make_certificate(key, AGENCY, now_ms=NOW_MS)
        checked = check_for_registration(der, AGENCY, algorithm, now_ms=NOW_MS)

        assert sha256(der).digest() == checked.digest
        assert NOW_MS - MAX_CLOCK_SKEW_MS == checked.not_before_ms
        assert int(VALIDITY.total_seconds()) * 1000 == checked.not_after_ms - checked.not_before_ms
        assert public_key_bytes(key.public_key()) == public_key_bytes(load_certificate_key(der))


def test_builder_of_these_tests_makes_one_that_passes() -> None:
    """The certificate that the other tests change by one thing is itself good."""
    assert NOW_MS == check_certificate(certificate(), AGENCY, Algorithm.ES256).not_before_ms


def _uri(value: str) -> x509.UniformResourceIdentifier:
    return x509.UniformResourceIdentifier(value)


@pytest.mark.parametrize(
    ("changed", "reason"),
    [
        ({"names": None}, "without the extension 2.5.29.17"),
        ({"names": [_uri("urn:docbus:agency:vn:H37.02")]}, "subject alternative name is not just"),
        ({"names": [_uri(f"urn:docbus:agency:{AGENCY}.1")]}, "subject alternative name is not just"),
        ({"names": [_uri(f"URN:docbus:agency:{AGENCY}")]}, "subject alternative name is not just"),
        ({"names": [*NAMES, _uri("urn:docbus:agency:vn:H26")]}, "subject alternative name is not just"),
        ({"names": [*NAMES, x509.DNSName("example.vn")]}, "subject alternative name is not just"),
        ({"names": [x509.DNSName(f"urn:docbus:agency:{AGENCY}")]}, "subject alternative name is not just"),
        ({"usage": None}, "without the extension 2.5.29.15"),
        ({"usage": (_usage(), False)}, "key usage is not critical"),
        ({"usage": (_usage(content_commitment=False), True)}, "key usage is not critical, or not just"),
        ({"usage": (_usage(digital_signature=False), True)}, "key usage is not critical, or not just"),
        ({"usage": (_usage(key_cert_sign=True), True)}, "key usage is not critical, or not just"),
        ({"usage": (_usage(key_encipherment=True), True)}, "key usage is not critical, or not just"),
        ({"purposes": None}, "without the extension 2.5.29.37"),
        ({"purposes": [ExtendedKeyUsageOID.CLIENT_AUTH]}, "extended key usage is not just"),
        ({"purposes": [DOCUMENT_SIGNING, ExtendedKeyUsageOID.CLIENT_AUTH]}, "extended key usage is not just"),
        ({"purposes": [ExtendedKeyUsageOID.ANY_EXTENDED_KEY_USAGE]}, "extended key usage is not just"),
        ({"ends": 0}, "valid at no time"),
        ({"names": None, "more": UNREADABLE}, "an extension that cannot be read"),
        ({"ca": True}, "a certificate of a CA"),
        ({"ca": None}, "without the extension 2.5.29.19"),
        ({"more": x509.InhibitAnyPolicy(0)}, "a critical extension that is not understood"),
        ({"key": ec.generate_private_key(ec.SECP384R1())}, "an EC key on secp384r1"),
        ({"key": ed25519.Ed25519PrivateKey.generate()}, "for Ed25519, where the profile asks for ES256"),
        ({"key": generate_signing_key(Profile.RSA_PSS_SHA256)}, "for RSA-PSS-SHA256, where the profile asks for ES256"),
    ],
)
def test_one_change_fails(changed: dict[str, object], reason: str) -> None:
    """A certificate that differs from a good one by one thing is refused, and the reason named."""
    with pytest.raises(IdentityError) as caught:
        check_certificate(certificate(**changed), AGENCY, Algorithm.ES256)  # type: ignore[arg-type] # by name

    assert reason in caught.value.text


@pytest.mark.parametrize(
    ("der", "reason"),
    [
        (b"", "cannot be read"),
        (b"certificate", "cannot be read"),
        (certificate()[:-1], "cannot be read"),
        (certificate() + b"\x00", "cannot be read"),
        (bytes(MAX_CERTIFICATE_BYTES + 1), "a certificate of 8193 bytes"),
    ],
)
def test_bytes_that_are_no_certificate_are_refused(der: bytes, reason: str) -> None:
    """Whatever the bytes, the answer is a sentence."""
    with pytest.raises(IdentityError, match=reason):
        check_certificate(der, AGENCY, Algorithm.ES256)


@pytest.mark.parametrize(("begins", "ends"), [(1, 700), (-700, -1)])
def test_certificate_out_of_its_time_is_not_registered(begins: int, ends: int) -> None:
    """At registration a certificate is valid now; in the log, time decides nothing."""
    der = certificate(begins=begins, ends=ends)

    with pytest.raises(IdentityError, match="not valid now"):
        check_for_registration(der, AGENCY, Algorithm.ES256, now_ms=NOW_MS)
    assert NOW_MS + begins * DAY_MS == check_certificate(der, AGENCY, Algorithm.ES256).not_before_ms


def test_registration_includes_both_ends_of_the_validity() -> None:
    """At the first and the last millisecond a certificate is registered, one before and one after it is not."""
    der = certificate()
    checked = check_certificate(der, AGENCY, Algorithm.ES256)

    for now in (checked.not_before_ms, checked.not_after_ms):
        assert checked == check_for_registration(der, AGENCY, Algorithm.ES256, now_ms=now)
    for now in (checked.not_before_ms - 1, checked.not_after_ms + 1):
        with pytest.raises(IdentityError, match="not valid now"):
            check_for_registration(der, AGENCY, Algorithm.ES256, now_ms=now)


def test_clock_of_a_new_agency_may_run_ahead_by_five_minutes() -> None:
    """A certificate made by a clock that is five minutes ahead is registered, and one second more is too much."""
    for ahead in (MAX_CLOCK_SKEW_MS, MAX_CLOCK_SKEW_MS + 1000):
        der = make_certificate(KEY, AGENCY, now_ms=NOW_MS + ahead)

        if ahead == MAX_CLOCK_SKEW_MS:
            assert NOW_MS == check_for_registration(der, AGENCY, Algorithm.ES256, now_ms=NOW_MS).not_before_ms
        else:
            with pytest.raises(IdentityError, match="not valid now"):
                check_for_registration(der, AGENCY, Algorithm.ES256, now_ms=NOW_MS)


def test_self_signature_is_checked_at_registration() -> None:
    """A self-signed certificate with a broken signature was not made by its key."""
    der = bytearray(certificate())
    der[-1] ^= 1

    with pytest.raises(IdentityError, match="self-signed certificate whose signature is not valid"):
        check_for_registration(bytes(der), AGENCY, Algorithm.ES256, now_ms=NOW_MS)
