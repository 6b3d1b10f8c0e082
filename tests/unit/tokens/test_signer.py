"""Signers whose key is on a token, with SoftHSM."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from hashlib import sha256
from typing import TYPE_CHECKING

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, mldsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from docbus.errors import KeyFileError, SignerAwayError
from docbus.identity.certificates import make_certificate
from docbus.identity.signing import generate_signing_key, profile_of, public_key_bytes, verify_signature
from docbus.tokens.signer import open_token_key, open_token_registrar_signer, open_token_signer
from docbus.wire.profiles import Profile
from tests.support.directory import NOW_MS
from tests.unit.tokens.conftest import put_on

if TYPE_CHECKING:
    from pathlib import Path

    from docbus.identity.signing import PrivateKey
    from docbus.tokens.signer import TokenSigner
    from tests.support.softhsm import SoftHSM


def signer_for(token: SoftHSM, private_key: PrivateKey, key: str = "docbus") -> TokenSigner:
    """Return the token's signer under a certificate for a key."""
    return open_token_signer(token.uri("H26", key), make_certificate(private_key, "vn:H26", now_ms=NOW_MS))


def test_signature_verifies_as_that_of_a_file_does(keyed: SoftHSM, private_key: PrivateKey) -> None:
    """What the token signs verifies under the profile of its key, in the form that travels."""
    signer = signer_for(keyed, private_key)

    (signature,) = signer.sign_all(b"signed")

    assert profile_of(private_key.public_key()) == signer.profile
    verify_signature(signer.profile, private_key.public_key(), signature, b"signed")
    verify_signature(signer.profile, private_key.public_key(), signer.sign(b"again"), b"again")


def test_many_signatures_of_es256_are_in_der(token: SoftHSM, tmp_path: Path) -> None:
    """Numbers with a leading zero or a high first bit come out in their one DER form; one in 128 has such a zero."""
    private_key = ec.generate_private_key(ec.SECP256R1())
    put_on(token, private_key, tmp_path)
    signer = signer_for(token, private_key)

    lengths = set()
    for number in range(600):
        signed = number.to_bytes(2, "big")
        signature = signer.sign(signed)
        verify_signature(Profile.ES256, private_key.public_key(), signature, signed)
        lengths.add(len(signature))

    assert {70, 71, 72} <= lengths


def test_many_threads_sign(keyed: SoftHSM, private_key: PrivateKey) -> None:
    """Threads that sign at the same time each get the signature over their own bytes."""
    signer = signer_for(keyed, private_key)

    with ThreadPoolExecutor(8) as threads:
        signatures = list(threads.map(lambda number: signer.sign(b"%d" % number), range(64)))

    for number, signature in enumerate(signatures):
        verify_signature(signer.profile, private_key.public_key(), signature, b"%d" % number)


def test_another_keys_certificate_is_noticed(keyed: SoftHSM, private_key: PrivateKey) -> None:
    """A signature that would be nobody's never leaves: the key on the token is not the certificate's."""
    other = generate_signing_key(profile_of(private_key.public_key()))

    with pytest.raises(KeyFileError, match="object=docbus on the token token=H26 is not the certificate's"):
        signer_for(keyed, other).sign(b"signed")


def test_key_of_another_kind_than_the_certificates_is_noticed(token: SoftHSM, tmp_path: Path) -> None:
    """An RSA key under a certificate for ES256 is refused as unusable, and not waited for; the next one signs."""
    right = generate_signing_key(Profile.ES256)
    put_on(token, generate_signing_key(Profile.RSA_PSS_SHA256), tmp_path, key="rsa", key_id="01")
    put_on(token, right, tmp_path, key="ec", key_id="02")

    with pytest.raises(KeyFileError, match="cannot do that with the key object=rsa"):
        signer_for(token, right, "rsa").sign(b"signed")

    assert signer_for(token, right, "ec").sign(b"signed")


def test_key_that_is_not_there_is_named(keyed: SoftHSM, private_key: PrivateKey) -> None:
    """The token is there and has no such key: nobody waits for it."""
    with pytest.raises(KeyFileError, match="no private key that is the key object=other"):
        signer_for(keyed, private_key, "other").sign(b"signed")
    with pytest.raises(KeyFileError, match="shows no public key that is the key object=other"):
        open_token_key(keyed.uri("H26", "other"))


def test_two_keys_of_one_name_are_told_apart_by_the_id(token: SoftHSM, tmp_path: Path) -> None:
    """A name that two keys have is refused, before either signs; with the id it is one."""
    keys = [generate_signing_key(Profile.ES256) for _ in range(2)]
    for number, key in enumerate(keys):
        put_on(token, key, tmp_path, key_id=f"0{number}")
    named = token.uri("H26").replace("object=docbus", "object=docbus;id=%01")

    with pytest.raises(KeyFileError, match="several keys"):
        signer_for(token, keys[0]).sign(b"signed")
    with pytest.raises(KeyFileError, match="several keys"):
        open_token_key(token.uri("H26"))

    signature = open_token_key(named).sign(b"signed")
    verify_signature(Profile.ES256, keys[1].public_key(), signature, b"signed")


def test_two_tokens_of_one_label_are_told_apart_by_the_serial(
    token: SoftHSM, private_key: PrivateKey, tmp_path: Path
) -> None:
    """A label that two tokens have is refused, and no PIN is tried on either."""
    put_on(token, private_key, tmp_path)
    key = open_token_key(token.uri("H26"))
    serial = key.module.look(key.uri).serial
    token.initialise("H26")
    key.module.close()

    with pytest.raises(KeyFileError, match="means 2 tokens") as refused:
        key.sign(b"signed")

    assert "serial=" in (refused.value.hint or "")
    assert open_token_key(token.uri("H26").replace("token=H26", f"token=H26;serial={serial}")).sign(b"signed")


@pytest.mark.parametrize("attribute", ["serial=0", "manufacturer=nobody", "model=none", "slot-id=9"])
def test_every_attribute_counts(keyed: SoftHSM, attribute: str) -> None:
    """A token that differs in one thing from what the URI says is another token."""
    with pytest.raises(SignerAwayError, match="is not there"):
        open_token_key(keyed.uri("H26").replace("token=H26", f"token=H26;{attribute}"))


@pytest.mark.parametrize("profile", [Profile.ES256, Profile.RSA_PSS_SHA256])
def test_registrar_signs_with_a_token(token: SoftHSM, tmp_path: Path, profile: Profile) -> None:
    """A registrar's key has no certificate: its public half is what the token shows."""
    private_key = generate_signing_key(profile)
    put_on(token, private_key, tmp_path)
    signer = open_token_registrar_signer(token.uri("H26"))
    encoded = private_key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)

    assert (encoded, sha256(encoded).digest()) == (signer.public_key, signer.key)
    verify_signature(signer.profile, private_key.public_key(), signer.sign(b"entry"), b"entry")


def test_registrar_does_not_sign_with_ed25519(token: SoftHSM, tmp_path: Path) -> None:
    """Such keys are for agencies, also where they are on a token: nobody would believe the directory."""
    put_on(token, generate_signing_key(Profile.ED25519), tmp_path)

    with pytest.raises(KeyFileError, match="only P-256 and RSA keys may sign the directory"):
        open_token_registrar_signer(token.uri("H26"))


def test_curve_that_may_not_sign_is_refused(token: SoftHSM, tmp_path: Path) -> None:
    """A key that the directory would refuse is refused here, by its kind."""
    put_on(token, ec.generate_private_key(ec.SECP384R1()), tmp_path)

    with pytest.raises(KeyFileError, match="is an EC key on secp384r1"):
        open_token_key(token.uri("H26"))


def test_public_key_is_the_one_on_the_token(keyed: SoftHSM, private_key: PrivateKey) -> None:
    """The public half is read without a PIN, bit for bit."""
    assert public_key_bytes(private_key.public_key()) == public_key_bytes(open_token_key(keyed.uri("H26")).public_key)


def test_certificate_of_a_key_that_signs_only_beside_another_is_refused(softhsm: SoftHSM) -> None:
    """A token is not asked for the signature of ML-DSA-65 alone, which no agency has."""
    certificate = make_certificate(mldsa.MLDSA65PrivateKey.generate(), "vn:H26", now_ms=NOW_MS)

    with pytest.raises(KeyFileError, match="may sign beside an ES256 key only"):
        open_token_signer(softhsm.uri("H26"), certificate)
