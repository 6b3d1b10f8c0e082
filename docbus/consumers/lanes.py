"""Two fetches at a time: of the express partition, and of the others."""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING

from docbus.consumers.holding import StopReceiving
from docbus.errors import DocbusError

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine
    from typing import Any

    from docbus.consumers.intake import Fetched


class Lanes:
    """What is fetched ahead, of each kind one fetch. Belongs to one event loop.

    Args:
        fetch: Fetches once, express records or the others.
    """

    def __init__(self, fetch: Callable[[bool], Coroutine[Any, Any, Fetched]]) -> None:
        self._fetch = fetch
        self._asked: dict[bool, asyncio.Task[Fetched]] = {}
        self._alone = True

    @property
    def asked(self) -> set[asyncio.Task[Fetched]]:
        """The fetches under way, and those that are done and not taken."""
        return set(self._asked.values())

    @property
    def ready(self) -> bool:
        """Whether a fetch is done."""
        return any(task.done() for task in self._asked.values())

    @property
    def express_ready(self) -> bool:
        """Whether the fetch of express records is done."""
        task = self._asked.get(True)
        return task is not None and task.done()

    def ask(self, *, one_by_one: bool) -> None:
        """Begin the fetches that are not under way.

        Args:
            one_by_one: Only one of them, the two in turns.
        """
        if not one_by_one:
            for express in (True, False):
                self._begin(express)
        elif not self._asked:
            self._alone = not self._alone
            self._begin(self._alone)

    def take(self, *, again: bool) -> Fetched:
        """Return what was fetched, express records first.

        Args:
            again: Whether the next fetch of this kind begins at once.

        Raises:
            StopReceiving: The stop came during the fetch.
            TransportError: It failed.
        """
        return self._take(self.express_ready, again=again)

    def look_at_express(self) -> Fetched:
        """Return what :meth:`take_express` would return."""
        return self._asked[True].result()

    def take_express(self) -> Fetched:
        """Return the express records that were fetched, and fetch the next; see :meth:`take` for errors."""
        return self._take(True, again=True)  # noqa: FBT003 - likewise

    async def aclose(self) -> None:
        """Give up what is under way; it comes again."""
        for task in self._asked.values():
            task.cancel()
        for task in self._asked.values():
            with contextlib.suppress(asyncio.CancelledError, DocbusError, StopReceiving):
                await task
        self._asked.clear()

    def _begin(self, express: bool) -> None:  # noqa: FBT001 - a kind, not a switch
        if express not in self._asked:
            self._asked[express] = asyncio.ensure_future(self._fetch(express))

    def _take(self, express: bool, *, again: bool) -> Fetched:  # noqa: FBT001 - likewise
        fetched = self._asked.pop(express).result()
        if again:
            self._begin(express)
        return fetched
