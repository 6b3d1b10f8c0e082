from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from docbus.envelope.act import decode_act, seal_acts
from docbus.envelope.envelope import decode_envelope
from docbus.errors import IndeterminateError, VerificationError
from docbus.identity import entries
from docbus.identity.pki.material import ValidationMaterial, read_piece
from docbus.verification.acts import verify_act
from docbus.verification.paths import Paths
from docbus.verification.verifier import Verifier
from tests.support.directory import ENVIRONMENT, DirectoryBuilder, grant_of, make_keys
from tests.support.letters import snapshot, verify
from tests.support.pki import AGENCY, TestAuthority, ms
from tests.vectors.building.world import HANOI, TAY_NINH

if TYPE_CHECKING:
    from docbus.identity.snapshot import TrustSnapshot

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


ROOT = TestAuthority()
SERIAL, SUPERSEDED, HELD = 0x1001, x509.ReasonFlags.superseded, x509.ReasonFlags.certificate_hold


def _certified() -> tuple[bytes, TrustSnapshot]:
    """Return an act under a certificate that an authority has issued, and the directory that names both."""
    builder, keys = DirectoryBuilder(), make_keys(AGENCY)
    builder.append(entries.Authority(name="Root", certificate=ROOT.der, intermediates=()))
    keys.certificate = ROOT.issue(keys.private_key, serial=SERIAL).public_bytes(Encoding.DER)
    builder.append(grant_of(keys))
    found = builder.snapshot()
    act = decode_act(decode_envelope(ACT).statement)._replace(
        environment=ENVIRONMENT,
        agency=AGENCY,
        certificate=keys.signer.certificate,
        directory_position=found.position,
        directory_hash=found.head,
        made_at=ms(0),
    )
    return seal_acts([act], keys.signer)[0], found


CERTIFIED, SNAPSHOT = _certified()


@pytest.mark.parametrize(
    ("pieces", "outcome"),
    [
        pytest.param((ROOT.revocations(),), None, id="its authority has spoken"),
        pytest.param((), ("indeterminate", "revocation_unknown"), id="it has not"),
        pytest.param((ROOT.revocations(ends=-0.5),), ("indeterminate", "revocation_unknown"), id="not for that time"),
        pytest.param(
            (ROOT.revocations([(SERIAL, -0.5, SUPERSEDED)]),), ("failed", "revoked_by_authority"), id="revoked before"
        ),
        pytest.param(
            (ROOT.revocations([(SERIAL, 0.5, SUPERSEDED)]),),
            ("indeterminate", "revoked_by_authority_later"),
            id="revoked after",
        ),
        pytest.param(
            (ROOT.revocations([(SERIAL, -0.5, HELD)]),), ("indeterminate", "certificate_on_hold"), id="on hold"
        ),
        pytest.param(
            (ROOT.revocations([(SERIAL, -0.5, SUPERSEDED)]), ROOT.revocations(number=2)),
            ("failed", "revoked_by_authority"),
            id="revoked before, and forgotten",
        ),
    ],
)
def test_an_act_needs_the_word_of_its_agencys_authority(
    pieces: tuple[bytes, ...], outcome: tuple[str, str] | None
) -> None:
    """With the same three outcomes as a document, for the time at which the operator acted (C1.23)."""
    material = ValidationMaterial(read_piece(one) for one in pieces)
    verifier = Verifier(Paths(lambda: material))
    if outcome is None:
        assert AGENCY == verify_act(verifier, CERTIFIED, agency=AGENCY, snapshot=SNAPSHOT).act.agency
        return
    with pytest.raises((VerificationError, IndeterminateError)) as caught:
        verify_act(verifier, CERTIFIED, agency=AGENCY, snapshot=SNAPSHOT)

    kind = "failed" if isinstance(caught.value, VerificationError) else "indeterminate"
    assert (*outcome, "C1.23") == (kind, caught.value.code, caught.value.step)


def test_an_act_under_a_forged_issuer_fails() -> None:
    """A certificate that bears the authority's name, and is not by it, gives its holder no say."""
    builder, keys = DirectoryBuilder(), make_keys(AGENCY)
    builder.append(entries.Authority(name="Root", certificate=ROOT.der, intermediates=()))
    keys.certificate = TestAuthority().issue(keys.private_key, serial=SERIAL).public_bytes(Encoding.DER)
    builder.append(grant_of(keys))
    forged = decode_act(decode_envelope(CERTIFIED).statement)._replace(
        certificate=keys.signer.certificate, directory_hash=builder.snapshot().head
    )

    with pytest.raises(VerificationError) as caught:
        verify_act(Verifier(), seal_acts([forged], keys.signer)[0], agency=AGENCY, snapshot=builder.snapshot())

    assert ("C1.23", "path_invalid") == (caught.value.step, caught.value.code)
