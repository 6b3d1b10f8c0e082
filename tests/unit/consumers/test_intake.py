from __future__ import annotations

import pytest

from docbus.consumers.intake import MAX_OFFSET, _check_offsets
from docbus.errors import BrokerUnavailableError
from docbus.transport.port import Record


def record(offset: int) -> Record:
    return Record("docbus.inbox.vn.H26", 0, offset, 0, None, b"", ())


def test_offset_that_no_log_reaches_is_the_brokers_fault() -> None:
    """Reading is held, visibly, as if no broker answered: a ledger cannot say what comes after such a record."""
    _check_offsets([record(0), record(MAX_OFFSET)])

    with pytest.raises(BrokerUnavailableError, match=f"at offset {MAX_OFFSET + 1}, which no log reaches"):
        _check_offsets([record(0), record(MAX_OFFSET + 1)])
