"""Asking an authority over HTTP."""

from __future__ import annotations

import asyncio
import re
import socket
import threading
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import pytest

from docbus.errors import AuthorityUnavailableError, ConfigurationError, TimeStampError
from docbus.transport.time_stamps import MAX_ANSWER_BYTES, MAX_TYPE_CHARACTERS, TSAClient, checked_address
from docbus.transport.web import MAX_LINE_BYTES

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

pytestmark = pytest.mark.loopback
"""What is tested is the conversation over a socket."""

HEAD = b"HTTP/1.1 200 OK\r\n"
SECONDS = 10.0


@asynccontextmanager
async def answering(write: Callable[[socket.socket], None]) -> AsyncIterator[tuple[TSAClient, list[bytes]]]:
    """Yield a client of a server that reads one request and then does as it is told."""
    asked: list[bytes] = []
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve() -> None:
            connection, _ = server.accept()
            with connection:
                asked.append(connection.recv(65_536))
                try:
                    write(connection)
                except OSError:
                    return

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        url = f"http://127.0.0.1:{server.getsockname()[1]}/tsa?fast=1"
        yield TSAClient(url, answer_seconds=SECONDS), asked
        # On another thread, as the connection is ended by this one's loop.
        await asyncio.to_thread(thread.join, SECONDS)


def sending(answer: bytes) -> Callable[[socket.socket], None]:
    return lambda connection: connection.sendall(answer)


@pytest.mark.parametrize(
    "answer",
    [
        HEAD + b"Content-Length: 5\r\n\r\n0\x03abc",
        HEAD + b"\r\n0\x03abc",
        HEAD + b"Transfer-Encoding: chunked\r\n\r\n2\r\n0\x03\r\n3;ext=1\r\nabc\r\n0\r\n\r\n",
        b"HTTP/1.0 200 \r\ncontent-length:5\r\n\r\n0\x03abc",
    ],
    ids=["length", "until-the-end", "chunked", "http-1.0"],
)
async def test_an_answer_is_read_in_each_form_of_http(answer: bytes) -> None:
    """However its length is told, the body comes back whole."""
    async with answering(sending(answer)) as (client, asked):
        assert b"0\x03abc" == await client.ask(b"question")

    assert asked[0].startswith(b"POST /tsa?fast=1 HTTP/1.1\r\nHost: 127.0.0.1:")
    assert b"Content-Type: application/timestamp-query\r\n" in asked[0]
    assert asked[0].endswith(b"\r\n\r\nquestion")


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (HEAD + b"Content-Length: 104857600\r\n\r\n", "answers with|in HTTP"),
        (HEAD + b"\r\n" + bytes(MAX_ANSWER_BYTES + 1), "answers with"),
        (HEAD + b"Transfer-Encoding: chunked\r\n\r\n6400000\r\n", "in HTTP"),
        (HEAD + b"Content-Length: -1\r\n\r\n", "in HTTP"),
        (HEAD + b"Content-Length: many\r\n\r\n", "in HTTP"),
        (HEAD + b"Content-Length: 5\r\n\r\ntok", "in HTTP"),
        (HEAD + b"X: " + bytes([65]) * (2 * MAX_LINE_BYTES), "in HTTP"),
        (HEAD + b"A: b\r\n" * 200 + b"\r\n", "in HTTP"),
        (HEAD + b"Transfer-Encoding: chunked\r\n\r\nzz\r\n", "in HTTP"),
        (b"SSH-2.0-OpenSSH\r\n\r\n", "in HTTP"),
        (b"HTTP/1.1 ok\r\n\r\n", "in HTTP"),
        (b"", "in HTTP"),
        (b"HTTP/1.1 503 Busy\r\n\r\n", "answers with status 503"),
        (b"HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1/\r\n\r\n", "redirects are not followed"),
    ],
    ids=lambda value: value[:40] if isinstance(value, str) else "",
)
async def test_what_is_no_answer_is_refused(answer: bytes, said: str) -> None:
    """Too much, too little, another protocol, another status: each has its words, and the authority is named."""
    async with answering(sending(answer)) as (client, _):
        with pytest.raises(AuthorityUnavailableError, match=said) as error:
            await client.ask(b"question")

    assert "http://127.0.0.1:" in str(error.value)
    assert error.value.retriable


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (
            HEAD + b"Content-Type: text/html; charset=utf-8\r\nContent-Length: 21\r\n\r\n<html>\x1b[2J log in</a>",
            r"21 bytes that begin with '<html>\x1b[2J log in</a>', of the type 'text/html; charset=utf-8'",
        ),
        (HEAD + b"Content-Type: application/timestamp-reply\r\nContent-Length: 0\r\n\r\n", "but no bytes at all"),
        (HEAD + b"Content-Length: 2\r\n\r\n{}", "2 bytes that begin with '{}', of no type"),
    ],
    ids=["page", "nothing", "json"],
)
async def test_what_is_no_time_stamp_is_told_by_type_and_beginning(answer: bytes, said: str) -> None:
    """A page that answers in the authority's place is shown as far as it helps, and nothing of ASN.1 is."""
    async with answering(sending(answer)) as (client, _):
        with pytest.raises(TimeStampError, match=re.escape(said)) as error:
            await client.ask(b"question")

    assert "http://127.0.0.1:" in str(error.value)
    assert "time_stamp_refused" == error.value.code
    assert "ASN.1" not in str(error.value)
    assert "[timestamps] url" in (error.value.hint or "")


async def test_a_type_of_any_length_is_shown_up_to_a_limit() -> None:
    """Whoever answers does not fill the log with it."""
    kind = b"a" * (MAX_TYPE_CHARACTERS + 1)
    async with answering(sending(HEAD + b"Content-Type: " + kind + b"\r\nContent-Length: 2\r\n\r\n{}")) as (client, _):
        with pytest.raises(TimeStampError) as error:
            await client.ask(b"question")

    assert f"'{'a' * MAX_TYPE_CHARACTERS}'" in str(error.value)


async def test_a_flood_is_not_read_to_its_end() -> None:
    """Of a hundred megabytes no more is taken than is allowed."""
    sent: list[int] = []

    def flood(connection: socket.socket) -> None:
        connection.sendall(HEAD + b"\r\n")
        for _ in range(1600):
            connection.sendall(bytes(65_536))
            sent.append(65_536)

    async with answering(flood) as (client, _):
        with pytest.raises(AuthorityUnavailableError, match="answers with more than"):
            await client.ask(b"question")

    assert sum(sent) < 50 * 1024 * 1024


async def test_a_server_that_hangs_is_given_up() -> None:
    """An authority that takes a question and says nothing costs a bounded time."""
    done = threading.Event()

    def hang(_connection: socket.socket) -> None:
        done.wait(SECONDS)

    async with answering(hang) as (client, _):
        client._answer_seconds = 0.05
        with pytest.raises(AuthorityUnavailableError, match=r"has not answered within 0\.05 seconds"):
            await client.ask(b"question")
        done.set()


async def test_nobody_there_is_told() -> None:
    """A port on which nobody listens is named."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        url = f"http://127.0.0.1:{server.getsockname()[1]}/"

    with pytest.raises(AuthorityUnavailableError, match="cannot be reached"):
        await TSAClient(url).ask(b"question")


@pytest.mark.parametrize("url", ["http://ca.gov.vn/tsa", "https://tsa.example", "http://[::1]:318/a?b=c"])
def test_an_address_is_taken(url: str) -> None:
    """What the settings say is what is asked."""
    assert url == checked_address(url)


@pytest.mark.parametrize(
    "url",
    [
        "",
        "tsa.example",
        "ftp://tsa.example/",
        "http:///tsa",
        "http://h:99999/",
        "http://h/\r\nX: y",
        "http://ü/",
        "http://[/",
        "http://tsa.example/a b",
    ],
)
def test_what_is_no_address_is_refused(url: str) -> None:
    """The setting is named, and nothing can be smuggled into a request."""
    with pytest.raises(ConfigurationError, match="no address of HTTP"):
        checked_address(url)


@pytest.mark.parametrize("url", ["http://me:secret@tsa.example/"])
def test_a_password_in_an_address_is_not_understood(url: str) -> None:
    """And it is not repeated in the error."""
    with pytest.raises(ConfigurationError, match="is not understood") as error:
        checked_address(url)

    assert "secret" not in str(error.value)
