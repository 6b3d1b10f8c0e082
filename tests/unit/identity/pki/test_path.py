"""Paths to an authority: the valid one at its times, and each single thing that makes it none (§6 row 14)."""

from __future__ import annotations

from typing import Any, NamedTuple

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, ed448, ed25519, mldsa, rsa
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.x509.oid import ExtendedKeyUsageOID

from docbus.identity.pki.judge import validate_path
from docbus.identity.pki.path import MAX_PATH_AUTHORITIES
from docbus.identity.pki.profile import MAX_ISSUED_DAYS
from docbus.identity.pki.verdict import Outcome
from tests.support.ed25519 import SMALL_ORDER
from tests.support.pki import AGENCY, TestAuthority, authorities_of, ms, name_of, usage

P256 = ec.generate_private_key(ec.SECP256R1())
ROOT = TestAuthority()
BELOW = TestAuthority(name="Issuing", above=ROOT, serial=2, path_length=0)


def said(leaf: x509.Certificate, *anchors: Any, days: float = 0, agency: str = AGENCY) -> tuple[str, str, str]:
    """Return number, outcome and text of the last step of X1 to X3."""
    _, steps = validate_path(leaf, agency, authorities_of(*anchors), at_ms=ms(days))
    last = steps[-1]
    return last.step.number, last.outcome.value, last.text


def test_a_path_over_an_intermediate_authority_is_valid_during_all_its_periods() -> None:
    """The leaf's period is inside the authorities' and decides; at its ends it holds, a day beyond it does not."""
    leaf = BELOW.issue(P256, begins=-10, ends=700)
    anchor = ROOT.anchor(BELOW)

    assert ["passed", "passed", "failed", "failed"] == [
        said(leaf, anchor, days=days)[1] for days in (-10, 700, -11, 701)
    ]


def test_a_path_is_valid_at_a_past_time_after_all_has_expired() -> None:
    """Asked in ten years for a day of today, the answer is today's."""
    root = TestAuthority(ends=800)
    leaf = root.issue(P256)

    assert "passed" == said(leaf, root.anchor(), days=1)[1]
    assert "failed" == said(leaf, root.anchor(), days=3650)[1]


@pytest.mark.parametrize(
    "key",
    [
        pytest.param(ec.generate_private_key(ec.SECP256R1()), id="P-256"),
        pytest.param(ec.generate_private_key(ec.SECP521R1()), id="P-521"),
        pytest.param(rsa.generate_private_key(public_exponent=65537, key_size=3072), id="RSA-3072"),
        pytest.param(mldsa.MLDSA65PrivateKey.generate(), id="ML-DSA-65"),
    ],
)
def test_authorities_issue_with_every_allowed_kind_of_key(key: Any) -> None:
    """What authorities of today and of the next decade sign with is accepted."""
    root = TestAuthority(key=key)

    assert "passed" == said(root.issue(P256), root.anchor())[1]


@pytest.mark.parametrize(
    "key",
    [
        pytest.param(rsa.generate_private_key(public_exponent=65537, key_size=3072), id="RSA-3072"),
        pytest.param(mldsa.MLDSA65PrivateKey.generate(), id="ML-DSA-65"),
        pytest.param(ed25519.Ed25519PrivateKey.generate(), id="Ed25519"),
    ],
)
def test_agencies_are_issued_certificates_for_every_profile(key: Any) -> None:
    """RSA-PSS, Ed25519, and ML-DSA-65 beside ES256, are certified as ES256 is."""
    assert "passed" == said(ROOT.issue(key), ROOT.anchor())[1]


def test_a_certificate_that_names_no_agency_passes() -> None:
    """A national authority does not write docbus's names into certificates; the directory says whose it is."""
    leaf = ROOT.issue(P256, changed={x509.SubjectAlternativeName: None})

    assert "passed" == said(leaf, ROOT.anchor())[1]


FOREIGN = x509.SubjectAlternativeName([x509.UniformResourceIdentifier("urn:docbus:agency:vn:H37")])
STRANGE = x509.UnrecognizedExtension(x509.ObjectIdentifier("1.2.3.4"), b"\x05\x00")


@pytest.mark.parametrize(
    ("changed", "expected"),
    [
        ({x509.SubjectAlternativeName: (FOREIGN, False)}, "names another agency"),
        ({x509.KeyUsage: None}, "key usage is missing"),
        ({x509.KeyUsage: (usage("digital_signature"), False)}, "not critical"),
        ({x509.KeyUsage: (usage("content_commitment"), True)}, "not digitalSignature"),
        ({x509.KeyUsage: (usage("digital_signature", "key_agreement"), True)}, "not digitalSignature"),
        ({x509.KeyUsage: (usage("digital_signature", "key_cert_sign"), True)}, "not digitalSignature"),
        ({x509.ExtendedKeyUsage: None}, "not just documentSigning"),
        (
            {x509.ExtendedKeyUsage: (x509.ExtendedKeyUsage([ExtendedKeyUsageOID.CLIENT_AUTH]), False)},
            "not just documentSigning",
        ),
        (
            {x509.ExtendedKeyUsage: (x509.ExtendedKeyUsage([ExtendedKeyUsageOID.ANY_EXTENDED_KEY_USAGE]), False)},
            "not just documentSigning",
        ),
        ({x509.BasicConstraints: (x509.BasicConstraints(ca=True, path_length=None), True)}, "a certificate of a CA"),
        ({x509.UnrecognizedExtension: (STRANGE, True)}, "critical extension that is not understood"),
    ],
)
def test_a_leaf_that_is_not_an_agencys_is_refused(changed: Any, expected: str) -> None:
    """Each field of the profile for issued certificates is asked for (X1)."""
    number, outcome, text = said(ROOT.issue(P256, changed=changed), ROOT.anchor())

    assert ("X1", "failed") == (number, outcome)
    assert expected in text


def test_contentcommitment_alone_is_not_asked_for() -> None:
    """Many authorities set digitalSignature only."""
    leaf = ROOT.issue(P256, changed={x509.KeyUsage: (usage("digital_signature"), True)})

    assert "passed" == said(leaf, ROOT.anchor())[1]


def test_critical_policies_do_not_stop_a_path() -> None:
    """Any policy is accepted, so that it makes no difference whether an authority marks them critical."""
    policies = x509.CertificatePolicies([x509.PolicyInformation(x509.ObjectIdentifier("1.2.3"), None)])
    root = TestAuthority(changed={x509.CertificatePolicies: (policies, True)})
    leaf = root.issue(P256, changed={x509.CertificatePolicies: (policies, True)})

    assert "passed" == said(leaf, root.anchor())[1]


class _Weak(NamedTuple):
    """A key of which there is no private half."""

    public: Ed25519PublicKey

    def public_key(self) -> Ed25519PublicKey:
        return self.public


@pytest.mark.parametrize(
    "key",
    [
        pytest.param(_Weak(Ed25519PublicKey.from_public_bytes(next(iter(SMALL_ORDER.values())))), id="small order"),
        pytest.param(ed448.Ed448PrivateKey.generate(), id="Ed448"),
        pytest.param(ec.generate_private_key(ec.SECP521R1()), id="P-521"),
        pytest.param(ec.generate_private_key(ec.SECP256K1()), id="secp256k1"),
        pytest.param(rsa.generate_private_key(public_exponent=3, key_size=2048), id="RSA, exponent 3"),
        pytest.param(rsa.generate_private_key(public_exponent=65537, key_size=1024), id="RSA-1024"),  # noqa: S505 - weak on purpose
    ],
)
def test_a_leaf_with_a_weak_or_foreign_key_is_refused(key: Any) -> None:
    """The library lets every kind of key through in a leaf; docbus does not (§6 row 5)."""
    assert ("X1", "failed") == said(ROOT.issue(key), ROOT.anchor())[:2]


@pytest.mark.parametrize(("days", "outcome"), [(MAX_ISSUED_DAYS, "passed"), (MAX_ISSUED_DAYS + 1, "failed")])
def test_an_issued_certificate_is_valid_for_two_years_at_most(days: int, outcome: str) -> None:
    """A day more than the limit is refused."""
    assert outcome == said(ROOT.issue(P256, begins=-10, ends=days - 10), ROOT.anchor())[1]


def test_an_expired_root_ends_the_path() -> None:
    """RFC 5280 leaves the anchor's period open; here it counts."""
    root = TestAuthority(begins=-100, ends=5)
    leaf = root.issue(P256)

    assert ("X2", "failed") == said(leaf, root.anchor(), days=6)[:2]
    assert "passed" == said(leaf, root.anchor(), days=4)[1]


def test_a_cross_certificate_of_an_unknown_root_makes_no_path() -> None:
    """The issuing authority's key is right and its certificate is genuine, but by a root that nobody has named."""
    other = TestAuthority(name="Another root")
    crossed = TestAuthority(name="Issuing", key=BELOW.key, above=other, serial=7)

    assert ("X2", "failed") == said(BELOW.issue(P256), ROOT.anchor(crossed))[:2]


def test_a_look_alike_authority_makes_no_path() -> None:
    """The name is the root's, and the key is somebody else's."""
    assert ("X2", "failed") == said(TestAuthority().issue(P256), ROOT.anchor())[:2]


@pytest.mark.parametrize(
    "changed",
    [
        pytest.param({x509.BasicConstraints: None}, id="no basic constraints"),
        pytest.param({x509.BasicConstraints: (x509.BasicConstraints(ca=False, path_length=None), True)}, id="no CA"),
        pytest.param({x509.KeyUsage: (usage("crl_sign"), True)}, id="no keyCertSign"),
        pytest.param({x509.KeyUsage: None}, id="no key usage"),
        pytest.param({x509.UnrecognizedExtension: (STRANGE, True)}, id="critical unknown extension"),
        pytest.param(
            {
                x509.NameConstraints: (
                    x509.NameConstraints([x509.UniformResourceIdentifier("example.vn")], None),
                    True,
                )
            },
            id="name constraints of a kind that is not supported",
        ),
    ],
)
def test_an_intermediate_that_is_no_authority_makes_no_path(changed: Any) -> None:
    """Each field that makes an authority one is asked for (X2)."""
    below = TestAuthority(name="Issuing", above=ROOT, serial=3, changed=changed)

    assert ("X2", "failed") == said(below.issue(P256), ROOT.anchor(below))[:2]


def test_an_agency_cannot_issue_for_another() -> None:
    """A leaf that signs another certificate is no authority, wherever it stands."""
    leaf = ROOT.issue(P256)
    fake = TestAuthority(name=AGENCY, key=P256, above=ROOT, serial=9, changed={x509.BasicConstraints: None})
    fake.certificate = leaf
    issued = fake.issue(agency="vn:H37")

    assert ("X2", "failed") == said(issued, ROOT.anchor(fake), agency="vn:H37")[:2]


@pytest.mark.parametrize(
    "key",
    [
        pytest.param(ed25519.Ed25519PrivateKey.generate(), id="Ed25519"),
        pytest.param(rsa.generate_private_key(public_exponent=65537, key_size=1024), id="RSA-1024"),  # noqa: S505 - weak on purpose
        pytest.param(ec.generate_private_key(ec.SECP256K1()), id="secp256k1"),
    ],
)
def test_an_authority_with_a_weak_or_foreign_key_makes_no_path(key: Any) -> None:
    """The attack of an Ed25519 authority, and its kin."""
    below = TestAuthority(name="Issuing", key=key, above=ROOT, serial=4)

    assert ("X2", "failed") == said(below.issue(P256), ROOT.anchor(below))[:2]


def test_an_authority_with_a_small_exponent_is_refused() -> None:
    """What the library lets through, the profile for authorities does not (X3)."""
    below = TestAuthority(
        name="Issuing", key=rsa.generate_private_key(public_exponent=3, key_size=2048), above=ROOT, serial=4
    )

    assert ("X3", "failed") == said(below.issue(P256), ROOT.anchor(below))[:2]


def test_an_authority_for_web_servers_is_refused() -> None:
    """An authority whose own certificate is for another purpose issues none for documents (X3)."""
    purposes = x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH])
    below = TestAuthority(name="Issuing", above=ROOT, serial=4, changed={x509.ExtendedKeyUsage: (purposes, False)})

    assert ("X3", "failed") == said(below.issue(P256), ROOT.anchor(below))[:2]


def test_a_path_length_is_kept() -> None:
    """An authority below one that may have none below itself makes no path."""
    deeper = TestAuthority(name="Deeper", above=BELOW, serial=5)

    assert ("X2", "failed") == said(deeper.issue(P256), ROOT.anchor(BELOW, deeper))[:2]


def test_a_path_has_a_bounded_number_of_authorities() -> None:
    """As many as are allowed make one, and one more does not."""
    chain = [TestAuthority(name="A0")]
    for at in range(1, MAX_PATH_AUTHORITIES + 2):
        chain.append(TestAuthority(name=f"A{at}", above=chain[-1], serial=at))
    anchor = chain[0].anchor(*chain[1:])
    found = [said(one.issue(P256), anchor)[1] for one in chain[-2:]]

    assert ["passed", "failed"] == found


def test_an_authority_that_another_has_issued_may_end_a_path() -> None:
    """Who trusts one of a national hierarchy need not trust the one above it."""
    assert "passed" == said(BELOW.issue(P256), BELOW.anchor())[1]


def test_what_an_ended_authority_has_issued_leads_nowhere() -> None:
    """Once the directory names no authority any more, nothing passes."""
    leaf = ROOT.issue(P256)
    ended = authorities_of(ROOT.anchor()).without_anchor(ROOT.anchor().digest)
    _, steps = validate_path(leaf, AGENCY, ended, at_ms=ms(0))

    assert Outcome.FAILED is steps[-1].outcome
    assert leaf.issuer.public_bytes() in ended.names
    assert name_of("Root").public_bytes() in ended.names
