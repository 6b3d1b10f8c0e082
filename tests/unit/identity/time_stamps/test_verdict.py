from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import ExtendedKeyUsageOID
from hypothesis import given
from hypothesis import strategies as st

from docbus.errors import ConfigurationError, MalformedError, TimeStampError
from docbus.identity.time_stamps import anchors as anchors_module
from docbus.identity.time_stamps import asking
from docbus.identity.time_stamps import verdict as verdict_module
from docbus.identity.time_stamps.anchors import MAX_ANCHOR_BYTES, MAX_ANCHORS, Anchors
from docbus.identity.time_stamps.asking import MAX_SAID_CHARACTERS, Question
from docbus.identity.time_stamps.token import MAX_TOKEN_BYTES, decode_response, describe, read_token, response_of
from docbus.identity.time_stamps.verdict import Outcome, Reason, judge
from docbus.limits import MAX_CLOCK_SKEW_MS
from tests.support.time_stamps import NAME, OTHER_POLICY, POLICY, Authority, element, signed_twice, with_certificate

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


STAMPED = b"what existed"


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("tsa"))


@pytest.fixture(scope="module")
def anchors(authority: Authority) -> Anchors:
    return anchors_of(authority)


@pytest.fixture(scope="module")
def question() -> Question:
    return Question.about(STAMPED)


@pytest.fixture(scope="module")
def answer(authority: Authority, question: Question) -> bytes:
    return authority.answer(question.encoded)


@pytest.fixture(scope="module")
def token(answer: bytes) -> bytes:
    return describe(decode_response(answer)).token


def anchors_of(authority: Authority) -> Anchors:
    return Anchors.load(authority.anchor.read_bytes(), "tsa-ca.pem")


def made_by(authority: Authority) -> bytes:
    return describe(decode_response(authority.answer(Question.about(STAMPED).encoded))).token


def test_a_good_token_passes_and_says_when_and_by_whom(token: bytes, anchors: Anchors) -> None:
    """A token of a pinned authority proves that the bytes existed at its time."""
    verdict = judge(token, STAMPED, anchors, policy=POLICY)

    assert (Outcome.PASSED, None) == (verdict.outcome, verdict.reason)
    assert verdict.stamp is not None
    assert f"CN={NAME}" == verdict.stamp.authority
    assert verdict.text.startswith("existed at latest at 20")


def test_other_bytes_fail(token: bytes, anchors: Anchors) -> None:
    """A token proves nothing about bytes that it does not hold the digest of."""
    assert Reason.IMPRINT is judge(token, STAMPED + b"!", anchors).reason


def test_without_an_anchor_nothing_is_decided(token: bytes) -> None:
    """Whoever names no authority is told that nothing was checked."""
    verdict = judge(token, STAMPED, None)

    assert (Outcome.INDETERMINATE, Reason.NO_ANCHOR) == (verdict.outcome, verdict.reason)


@pytest.mark.parametrize("name", ["Another authority", NAME])
def test_an_authority_that_is_not_pinned_is_unknown(name: str, token: bytes, tmp_path: Path) -> None:
    """A chain that leads elsewhere decides nothing, even if the names are the same."""
    verdict = judge(token, STAMPED, anchors_of(Authority(tmp_path, name=name)))

    assert (Outcome.INDETERMINATE, Reason.UNKNOWN_AUTHORITY) == (verdict.outcome, verdict.reason)


def test_another_policy_fails(token: bytes, anchors: Anchors) -> None:
    """Where one policy is asked for, a token under another one does not count."""
    assert Reason.POLICY is judge(token, STAMPED, anchors, policy=OTHER_POLICY).reason


def test_a_changed_signature_fails(token: bytes, anchors: Anchors) -> None:
    """One bit of the signature is enough."""
    verdict = judge(token[:-1] + bytes([token[-1] ^ 1]), STAMPED, anchors)

    assert (Outcome.FAILED, Reason.SIGNATURE) == (verdict.outcome, verdict.reason)


def test_a_changed_time_fails(token: bytes, anchors: Anchors) -> None:
    """The time that a token states is covered by its signature."""
    at = token.index(b"\x18\x0f20") + 15
    other = b"1" if token[at : at + 1] == b"0" else b"0"

    verdict = judge(token[:at] + other + token[at + 1 :], STAMPED, anchors)

    assert (Outcome.FAILED, Reason.SIGNATURE) == (verdict.outcome, verdict.reason)


@pytest.mark.parametrize(
    "valid",
    [(-timedelta(days=9), -timedelta(days=2)), (timedelta(days=2), timedelta(days=9))],
    ids=["expired", "not-yet-valid"],
)
def test_a_certificate_out_of_its_time_fails(valid: tuple[timedelta, timedelta], tmp_path: Path) -> None:
    """The authority's certificate has to be valid at the time that the token states."""
    authority = Authority(tmp_path, valid=valid)

    assert Reason.EXPIRED is judge(made_by(authority), STAMPED, anchors_of(authority)).reason


@pytest.mark.parametrize(
    ("critical", "purpose"),
    [(False, ExtendedKeyUsageOID.TIME_STAMPING), (True, ExtendedKeyUsageOID.CODE_SIGNING)],
    ids=["not-critical", "code-signing"],
)
def test_a_certificate_for_something_else_fails(
    critical: bool, purpose: x509.ObjectIdentifier, authority: Authority, anchors: Anchors, token: bytes
) -> None:
    """The same key under a certificate that is not critically for time stamping makes no time stamps."""
    other = authority.certificate(critical=critical, purpose=purpose).public_bytes(Encoding.DER)

    assert Reason.USAGE is judge(with_certificate(token, other), STAMPED, anchors).reason


def test_a_certificate_without_a_purpose_fails(authority: Authority, anchors: Anchors, token: bytes) -> None:
    """A certificate that may be used for anything was not made for time stamps."""
    other = authority.certificate_without_purpose().public_bytes(Encoding.DER)

    assert Reason.USAGE is judge(with_certificate(token, other), STAMPED, anchors).reason


def test_a_token_with_two_signers_is_not_read(token: bytes, anchors: Anchors) -> None:
    """Of several signers one could be genuine and another one be looked at."""
    verdict = judge(signed_twice(token), STAMPED, anchors)

    assert Reason.MALFORMED is verdict.reason
    assert "2 signers" in verdict.text


def test_a_token_from_before_1970_is_not_read(token: bytes, anchors: Anchors) -> None:
    """A time that is none of docbus's is no time."""
    at = token.index(b"\x18\x0f20") + 2

    verdict = judge(token[:at] + b"1969" + token[at + 4 :], STAMPED, anchors)

    assert Reason.MALFORMED is verdict.reason
    assert "no calendar has" in verdict.text


def test_a_certificate_that_gives_way_late_is_malformed(
    token: bytes, anchors: Anchors, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Libraries read parts of a certificate only when they are asked for; that is a verdict as well."""

    def unreadable(*_arguments: object) -> None:
        raise x509.DuplicateExtension("twice", ExtendedKeyUsageOID.TIME_STAMPING)

    monkeypatch.setattr(verdict_module, "_signer_refusal", unreadable)

    verdict = judge(token, STAMPED, anchors)

    assert (Outcome.FAILED, Reason.MALFORMED) == (verdict.outcome, verdict.reason)


def test_a_token_without_its_certificate_fails(token: bytes, anchors: Anchors) -> None:
    """Whose token it is has to be in it."""
    assert Reason.SIGNER is judge(with_certificate(token, b""), STAMPED, anchors).reason


def test_a_token_that_is_too_large_is_not_read(anchors: Anchors) -> None:
    """Size comes before parsing."""
    verdict = judge(bytes(MAX_TOKEN_BYTES + 1), STAMPED, anchors)

    assert Reason.MALFORMED is verdict.reason
    assert f"{MAX_TOKEN_BYTES + 1} bytes" in verdict.text


def test_a_token_full_of_certificates_is_not_read(authority: Authority, token: bytes, anchors: Anchors) -> None:
    """The number of certificates is bounded before they are compared with each other."""
    many = sorted(authority.certificate().public_bytes(Encoding.DER) for _ in range(9))

    verdict = judge(with_certificate(token, b"".join(many)), STAMPED, anchors)

    assert Reason.MALFORMED is verdict.reason
    assert "9 certificates" in verdict.text


@pytest.mark.filterwarnings("ignore:Parsed a serial number")  # of certificates that the damage has made odd
@given(data=st.data())
def test_no_damage_passes_or_breaks_anything(data: st.DataObject, token: bytes, anchors: Anchors) -> None:
    """Whatever is changed in the signed part of a token, the answer is a verdict, and it is not passed."""
    at = data.draw(st.integers(0, len(token) - 1))
    flipped = token[:at] + bytes([token[at] ^ data.draw(st.integers(1, 255))]) + token[at + 1 :]

    verdict = judge(flipped, STAMPED, anchors)

    if verdict.outcome is Outcome.PASSED:
        assert verdict.stamp is not None
        original = read_token(token)
        assert (original.time_ms, original.imprint) == (verdict.stamp.time_ms, verdict.stamp.imprint)


@pytest.mark.parametrize(
    ("what", "damage"),
    [
        ("its version", lambda der: der.replace(b"\xa0\x03\x02\x01\x02", b"\xa0\x03\x02\x01\x0a", 1)),
        ("a text in its issuer", lambda der: der.replace(b"\x0c", b"\x4a", 1)),
        ("its subject", lambda der: der[::-1].replace(b"\x55\x04\x03"[::-1], b"\x55\x04\x80"[::-1], 1)[::-1]),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_certificate_that_cannot_be_read_makes_a_verdict(
    what: str, damage: Callable[[bytes], bytes], authority: Authority, anchors: Anchors, token: bytes
) -> None:
    """Whatever the libraries say of a damaged certificate, and whenever, it is a token that proves nothing."""
    der = authority.certificate().public_bytes(Encoding.DER)
    damaged = damage(der)
    assert der != damaged, what

    verdict = judge(with_certificate(token, damaged), STAMPED, anchors)

    assert verdict.outcome is not Outcome.PASSED


@given(st.binary(max_size=400))
def test_any_bytes_are_read_or_refused(noise: bytes) -> None:
    """Bytes that are no token make one named error and no other."""
    with pytest.raises(MalformedError):
        read_token(noise)


def test_a_response_is_made_of_a_token(answer: bytes, token: bytes) -> None:
    """What the authority had answered is what the library is given again."""
    assert token == describe(decode_response(response_of(token))).token
    assert token == describe(decode_response(answer)).token


# --- the answer to a question -------------------------------------------------------------------------


def now_of(token: bytes) -> int:
    return read_token(token).time_ms


def test_a_right_answer_is_accepted(question: Question, answer: bytes, anchors: Anchors, token: bytes) -> None:
    """What the authority grants is what is kept."""
    assert token == question.accept(answer, anchors, now_ms=now_of(token), policy=POLICY).token


def test_the_answer_to_another_question_is_refused(answer: bytes, anchors: Anchors, token: bytes) -> None:
    """An old answer about the same bytes has another nonce."""
    with pytest.raises(TimeStampError, match="another nonce"):
        Question.about(STAMPED).accept(answer, anchors, now_ms=now_of(token))


def test_an_answer_about_other_bytes_is_refused(answer: bytes, anchors: Anchors, token: bytes) -> None:
    """The imprint has to be that of what was sent."""
    with pytest.raises(TimeStampError, match="it is about other bytes"):
        Question.about(b"other bytes").accept(answer, anchors, now_ms=now_of(token))


@pytest.mark.parametrize("ahead", [1, -1])
def test_an_answer_of_another_time_is_refused(
    ahead: int, question: Question, answer: bytes, anchors: Anchors, token: bytes
) -> None:
    """An authority whose clock is wrong proves what is not so."""
    now_ms = now_of(token) + ahead * MAX_CLOCK_SKEW_MS
    question.accept(answer, anchors, now_ms=now_ms)

    with pytest.raises(TimeStampError, match="and here it is"):
        question.accept(answer, anchors, now_ms=now_ms + ahead)


@pytest.mark.parametrize("garbage", [b"", b"<html>busy</html>", bytes(500)])
def test_garbage_is_refused(garbage: bytes, question: Question, anchors: Anchors) -> None:
    """What is no time stamp response is refused, with a word why."""
    with pytest.raises(TimeStampError, match="no RFC 3161 response"):
        question.accept(garbage, anchors, now_ms=0)


def test_an_error_of_a_library_is_a_refusal(
    question: Question, answer: bytes, anchors: Anchors, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Answers come over plain HTTP from whoever is on the way: nothing in one may end what sends documents."""

    def surprise(*_arguments: object) -> object:
        raise ZeroDivisionError("surprise")

    monkeypatch.setattr(asking, "describe", surprise)

    with pytest.raises(TimeStampError, match="cannot be read \\(ZeroDivisionError\\)"):
        question.accept(answer, anchors, now_ms=0)


def test_a_rejection_is_told_up_to_a_limit(question: Question, anchors: Anchors) -> None:
    """An authority that says no is quoted, if not at any length."""
    busy, long = b"busy", b"b" * (MAX_SAID_CHARACTERS + 1)

    with pytest.raises(TimeStampError, match="refused, with status 2: 'busy'"):
        question.accept(rejection(busy), anchors, now_ms=0)
    with pytest.raises(TimeStampError, match=f"status 2: 'b{{{MAX_SAID_CHARACTERS}}}'$"):
        question.accept(rejection(long), anchors, now_ms=0)


def rejection(text: bytes) -> bytes:
    """Return a response with status rejection and this text, DER."""
    said = element(0x30, element(0x0C, text))
    return element(0x30, element(0x30, b"\x02\x01\x02" + said))


def test_a_grant_without_a_token_is_refused(question: Question, anchors: Anchors) -> None:
    """Status granted alone proves nothing."""
    with pytest.raises(TimeStampError, match="Missing SignedData"):
        question.accept(bytes.fromhex("30053003020100"), anchors, now_ms=0)


# --- the anchor file ----------------------------------------------------------------------------------


def test_a_file_without_a_root_is_no_anchor(authority: Authority) -> None:
    """The authority's own certificate cannot be believed by itself, and the file's name is in the error."""
    pem = (authority.folder / "signer.pem").read_bytes()

    with pytest.raises(ConfigurationError, match=r"tsa\.pem has no root"):
        Anchors.load(pem, "tsa.pem")


@pytest.mark.parametrize(
    "pem", [b"", b"no certificate", b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----"]
)
def test_a_file_without_certificates_is_no_anchor(pem: bytes) -> None:
    """What is not PEM is said to be so."""
    with pytest.raises(ConfigurationError, match="no certificates in PEM"):
        Anchors.load(pem, "tsa.pem")


def test_an_anchor_file_is_bounded(authority: Authority) -> None:
    """Neither bytes nor certificates of an anchor file are without end."""
    pem = authority.anchor.read_bytes()

    with pytest.raises(ConfigurationError, match=f"has {MAX_ANCHORS + 1} certificates"):
        Anchors.load(pem * (MAX_ANCHORS + 1), "tsa.pem")
    with pytest.raises(ConfigurationError, match=f"has {MAX_ANCHOR_BYTES + 1} bytes"):
        Anchors.load(bytes(MAX_ANCHOR_BYTES + 1), "tsa.pem")


def test_a_chain_is_followed_so_far_and_no_further(
    authority: Authority, anchors: Anchors, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A chain longer than the limit leads nowhere."""
    signer = authority.certificate()
    assert anchors.chain_of(signer, ()) is not None
    monkeypatch.setattr(anchors_module, "MAX_CHAIN", 1)

    assert anchors.chain_of(signer, ()) is None
