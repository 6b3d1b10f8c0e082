"""A rotation while documents flow, on a real Apache Kafka."""

from __future__ import annotations

from typing import TYPE_CHECKING

from docbus.transport import topics
from tests.support.rotation_journeys import certificates_in, rotate_while_documents_flow
from tests.support.trial import HANOI, TAY_NINH, id_of

if TYPE_CHECKING:
    from tests.support.trial import Exchange


async def test_rotation_under_load_loses_nothing_on_kafka(kafka_exchange: Exchange) -> None:
    """Both ways, each accepted document is filed once and receipted, signed by either key, and nothing is set aside."""
    aside = {code: len(await kafka_exchange.records(topics.quarantine(id_of(code)))) for code in (HANOI, TAY_NINH)}

    flowed = await rotate_while_documents_flow(kafka_exchange, parts=8)

    for flow, recipient in ((flowed.there, TAY_NINH), (flowed.back, HANOI)):
        mark = flow.label
        filed = [name for name in kafka_exchange.ids_filed(recipient) if name.startswith(mark)]
        assert flow.accepted == sorted(filed)
        assert aside[recipient] == len(await kafka_exchange.records(topics.quarantine(id_of(recipient))))
    assert "overlapping" == flowed.done.step
    signed = set(await certificates_in(kafka_exchange, TAY_NINH, HANOI))
    assert {flowed.done.before, flowed.done.certificate} <= signed
