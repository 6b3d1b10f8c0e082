from __future__ import annotations

from pathlib import Path

import pytest

from docbus.errors import VerificationError
from docbus.verification.acts import verify_act
from docbus.verification.verifier import Verifier
from tests.support.letters import snapshot, verify
from tests.vectors.building.world import HANOI, TAY_NINH

VECTORS = Path(__file__).parents[2] / "vectors"
ACT = (VECTORS / "act" / "v1-release" / "envelope.bin").read_bytes()
DOCUMENT = (VECTORS / "envelope" / "v1-document" / "envelope.bin").read_bytes()


def test_act_is_no_statement_for_an_inbox() -> None:
    """An act that somebody puts into an inbox fails by its payload type."""
    with pytest.raises(VerificationError) as caught:
        verify(ACT, recipient=TAY_NINH)

    assert ("C1.03", "payload_type_unknown") == (caught.value.step, caught.value.code)


def test_statement_is_no_act() -> None:
    """A document that somebody puts into a ledger topic fails by its payload type."""
    with pytest.raises(VerificationError) as caught:
        verify_act(Verifier(), DOCUMENT, agency=HANOI, snapshot=snapshot())

    assert ("C1.03", "payload_type_unknown") == (caught.value.step, caught.value.code)


def test_act_is_bound_to_its_agency() -> None:
    """The same act passes in its own ledger topic, and in no other."""
    assert HANOI == verify_act(Verifier(), ACT, agency=HANOI, snapshot=snapshot()).act.agency

    with pytest.raises(VerificationError, match="in the ledger of"):
        verify_act(Verifier(), ACT, agency=TAY_NINH, snapshot=snapshot())
