"""UUIDv7."""

from __future__ import annotations

import uuid

import pytest

from docbus.wire.ids import UUID_BYTES, uuid7_bytes, uuid7_text

NOW = 1_800_000_000_123


def test_version_variant_and_time_are_those_of_rfc_9562() -> None:
    """Each id is of version 7, of the RFC's variant, and begins with the time in milliseconds."""
    for raw in uuid7_bytes(NOW, 200):
        made = uuid.UUID(bytes=raw)

        assert (7, uuid.RFC_4122, NOW) == (made.version, made.variant, int.from_bytes(raw[:6], "big"))


@pytest.mark.parametrize("count", [0, 1, 4096])
def test_as_many_as_asked_all_different(count: int) -> None:
    """Ids made together do not repeat."""
    made = uuid7_bytes(NOW, count)

    assert count == len(set(made))
    assert {UUID_BYTES} >= {len(raw) for raw in made}


def test_text_has_the_usual_form() -> None:
    """The text form is that of a UUID of version 7."""
    assert 7 == uuid.UUID(uuid7_text(NOW)).version
