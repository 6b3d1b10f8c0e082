"""With which PINs logins have passed, and which tokens have refused one; kept as long as the process lives."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from docbus.errors import PinError
from docbus.tokens.failures import translated

if TYPE_CHECKING:
    from collections.abc import Iterator

    from docbus.tokens.pins import Pin
    from docbus.tokens.uri import TokenUri


class Logins:
    """What is known of the PINs of one library's tokens, each by its name; one thread at a time gives a token a PIN."""

    def __init__(self) -> None:
        self._passed: dict[str, Pin] = {}
        """Needed again after the token was away, and for each signature of some keys."""
        self._refused: dict[str, PinError] = {}

    def passed(self, name: str) -> Pin | None:
        """Return the PIN with which a login has passed."""
        return self._passed.get(name)

    def keep(self, name: str, pin: Pin) -> None:
        """Note that a login has passed."""
        self._passed[name] = pin

    def check(self, name: str) -> None:
        """Return unless the token has refused a PIN.

        Raises:
            PinError: It has: none is tried again.
        """
        if name in self._refused:
            raise PinError(self._refused[name].text, hint=self._refused[name].hint)

    @contextmanager
    def refusing(self, name: str, uri: TokenUri) -> Iterator[None]:
        """Let a token have a PIN in the block, and note if it refuses it.

        Raises:
            PinError: It does.
        """
        try:
            with translated(uri):
                yield
        except PinError as error:
            self._passed.pop(name, None)
            # Without its traceback, which would hold on to the session.
            self._refused[name] = PinError(error.text, hint=error.hint)
            raise

    def forget(self) -> None:
        """Forget all of it, as a new process would."""
        self._passed.clear()
        self._refused.clear()
