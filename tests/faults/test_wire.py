"""The harness's own model of an inbox agrees with docbus, and notices where it does not."""

from __future__ import annotations

from hashlib import sha256
from typing import TYPE_CHECKING

from docbus.envelope.batch import StreamHead
from docbus.envelope.statement import FIRST_PREVIOUS
from tests.faults.harness import wire
from tests.faults.harness.wire import Told
from tests.support.audit_exchange import CITY
from tests.support.inbox import ME, opened_inbox

if TYPE_CHECKING:
    from pathlib import Path

    import pytest

CODE = ME.removeprefix("vn:")
NOISE = b"no envelope at all"
HARMFUL = {(CODE, sha256(NOISE).digest()): "envelope_malformed"}


async def test_model_says_what_docbus_reports(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of a hole, a fork, a duplicate and noise, the model says the same as ledger and quarantine."""
    monkeypatch.setattr(wire, "FORKER", CITY.removeprefix("vn:"))
    async with opened_inbox(tmp_path) as made:
        first, _, third = made.exchange.documents(CITY, ME, 3)
        heads = {(ME, "documents"): StreamHead(0, FIRST_PREVIOUS)}
        (twin,) = made.exchange.seal(CITY, made.exchange.drafts(CITY, [ME]), heads=heads)
        await made.post(first, third, first, twin)
        await made.post_value(NOISE)
        await made.receive()
        model = wire.Inbox(CODE)
        await model.read(made.bus, made.exchange.snapshot, HARMFUL)

        assert {Told(0, 3, "stream_fork"), Told(0, 4, "envelope_malformed")} == model.aside
        assert {Told(0, 1, "stream_hole"), Told(0, 3, "stream_fork")} == model.findings
        assert {0: 1} == dict(model.duplicates)
        assert [] == model.wrong == await model.check_quarantine(made.bus)
        reported = made.rows("SELECT partition, at_offset, code FROM finding")
        assert model.findings == {Told(*row) for row in reported}
        assert [(first.sealed.epoch, 2, 2)] == list(model.holes)
        assert [(2, 2, 1)] == made.holes()

        model.aside = {Told(0, 3, "stream_fork"), Told(0, 2, "envelope_malformed")}
        assert 2 == len(await model.check_quarantine(made.bus))


async def test_what_nobody_attacked_is_wrong(tmp_path: Path) -> None:
    """A hole and a fork of a sender that is not the attacker's, noise of nobody, and a lost attack are violations."""
    async with opened_inbox(tmp_path) as made:
        first, _, third = made.exchange.documents(CITY, ME, 3)
        heads = {(ME, "documents"): StreamHead(0, FIRST_PREVIOUS)}
        (twin,) = made.exchange.seal(CITY, made.exchange.drafts(CITY, [ME]), heads=heads)
        await made.post(first, third, twin)
        await made.post_value(b"other noise")
        model = wire.Inbox(CODE)
        await model.read(made.bus, made.exchange.snapshot, HARMFUL)

    assert 4 == len(model.wrong)
