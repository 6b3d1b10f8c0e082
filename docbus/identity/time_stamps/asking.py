"""A question to a time-stamping authority, and whether its answer is one (RFC 3161 sections 2.2 and 2.4)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

from rfc3161_client import HashAlgorithm, TimestampRequestBuilder

from docbus.clock import format_time
from docbus.errors import MalformedError, TimeStampError
from docbus.identity.time_stamps.token import GRANTED, decode_response, describe
from docbus.identity.time_stamps.verdict import Outcome, imprint_refusal, judge
from docbus.limits import MAX_CLOCK_SKEW_MS

if TYPE_CHECKING:
    from docbus.identity.time_stamps.anchors import Anchors
    from docbus.identity.time_stamps.token import TimeStamp

MAX_SAID_CHARACTERS = 200
"""Characters of what an authority says in refusing that get into an error."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """What is asked about some bytes, once.

    Attributes:
        stamped: The bytes.
        nonce: A random number of 64 bits, which the answer has to repeat.
        encoded: The request, DER: SHA-256 imprint, nonce, and the wish for the signer's certificate.
    """

    stamped: bytes
    nonce: int
    encoded: bytes

    @classmethod
    def about(cls, stamped: bytes) -> Self:
        """Return a new question."""
        request = TimestampRequestBuilder(data=stamped, hash_algorithm=HashAlgorithm.SHA256).build()
        if request.nonce is None:
            raise TimeStampError("a request was made without a nonce, so no answer could be told from an old one")
        return cls(stamped=stamped, nonce=request.nonce, encoded=request.as_bytes())

    def accept(self, answer: bytes, anchors: Anchors, *, now_ms: int, policy: str | None = None) -> TimeStamp:
        """Return the time stamp that an answer grants, verified.

        Args:
            answer: A response, DER.
            anchors: Whom to believe.
            now_ms: Milliseconds since 1970 UTC; a stamp of another time would prove what is not so.
            policy: As in :func:`~docbus.identity.time_stamps.verdict.judge`.

        Raises:
            TimeStampError: It grants none, or one that proves nothing; the text says why.
        """
        try:
            return self._accepted(answer, anchors, now_ms, policy)
        except TimeStampError:
            raise
        except Exception as error:
            raise _refused(f"it cannot be read: {type(error).__name__}: {error}") from error

    def _accepted(self, answer: bytes, anchors: Anchors, now_ms: int, policy: str | None) -> TimeStamp:
        try:
            response = decode_response(answer)
            if response.status != GRANTED:
                said = " ".join(response.status_string)[:MAX_SAID_CHARACTERS]
                raise TimeStampError(
                    f"the authority refused, with status {response.status}" + (f": {said!r}" if said else ""),
                    hint="Ask whoever runs it; it is asked again until it grants.",
                )
            stamp = describe(response)
        except MalformedError as error:
            raise _refused(error.text) from error
        about = imprint_refusal(stamp, self.stamped)
        if about is not None:
            raise _refused(about[1])
        if stamp.nonce != self.nonce:
            raise _refused("it repeats another nonce, so it is not the answer to this question")
        verdict = judge(stamp.token, self.stamped, anchors, policy=policy)
        if verdict.outcome is not Outcome.PASSED:
            raise _refused(verdict.text)
        if abs(stamp.time_ms - now_ms) > MAX_CLOCK_SKEW_MS:
            raise _refused(f"its time is {format_time(stamp.time_ms)}, and here it is {format_time(now_ms)}")
        return stamp


def _refused(why: str) -> TimeStampError:
    return TimeStampError(
        f"the authority's answer is not accepted: {why}",
        hint="Check [timestamps] url and anchor, and the clock; it is asked again until it answers as it should.",
    )
