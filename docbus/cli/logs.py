"""Logging, set up once: for people on a terminal, JSON otherwise; always to standard error."""

from __future__ import annotations

import logging
import os
import sys
from typing import TYPE_CHECKING, Any

import structlog
from typing_extensions import override

from docbus.cli.escape import shown, shown_lines

if TYPE_CHECKING:
    from collections.abc import MutableMapping


def configure(*, quiet: bool, verbose: bool, serving: bool) -> None:
    """Set up structlog.

    Args:
        quiet: Errors only.
        verbose: Everything.
        serving: The log is what the user watches; otherwise only what is odd is shown.
    """
    level = "error" if quiet else "debug" if verbose else "info" if serving else "warning"
    terminal = sys.stderr.isatty()
    renderer: Any = structlog.processors.JSONRenderer()
    if terminal:
        renderer = structlog.dev.ConsoleRenderer(colors="NO_COLOR" not in os.environ)
    common: list[Any] = [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.format_exc_info,
        *([_show] if terminal else []),  # JSON escapes by itself
    ]
    structlog.configure(
        processors=[*common, renderer],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
        cache_logger_on_first_use=False,
    )
    others = _Others(level="ERROR" if quiet else "WARNING")
    others.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, renderer],
            foreign_pre_chain=[structlog.stdlib.add_logger_name, *common],
        )
    )
    root = logging.getLogger()
    for before in [one for one in root.handlers if isinstance(one, _Others)]:
        root.removeHandler(before)
    root.addHandler(others)


class _Others(logging.Handler):
    """Writes what libraries log in the form of all other lines: their texts repeat what brokers and peers say."""

    @override
    def emit(self, record: logging.LogRecord) -> None:
        # Asked for each time, as logging's own last resort does: a program may exchange its standard error.
        print(self.format(record), file=sys.stderr)  # noqa: T201 - a log's line, not a result


def _show(_logger: Any, _method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """Make every text safe for a terminal: some come from peers."""
    for name, value in event.items():
        if isinstance(value, str):
            event[name] = shown_lines(value) if name == "exception" else shown(value)
    return event
