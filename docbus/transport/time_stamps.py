"""Asks a time-stamping authority over HTTP (RFC 3161 section 3.4).

Plain HTTP is enough: an answer is signed, and a question tells no more than a digest. What it is worth,
:class:`~docbus.identity.time_stamps.asking.Question` decides.
"""

from __future__ import annotations

from urllib.parse import urlsplit

from docbus.errors import AuthorityUnavailableError, ConfigurationError, TimeStampError
from docbus.identity.time_stamps.shown import begins_with
from docbus.limits import KIB
from docbus.transport.web import is_web_address, request

ANSWER_SECONDS = 20.0
"""Seconds that an authority has from the connection to the last byte; one takes less than a second."""
MAX_ANSWER_BYTES = 32 * KIB
"""Bytes of an answer; one with its signer's certificate has about 1 KiB."""

MAX_TYPE_CHARACTERS = 80
"""Characters of a content type that get into an error."""
_SEQUENCE = b"\x30"
"""With which every answer in DER begins."""

MAX_FALLBACKS = 3
"""Authorities that are asked where those before have not stamped; a round of all takes 80 seconds at most."""

QUERY_TYPE = "application/timestamp-query"
ANSWER_TYPE = "application/timestamp-reply"


def checked_address(url: str) -> str:
    """Return an address at which an authority can be asked.

    Raises:
        ConfigurationError: It is no address of HTTP, or has a name and password in it.
    """
    if is_web_address(url):
        return url
    if _has_password(url):
        raise ConfigurationError("a name or a password in an authority's address is not understood")
    raise ConfigurationError(f"{url!r} is no address of HTTP", hint="It looks like http://tsa.example/tsa.")


def wished_address(url: str) -> str:
    """Return what :func:`checked_address` does, for settings.

    Raises:
        ValueError: It is none.
    """
    try:
        return checked_address(url)
    except ConfigurationError as error:
        raise ValueError(error.text) from error


class TSAClient:
    """Asks one authority; a connection for each question, as there are few.

    Args:
        url: Where it listens, from the settings, which have checked it.
        answer_seconds: Seconds that it has for an answer.
    """

    def __init__(self, url: str, *, answer_seconds: float = ANSWER_SECONDS) -> None:
        self._url = url
        self._answer_seconds = answer_seconds

    async def ask(self, question: bytes) -> bytes:
        """Return what the authority answers, unread.

        Args:
            question: A request, DER.

        Raises:
            AuthorityUnavailableError: It cannot be reached, or does not answer in time or size.
            TimeStampError: It answers with something that is no time stamp.
        """
        return await request(
            self._url,
            max_bytes=MAX_ANSWER_BYTES,
            unavailable=self._unavailable,
            body=question,
            headers={"Content-Type": QUERY_TYPE, "Accept": ANSWER_TYPE, "User-Agent": "docbus"},
            seconds=self._answer_seconds,
            check=self._check,
        )

    def _check(self, content_type: str, answer: bytes) -> None:
        """Return if an answer may be in DER; a page that somebody on the way has put in its place is not."""
        if answer.startswith(_SEQUENCE):
            return
        named = f"of the type {content_type[:MAX_TYPE_CHARACTERS]!r}" if content_type else "of no type"
        raise TimeStampError(
            f"the time-stamping authority {self._url} answers with no time stamp, but {begins_with(answer)}, {named}",
            hint="Check that [timestamps] url is its address for time stamps (RFC 3161), and whether something on the"
            " way answers in its place. It is asked again by itself.",
        )

    def _unavailable(self, what: str) -> AuthorityUnavailableError:
        return AuthorityUnavailableError(
            f"the time-stamping authority {self._url} {what}",
            hint="Documents flow meanwhile; check [timestamps] url and the way there. It is asked again by itself.",
        )


def _has_password(url: str) -> bool:
    try:
        return urlsplit(url).username is not None
    except ValueError:
        return False
