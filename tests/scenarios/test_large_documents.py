"""Large documents from publish to receipt, on the embedded bus."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.support import large_journeys

if TYPE_CHECKING:
    from pathlib import Path

    from tests.support.trial import Exchange


async def test_large_document_arrives_whole(exchange: Exchange, tmp_path: Path) -> None:
    """Parts are written once for two recipients, and each of them files the same bytes."""
    await large_journeys.arrives_whole(exchange, tmp_path)

    assert "valid" == (await exchange.audit()).verdict


async def test_expired_content_is_sent_again(exchange: Exchange, tmp_path: Path) -> None:
    """From the refusal through the signed status to the same document under the same digests."""
    await large_journeys.expires_and_is_sent_again(exchange, tmp_path)

    assert "valid" == (await exchange.audit()).verdict
