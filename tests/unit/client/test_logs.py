"""Where the log of the client library goes."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

import structlog

from docbus.client.logs import use_standard_logging

if TYPE_CHECKING:
    from collections.abc import Iterator

import pytest


@pytest.fixture(autouse=True)
def _unconfigured() -> Iterator[None]:
    before = structlog.get_config() if structlog.is_configured() else None
    structlog.reset_defaults()
    yield
    structlog.reset_defaults()
    if before is not None:
        structlog.configure(**before)


def test_nothing_is_printed(capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture) -> None:
    """A program's standard output stays its own; warnings reach standard logging, details do not by default."""
    use_standard_logging()

    structlog.get_logger("docbus.test").info("detail.happened")
    structlog.get_logger("docbus.test").warning("trouble.happened", agency="vn:H26")

    assert "" == capsys.readouterr().out
    assert ["event='trouble.happened' agency='vn:H26'"] == [record.getMessage() for record in caplog.records]
    assert [logging.WARNING] == [record.levelno for record in caplog.records]


def test_what_the_program_configured_stays() -> None:
    """A program that has configured structlog keeps its configuration."""
    structlog.configure(processors=[structlog.processors.JSONRenderer()])
    before = structlog.get_config()["processors"]

    use_standard_logging()

    assert before is structlog.get_config()["processors"]
