"""When what waits has its turn."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest
from cryptography import x509

from docbus.identity.pki.material import NOTHING_KNOWN, ValidationMaterial, read_piece
from docbus.verification.paths import Paths
from docbus.verification.verifier import Verifier
from tests.support.audit_exchange import CITY, Exchange
from tests.support.inbox import ME
from tests.support.outbox import until
from tests.support.pki import TestAuthority

if TYPE_CHECKING:
    from tests.support.inbox import Inbox

ROOT = TestAuthority()


@pytest.mark.parametrize("kind", ["list", "response"])
async def test_what_an_authority_says_wakes_what_waits_for_it_at_once(inbox: Inbox, kind: str) -> None:
    """Not at the next attempt, for which the clock would have to go on."""
    exchange = inbox.exchange = Exchange(authority=ROOT, certified=(CITY,))
    known = [NOTHING_KNOWN]
    leaf = x509.load_der_x509_certificate(exchange.keys[CITY].certificate)
    said = ROOT.revocations() if kind == "list" else ROOT.response(leaf)
    await inbox.post(*exchange.documents(CITY, ME, 2))
    verifier = Verifier(Paths(lambda: known[-1]))
    serving = asyncio.create_task(inbox.serve(verifier=verifier, factor=lambda: 1.0))
    # Whoever begins tries everything once.
    await until(lambda: [(2,)] == inbox.rows("SELECT attempts FROM parked WHERE due_at > ?", inbox.clock.ms))
    assert 2 == inbox.parked()

    known.append(ValidationMaterial([read_piece(said)]))
    await until(lambda: len(inbox.sink.order) == 2)
    inbox.stop.set()
    await serving

    assert 0 == inbox.parked()
