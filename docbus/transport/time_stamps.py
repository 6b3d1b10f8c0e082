"""Asks a time-stamping authority over HTTP (RFC 3161 section 3.4).

Plain HTTP is enough: an answer is signed, and a question tells no more than a digest. What comes back is bounded in
bytes and in time, and no redirect is followed; what it is worth,
:class:`~docbus.identity.time_stamps.asking.Question` decides.
"""

from __future__ import annotations

import asyncio
import ssl
from dataclasses import dataclass
from http import HTTPStatus
from http.client import HTTPException, parse_headers
from io import BytesIO
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from docbus.errors import AuthorityUnavailableError, ConfigurationError
from docbus.limits import KIB

if TYPE_CHECKING:
    from email.message import Message

ANSWER_SECONDS = 20.0
"""Seconds that an authority has from the connection to the last byte; one takes less than a second."""
MAX_ANSWER_BYTES = 32 * KIB
"""Bytes of an answer; one with its signer's certificate has about 1 KiB."""
MAX_HEAD_BYTES = 16 * KIB
"""Bytes of what stands before an answer: status and headers."""

QUERY_TYPE = "application/timestamp-query"
ANSWER_TYPE = "application/timestamp-reply"
_PORTS = {"http": 80, "https": 443}
_HEX = 16


@dataclass(frozen=True, slots=True)
class AuthorityAddress:
    """Where an authority listens."""

    url: str
    host: str
    port: int
    path: str
    encrypted: bool

    @classmethod
    def parse(cls, url: str) -> AuthorityAddress:
        """Return the parts of an address.

        Raises:
            ConfigurationError: It is no address of HTTP, or has a name and password in it.
        """
        try:
            found = urlsplit(url)
            port = found.port
        except ValueError:
            found, port = urlsplit(""), None
        if found.scheme not in _PORTS or not found.hostname or not url.isascii() or not url.isprintable():
            raise ConfigurationError(f"{url!r} is no address of HTTP", hint="It looks like http://tsa.example/tsa.")
        if found.username is not None or " " in url:
            raise ConfigurationError("a name, a password or a blank in an authority's address is not understood")
        path = (found.path or "/") + (f"?{found.query}" if found.query else "")
        return cls(url, found.hostname, port or _PORTS[found.scheme], path, found.scheme == "https")


class TSAClient:
    """Asks one authority; a connection for each question, as there are few.

    Args:
        address: Where it listens.
        answer_seconds: Seconds that it has for an answer.
    """

    def __init__(self, address: AuthorityAddress, *, answer_seconds: float = ANSWER_SECONDS) -> None:
        self._address = address
        self._answer_seconds = answer_seconds

    async def ask(self, question: bytes) -> bytes:
        """Return what the authority answers, unread.

        Args:
            question: A request, DER.

        Raises:
            AuthorityUnavailableError: It cannot be reached, does not answer in time, or answers with something else.
        """
        try:
            async with asyncio.timeout(self._answer_seconds):
                return await self._exchange(question)
        except TimeoutError:
            raise self._unavailable(f"has not answered within {self._answer_seconds:g} seconds") from None
        except OSError as error:
            raise self._unavailable(f"cannot be reached: {error.strerror or error}") from error
        except (asyncio.IncompleteReadError, asyncio.LimitOverrunError, HTTPException, ValueError) as error:
            raise self._unavailable(f"does not speak HTTP: {error}") from error

    async def _exchange(self, question: bytes) -> bytes:
        at = self._address
        context = ssl.create_default_context() if at.encrypted else None
        reader, writer = await asyncio.open_connection(at.host, at.port, ssl=context, limit=MAX_HEAD_BYTES)
        try:
            writer.write(self._head(len(question)) + question)
            await writer.drain()
            head = await reader.readuntil(b"\r\n\r\n")
            status, headers = _read_head(head)
            if status != HTTPStatus.OK:
                redirect = "; redirects are not followed" if "location" in headers else ""
                raise self._unavailable(f"answered with status {status}{redirect}")
            return await self._body(reader, headers)
        finally:
            # Not closed in order, which an authority that still sends could draw out.
            writer.transport.abort()

    def _head(self, length: int) -> bytes:
        at = self._address
        host = f"[{at.host}]" if ":" in at.host else at.host
        named = host if at.port == _PORTS["https" if at.encrypted else "http"] else f"{host}:{at.port}"
        return (
            f"POST {at.path} HTTP/1.1\r\nHost: {named}\r\nContent-Type: {QUERY_TYPE}\r\nContent-Length: {length}\r\n"
            f"Accept: {ANSWER_TYPE}\r\nConnection: close\r\nUser-Agent: docbus\r\n\r\n"
        ).encode("ascii")

    async def _body(self, reader: asyncio.StreamReader, headers: Message) -> bytes:
        if headers.get("transfer-encoding", "").lower() == "chunked":
            return await self._chunks(reader)
        length = headers.get("content-length")
        if length is not None:
            return await reader.readexactly(self._bounded(int(length)))
        body = b""
        while piece := await reader.read(MAX_ANSWER_BYTES):
            body += piece
            self._bounded(len(body))
        return body

    async def _chunks(self, reader: asyncio.StreamReader) -> bytes:
        """Read a body in chunks (RFC 9112 section 7.1); trailers are left unread."""
        body = b""
        while size := int((await reader.readuntil(b"\r\n")).partition(b";")[0], _HEX):
            self._bounded(len(body) + size)
            body += (await reader.readexactly(size + 2))[:size]
        return body

    def _bounded(self, size: int) -> int:
        if not 0 <= size <= MAX_ANSWER_BYTES:
            raise self._unavailable(f"answers with {size} bytes; {MAX_ANSWER_BYTES} are allowed")
        return size

    def _unavailable(self, what: str) -> AuthorityUnavailableError:
        return AuthorityUnavailableError(
            f"the time-stamping authority {self._address.url} {what}",
            hint="Documents flow meanwhile; check [timestamps] url and the way there. It is asked again by itself.",
        )


def _read_head(head: bytes) -> tuple[int, Message]:
    """Return status and headers of an answer.

    Raises:
        ValueError: It has no status.
        HTTPException: It has too many headers.
    """
    first, _, rest = head.partition(b"\r\n")
    version, _, status = first.partition(b" ")
    if not version.startswith(b"HTTP/1."):
        raise ValueError(f"its first line is {first[:40]!r}")
    return int(status[:3]), parse_headers(BytesIO(rest))
