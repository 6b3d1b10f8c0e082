"""The keys of a profile, together: in files, with their certificates, and in a join request."""

from __future__ import annotations

from hashlib import sha256
from typing import TYPE_CHECKING

import pytest
from cryptography.hazmat.primitives.asymmetric.mldsa import MLDSA65PrivateKey

from docbus.errors import IdentityError, KeyFileError, MalformedError
from docbus.identity.certificates import certificate_set_digest
from docbus.identity.encryption import generate_encryption_key
from docbus.identity.join import make_join_request, verify_join_request
from docbus.identity.key_sets import (
    certificates_pem,
    generate_key_set,
    key_set_pem,
    key_set_signer,
    make_certificates,
    open_signer,
    read_certificates_pem,
    read_key_set,
)
from docbus.identity.signing import HybridSigner, verify_signatures
from docbus.wire.profiles import PROFILES, Profile
from tests.support.directory import ENVIRONMENT, NOW_MS

if TYPE_CHECKING:
    from pathlib import Path

AGENCY = "vn:H26"
GENESIS = bytes(32)
KEYS = generate_key_set(Profile.ES256_ML_DSA_65)
CERTIFICATES = make_certificates(KEYS, AGENCY, now_ms=NOW_MS)
SECOND = "-----BEGIN DOCBUS JOIN REQUEST SIGNATURE"


def stored(path: Path, content: bytes) -> str:
    """Write a key file, and return its URI."""
    path.write_bytes(content)
    path.chmod(0o600)
    return f"file:{path}"


def request(signer: object = None, certificates: tuple[bytes, ...] = CERTIFICATES) -> str:
    """Return a join request for the hybrid keys."""
    return make_join_request(
        signer or key_set_signer(KEYS, CERTIFICATES),  # type: ignore[arg-type] # a signer
        environment=ENVIRONMENT,
        genesis=GENESIS,
        agency=AGENCY,
        name="Hà Nội",
        certificates=certificates,
        encryption_key=generate_encryption_key().public_key,
        now_ms=NOW_MS,
    )


def verify(text: str) -> object:
    """Verify a join request as the registrar."""
    return verify_join_request(text, environment=ENVIRONMENT, genesis=GENESIS, now_ms=NOW_MS)


@pytest.mark.parametrize("profile", list(Profile))
def test_keys_of_each_profile_come_back_from_their_files(tmp_path: Path, profile: Profile) -> None:
    """What was written can be opened, signs under its profile, and is known by the digest of its certificates."""
    keys = generate_key_set(profile)
    certificates = read_certificates_pem(certificates_pem(make_certificates(keys, AGENCY, now_ms=NOW_MS)))

    signer = open_signer(stored(tmp_path / "k", key_set_pem(keys)), certificates)

    assert profile == signer.profile
    assert certificate_set_digest([sha256(der).digest() for der in certificates]) == signer.certificate
    public_keys = [key.public_key() for key in keys]
    verify_signatures(profile, public_keys, signer.sign_all(b"signed"), b"signed")
    assert PROFILES[profile].signatures == len(keys)


@pytest.mark.parametrize(
    ("keys", "reason"),
    [(KEYS[::-1], "holds 2 keys"), (KEYS[1:], "no signing key of a known profile"), (KEYS[:1] * 2, "holds 2 keys")],
    ids=["swapped", "the second alone", "the first twice"],
)
def test_keys_that_are_no_profile_are_refused(tmp_path: Path, keys: tuple[MLDSA65PrivateKey, ...], reason: str) -> None:
    """Keys of another number, kind or order sign nothing."""
    with pytest.raises(KeyFileError, match=reason):
        read_key_set(stored(tmp_path / "k", key_set_pem(keys)))


def test_second_certificate_of_another_key_is_refused() -> None:
    """Both certificates have to be those of the keys."""
    other = make_certificates((KEYS[0], MLDSA65PrivateKey.generate()), AGENCY, now_ms=NOW_MS)

    with pytest.raises(KeyFileError, match="second signing key, of ML-DSA-65, does not belong"):
        key_set_signer(KEYS, (CERTIFICATES[0], other[1]))
    with pytest.raises(KeyFileError, match="second certificate beside the signing keys cannot be read"):
        key_set_signer(KEYS, (CERTIFICATES[0], b"certificate"))
    with pytest.raises(KeyFileError, match="there are 2 signing keys, and 1 certificates"):
        key_set_signer(KEYS, CERTIFICATES[:1])


def test_more_certificates_than_a_profile_has_are_refused() -> None:
    """A file with three certificates is that of no keys."""
    with pytest.raises(ValueError, match="3 certificates"):
        read_certificates_pem(certificates_pem((*CERTIFICATES, CERTIFICATES[0])))


def test_hybrid_join_request_proves_possession_of_both_keys() -> None:
    """It has a signature by each key, and is granted under the one digest of both certificates."""
    text = request()

    assert 2 == text.count(SECOND)
    verify(text)


def test_hybrid_join_request_with_one_thing_changed_is_refused() -> None:
    """Without the second signature, with one that another key made, or with two of the same, nothing is proven."""
    text = request()
    head, first, second = text.partition(SECOND)[0], *(SECOND + part for part in text.split(SECOND)[1:])
    thief = HybridSigner(
        private_key=KEYS[0],  # type: ignore[arg-type] # the P-256 key
        second_key=MLDSA65PrivateKey.generate(),
        certificate=bytes(32),
    )

    for changed in (head + first, head + first + first, head + second + first, head + first + second + second):
        with pytest.raises(IdentityError, match="is not signed by the key it asks for"):
            verify(changed)
    with pytest.raises(IdentityError, match="is not signed by the key it asks for"):
        verify(request(thief))
    with pytest.raises(MalformedError):
        verify(head)


@pytest.mark.parametrize(
    "certificates",
    [
        CERTIFICATES[:1],
        CERTIFICATES[::-1],
        (CERTIFICATES[0], CERTIFICATES[0]),
        (CERTIFICATES[0], make_certificates(KEYS, "vn:H37", now_ms=NOW_MS)[1]),
    ],
    ids=["one", "swapped", "same", "of another agency"],
)
def test_hybrid_join_request_needs_both_certificates(certificates: tuple[bytes, ...]) -> None:
    """Both have to be there, in their order, and name the agency."""
    with pytest.raises(IdentityError, match=r"vn:H26 has "):
        verify(request(certificates=certificates))
