"""Answers of a broker that are larger than any answer to docbus are not read.

A broker says in four bytes how long an answer is, up to 2 GiB, and aiokafka waits for all of it in memory.
"""

from __future__ import annotations

import weakref
from functools import wraps
from typing import TYPE_CHECKING, Any, Final

from aiokafka.conn import AIOKafkaConnection

from docbus.limits import MIB

if TYPE_CHECKING:
    from asyncio import StreamReader
    from collections.abc import Awaitable, Callable

MAX_FRAME_BYTES: Final = 100 * MIB
"""Bytes of one answer: what brokers take for a request by default (``socket.request.max.bytes``). A fetch has some
4 MiB, and the longest answers, with all topics of a national exchange, have tens."""


def bounded(reader: StreamReader) -> None:
    """Let a connection's reader refuse a frame that is too long, before anything of it is read.

    aiokafka closes the connection on such an error and builds another, as if the broker had gone.
    """
    whole = type(reader).readexactly
    # A reader that referred to itself would keep what it has buffered of an answer when its connection is gone.
    itself: StreamReader = weakref.proxy(reader)

    async def readexactly(size: int) -> bytes:
        if size > MAX_FRAME_BYTES:
            raise ConnectionError(f"the broker announces an answer of {size:,} bytes; {MAX_FRAME_BYTES:,} are read")
        return await whole(itself, size)

    reader.readexactly = readexactly  # type: ignore[assignment,method-assign] # aiokafka has no setting (0.14)


def install() -> None:
    """Let all of aiokafka's connections have bounded readers."""
    read: Callable[[Any], Awaitable[None]] = AIOKafkaConnection._read  # noqa: SLF001 - see above

    @wraps(read)
    async def read_bounded(reference: Any) -> None:
        connection = reference()
        if connection is not None:
            bounded(connection._reader)  # noqa: SLF001 - see above
        del connection  # aiokafka's own loop keeps none either, so that a forgotten connection ends
        await read(reference)

    AIOKafkaConnection._read = staticmethod(read_bounded)  # noqa: SLF001 - see above
