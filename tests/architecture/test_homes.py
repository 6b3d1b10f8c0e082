"""Every library that only one part needs is imported by that part alone."""

from __future__ import annotations

import pytest

from tests.support.source import imported, modules

HOMES = {
    "aiokafka": ("docbus.transport.kafka",),
    "fastavro": ("docbus.wire.",),
    "holidays": ("docbus.documents.calendar",),
    "pkcs11": ("docbus.tokens.",),
    "prometheus_client": ("docbus.client.metrics",),
    "pydantic": ("docbus.settings",),
    "pydantic_settings": ("docbus.settings",),
    "rfc3161_client": ("docbus.identity.time_stamps.",),
    "rich": ("docbus.cli.", "docbus.cli"),
    "sqlite3": (
        "docbus.storage.",
        "docbus.transport.sqlite",
        "docbus.producers.",
        "docbus.consumers.",
        "docbus.client.",
    ),
    "typer": ("docbus.cli.", "docbus.cli"),
    "xml": ("docbus.edxml.",),
}
"""Library and the beginnings of the names of modules that may import it."""


@pytest.mark.parametrize("library", HOMES)
def test_library_is_imported_only_at_home(library: str) -> None:
    """A library can be replaced, and its quirks looked for, in one place."""
    users = [name for name, path in modules().items() if library in imported(path)]

    assert [] == [name for name in users if not name.startswith(HOMES[library])]
