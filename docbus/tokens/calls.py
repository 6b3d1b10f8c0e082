"""Calls into a library that may never return, each waited for only so long."""

from __future__ import annotations

import threading
from concurrent.futures import Future
from queue import Full, Queue
from typing import TYPE_CHECKING, Any, TypeVar

from docbus.errors import SignerAwayError

if TYPE_CHECKING:
    from collections.abc import Callable

T = TypeVar("T")

CALL_SECONDS = 30.0
"""Seconds that one call is waited for: smart cards sign in a second, and modules behind a network give up by then."""
MAX_WAITING_CALLS = 64
"""Calls that wait for their turn; there are as many as there are threads that sign at a time, which are few."""


class CallThread:
    """A thread of its own for everything that is done with one library, one call after the other.

    python-pkcs11 initialises a library without locking, by which PKCS #11 (section 5.4, ``C_Initialize``) allows calls
    from one thread at a time only. The thread does not keep the process from ending.

    Args:
        name: Of the thread.
        what: The library, for errors.
        seconds: That a call is waited for.
    """

    def __init__(self, name: str, what: str, *, seconds: float = CALL_SECONDS) -> None:
        self._what = what
        self._seconds = seconds
        self._calls: Queue[tuple[Future[Any], Callable[[], Any]]] = Queue(maxsize=MAX_WAITING_CALLS)
        self._thread = threading.Thread(target=self._work, name=name, daemon=True)
        self._thread.start()

    def call(self, job: Callable[[], T]) -> T:
        """Do a job in the thread, and return what it returns, or raise what it raises.

        Raises:
            SignerAwayError: It did not end in time, or too many wait already.
        """
        waiting: Future[T] = Future()
        try:
            self._calls.put_nowait((waiting, job))
        except Full:
            raise SignerAwayError(
                f"{self._what} does not answer, and {MAX_WAITING_CALLS} calls wait for it", hint="Look after the token."
            ) from None
        try:
            return waiting.result(self._seconds)
        except TimeoutError:
            # If it has not begun yet, it never will.
            waiting.cancel()
            raise SignerAwayError(
                f"{self._what} has not answered for {self._seconds:.0f} s", hint="Look after the token."
            ) from None

    def _work(self) -> None:
        while True:
            waiting, job = self._calls.get()
            if not waiting.set_running_or_notify_cancel():
                continue
            try:
                waiting.set_result(job())
            except BaseException as error:  # noqa: BLE001 - it is raised where the job was given
                waiting.set_exception(error)
            del waiting, job
