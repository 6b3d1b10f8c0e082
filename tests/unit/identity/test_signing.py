"""Signatures, and which keys may make them."""

from __future__ import annotations

from hashlib import sha256
from typing import TYPE_CHECKING

import pytest
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa, utils, x25519
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat

from docbus.errors import IdentityError, KeyFileError
from docbus.identity.certificates import make_certificate
from docbus.identity.key_sets import open_signer
from docbus.identity.signing import (
    KeySigner,
    generate_signing_key,
    load_public_key,
    open_registrar_signer,
    private_key_pem,
    profile_of,
    public_key_bytes,
    registrar_signer_of,
    signer_of,
    verify_signature,
)
from docbus.wire.profiles import Profile
from tests.support.directory import NOW_MS
from tests.unit.identity.test_keyfile import write_key

if TYPE_CHECKING:
    from pathlib import Path

    from docbus.identity.signing import PrivateKey

ORDER_P256 = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551


@pytest.fixture(scope="module", params=[Profile.ES256, Profile.RSA_PSS_SHA256, Profile.ED25519])
def private_key(request: pytest.FixtureRequest) -> PrivateKey:
    """Return one key of each profile."""
    return generate_signing_key(request.param)


def _signer(private_key: PrivateKey) -> KeySigner:
    return signer_of(private_key, make_certificate(private_key, "vn:H26", now_ms=NOW_MS))


def test_signature_verifies(private_key: PrivateKey) -> None:
    """What a signer signs verifies under its own profile."""
    signer = _signer(private_key)

    verify_signature(signer.profile, private_key.public_key(), signer.sign(b"signed"), b"signed")


@pytest.mark.parametrize("change", ["signed", "signature", "key", "profile", "trailing"])
def test_one_change_fails(private_key: PrivateKey, change: str) -> None:
    """Another byte, another key, another profile, or a byte more: not valid."""
    signer = _signer(private_key)
    signature, signed, key, profile = signer.sign(b"signed"), b"signed", private_key.public_key(), signer.profile
    if change == "signed":
        signed = b"signee"
    elif change == "signature":
        signature = signature[:-1] + bytes((signature[-1] ^ 1,))
    elif change == "key":
        key = generate_signing_key(profile).public_key()
    elif change == "profile":
        profile = Profile.RSA_PSS_SHA256 if profile == Profile.ES256 else Profile.ES256
    else:
        signature += b"\x00"

    with pytest.raises(InvalidSignature):
        verify_signature(profile, key, signature, signed)


@pytest.mark.parametrize("profile", [0, 3, 5, 65535, -1])
def test_unknown_profile_verifies_nothing(private_key: PrivateKey, profile: int) -> None:
    """Reserved and foreign profile numbers are not tried with the key at hand."""
    with pytest.raises(InvalidSignature):
        verify_signature(profile, private_key.public_key(), _signer(private_key).sign(b"x"), b"x")


def test_es256_follows_rfc_6979() -> None:
    """The signature is the one of RFC 6979 appendix A.2.5 for P-256, SHA-256 and the text "sample"."""
    secret = 0xC9AFA9D845BA75166B5C215767B1D6934E50C3DB36E89B127B8A622B120F6721
    key = ec.derive_private_key(secret, ec.SECP256R1())

    signature = registrar_signer_of(key).sign(b"sample")

    assert (
        0xEFD48B2AACB6A8FD1140DD9CD45E81D69D2C877B56AAF991C34D0EA84EAF3716,
        0xF7CB1C942D657C41D436C7A1B6E29F65F3E900DBB9AFF4064DC4AB2F843ACDA8,
    ) == utils.decode_dss_signature(signature)


def test_ecdsa_is_malleable_so_ids_never_come_from_signatures() -> None:
    """(r, n - s) verifies too: a fact to remember, which is why nothing is identified by its signature."""
    key = generate_signing_key(Profile.ES256)
    r, s = utils.decode_dss_signature(_signer(key).sign(b"x"))

    verify_signature(Profile.ES256, key.public_key(), utils.encode_dss_signature(r, ORDER_P256 - s), b"x")


@pytest.mark.parametrize(
    "scheme",
    [
        padding.PKCS1v15(),
        padding.PSS(mgf=padding.MGF1(hashes.SHA256()), salt_length=20),
        padding.PSS(mgf=padding.MGF1(hashes.SHA1()), salt_length=32),  # noqa: S303 - the attack
    ],
)
def test_other_rsa_schemes_fail(scheme: padding.AsymmetricPadding) -> None:
    """A genuine key's signature in another scheme is not one of the profile."""
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    signature = key.sign(b"x", scheme, hashes.SHA256())

    with pytest.raises(InvalidSignature):
        verify_signature(Profile.RSA_PSS_SHA256, key.public_key(), signature, b"x")


def _rsa_public(bits: int, exponent: int) -> rsa.RSAPublicKey:
    return rsa.RSAPublicNumbers(e=exponent, n=(1 << (bits - 1)) | 1).public_key()


@pytest.mark.parametrize(
    ("key", "reason"),
    [
        (ec.generate_private_key(ec.SECP384R1()).public_key(), "an EC key on secp384r1"),
        (ec.generate_private_key(ec.SECP256K1()).public_key(), "an EC key on secp256k1"),
        (_rsa_public(1024, 65537), "an RSA key of 1024 bits"),
        (_rsa_public(8200, 65537), "an RSA key of 8200 bits"),
        (_rsa_public(2048, 3), "an RSA key with public exponent 3"),
        (_rsa_public(2048, 65535), "an RSA key with public exponent 65535"),
        (_rsa_public(3072, (1 << 64) + 1), "an RSA key whose public exponent has 65 bits"),
        (_rsa_public(3072, (1 << 3070) + 1), "an RSA key whose public exponent has 3071 bits"),
        (ec.generate_private_key(ec.SECP521R1()).public_key(), "an EC key on secp521r1"),
        (x25519.X25519PrivateKey.generate().public_key(), "a key of kind X25519PublicKey; only P-256, RSA and Ed25519"),
        ("no key", "a key of kind str"),
    ],
)
def test_weak_and_foreign_keys_are_refused(key: object, reason: str) -> None:
    """Only P-256 and RSA of 2048 to 8192 bits with an exponent that is neither small nor long may sign."""
    with pytest.raises(IdentityError) as caught:
        profile_of(key)

    assert caught.value.text.startswith(reason)


@pytest.mark.parametrize(("bits", "exponent"), [(2048, 65537), (8192, 65537), (2048, (1 << 64) - 1)])
def test_rsa_limits_are_inclusive(bits: int, exponent: int) -> None:
    """Both ends of each range may sign."""
    assert Profile.RSA_PSS_SHA256 == profile_of(_rsa_public(bits, exponent))


@pytest.mark.parametrize("profile", [Profile.ES256, Profile.RSA_PSS_SHA256])
def test_public_key_has_one_form(profile: int) -> None:
    """A registrar's public key that was stored is read back the same."""
    private_key = generate_signing_key(profile)
    encoded = public_key_bytes(private_key.public_key())

    assert encoded == public_key_bytes(load_public_key(encoded))


def test_compressed_point_is_refused() -> None:
    """The same key in another form would have another hash."""
    point = generate_signing_key(Profile.ES256).public_key().public_bytes(Encoding.X962, PublicFormat.CompressedPoint)
    prefix = bytes.fromhex("3039301306072a8648ce3d020106082a8648ce3d030107032200")

    with pytest.raises(IdentityError, match="in another form"):
        load_public_key(prefix + point)


def test_bytes_that_are_no_key_are_refused() -> None:
    """A parser's error does not get out."""
    with pytest.raises(IdentityError, match="cannot be read"):
        load_public_key(b"\x30\x00")


def test_signer_is_opened_by_uri(tmp_path: Path, private_key: PrivateKey) -> None:
    """A signer from a file names the certificate by its hash and signs under the key's profile."""
    certificate = make_certificate(private_key, "vn:H26", now_ms=NOW_MS)

    signer = open_signer(write_key(tmp_path / "k", private_key_pem(private_key)), [certificate])

    assert sha256(certificate).digest() == signer.certificate
    verify_signature(signer.profile, private_key.public_key(), signer.sign(b"x"), b"x")


def test_key_of_another_certificate_is_refused(tmp_path: Path) -> None:
    """Key and certificate of different rotations are noticed before anything is signed."""
    old, new = generate_signing_key(Profile.ES256), generate_signing_key(Profile.ES256)
    uri = write_key(tmp_path / "k", private_key_pem(old))

    with pytest.raises(KeyFileError, match="does not belong to the certificate"):
        open_signer(uri, [make_certificate(new, "vn:H26", now_ms=NOW_MS)])


def test_certificate_that_is_none_is_refused(tmp_path: Path) -> None:
    """A broken certificate beside a good key is named."""
    uri = write_key(tmp_path / "k", private_key_pem(generate_signing_key(Profile.ES256)))

    with pytest.raises(KeyFileError, match="certificate beside the signing key cannot be read"):
        open_signer(uri, [b"certificate"])


@pytest.mark.parametrize("count", [2, 3])
def test_file_with_more_keys_is_refused(tmp_path: Path, count: int) -> None:
    """Which of several keys is meant is not guessed."""
    pem = private_key_pem(generate_signing_key(Profile.ES256))

    with pytest.raises(KeyFileError, match=f"holds {count} keys"):
        open_registrar_signer(write_key(tmp_path / "k", pem * count))


def test_file_with_another_kind_of_key_is_refused(tmp_path: Path) -> None:
    """A key that can be read but belongs to no profile is called that."""
    pem = x25519.X25519PrivateKey.generate().private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())

    with pytest.raises(KeyFileError, match="holds no signing key of a known profile"):
        open_registrar_signer(write_key(tmp_path / "k", pem))


def test_signing_key_on_another_curve_is_refused(tmp_path: Path) -> None:
    """A key that may not sign is refused even with a certificate of its own."""
    key = ec.generate_private_key(ec.SECP384R1())

    with pytest.raises(KeyFileError, match="k holds an EC key on secp384r1"):
        open_signer(write_key(tmp_path / "k", private_key_pem(key)), [make_certificate(key, "vn:H26", now_ms=NOW_MS)])


def test_registrar_key_on_another_curve_is_refused(tmp_path: Path) -> None:
    """A registrar's key keeps the same rules as an agency's."""
    uri = write_key(tmp_path / "k", private_key_pem(ec.generate_private_key(ec.SECP384R1())))

    with pytest.raises(KeyFileError, match="holds an EC key on secp384r1"):
        open_registrar_signer(uri)


def test_registrar_signer_names_its_key(tmp_path: Path) -> None:
    """A registrar's key is known by the hash of its public key."""
    key = generate_signing_key(Profile.ES256)

    signer = open_registrar_signer(write_key(tmp_path / "k", private_key_pem(key)))

    assert sha256(public_key_bytes(key.public_key())).digest() == signer.key
    verify_signature(signer.profile, load_public_key(signer.public_key), signer.sign(b"x"), b"x")


def test_signer_does_not_show_its_key() -> None:
    """A signer in a log line or a traceback gives nothing away."""
    signer = _signer(generate_signing_key(Profile.ES256))

    assert "private" not in repr(signer)


def test_unknown_profile_makes_no_key() -> None:
    """Keys of a reserved profile cannot be made by mistake."""
    with pytest.raises(IdentityError):
        generate_signing_key(3)
