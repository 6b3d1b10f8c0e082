"""Calls into a library that may never return, each waited for only so long."""

from __future__ import annotations

import threading
from collections import Counter, deque
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Any, Protocol, TypeVar

from docbus.errors import SignerAwayError

T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)

CALL_SECONDS = 30.0
"""Seconds that one call is waited for: smart cards sign in a second, and modules behind a network give up by then."""
MAX_CALLS_OF_TOKEN = 4
"""Calls of one token that are made at a time: four times as many signatures where a token can (ADR 0026), and there is
one signature a batch, so that more would be waited for by nobody."""
MAX_WAITING_CALLS = 64
"""Calls that wait for their turn; there are as many as there are threads that sign at a time, which are few."""


class Job(Protocol[T_co]):
    """What a call does."""

    def __call__(self, *, alone: bool) -> T_co:
        """Do it.

        Args:
            alone: No other call is being made, and none begins before this one ends or shares.
        """
        ...


@dataclass(frozen=True, slots=True, eq=False)
class _Call:
    """A call that is waited for.

    Attributes:
        token: Of which token it is.
        job: What is done.
        alone: It must be alone.
        answer: What its caller waits for.
    """

    token: str
    job: Job[Any]
    alone: bool
    answer: Future[Any] = field(default_factory=Future)


class Calls:
    """Threads for everything that is done with one library, so that whoever wants it can stop waiting.

    At first one call is made at a time. One that is alone may say with :meth:`share` that others may be made beside
    it, so many of each token. A call that raises takes that back: the next one waits until all others have returned,
    and is alone. The threads do not keep the process from ending.

    Args:
        name: Of the threads.
        what: The library, for errors.
        seconds: That a call is waited for.
    """

    def __init__(self, name: str, what: str, *, seconds: float = CALL_SECONDS) -> None:
        self._name = name
        self._what = what
        self._seconds = seconds
        self._changed = threading.Condition()
        self._waiting: deque[_Call] = deque(maxlen=MAX_WAITING_CALLS)
        self._running: Counter[str] = Counter()
        """Calls that are being made, by token; also those that nobody waits for any more."""
        self._shared = False
        self._idle = 0
        """Threads that look for a call before anything else."""

    def call(self, token: str, job: Job[T], *, alone: bool = False) -> T:
        """Do a job in one of the threads, and return what it returns, or raise what it raises.

        Args:
            token: Of which token it is; any text that is the same for the same token.
            job: What is done.
            alone: It must be alone.

        Raises:
            SignerAwayError: It did not end in time, or too many wait already.
        """
        call = _Call(token, job, alone)
        with self._changed:
            if len(self._waiting) >= MAX_WAITING_CALLS:
                raise SignerAwayError(
                    f"{self._what} does not answer, and {MAX_WAITING_CALLS} calls wait for it",
                    hint="Look after the token.",
                )
            self._waiting.append(call)
            self._see_to_it()
        try:
            answer: T = call.answer.result(self._seconds)
        except TimeoutError:
            with self._changed:
                # What has not begun yet never will, and what waits behind it may be able to.
                if call in self._waiting:
                    self._waiting.remove(call)
                    self._see_to_it()
            raise SignerAwayError(
                f"{self._what} has not answered for {self._seconds:.0f} s", hint="Look after the token."
            ) from None
        return answer

    def share(self) -> None:
        """Let other calls be made beside this one, which is alone."""
        with self._changed:
            self._shared = True
            self._see_to_it()

    def _next(self) -> _Call | None:
        """Return the call that may be made now, if any."""
        for call in self._waiting:
            if call.alone or not self._shared:
                # Those behind it do not overtake it, or it might wait for ever.
                return None if self._running.total() else call
            if self._running[call.token] < MAX_CALLS_OF_TOKEN:
                return call
        return None

    def _see_to_it(self) -> None:
        """Let a thread make the next call, if it may be made."""
        if self._next() is None:
            return
        if self._idle:
            self._changed.notify()
        else:
            threading.Thread(target=self._work, name=self._name, daemon=True).start()
            self._idle += 1

    def _work(self) -> None:
        while True:
            # Also what the end of the last call has made possible.
            call, alone = self._begin_next()
            failure: BaseException | None = None
            answer = None
            try:
                answer = call.job(alone=alone)
            except BaseException as error:  # noqa: BLE001 - it is raised where the job was given
                failure = error
            with self._changed:
                self._running[call.token] -= 1
                self._idle += 1
                if failure is not None:
                    self._shared = False
            if failure is None:
                call.answer.set_result(answer)
            else:
                call.answer.set_exception(failure)
            del call, answer, failure

    def _begin_next(self) -> tuple[_Call, bool]:
        """Wait for a call that may be made; return it, and whether it is alone."""
        with self._changed:
            while (call := self._next()) is None:
                self._changed.wait()
            self._idle -= 1
            self._waiting.remove(call)
            self._running[call.token] += 1
            if call.alone:
                self._shared = False
            alone = not self._shared
            self._see_to_it()
            return call, alone
