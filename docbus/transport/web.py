"""One request to an authority's web server, with an end to everything: bytes, time, and no way to another server."""

from __future__ import annotations

from http import HTTPStatus
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from docbus.limits import KIB

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    import aiohttp

    from docbus.errors import DocbusError

SECONDS = 30.0
"""Seconds for a whole answer; a list of five megabytes takes as long over 1.4 Mbit/s."""
CONNECT_SECONDS = 5.0
"""Seconds for a connection, so that a round through many servers is not held up by those that are gone."""
MAX_LINE_BYTES = 8 * KIB
"""Bytes of the first line of an answer, and of each header; there may be 128 of them."""
PIECE_BYTES = 64 * KIB


def is_web_address(url: str) -> bool:
    """Return whether a text is the address of a web server, http or https, with nothing in it that is not sent."""
    try:
        found = urlsplit(url)
        _ = found.port
    except ValueError:
        return False
    plain = url.isascii() and url.isprintable() and " " not in url
    return plain and found.scheme in ("http", "https") and bool(found.hostname) and found.username is None


async def request(
    url: str,
    *,
    max_bytes: int,
    unavailable: Callable[[str], DocbusError],
    body: bytes | None = None,
    headers: Mapping[str, str] | None = None,
    seconds: float = SECONDS,
    stopped: Callable[[], bool] = lambda: False,
    check: Callable[[str, bytes], None] = lambda _kind, _body: None,
) -> bytes:
    """Return what a server answers to one GET, or POST if there is a body.

    Redirections are not followed: whoever named the server, a certificate or an operator, has named no other. Nothing
    in the environment names a proxy, and nothing is unpacked.

    Args:
        url: Of the scheme http or https.
        max_bytes: Beyond which the answer is not read.
        unavailable: Makes the error that is raised, of what the server does.
        body: To be posted.
        headers: Of the request.
        seconds: For the whole answer.
        stopped: Tells that nobody wants it any more; it is asked after each piece.
        check: Raises an error of its own if content type and bytes are not what was asked for.

    Raises:
        DocbusError: The server cannot be reached, answers otherwise than with 200, or too much, or too slowly.
    """
    if not is_web_address(url):
        raise unavailable("is not the address of a web server")
    import aiohttp  # noqa: PLC0415 - a tenth of a second, which commands that ask nobody should not take
    from yarl import URL  # noqa: PLC0415 - likewise

    timeout = aiohttp.ClientTimeout(total=seconds, sock_connect=CONNECT_SECONDS)
    try:
        async with (
            aiohttp.ClientSession(
                timeout=timeout,
                trust_env=False,
                auto_decompress=False,
                cookie_jar=aiohttp.DummyCookieJar(),
                max_line_size=MAX_LINE_BYTES,
                max_field_size=MAX_LINE_BYTES,
            ) as session,
            session.request(
                "GET" if body is None else "POST",
                URL(url, encoded=True),
                data=body,
                headers=headers,
                allow_redirects=False,
            ) as answer,
        ):
            if answer.status != HTTPStatus.OK:
                redirect = "; redirects are not followed" if "location" in answer.headers else ""
                raise unavailable(f"answers with status {answer.status}{redirect}")
            found = await _read(answer.content, max_bytes, unavailable, stopped)
            check(answer.headers.get("content-type", ""), found)
            return found
    except aiohttp.ConnectionTimeoutError:
        raise unavailable(f"cannot be reached within {CONNECT_SECONDS:g} seconds") from None
    except TimeoutError:
        raise unavailable(f"has not answered within {seconds:g} seconds") from None
    except aiohttp.ClientConnectorError as error:
        raise unavailable(f"cannot be reached: {error.os_error.strerror or error.os_error}") from error
    except (aiohttp.ClientError, ValueError) as error:
        text = " ".join(str(error).split())[:200]
        raise unavailable(f"does not answer in HTTP: {text or type(error).__name__}") from error


async def _read(
    content: aiohttp.StreamReader,
    max_bytes: int,
    unavailable: Callable[[str], DocbusError],
    stopped: Callable[[], bool],
) -> bytes:
    found = bytearray()
    async for piece in content.iter_chunked(PIECE_BYTES):
        found += piece
        if len(found) > max_bytes:
            raise unavailable(f"answers with more than {max_bytes:,} bytes")
        if stopped():
            raise unavailable("is not waited for any more")
    return bytes(found)
