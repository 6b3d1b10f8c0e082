"""What a consumer asks of a broker, and reads ahead of whoever takes it."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

from aiokafka import conn

from docbus.transport.kafka_consumer import FETCH_BYTES, READ_AHEAD_BYTES, _options


def test_answers_and_what_is_read_ahead_of_them_are_bounded() -> None:
    """A broker is asked for so many bytes, of one partition and of all, and so many are buffered from its socket."""
    connector: Any = SimpleNamespace(options={"bootstrap_servers": "b"})
    options = _options(connector)

    assert (FETCH_BYTES, FETCH_BYTES) == (options["max_partition_fetch_bytes"], options["fetch_max_bytes"])
    assert READ_AHEAD_BYTES == conn.READER_LIMIT
