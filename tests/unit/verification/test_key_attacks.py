"""Attacks with keys and certificates on an envelope that is genuine: substitution, weak keys, foreign authorities."""

from __future__ import annotations

from dataclasses import replace
from hashlib import sha256
from typing import TYPE_CHECKING, Any

import pytest
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import load_der_public_key
from cryptography.x509.oid import ExtendedKeyUsageOID

from docbus.envelope.batch import batch_signed_bytes
from docbus.envelope.envelope import Envelope, decode_envelope, encode_envelope
from docbus.errors import DirectoryError, IdentityError, VerificationError
from docbus.identity import entries
from docbus.identity.certificates import check_for_registration
from docbus.identity.join import verify_join_request
from docbus.identity.signing import load_public_key, public_key_bytes, verify_signature
from docbus.verification.verifier import Verifier
from docbus.wire.pae import leaf_digest
from docbus.wire.profiles import PROFILES, Profile
from tests.support.audit_exchange import CITY, PROVINCE, Exchange
from tests.support.certificates import issue
from tests.support.directory import ENVIRONMENT, NOW_MS, grant_of, make_keys
from tests.support.ed25519 import NOT_CANONICAL, SMALL_ORDER, mixed_order_key
from tests.support.p256 import keys_that_fit

if TYPE_CHECKING:
    from docbus.identity.snapshot import TrustSnapshot

ATTACKER = "vn:H41"


def exchange_and_envelope() -> tuple[Exchange, Envelope]:
    """Return an exchange, and a genuine envelope from a city to a province in it."""
    exchange = Exchange()
    (posted,) = exchange.documents(CITY, PROVINCE, 1)
    return exchange, decode_envelope(posted.value)


def refusal(envelope: Envelope, snapshot: TrustSnapshot) -> tuple[str | None, str]:
    """Return step and code with which the recipient refuses."""
    with pytest.raises(VerificationError) as caught:
        accept(envelope, snapshot)
    return caught.value.step, caught.value.code


def accept(envelope: Envelope, snapshot: TrustSnapshot) -> None:
    """Verify as the recipient."""
    Verifier().verify(encode_envelope(envelope), key=None, recipient=PROVINCE, snapshot=snapshot, now_ms=NOW_MS)


def signed_bytes(envelope: Envelope, certificate: bytes) -> bytes:
    """Return what a signature under this certificate has to cover."""
    leaf = leaf_digest(envelope.payload_type.encode(), envelope.statement)
    return batch_signed_bytes(Profile.ES256, certificate, 1, leaf)


@pytest.mark.parametrize("what", ["the same statement", "another statement"])
def test_a_second_key_for_the_same_signature_is_of_no_use(what: str) -> None:
    """A key made so that the sender's own signature verifies under it, and even granted, still fails C1.08."""
    exchange, envelope = exchange_and_envelope()
    (block,) = envelope.signatures
    if what == "another statement":
        (other,) = exchange.documents(CITY, PROVINCE, 1)
        envelope = envelope._replace(statement=decode_envelope(other.value).statement)
    signed = signed_bytes(envelope, block.certificate)
    genuine = public_key_bytes(exchange.keys[CITY].private_key.public_key())
    twin = next(key for key in keys_that_fit(block.signature, signed) if public_key_bytes(key) != genuine)
    verify_signature(Profile.ES256, twin, block.signature, signed)

    certificate = issue(twin, ATTACKER)
    signing = entries.SigningKey(profile=Profile.ES256, certificates=(certificate,))
    exchange.directory.append(grant_of(make_keys(ATTACKER), signing=signing))
    snapshot = exchange.directory.snapshot()
    stolen = envelope._replace(signatures=(block._replace(certificate=sha256(certificate).digest()),))

    assert ("C1.08", "signature_invalid") == refusal(stolen, snapshot)
    if what == "the same statement":
        accept(envelope, snapshot)
    else:
        assert ("C1.08", "signature_invalid") == refusal(envelope, snapshot)


def _rsa(bits: int, exponent: int) -> rsa.RSAPublicKey:
    return rsa.RSAPublicNumbers(e=exponent, n=(1 << (bits - 1)) | 1).public_key()


WEAK: dict[str, tuple[Any, str]] = {
    "RSA of 1024 bits": (_rsa(1024, 65537), "an RSA key of 1024 bits"),
    "RSA with exponent 3": (_rsa(2048, 3), "an RSA key with public exponent 3"),
    "RSA with an exponent as long as the modulus": (_rsa(3072, (1 << 3070) | 1), "public exponent has 3071 bits"),
    "P-521": (ec.generate_private_key(ec.SECP521R1()).public_key(), "an EC key on secp521r1"),
    "P-384": (ec.generate_private_key(ec.SECP384R1()).public_key(), "an EC key on secp384r1"),
    "secp256k1": (ec.generate_private_key(ec.SECP256K1()).public_key(), "an EC key on secp256k1"),
    **{
        f"Ed25519, {name}": (ed25519.Ed25519PublicKey.from_public_bytes(raw), "an Ed25519 key")
        for name, raw in {**SMALL_ORDER, **NOT_CANONICAL, "mixed order": mixed_order_key()}.items()
    },
}


@pytest.mark.parametrize("profile", [1, 2, 3, 4, 5])
@pytest.mark.parametrize("kind", WEAK)
def test_a_weak_key_is_granted_under_no_profile(kind: str, profile: int) -> None:
    """An otherwise good certificate for it is refused at registration, and its grant in the log."""
    key, reason = WEAK[kind]
    certificate = issue(key, ATTACKER)
    if profile in PROFILES:
        with pytest.raises(IdentityError, match=reason):
            check_for_registration(certificate, ATTACKER, PROFILES[profile].algorithms[0], now_ms=NOW_MS)
    exchange = Exchange()
    signing = entries.SigningKey(profile=profile, certificates=(certificate,) * (2 if profile == 3 else 1))

    with pytest.raises(DirectoryError) as caught:
        exchange.directory.replay().apply(exchange.directory.value(grant_of(make_keys(ATTACKER), signing=signing)))

    rule = "certificate_fit" if profile in PROFILES else "profile_known"
    assert f"breaks the rule {rule}" in caught.value.text


@pytest.mark.parametrize("kind", WEAK)
def test_a_weak_key_is_no_registrars_key(kind: str) -> None:
    """What may not sign for an agency may not sign the directory either."""
    key, reason = WEAK[kind]

    with pytest.raises(IdentityError, match=reason):
        load_public_key(public_key_bytes(key))


@pytest.mark.parametrize("name", {**SMALL_ORDER, **NOT_CANONICAL})
def test_a_forgery_that_the_library_accepts_is_no_signature_of_any_profile(name: str) -> None:
    """R = A and S = 0 verify under a key of small order for many texts, and under no profile, whatever is granted."""
    key = ed25519.Ed25519PublicKey.from_public_bytes({**SMALL_ORDER, **NOT_CANONICAL}[name])
    forged = [(first + bytes(32), b"text %d" % number) for first in SMALL_ORDER.values() for number in range(16)]
    accepted = [(signature, text) for signature, text in forged if _library_accepts(key, signature, text)]
    assert accepted

    for signature, text in accepted:
        for profile in range(6):
            with pytest.raises(InvalidSignature):
                verify_signature(profile, key, signature, text)


def _library_accepts(key: ed25519.Ed25519PublicKey, signature: bytes, text: bytes) -> bool:
    try:
        key.verify(signature, text)
    except InvalidSignature:
        return False
    return True


def test_a_point_beside_the_curve_is_no_key() -> None:
    """A P-256 key whose point does not satisfy the equation is refused, in a certificate as by itself."""
    encoded = bytearray(public_key_bytes(make_keys(ATTACKER).private_key.public_key()))
    genuine = bytes(encoded[-65:])
    encoded[-1] ^= 1
    with pytest.raises(IdentityError, match="cannot be read"):
        load_public_key(bytes(encoded))

    certificate = issue(load_der_public_key(bytes(encoded[:-65]) + genuine), ATTACKER)
    moved = certificate.replace(genuine, bytes(encoded[-65:]))

    assert moved != certificate
    with pytest.raises(IdentityError, match="cannot be read"):
        check_for_registration(moved, ATTACKER, PROFILES[Profile.ES256].algorithms[0], now_ms=NOW_MS)


@pytest.mark.parametrize("purpose", [ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH])
def test_a_key_for_tls_signs_no_documents(purpose: Any) -> None:
    """A certificate for a server or a client is refused in a join request as well as in the log, whoever issued it."""
    exchange = Exchange()
    keys = make_keys(ATTACKER)
    certificate = issue(keys.private_key.public_key(), ATTACKER, purposes=(purpose,))
    tls = replace(keys, certificate=certificate)

    with pytest.raises(IdentityError, match="extended key usage is not just documentSigning"):
        verify_join_request(
            tls.join_request(exchange.directory.genesis),
            environment=ENVIRONMENT,
            genesis=exchange.directory.genesis,
            now_ms=NOW_MS,
        )
    with pytest.raises(DirectoryError, match="breaks the rule certificate_fit"):
        exchange.directory.replay().apply(exchange.directory.value(grant_of(tls)))


@pytest.mark.parametrize("issuer", ["Certification authority", CITY])
def test_a_certificate_counts_by_its_grant_and_not_by_its_issuer(issuer: str) -> None:
    """A perfect certificate in the sender's name, by any authority, for a key of the attacker's, is unknown: C1.04."""
    exchange, _ = exchange_and_envelope()
    keys = make_keys(CITY)
    issued = replace(keys, certificate=issue(keys.private_key.public_key(), CITY, issuer=issuer))
    (posted,) = exchange.seal(CITY, exchange.drafts(CITY, [PROVINCE]), keys=issued)

    assert ("C1.04", "certificate_unknown") == refusal(decode_envelope(posted.value), exchange.snapshot)


def test_a_granted_key_issues_no_certificates() -> None:
    """An agency's granted key that signs a certificate, as a rogue authority would, vouches for nobody: C1.04."""
    exchange, envelope = exchange_and_envelope()
    keys = make_keys(PROVINCE)
    issued = issue(keys.private_key.public_key(), PROVINCE, issuer=CITY, issuing_key=exchange.keys[CITY].private_key)
    below = replace(keys, certificate=issued)
    accept(envelope, exchange.snapshot)
    (posted,) = exchange.seal(PROVINCE, exchange.drafts(PROVINCE, [PROVINCE]), keys=below)

    assert ("C1.04", "certificate_unknown") == refusal(decode_envelope(posted.value), exchange.snapshot)
