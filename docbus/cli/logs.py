"""Logging, set up once: for people on a terminal, JSON otherwise; always to standard error."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING, Any

import structlog

from docbus.cli.escape import shown

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
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            *([_show] if terminal else []),  # JSON escapes by itself
            renderer,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
        cache_logger_on_first_use=False,
    )


def _show(_logger: Any, _method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """Make every text safe for a terminal: some come from peers."""
    for name, value in event.items():
        if isinstance(value, str) and name != "exception":
            event[name] = shown(value)
    return event
