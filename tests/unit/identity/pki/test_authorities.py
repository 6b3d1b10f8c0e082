"""Authorities as they may stand in the directory."""

from __future__ import annotations

from hashlib import sha256

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from docbus.errors import IdentityError
from docbus.identity.pki.authorities import MAX_INTERMEDIATES, NO_AUTHORITIES, check_anchor
from docbus.identity.pki.profile import MAX_CERTIFICATE_BYTES
from tests.support.pki import TestAuthority, authorities_of, usage

ROOT = TestAuthority()
MANY = [TestAuthority(name=f"Issuing {at}", above=ROOT, serial=at + 2) for at in range(MAX_INTERMEDIATES + 1)]


def test_an_authority_is_known_by_the_digest_of_its_certificate() -> None:
    """With as many below it as one entry may name."""
    assert sha256(ROOT.der).digest() == check_anchor(ROOT.der, tuple(one.der for one in MANY[:-1]))


def test_an_authority_that_another_has_issued_may_be_an_anchor() -> None:
    """The registrar may trust one of a national hierarchy without trusting the others."""
    assert sha256(MANY[0].der).digest() == check_anchor(MANY[0].der, ())


def _forged() -> bytes:
    changed = bytearray(ROOT.der)
    changed[-1] ^= 1
    return bytes(changed)


@pytest.mark.parametrize(
    ("certificate", "below", "expected"),
    [
        pytest.param(b"no certificate", (), "cannot be read", id="unreadable"),
        pytest.param(bytes(MAX_CERTIFICATE_BYTES + 1), (), "are allowed", id="too large"),
        pytest.param(ROOT.issue().public_bytes(Encoding.DER), (), "make it an authority's", id="agency"),
        pytest.param(
            TestAuthority(changed={x509.KeyUsage: (usage("crl_sign"), True)}).der,
            (),
            "keyCertSign",
            id="no keyCertSign",
        ),
        pytest.param(_forged(), (), "signature is not valid", id="forged"),
        pytest.param(ROOT.der, (TestAuthority(name="Self").der,), "nobody else", id="self-issued below"),
        pytest.param(ROOT.der, (MANY[0].der, MANY[0].der), "twice", id="twice"),
        pytest.param(ROOT.der, tuple(one.der for one in MANY), "5 intermediate authorities; 4", id="too many"),
    ],
)
def test_what_is_no_authority_is_refused(certificate: bytes, below: tuple[bytes, ...], expected: str) -> None:
    """Each thing that makes an authority one, and each bound, is asked for."""
    with pytest.raises(IdentityError, match=expected):
        check_anchor(certificate, below)


def test_an_authority_named_again_takes_its_own_place() -> None:
    """Other authorities below it, and the same anchor."""
    known = authorities_of(ROOT.anchor(), ROOT.anchor(MANY[0], position=5))

    assert [5] == [one.named_at for one in known.anchors]
    assert known.anchor(ROOT.anchor().digest) is known.anchors[0]
    assert 1 == len(known.intermediates)
    assert None is NO_AUTHORITIES.store
