"""One request to a web server: what comes back, and each way in which nothing does."""

from __future__ import annotations

import socket
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import TYPE_CHECKING

import pytest

from docbus.client.collecting import fetch_from
from docbus.errors import RevocationUnavailableError
from docbus.transport import web

if TYPE_CHECKING:
    from collections.abc import Iterator

LIST = b"list" * 1000
pytestmark = pytest.mark.loopback  # the answer of a web server is what is tested


class _Server(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        if self.path == "/moved":
            self.send_response(302)
            self.send_header("Location", "/list")
            self.end_headers()
            return
        self.send_response(200 if self.path.startswith("/list") else 404)
        self.end_headers()
        self.wfile.write(LIST)

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.send_response(200)
        self.end_headers()
        self.wfile.write(self.headers["Content-Type"].encode() + b": " + body)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    """Return the address of a server on this machine."""
    with HTTPServer(("127.0.0.1", 0), _Server) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


async def test_what_a_server_answers_is_returned(address: str) -> None:
    """Of a GET as of a POST, and a query goes along."""
    asked = await fetch_from(f"{address}/ocsp", max_bytes=100, body=b"question", headers={"Content-Type": "a/b"})

    assert LIST == await fetch_from(f"{address}/list?of=today", max_bytes=len(LIST))
    assert b"a/b: question" == asked


@pytest.mark.parametrize(
    ("path", "max_bytes", "seconds", "expected"),
    [
        pytest.param("/none", 10_000, 30, "status 404", id="not there"),
        pytest.param("/moved", 10_000, 30, "status 302; redirects are not followed", id="redirection"),
        pytest.param("/list", len(LIST) - 1, 30, "answers with more than 3,999 bytes", id="too much"),
        pytest.param("/list", 10_000, 1e-9, "has not answered within", id="too slow"),
    ],
)
async def test_another_answer_is_none(address: str, path: str, max_bytes: int, seconds: float, expected: str) -> None:
    """There is an end to bytes and to time, and no way to another server."""
    with pytest.raises(RevocationUnavailableError, match=expected):
        await fetch_from(address + path, max_bytes=max_bytes, seconds=seconds)


async def test_an_answer_that_nobody_wants_any_more_is_left(address: str) -> None:
    """Who is stopped does not wait for the rest of a list."""
    with pytest.raises(RevocationUnavailableError, match="not waited for any more"):
        await fetch_from(f"{address}/list", max_bytes=10_000, stopped=lambda: True)


@pytest.mark.parametrize(
    "uri", ["ldap://ca.test/list", "file:///etc/passwd", "http://", "nothing", "http://127.0.0.1:1/", "http://[::1"]
)
async def test_what_is_no_web_server_is_not_asked(uri: str) -> None:
    """Nor one that does not answer; the text names it."""
    with pytest.raises(RevocationUnavailableError) as error:
        await fetch_from(uri, max_bytes=10)

    assert uri in str(error.value)


async def test_the_environment_names_no_proxy(address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """An authority is asked itself, whatever a shell has set."""
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1/")
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:1/")

    assert LIST == await fetch_from(f"{address}/list", max_bytes=len(LIST))


async def test_a_server_that_cannot_be_reached_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine that does not even refuse costs a bounded time."""
    monkeypatch.setattr(web, "CONNECT_SECONDS", 0.05)
    # Its queue is full with the one connection that nobody takes, so that further ones are left without an answer.
    with socket.create_server(("127.0.0.1", 0), backlog=0) as server:
        place = server.getsockname()
        with socket.create_connection(place), pytest.raises(RevocationUnavailableError, match="cannot be reached"):
            await fetch_from(f"http://127.0.0.1:{place[1]}/", max_bytes=10)
