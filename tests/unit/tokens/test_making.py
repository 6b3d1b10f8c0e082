"""Keys that are made on a token, and the certificates that they sign, with SoftHSM."""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING, Any

import pytest
from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from pkcs11 import Attribute

from docbus.errors import IdentityError, KeyFileError
from docbus.identity.certificates import check_for_registration, make_certificate
from docbus.identity.signing import algorithm_of
from docbus.tokens.certifying import certifying_key
from docbus.tokens.making import make_token_key
from docbus.tokens.signer import TOKEN_PROFILES, open_token_signer
from docbus.wire.profiles import Profile
from tests.support.directory import NOW_MS

if TYPE_CHECKING:
    from tests.support.softhsm import SoftHSM

PROFILES = TOKEN_PROFILES


@pytest.mark.parametrize("profile", PROFILES)
def test_key_is_made_and_stays_on_the_token(token: SoftHSM, profile: Profile) -> None:
    """The private half can sign, and cannot be read, by anybody."""
    key = make_token_key(token.uri("H26"), profile)

    shown = key.module.use(
        key.uri, lambda one, _: {name: one[name] for name in (Attribute.SENSITIVE, Attribute.PRIVATE)}
    )
    extractable = key.module.use(key.uri, lambda one, _: one[Attribute.EXTRACTABLE])

    assert profile == key.profile
    assert key.sign(b"signed")
    assert ({Attribute.SENSITIVE: True, Attribute.PRIVATE: True}, False) == (shown, extractable)


@pytest.mark.parametrize("profile", PROFILES)
def test_certificate_is_signed_on_the_token(token: SoftHSM, profile: Profile) -> None:
    """The certificate is the one that a key in a file would have: it keeps the profile, and its signature verifies."""
    key = make_token_key(token.uri("H26"), profile)

    der = make_certificate(certifying_key(key), "vn:H26", now_ms=NOW_MS)

    certificate = x509.load_der_x509_certificate(der)
    certificate.verify_directly_issued_by(certificate)
    check_for_registration(der, "vn:H26", algorithm_of(certificate.public_key()), now_ms=NOW_MS)
    assert open_token_signer(token.uri("H26"), der).sign(b"signed")


@pytest.mark.parametrize("profile", PROFILES)
def test_nothing_but_signatures_is_had_from_it(token: SoftHSM, profile: Profile) -> None:
    """What stands for the private key where certificates are made gives nothing else away, and is no copy."""
    key = certifying_key(make_token_key(token.uri("H26"), profile))

    assert key is copy.copy(key)
    assert key is copy.deepcopy(key)
    for name in ("private_numbers", "private_bytes"):
        with pytest.raises(UnsupportedAlgorithm, match="stays there"):
            getattr(key, name)()
    secrets: dict[Profile, Any] = {
        Profile.ES256: lambda: key.exchange(b"", None),  # type: ignore[union-attr]
        Profile.RSA_PSS_SHA256: lambda: key.decrypt(b"", None),  # type: ignore[union-attr]
        Profile.ED25519: lambda: key.private_bytes_raw(),  # type: ignore[union-attr]  # noqa: PLW0108 - others have none
    }
    with pytest.raises(UnsupportedAlgorithm, match="stays there"):
        secrets[profile]()
    if isinstance(key, ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey):
        assert key.public_key().key_size == key.key_size


def test_nothing_is_overwritten(token: SoftHSM) -> None:
    """A key of that name stays what it is."""
    before = make_token_key(token.uri("H26"), Profile.ES256)

    with pytest.raises(KeyFileError, match="has the key object=docbus already"):
        make_token_key(token.uri("H26"), Profile.ES256)

    assert before.public_key == before.module.look(before.uri).public_key


def test_profile_that_no_token_makes_is_refused(token: SoftHSM) -> None:
    """A hybrid key has a half that tokens do not know."""
    with pytest.raises(IdentityError, match=r"ES256\+ML-DSA-65 cannot be made on a token"):
        make_token_key(token.uri("H26"), Profile.ES256_ML_DSA_65)
