"""The sessions of one token: opened when they are needed, kept, and used by one call at a time each."""

from __future__ import annotations

import threading
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from docbus.errors import SignerAwayError
from docbus.tokens.calls import CALL_SECONDS, MAX_CALLS_OF_TOKEN
from docbus.tokens.look import name_of
from docbus.tokens.search import asks_each_time, find_private_key

if TYPE_CHECKING:
    from collections.abc import Iterator

    import pkcs11

    from docbus.tokens.pins import Pin
    from docbus.tokens.uri import TokenUri

MAX_SESSIONS = MAX_CALLS_OF_TOKEN
"""Sessions of one token in this process: one for each call that is made at a time. A token has few for all processes
together."""


@dataclass(frozen=True, slots=True)
class FoundKey:
    """A private key of python-pkcs11, which belongs to a session.

    Attributes:
        key: It.
        asks_each_time: It wants the PIN for each signature (``CKA_ALWAYS_AUTHENTICATE``), as keys of personal cards do.
    """

    key: Any
    asks_each_time: bool


@dataclass(frozen=True, slots=True, eq=False)
class TokenSession:
    """A session, and the keys that were found in it."""

    session: pkcs11.Session
    _keys: dict[TokenUri, FoundKey] = field(default_factory=dict)

    def key(self, uri: TokenUri) -> FoundKey:
        """Return the private key that a URI names.

        Raises:
            KeyFileError: There is none, or there are several.
        """
        if uri not in self._keys:
            key = find_private_key(self.session, uri)
            self._keys[uri] = FoundKey(key, asks_each_time(key))
        return self._keys[uri]


class SessionPool:
    """The sessions of one token since its library was begun. Any of its threads may use it.

    PKCS #11 knows one login for all sessions of a process, so that the first one logs in, and the others are opened as
    they are needed. What was used without an error comes back; what has failed is not used again, and the whole pool is
    given up when the library begins anew.

    Args:
        token: Of python-pkcs11.
        most: Sessions that it has at a time; fewer once the token says so.
        seconds: That one is waited for.
    """

    def __init__(self, token: pkcs11.Token, *, most: int = MAX_SESSIONS, seconds: float = CALL_SECONDS) -> None:
        self.name = name_of(token)
        self.logged_in = False
        self._token = token
        self._most = most
        self._seconds = seconds
        self._free: list[TokenSession] = []
        self._opened = 0
        self._changed = threading.Condition()
        self._pin_lock = threading.Lock()

    @contextmanager
    def pin_in_use(self) -> Iterator[None]:
        """Let nobody else give the token a PIN in the block, so that a wrong one is tried once.

        Raises:
            SignerAwayError: Somebody else does, and does not come to an end.
        """
        if not self._pin_lock.acquire(timeout=self._seconds):
            raise SignerAwayError(f"the token {self._token.label} has not answered a PIN for {self._seconds:.0f} s")
        try:
            yield
        finally:
            self._pin_lock.release()

    def log_in(self, pin: Pin) -> None:
        """Open the first session, and log in with it; the caller holds :meth:`pin_in_use`.

        Raises:
            pkcs11.exceptions.PKCS11Error: The token does not let it.
        """
        from pkcs11 import UserAlreadyLoggedIn

        try:
            session = self._token.open(user_pin=pin.text)
        except UserAlreadyLoggedIn:
            # Somebody else in this process has, by the same library.
            session = self._token.open()
        with self._changed:
            self._opened += 1
            self._free.append(TokenSession(session))
        self.logged_in = True

    @contextmanager
    def session(self) -> Iterator[TokenSession]:
        """Use a session in the block alone.

        Raises:
            SignerAwayError: None has become free in time.
            pkcs11.exceptions.PKCS11Error: The token opens none.
        """
        session = self._take()
        yield session
        # Not after an error: it may be in the middle of a signature.
        with self._changed:
            self._free.append(session)
            self._changed.notify()

    @contextmanager
    def writing(self) -> Iterator[pkcs11.Session]:
        """Use a session of its own in the block, which may write, and is closed afterwards."""
        with self._token.open(rw=True) as session:
            yield session

    def _take(self) -> TokenSession:
        from pkcs11.exceptions import SessionCount

        while True:
            with self._changed:
                if not self._changed.wait_for(lambda: self._free or self._opened < self._most, self._seconds):
                    raise SignerAwayError(
                        f"all {self._most} sessions of the token {self._token.label} have been in use for"
                        f" {self._seconds:.0f} s",
                        hint="Look after the token.",
                    )
                if self._free:
                    # The one that was used last: others stay closed as long as one suffices.
                    return self._free.pop()
                self._opened += 1
            try:
                return TokenSession(self._token.open())
            except SessionCount:
                with self._changed:
                    self._opened -= 1
                    if not self._opened:
                        raise
                    self._most = self._opened
