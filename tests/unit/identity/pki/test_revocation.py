"""What authorities say of certificates: when it counts, and each single thing for which it does not (§6 row 13)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, mldsa, rsa
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509 import ocsp
from cryptography.x509.oid import ExtendedKeyUsageOID

from docbus.errors import IdentityError, MalformedError
from docbus.identity.pki import crl
from docbus.identity.pki.crl import MAX_LIST_BYTES, read_list
from docbus.identity.pki.judge import judge
from docbus.identity.pki.material import MAX_PIECES, NOTHING_KNOWN, ValidationMaterial, read_piece
from docbus.identity.pki.ocsp import MAX_RESPONSE_BYTES, MAX_RESPONSE_CERTIFICATES, read_response, request_for
from tests.support.pki import AGENCY, TestAuthority, authorities_of, day, entry_of, ms, responder_of, usage

if TYPE_CHECKING:
    from docbus.identity.pki.verdict import PathVerdict

ROOT = TestAuthority()
BELOW = TestAuthority(name="Issuing", above=ROOT, serial=0x77)
KEY = ec.generate_private_key(ec.SECP256R1())
LEAF = ROOT.issue(KEY)
SERIAL = LEAF.serial_number
Reason = x509.ReasonFlags
HELD, COMPROMISED, SUPERSEDED = Reason.certificate_hold, Reason.key_compromise, Reason.superseded
STRANGE = x509.UnrecognizedExtension(x509.ObjectIdentifier("1.2.3.4"), b"\x05\x00")
SKEW_MS = 300_000


def verdict(*pieces: bytes, days: float = 0, leaf: x509.Certificate = LEAF, live: bool = False) -> PathVerdict:
    """Return the verdict on a certificate directly below the root."""
    return judge(
        leaf,
        AGENCY,
        authorities_of(ROOT.anchor(BELOW)),
        ValidationMaterial(read_piece(one) for one in pieces),
        at_ms=ms(days),
        known_by_ms=ms(days) + SKEW_MS if live else None,
    )


def said(*pieces: bytes, **told: Any) -> tuple[str, str | None]:
    """Return outcome and code."""
    found = verdict(*pieces, **told)
    return found.outcome.value, found.code


UNKNOWN = ("indeterminate", "revocation_unknown")
REVOKED = ("failed", "revoked_by_authority")
PASSED = ("passed", None)


def test_nothing_known_is_indeterminate() -> None:
    """There is no soft failure: without a word of the authority nothing passes."""
    found = judge(LEAF, AGENCY, authorities_of(ROOT.anchor()), NOTHING_KNOWN, at_ms=ms(0))

    assert UNKNOWN == (found.outcome.value, found.code)
    assert "X4" == found.steps[-1].step.number


@pytest.mark.parametrize("piece", [ROOT.revocations(), ROOT.response(LEAF)], ids=["list", "response"])
def test_a_current_list_or_response_is_enough(piece: bytes) -> None:
    """Either of the two says that nothing was revoked, and the verdict names it."""
    found = verdict(piece, live=True)

    assert PASSED == (found.outcome.value, found.code)
    assert (read_piece(piece).digest,) == found.rests_on
    assert [LEAF.fingerprint(hashes.SHA256()), ROOT.anchor().digest] == list(found.path)


def test_a_verdict_holds_until_the_list_ends() -> None:
    """Until then nothing changes, so that it need not be asked for each record."""
    found = verdict(ROOT.revocations(ends=6), live=True)

    assert (ms(-10), ms(6)) == (found.since_ms, found.until_ms)
    assert PASSED == said(ROOT.revocations(ends=6), days=6)
    assert UNKNOWN == said(ROOT.revocations(ends=6), days=6.0001)


def test_every_certificate_of_the_path_is_asked_about() -> None:
    """The intermediate authority may be revoked as well, and must be known not to be."""
    leaf = BELOW.issue()
    below, above = BELOW.revocations(), ROOT.revocations()
    revoked = ROOT.revocations([(0x77, -1, SUPERSEDED)])

    assert [UNKNOWN, UNKNOWN, PASSED, REVOKED] == [
        said(*pieces, leaf=leaf) for pieces in ((below,), (above,), (below, above), (below, revoked))
    ]


@pytest.mark.parametrize(
    ("days", "expected"), [(-3, PASSED), (-2.001, PASSED), (-2, REVOKED), (0, REVOKED), (50, REVOKED)]
)
def test_a_revocation_acts_from_its_time(days: float, expected: tuple[str, str | None]) -> None:
    """What was signed before is as good as it was, and a list that ended long ago still says that it is revoked."""
    assert expected == said(ROOT.revocations([(SERIAL, -2, SUPERSEDED)]), days=days)


def test_an_ocsp_revocation_acts_alike() -> None:
    """A response has its own form for the same."""
    piece = ROOT.response(LEAF, ocsp.OCSPCertStatus.REVOKED, revoked=-2, reason=SUPERSEDED)

    assert [PASSED, REVOKED] == [said(piece, days=days) for days in (-3, 0)]


def test_a_compromise_acts_back_to_when_the_key_was_lost() -> None:
    """An invalidity date counts for a compromise, and only for that."""
    invalid = x509.InvalidityDate(day(-5).replace(tzinfo=None)), False
    compromised = ROOT.revocations([entry_of(SERIAL, -2, COMPROMISED, invalid)])
    superseded = ROOT.revocations([entry_of(SERIAL, -2, SUPERSEDED, invalid)])

    assert [PASSED, REVOKED] == [said(compromised, days=days) for days in (-6, -4)]
    assert PASSED == said(superseded, days=-4)


def test_a_revocation_to_come_ends_the_verdict_before() -> None:
    """An authority may say today that a certificate ends on Friday."""
    piece = ROOT.revocations([(SERIAL, 3, Reason.cessation_of_operation)])

    assert ms(3) - 1 == verdict(piece).until_ms
    assert [PASSED, REVOKED] == [said(piece, days=days) for days in (2, 3)]


def test_a_hold_decides_nothing_until_it_is_released() -> None:
    """On hold is neither; and a later list without it releases the certificate."""
    held, released = ROOT.revocations([(SERIAL, -2, HELD)]), ROOT.revocations(number=2)

    assert ("indeterminate", "certificate_on_hold") == said(held)
    assert PASSED == said(held, released)


def test_a_revocation_stays_one_though_a_later_list_forgets_it() -> None:
    """Only a hold may be lifted: whoever has the older list still knows, and tells what the newer one has forgotten."""
    older, newer = ROOT.revocations([(SERIAL, -2, SUPERSEDED)], number=7), ROOT.revocations(number=8)
    found = verdict(older, newer, live=True)

    assert REVOKED == (found.outcome.value, found.code)
    assert (read_piece(older).digest,) == found.rests_on
    assert "as of 2026-11-21" in found.text
    assert found.text.endswith("says list 7; list 8, which is newer, has forgotten it")
    assert "forgotten" not in verdict(older, live=True).text


def test_what_is_dropped_after_the_end_of_a_certificate_is_not_held_against_its_authority() -> None:
    """A list that was made after the end need not have the entry, and the older one still decides."""
    leaf = ROOT.issue(ends=2)
    older, newer = ROOT.revocations([(SERIAL, -2, SUPERSEDED)]), ROOT.revocations(number=2, begins=3, ends=9)
    found = verdict(older, newer, leaf=leaf, days=1)

    assert REVOKED == (found.outcome.value, found.code)
    assert "forgotten" not in found.text


@pytest.mark.parametrize("scope", [None, "http://ca.test/one.crl"], ids=["all agencies", "one distribution point"])
def test_a_revocation_in_a_scoped_list_stays_one_as_well(scope: str | None) -> None:
    """Each part of an authority's lists has its own numbers, and is held to its own former word."""
    uris = None if scope is None else [x509.UniformResourceIdentifier(scope)]
    changed: Any = {}
    if uris is not None:
        points = x509.CRLDistributionPoints([x509.DistributionPoint(uris, None, None, None)])
        changed = {x509.CRLDistributionPoints: (points, False)}
    part = [(x509.IssuingDistributionPoint(uris, None, True, False, None, False, False), True)]
    leaf = ROOT.issue(changed=changed)
    older = ROOT.revocations([(SERIAL, -2, SUPERSEDED)], number=1, more=part)

    assert PASSED == said(ROOT.revocations(number=2, more=part), ROOT.revocations(number=9), leaf=leaf)
    assert REVOKED == said(older, ROOT.revocations(number=2, more=part), ROOT.revocations(number=9), leaf=leaf)


def test_one_bad_word_outweighs_a_good_one() -> None:
    """A list that knows of a revocation decides, whatever a response says."""
    assert REVOKED == said(ROOT.revocations([(SERIAL, -2, SUPERSEDED)]), ROOT.response(LEAF))


def test_a_list_that_was_rolled_back_says_nothing_good() -> None:
    """A lower number with a later day is an older state in a new wrapping; the newest by number has ended."""
    newest = ROOT.revocations(number=8, begins=-9, ends=-2)
    rolled_back = ROOT.revocations(number=7, begins=-1, ends=6)

    assert PASSED == said(rolled_back)
    assert UNKNOWN == said(rolled_back, newest)


def test_what_was_said_after_the_end_of_a_certificate_is_no_news_of_it() -> None:
    """An authority need not list expired certificates any more, so that silence means nothing."""
    leaf = ROOT.issue(ends=2)
    late = ROOT.revocations(begins=3, ends=9)

    assert UNKNOWN == said(late, leaf=leaf, days=1)
    assert PASSED == said(ROOT.revocations(begins=1, ends=9), leaf=leaf, days=1)


def test_what_claims_to_come_from_the_future_is_passed_by_live() -> None:
    """A list that is made tomorrow decides nothing today, and for an auditor who asks about today it does."""
    tomorrow = ROOT.revocations(begins=1, ends=9)

    assert UNKNOWN == said(tomorrow, live=True)
    assert PASSED == said(tomorrow)


def test_a_verdict_ends_before_what_is_passed_by_begins_to_count() -> None:
    """Once a list that was of the future is not any more, it is asked again."""
    found = verdict(ROOT.revocations(), ROOT.revocations(number=2, begins=1, ends=9), live=True)

    assert ms(1) - 1 - SKEW_MS == found.until_ms


@pytest.mark.parametrize("days", [-2, 7])
def test_a_stale_response_says_nothing_good(days: float) -> None:
    """A response that was good last week is nothing to staple to today's statement."""
    assert UNKNOWN == said(ROOT.response(LEAF, begins=-9, ends=-3), days=days)


# --- who speaks --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "piece",
    [
        pytest.param(TestAuthority(name="Other").revocations(), id="another authority's list"),
        pytest.param(TestAuthority(name="Other").revocations(issuer="Root"), id="its name, another key"),
        pytest.param(TestAuthority(name="Root").response(LEAF), id="response, its name, another key"),
        pytest.param(ROOT.response(ROOT.issue(serial=5)), id="response about another serial"),
        pytest.param(BELOW.response(ROOT.issue(serial=SERIAL), issuer=BELOW), id="response about another authority's"),
        pytest.param(ROOT.response(LEAF, ocsp.OCSPCertStatus.UNKNOWN), id="response of one who does not know"),
        pytest.param(
            ROOT.revocations(more=[(x509.IssuingDistributionPoint(None, None, False, True, None, False, False), True)]),
            id="list of authorities only",
        ),
        pytest.param(
            ROOT.revocations(
                more=[
                    (
                        x509.IssuingDistributionPoint(
                            [x509.UniformResourceIdentifier("http://ca.test/other.crl")],
                            None,
                            False,
                            False,
                            None,
                            False,
                            False,
                        ),
                        True,
                    )
                ]
            ),
            id="list of another distribution point",
        ),
    ],
)
def test_what_is_not_the_authoritys_word_on_this_certificate_counts_for_nothing(piece: bytes) -> None:
    """Each is genuine in its own place, and says nothing here."""
    assert UNKNOWN == said(piece)


def test_a_list_of_the_certificates_own_distribution_point_counts() -> None:
    """An authority may cut its lists into parts, and says in each certificate which is its own."""
    uri = x509.UniformResourceIdentifier("http://ca.test/one.crl")
    points = x509.CRLDistributionPoints([x509.DistributionPoint([uri], None, None, None)])
    leaf = ROOT.issue(changed={x509.CRLDistributionPoints: (points, False)})
    piece = ROOT.revocations(more=[(x509.IssuingDistributionPoint([uri], None, True, False, None, False, False), True)])

    assert PASSED == said(piece, leaf=leaf)
    assert UNKNOWN == said(piece)


def test_an_authority_that_may_not_sign_lists_has_none() -> None:
    """Without cRLSign in its certificate, a list is nothing, though the key is right."""
    root = TestAuthority(changed={x509.KeyUsage: (usage("key_cert_sign"), True)})
    leaf = root.issue()
    found = judge(
        leaf,
        AGENCY,
        authorities_of(root.anchor()),
        ValidationMaterial([read_list(root.revocations())]),
        at_ms=ms(0),
    )

    assert UNKNOWN == (found.outcome.value, found.code)


@pytest.mark.parametrize("at", [30, -1])
def test_a_list_with_one_bit_changed_is_nobodys(at: int) -> None:
    """In what is signed, or in the signature: either it cannot be read, or it counts for nothing."""
    changed = bytearray(ROOT.revocations())
    changed[at] ^= 1
    try:
        assert UNKNOWN == said(bytes(changed))
    except (MalformedError, IdentityError):
        assert 30 == at


def test_a_responder_that_the_authority_has_entrusted_may_speak() -> None:
    """By its name as by its key's hash."""
    responder = responder_of(ROOT)
    both = (ocsp.OCSPResponderEncoding.HASH, ocsp.OCSPResponderEncoding.NAME)

    assert [PASSED, PASSED] == [said(ROOT.response(LEAF, signer=responder, encoding=one)) for one in both]


@pytest.mark.parametrize(
    "responder",
    [
        pytest.param(responder_of(ROOT, purposes=None), id="no purpose"),
        pytest.param(responder_of(ROOT, purposes=(ExtendedKeyUsageOID.CLIENT_AUTH,)), id="another purpose"),
        pytest.param(responder_of(ROOT, no_check=False), id="would have to be checked itself"),
        pytest.param(responder_of(ROOT, ends=-1), id="expired"),
        pytest.param(responder_of(TestAuthority()), id="entrusted by somebody else"),
        pytest.param(responder_of(BELOW), id="entrusted by another authority of the path"),
        pytest.param((LEAF, KEY), id="an agency"),
    ],
)
def test_a_responder_that_is_not_entrusted_says_nothing(responder: Any) -> None:
    """Each thing that makes a responder one is asked for."""
    assert UNKNOWN == said(ROOT.response(LEAF, signer=responder))


def test_a_responder_whose_certificate_is_not_sent_along_says_nothing() -> None:
    """Nobody is asked for it."""
    assert UNKNOWN == said(ROOT.response(LEAF, signer=responder_of(ROOT), certificates=[]))


@pytest.mark.parametrize(
    "key",
    [
        pytest.param(rsa.generate_private_key(public_exponent=65537, key_size=2048), id="RSA"),
        pytest.param(mldsa.MLDSA65PrivateKey.generate(), id="ML-DSA-65"),
    ],
)
def test_authorities_speak_with_every_allowed_kind_of_key(key: Any) -> None:
    """Lists and responses are verified for what their authorities sign with."""
    root = TestAuthority(key=key)
    leaf = root.issue()
    pieces = [root.revocations()]
    if isinstance(key, rsa.RSAPrivateKey):
        pieces.append(root.response(leaf))
    outcomes = [
        judge(
            leaf, AGENCY, authorities_of(root.anchor()), ValidationMaterial([read_piece(one)]), at_ms=ms(0)
        ).outcome.value
        for one in pieces
    ]

    assert ["passed"] * len(pieces) == outcomes


def _with_a_weak_hash(piece: bytes) -> bytes:
    """Put ecdsa-with-SHA224 in the place of ecdsa-with-SHA256, which has a name as long."""
    return piece.replace(bytes.fromhex("2a8648ce3d040302"), bytes.fromhex("2a8648ce3d040301"))


# --- what cannot be used -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("piece", "expected"),
    [
        pytest.param(_with_a_weak_hash(ROOT.revocations()), "over a sha224 hash", id="weak hash"),
        pytest.param(_with_a_weak_hash(ROOT.response(LEAF)), "over a sha224 hash", id="response, weak hash"),
        pytest.param(ROOT.revocations(number=None), "without a number", id="no number"),
        pytest.param(ROOT.revocations(more=[(x509.DeltaCRLIndicator(1), True)]), "a delta", id="delta"),
        pytest.param(
            ROOT.revocations(more=[(x509.IssuingDistributionPoint(None, None, False, False, None, True, False), True)]),
            "an indirect",
            id="indirect",
        ),
        pytest.param(
            ROOT.revocations(
                more=[
                    (
                        x509.IssuingDistributionPoint(
                            None, None, False, False, frozenset({Reason.key_compromise}), False, False
                        ),
                        True,
                    )
                ]
            ),
            "for some reasons",
            id="some reasons",
        ),
        pytest.param(
            ROOT.revocations(more=[(x509.IssuingDistributionPoint(None, None, False, False, None, False, True), True)]),
            "attribute certificates",
            id="attribute certificates",
        ),
        pytest.param(
            ROOT.revocations(
                more=[
                    (
                        x509.IssuingDistributionPoint(
                            [x509.DNSName("ca.test")], None, False, False, None, False, False
                        ),
                        True,
                    )
                ]
            ),
            "otherwise than by a URI",
            id="point by another name",
        ),
        pytest.param(ROOT.revocations(more=[(STRANGE, True)]), "critical extension", id="critical extension"),
        pytest.param(
            ROOT.revocations([entry_of(5, -1, SUPERSEDED, (STRANGE, True))]), "an entry whose critical", id="entry"
        ),
        pytest.param(
            ROOT.revocations([(5, -1, Reason.remove_from_crl)]), "takes an entry back", id="entry of a delta list"
        ),
        pytest.param(ROOT.response(LEAF, ends=None), "until when it holds", id="response without an end"),
        pytest.param(
            ocsp.OCSPResponseBuilder.build_unsuccessful(ocsp.OCSPResponseStatus.TRY_LATER).public_bytes(Encoding.DER),
            "that is an error: TRY_LATER",
            id="response that is an error",
        ),
        pytest.param(
            ROOT.response(LEAF, signer=responder_of(ROOT), certificates=[LEAF] * (MAX_RESPONSE_CERTIFICATES + 1)),
            "more than 4 certificates",
            id="response with too many certificates",
        ),
    ],
)
def test_what_cannot_be_used_is_refused_when_it_is_read(piece: bytes, expected: str) -> None:
    """It could say something else than it seems to, so it says nothing."""
    with pytest.raises(IdentityError, match=expected):
        read_piece(piece)


@pytest.mark.parametrize("reader", [read_list, read_response, read_piece])
@pytest.mark.parametrize("content", [b"", b"0", b"0\x03\x02\x01\x00", LEAF.public_bytes(Encoding.DER)])
def test_other_bytes_are_no_material(reader: Any, content: bytes) -> None:
    """What is neither list nor response is told so."""
    with pytest.raises(MalformedError):
        reader(content)


@pytest.mark.parametrize(
    ("reader", "limit"), [(read_list, MAX_LIST_BYTES), (read_response, MAX_RESPONSE_BYTES)], ids=["list", "response"]
)
def test_material_has_a_bounded_size(reader: Any, limit: int) -> None:
    """A byte too much is not looked at."""
    with pytest.raises(MalformedError, match="are allowed"):
        reader(bytes(limit + 1))


def test_a_list_has_a_bounded_number_of_entries(monkeypatch: pytest.MonkeyPatch) -> None:
    """One entry too many, and the list is refused rather than cut."""
    monkeypatch.setattr(crl, "MAX_LIST_ENTRIES", 2)
    entries = [(serial, -1.0, SUPERSEDED) for serial in (1, 2, 3)]

    assert 2 == len(read_list(ROOT.revocations(entries[:2])).revoked)
    with pytest.raises(IdentityError, match="more than 2 entries"):
        read_list(ROOT.revocations(entries))


def test_material_has_a_bounded_number_of_pieces() -> None:
    """What is kept ready does not grow without end."""
    piece = read_list(ROOT.revocations())
    copies = []
    for at in range(MAX_PIECES + 1):
        one = object.__new__(type(piece))
        for name in type(piece).__slots__:
            object.__setattr__(one, name, getattr(piece, name))
        object.__setattr__(one, "digest", at.to_bytes(32, "big"))
        copies.append(one)

    assert MAX_PIECES == len(ValidationMaterial(copies[:-1]).pieces)
    with pytest.raises(IdentityError, match="are used at a time"):
        ValidationMaterial(copies)


def test_a_request_asks_about_one_certificate_and_its_answer_repeats_the_nonce() -> None:
    """Whoever asked can tell the answer from one that was kept."""
    asked = ocsp.load_der_ocsp_request(request_for(LEAF, ROOT.certificate, b"n" * 16))

    assert SERIAL == asked.serial_number
    assert b"n" * 16 == asked.extensions.get_extension_for_class(x509.OCSPNonce).value.nonce
    assert b"n" * 16 == read_response(ROOT.response(LEAF, nonce=b"n" * 16)).nonce
    assert None is read_response(ROOT.response(LEAF)).nonce
