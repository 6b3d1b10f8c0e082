"""A question to a time-stamping authority, and whether its answer is one (RFC 3161 sections 2.2 and 2.4)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

from rfc3161_client import HashAlgorithm, TimestampRequestBuilder

from docbus.clock import format_time
from docbus.errors import ConfigurationError, MalformedError, TimeStampError
from docbus.identity.time_stamps.der import SEQUENCE, element, elements, object_identifier
from docbus.identity.time_stamps.shown import begins_with
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
        encoded: The request, DER: SHA-256 imprint, policy if one is wished, nonce, and the wish for the signer's
            certificate.
        whose: Who is asked, for errors.
    """

    stamped: bytes
    nonce: int
    encoded: bytes
    whose: str = "the authority"

    @classmethod
    def about(cls, stamped: bytes, *, policy: str | None = None, whose: str = "the authority") -> Self:
        """Return a new question.

        Args:
            stamped: The bytes.
            policy: Dotted identifier of the policy to ask for (reqPolicy); None leaves it to the authority.
            whose: Who is asked, for errors.

        Raises:
            ConfigurationError: The policy is no object identifier.
        """
        request = TimestampRequestBuilder(data=stamped, hash_algorithm=HashAlgorithm.SHA256).build()
        if request.nonce is None:
            raise TimeStampError("a request was made without a nonce, so no answer could be told from an old one")
        encoded = request.as_bytes() if policy is None else _with_policy(request.as_bytes(), policy)
        return cls(stamped=stamped, nonce=request.nonce, encoded=encoded, whose=whose)

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
            raise self._refused(f"it cannot be read ({type(error).__name__}): {begins_with(answer)}") from error

    def _accepted(self, answer: bytes, anchors: Anchors, now_ms: int, policy: str | None) -> TimeStamp:
        try:
            response = decode_response(answer)
            if response.status != GRANTED:
                said = " ".join(response.status_string)[:MAX_SAID_CHARACTERS]
                asked = "" if policy is None else f", asked for the policy {policy}"
                raise TimeStampError(
                    f"{self.whose} refused{asked}, with status {response.status}" + (f": {said!r}" if said else ""),
                    hint="Ask whoever runs it, also which policies it has; it is asked again until it grants.",
                )
            stamp = describe(response)
        except MalformedError as error:
            raise self._refused(error.text) from error
        about = imprint_refusal(stamp, self.stamped)
        if about is not None:
            raise self._refused(about[1])
        if stamp.nonce != self.nonce:
            raise self._refused("it repeats another nonce, so it is not the answer to this question")
        verdict = judge(stamp.token, self.stamped, anchors, policy=policy)
        if verdict.outcome is not Outcome.PASSED:
            raise self._refused(verdict.text)
        if abs(stamp.time_ms - now_ms) > MAX_CLOCK_SKEW_MS:
            raise self._refused(f"its time is {format_time(stamp.time_ms)}, and here it is {format_time(now_ms)}")
        return stamp

    def _refused(self, why: str) -> TimeStampError:
        return TimeStampError(
            f"the answer of {self.whose} is not accepted: {why}",
            hint="Check [timestamps] url and anchor, and the clock; it is asked again until it answers as it should.",
        )


def _with_policy(request: bytes, policy: str) -> bytes:
    """Return a request with reqPolicy, which stands behind the imprint (RFC 3161 section 2.4.1).

    The library that makes requests knows none.

    Raises:
        ConfigurationError: The policy is no object identifier.
    """
    try:
        wished = object_identifier(policy)
    except ValueError as error:
        raise ConfigurationError(str(error), hint="Ask the authority for the identifier of its policy.") from error
    ((_, body),) = elements(request)
    version, imprint, *rest = (element(*part) for part in elements(body))
    return element(SEQUENCE, b"".join((version, imprint, wished, *rest)))
