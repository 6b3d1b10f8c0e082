"""Where docbus's log goes in a program that has not said so: to standard logging, which shows warnings only."""

from __future__ import annotations

import structlog


def use_standard_logging() -> None:
    """Send structlog's events to standard logging, unless the program has configured structlog itself.

    structlog's own default prints everything to standard output, which belongs to the program.
    """
    if structlog.is_configured():
        return
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            structlog.contextvars.merge_contextvars,
            structlog.processors.format_exc_info,
            structlog.processors.KeyValueRenderer(key_order=["event"]),
        ],
        wrapper_class=structlog.stdlib.BoundLogger,
        logger_factory=structlog.stdlib.LoggerFactory(),
    )
