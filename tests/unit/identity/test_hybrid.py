"""ES256 with ML-DSA-65 beside it: one grant, two keys, both must sign (design D10)."""

from __future__ import annotations

from hashlib import sha256

import pytest
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.mldsa import MLDSA65PrivateKey

from docbus.errors import DirectoryError, IdentityError
from docbus.identity import entries
from docbus.identity.certificates import certificate_set_digest, make_certificate
from docbus.identity.signing import HybridSigner, generate_signing_key, profile_of, verify_signatures
from docbus.wire.profiles import Profile
from tests.support.directory import DirectoryBuilder, grant_of, make_keys

AGENCY = "vn:H26"
NOW_MS = 1_795_000_000_000
FIRST, SECOND = generate_signing_key(Profile.ES256), MLDSA65PrivateKey.generate()
CERTIFICATES = tuple(make_certificate(key, AGENCY, now_ms=NOW_MS) for key in (FIRST, SECOND))
SET_DIGEST = certificate_set_digest([sha256(der).digest() for der in CERTIFICATES])
SIGNER = HybridSigner(private_key=FIRST, second_key=SECOND, certificate=SET_DIGEST)  # type: ignore[arg-type] # ES256
PUBLIC_KEYS = (FIRST.public_key(), SECOND.public_key())


def grant(certificates: tuple[bytes, ...]) -> entries.AgencyGrant:
    """Return a grant of profile 3 with these certificates."""
    signing = entries.SigningKey(profile=Profile.ES256_ML_DSA_65, certificates=certificates)
    return grant_of(make_keys(AGENCY), signing=signing)


def test_grant_is_known_by_the_hash_of_both() -> None:
    """The directory finds a hybrid grant by SHA-256 over both certificate hashes, and by neither alone."""
    builder = DirectoryBuilder()
    builder.append(grant(CERTIFICATES))
    snapshot = builder.snapshot()

    found = snapshot.certificate(sha256(b"".join(sha256(der).digest() for der in CERTIFICATES)).digest())

    assert found is not None
    assert (AGENCY, Profile.ES256_ML_DSA_65, 2) == (found.agency, found.profile, len(found.public_keys))
    assert snapshot.certificate(sha256(CERTIFICATES[0]).digest()) is None


@pytest.mark.parametrize(
    "certificates",
    [CERTIFICATES[:1], CERTIFICATES[::-1], (CERTIFICATES[0], CERTIFICATES[0])],
    ids=["one", "swapped", "same"],
)
def test_other_certificates_are_refused(certificates: tuple[bytes, ...]) -> None:
    """A hybrid grant has an ES256 and an ML-DSA-65 certificate, in this order."""
    builder = DirectoryBuilder()
    builder.append(grant(certificates))

    with pytest.raises(DirectoryError, match="certificate_fit"):
        builder.replay()


def test_both_signatures_must_verify() -> None:
    """Two signatures over the same bytes verify; one of them wrong, missing or in the other's place does not."""
    first, second = SIGNER.sign_all(b"signed")
    other = SIGNER.sign_all(b"other")

    verify_signatures(Profile.ES256_ML_DSA_65, PUBLIC_KEYS, (first, second), b"signed")

    for wrong in (
        (first, other[1]),
        (other[0], second),
        (first,),
        (second, first),
        (first, first),
        (first, second, second),
    ):
        with pytest.raises(InvalidSignature):
            verify_signatures(Profile.ES256_ML_DSA_65, PUBLIC_KEYS, wrong, b"signed")


def test_ml_dsa_never_signs_alone() -> None:
    """There is no profile of an ML-DSA-65 key by itself."""
    with pytest.raises(IdentityError, match="beside an ES256 key only"):
        profile_of(SECOND.public_key())
