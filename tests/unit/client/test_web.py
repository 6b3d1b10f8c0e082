"""One request to a web server: what comes back, and each way in which nothing does."""

from __future__ import annotations

import threading
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import TYPE_CHECKING

import pytest

from docbus.client.web import request
from docbus.errors import RevocationUnavailableError

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


def test_what_a_server_answers_is_returned(address: str) -> None:
    """Of a GET as of a POST, and a query goes along."""
    asked = request(f"{address}/ocsp", max_bytes=100, body=b"question", headers={"Content-Type": "a/b"})

    assert LIST == request(f"{address}/list?of=today", max_bytes=len(LIST))
    assert b"a/b: question" == asked


@pytest.mark.parametrize(
    ("path", "max_bytes", "seconds", "expected"),
    [
        pytest.param("/none", 10_000, 30, "status 404", id="not there"),
        pytest.param("/moved", 10_000, 30, "status 302", id="redirection"),
        pytest.param("/list", len(LIST) - 1, 30, "more than 3,999 bytes", id="too much"),
        pytest.param("/list", 10_000, -1, "too slowly", id="too slow"),
    ],
)
def test_another_answer_is_none(address: str, path: str, max_bytes: int, seconds: float, expected: str) -> None:
    """There is an end to bytes and to time, and no way to another server."""
    with pytest.raises(RevocationUnavailableError, match=expected):
        request(address + path, max_bytes=max_bytes, seconds=seconds)


def test_an_answer_that_nobody_wants_any_more_is_left(address: str) -> None:
    """Who is stopped does not wait for the rest of a list."""
    with pytest.raises(RevocationUnavailableError, match="not waited for any more"):
        request(f"{address}/list", max_bytes=10_000, stopped=lambda: True)


@pytest.mark.parametrize(
    "uri", ["ldap://ca.test/list", "file:///etc/passwd", "http://", "nothing", "http://127.0.0.1:1/", "http://[::1"]
)
def test_what_is_no_web_server_is_not_asked(uri: str) -> None:
    """Nor one that does not answer; the text names it."""
    with pytest.raises(RevocationUnavailableError):
        request(uri, max_bytes=10)
