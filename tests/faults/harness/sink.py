"""The sink that an agency's program would write for the harness's DMS: idempotent by name, and it believes nothing."""

from __future__ import annotations

import asyncio
import http.client
import json
from hashlib import sha256
from typing import TYPE_CHECKING, Any

from docbus.consumers.sinks.port import AlreadyThere, Conflict, Created
from docbus.errors import SinkUnavailableError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from docbus.consumers.sinks.port import Delivery, Outcome

TIMEOUT_SECONDS = 8.0
CHUNK = 1 << 20


class DmsSink:
    """Files into the DMS at a port. Looks first, files what is not there, looks again, and compares digests."""

    max_batch = 256

    def __init__(self, port: int) -> None:
        self._port = port

    async def start(self) -> None:
        """See the port."""

    async def deliver(self, batch: Sequence[Delivery]) -> list[Outcome]:
        """See the port."""
        try:
            return await asyncio.to_thread(self._deliver, batch)
        except (OSError, http.client.HTTPException, ValueError) as error:
            raise SinkUnavailableError(f"the DMS: {error!r}", step="C3") from error

    def _deliver(self, batch: Sequence[Delivery]) -> list[Outcome]:
        heads = [_head(delivery) for delivery in batch]
        before = self._call("/look", heads, ())
        missing = [index for index, found in enumerate(before) if found is None]
        if missing:
            # Whatever this answers, only what is read back counts.
            self._call("/file", [heads[i] for i in missing], [batch[i] for i in missing], believe=False)
        after = self._call("/look", heads, ())
        return [self._outcome(*one) for one in zip(heads, before, after, strict=True)]

    @staticmethod
    def _outcome(head: dict[str, Any], before: Any, after: Any) -> Outcome:
        if after is None:
            raise SinkUnavailableError(f"the DMS says it has filed {head['name']}, and has not", step="C3")
        if after != [head["size"], head["digest"]]:
            return Conflict(head["name"], f"{after}")
        return Created(head["name"]) if before is None else AlreadyThere(head["name"])

    def _call(
        self, path: str, heads: list[dict[str, Any]], contents: Sequence[Delivery], *, believe: bool = True
    ) -> list[Any]:
        raw = json.dumps(heads).encode()
        connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=TIMEOUT_SECONDS)
        try:
            connection.putrequest("POST", path)
            size = sum(head["size"] for head in heads) if contents else 0
            connection.putheader("content-length", str(len(raw) + size))
            connection.putheader("x-head", str(len(raw)))
            connection.endheaders()
            connection.send(raw)
            small: list[bytes] = []
            for delivery in contents:
                for file in delivery.files:
                    if isinstance(file.source, bytes):
                        small.append(file.source)
                        continue
                    connection.send(b"".join(small))
                    small.clear()
                    with file.open() as stream:
                        while chunk := stream.read(CHUNK):
                            connection.send(chunk)
            if small:
                connection.send(b"".join(small))
            answer = connection.getresponse()
            body = answer.read()
            if not believe:
                return []
            if answer.status != 200:
                raise SinkUnavailableError(f"the DMS answers {answer.status}", step="C3")
            return list(json.loads(body))
        except (OSError, http.client.HTTPException):
            if believe:
                raise
            return []
        finally:
            connection.close()

    async def aclose(self) -> None:
        """See the port."""


def _head(delivery: Delivery) -> dict[str, Any]:
    digest, size = sha256(), 0
    for file in delivery.files:
        size += file.size
        with file.open() as stream:
            while chunk := stream.read(CHUNK):
                digest.update(chunk)
    return {
        "name": delivery.name,
        "document_id": delivery.document_id,
        "lane": delivery.head.lane,
        "epoch": delivery.head.epoch.hex(),
        "sequence": delivery.position.sequence,
        "statement": delivery.digest.hex(),
        "size": size,
        "digest": digest.hexdigest(),
    }
