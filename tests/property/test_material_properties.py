"""Whatever bytes an authority's web server sends, they are material or an error, and never anything else."""

from __future__ import annotations

from cryptography.x509 import ReasonFlags
from hypothesis import example, given
from hypothesis import strategies as st

from docbus.errors import IdentityError, MalformedError
from docbus.identity.pki.crl import RevocationList
from docbus.identity.pki.judge import judge
from docbus.identity.pki.material import ValidationMaterial, read_piece
from docbus.identity.pki.verdict import Outcome
from tests.support.pki import AGENCY, TestAuthority, authorities_of, entry_of, ms, responder_of

ROOT = TestAuthority()
LEAF = ROOT.issue()
PIECES = (
    ROOT.revocations([entry_of(5, -1, ReasonFlags.key_compromise)]),
    ROOT.response(LEAF),
    ROOT.response(LEAF, signer=responder_of(ROOT)),
)
KNOWN = authorities_of(ROOT.anchor())


@given(
    piece=st.sampled_from(PIECES),
    at=st.integers(0, 2000),
    byte=st.integers(0, 255),
    cut=st.integers(0, 3),
)
@example(piece=PIECES[0], at=0, byte=0x31, cut=0)
def test_a_changed_piece_says_nothing_good(piece: bytes, at: int, byte: int, cut: int) -> None:
    """One byte that is another one, or an end that is missing: it cannot be read, or is nobody's word."""
    changed = bytearray(piece)
    changed[at % len(changed)] = byte
    del changed[len(changed) - cut :]
    if bytes(changed) == piece:
        return
    try:
        found = read_piece(bytes(changed))
    except (MalformedError, IdentityError):
        return
    verdict = judge(LEAF, AGENCY, KNOWN, ValidationMaterial([found]), at_ms=ms(0))

    # What is not signed may change: the certificates that go along with a response, and how a signature is written.
    unsigned = not isinstance(found, RevocationList) and verdict.outcome is Outcome.PASSED
    assert unsigned or verdict.outcome is Outcome.INDETERMINATE


@given(content=st.binary(max_size=300))
def test_any_bytes_are_material_or_an_error(content: bytes) -> None:
    """Nothing else comes out."""
    try:
        read_piece(content)
    except (MalformedError, IdentityError):
        return
