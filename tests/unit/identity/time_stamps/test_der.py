"""Certificates of a token in the order of DER."""

from __future__ import annotations

import subprocess
from typing import TYPE_CHECKING

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from hypothesis import given
from hypothesis import strategies as st

from docbus.identity.time_stamps.anchors import Anchors
from docbus.identity.time_stamps.asking import Question
from docbus.identity.time_stamps.der import element, elements, object_identifier, with_ordered_certificates
from docbus.identity.time_stamps.token import decode_response, describe
from docbus.identity.time_stamps.verdict import Outcome, judge
from tests.support.time_stamps import OTHER_POLICY, Authority, need_openssl, with_certificate

if TYPE_CHECKING:
    from pathlib import Path

STAMPED = b"what existed"


def test_a_token_with_a_whole_chain_is_taken(tmp_path: Path) -> None:
    """OpenSSL's order of certificates is not DER's, and the token passes all the same, also read once more."""
    authority = Authority(tmp_path, chain=True)
    anchors = Anchors.load(authority.anchor.read_bytes(), "tsa-ca.pem")
    question = Question.about(STAMPED)

    stamp = question.accept(authority.answer(question.encoded), anchors, now_ms=authority.now_ms)

    assert 2 == len(stamp.certificates)
    assert Outcome.PASSED is judge(stamp.token, STAMPED, anchors).outcome


def test_either_order_is_the_same_token(tmp_path: Path) -> None:
    """Whatever the order was, what is kept is one sequence of bytes, and `openssl` verifies it."""
    authority = Authority(tmp_path, chain=True)
    anchors = Anchors.load(authority.anchor.read_bytes(), "tsa-ca.pem")
    token = describe(decode_response(authority.answer(Question.about(STAMPED).encoded))).token
    certificates = [
        x509.load_pem_x509_certificate((tmp_path / name).read_bytes()).public_bytes(Encoding.DER)
        for name in ("signer.pem", "tsa-ca.pem")
    ]

    for order in (certificates, certificates[::-1]):
        verdict = judge(with_certificate(token, b"".join(order)), STAMPED, anchors)
        assert verdict.stamp is not None
        assert (Outcome.PASSED, token) == (verdict.outcome, verdict.stamp.token)
    (tmp_path / "stamped.bin").write_bytes(STAMPED)
    (tmp_path / "token.tst").write_bytes(token)
    assert "Verification: OK" in authority.verify(tmp_path / "stamped.bin", tmp_path / "token.tst")


def test_what_is_in_order_stays_as_it_is(tmp_path: Path) -> None:
    """An answer in DER is read byte by byte as it came."""
    answer = Authority(tmp_path).answer(Question.about(STAMPED).encoded)

    assert answer == with_ordered_certificates(answer)


@pytest.mark.parametrize(
    "encoded",
    [b"\x30", b"\x30\x05\x00", b"\x30\x80\x00\x00", b"\x30\x85\x00\x00\x00\x00\x00", b"\x30\x82\x01", b"\x3f\x01\x00"],
    ids=["no-length", "too-short", "indefinite", "length-of-five-bytes", "length-cut", "long-tag"],
)
def test_what_is_no_element_is_told(encoded: bytes) -> None:
    """Lengths are compared with what there is before anything is taken."""
    with pytest.raises(ValueError, match="length|longer"):
        elements(encoded)


@given(encoded=st.binary(max_size=200))
def test_any_bytes_come_back_or_are_put_in_order(encoded: bytes) -> None:
    """Whatever comes, nothing is raised, and what was put in order is in order."""
    once = with_ordered_certificates(encoded)

    assert once == with_ordered_certificates(once)


@given(rows=st.lists(st.tuples(st.integers(0, 255).filter(lambda tag: tag & 0x1F != 0x1F), st.binary(max_size=300))))
def test_elements_are_read_as_they_were_written(rows: list[tuple[int, bytes]]) -> None:
    """Tags and contents of any length, in their order."""
    assert rows == elements(b"".join(element(*row) for row in rows))


@pytest.mark.parametrize("dotted", ["0.0", "1.39", "2.999", "1.2.840.99999.1", "1.3.6.1.4.1.99999.1", f"1.2.{10**19}"])
def test_object_identifiers_are_those_of_openssl(dotted: str, tmp_path: Path) -> None:
    """Roots, arcs of several bytes and the largest ones are what `openssl asn1parse` reads."""
    file = tmp_path / "identifier.der"
    file.write_bytes(object_identifier(dotted))
    command = [need_openssl(), "asn1parse", "-inform", "DER", "-in", str(file)]
    said = subprocess.run(command, capture_output=True, check=True, timeout=20, text=True).stdout

    assert f":{dotted}\n" in said


@pytest.mark.parametrize(
    "dotted", ["", "1", "3.1", "1.40", "0.40.1", "1.02", "1.-2", "1.2.", "one.two", "1." * 40 + "1"]
)
def test_what_is_no_object_identifier_is_refused(dotted: str) -> None:
    """Nothing else is put into a request."""
    with pytest.raises(ValueError, match="object identifier"):
        object_identifier(dotted)


def test_a_request_with_a_policy_is_one_to_openssl(tmp_path: Path) -> None:
    """The policy stands where RFC 3161 has it, and everything else is as it was."""
    file = tmp_path / "query.tsq"
    question = Question.about(STAMPED, policy=OTHER_POLICY)
    file.write_bytes(question.encoded)
    command = [need_openssl(), "ts", "-query", "-in", str(file), "-text"]
    said = subprocess.run(command, capture_output=True, check=True, timeout=20, text=True).stdout

    assert f"Policy OID: {OTHER_POLICY}" in said
    assert "Hash Algorithm: sha256" in said
    assert f"Nonce: 0x{question.nonce:016X}" in said
    assert "Certificate required: yes" in said
