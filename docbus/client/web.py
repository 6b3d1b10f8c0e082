"""One request to an authority's web server, with an end to everything: bytes, time, and no way to another server."""

from __future__ import annotations

import http.client
import time
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from docbus.errors import RevocationUnavailableError
from docbus.limits import KIB

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

SECONDS = 30.0
"""Seconds for a whole answer; a list of five megabytes takes as long over 1.4 Mbit/s."""
CONNECT_SECONDS = 5.0
"""Seconds for a connection, and for each read of it."""
PIECE_BYTES = 64 * KIB
_OK = 200


def request(
    uri: str,
    *,
    max_bytes: int,
    body: bytes | None = None,
    headers: Mapping[str, str] | None = None,
    seconds: float = SECONDS,
    stopped: Callable[[], bool] = lambda: False,
) -> bytes:
    """Return what a server answers to one GET, or POST if there is a body; blocks the calling thread.

    Redirections are not followed: a certificate names where its authority's list is to be had, and nobody else does.

    Args:
        uri: Of the scheme http or https.
        max_bytes: Beyond which the answer is not read.
        body: To be posted.
        headers: Of the request.
        seconds: For the whole answer.
        stopped: Tells that nobody wants it any more; it is asked after each piece.

    Raises:
        RevocationUnavailableError: It cannot be reached, answers otherwise than with 200, or too much, or too slowly.
    """
    try:
        parts = urlsplit(uri)
    except ValueError as error:
        raise RevocationUnavailableError(f"{uri[:200]!r} is not the address of a web server") from error
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise RevocationUnavailableError(f"{uri[:200]!r} is not the address of a web server")
    kind = http.client.HTTPSConnection if parts.scheme == "https" else http.client.HTTPConnection
    path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    try:
        connection = kind(parts.hostname, parts.port, timeout=CONNECT_SECONDS)
        try:
            connection.request("GET" if body is None else "POST", path, body=body, headers=dict(headers or {}))
            answer = connection.getresponse()
            if answer.status != _OK:
                raise RevocationUnavailableError(f"{uri} answers with status {answer.status}")
            return _read(answer, uri, max_bytes, time.monotonic() + seconds, stopped)
        finally:
            connection.close()
    except (OSError, http.client.HTTPException, ValueError) as error:
        raise RevocationUnavailableError(f"{uri[:200]} cannot be fetched: {error}") from error


def _read(
    answer: http.client.HTTPResponse, uri: str, max_bytes: int, until: float, stopped: Callable[[], bool]
) -> bytes:
    found = bytearray()
    while piece := answer.read1(PIECE_BYTES):
        found += piece
        if len(found) > max_bytes:
            raise RevocationUnavailableError(f"{uri} answers with more than {max_bytes:,} bytes")
        if stopped():
            raise RevocationUnavailableError(f"{uri} is not waited for any more")
        if time.monotonic() > until:
            raise RevocationUnavailableError(f"{uri} answers too slowly: {len(found):,} bytes so far")
    return bytes(found)
