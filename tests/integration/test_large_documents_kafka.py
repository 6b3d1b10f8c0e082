"""Large documents on a real Apache Kafka."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.support import large_journeys

if TYPE_CHECKING:
    from pathlib import Path

    from tests.support.trial import Exchange


@pytest.mark.timeout(120)
async def test_large_document_arrives_whole(kafka_exchange: Exchange, tmp_path: Path) -> None:
    """As on the embedded bus: parts once, the same bytes at both recipients."""
    await large_journeys.arrives_whole(kafka_exchange, tmp_path)


@pytest.mark.timeout(120)
async def test_expired_content_is_sent_again(kafka_exchange: Exchange, tmp_path: Path) -> None:
    """As on the embedded bus, with records that the broker has deleted."""
    await large_journeys.expires_and_is_sent_again(kafka_exchange, tmp_path)
