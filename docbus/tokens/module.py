"""One library in this process: its tokens with their sessions, logins, and the keys that were found."""

from __future__ import annotations

import threading
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

from docbus.errors import PinError, SignerAwayError
from docbus.tokens.calls import CALL_SECONDS, Calls
from docbus.tokens.failures import translated
from docbus.tokens.library import begin_again, library_file, load
from docbus.tokens.logins import Logins
from docbus.tokens.look import look_at, name_of
from docbus.tokens.pins import PIN_SECONDS, read_pin
from docbus.tokens.search import KeyAbsentError, TokenAbsentError, find_token
from docbus.tokens.sessions import SessionPool

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    import pkcs11

    from docbus.tokens.beginning import Library
    from docbus.tokens.look import TokenLook
    from docbus.tokens.pins import Pin
    from docbus.tokens.uri import TokenUri

    Work = Callable[[Any, str | None], "T"]

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class _PinWanted:
    """Nobody has logged in yet.

    Attributes:
        last_try: The token locks if the next PIN is wrong.
    """

    last_try: bool


class Module:
    """A library in use. Any thread may call its methods; what they do happens in threads of its own.

    Calls into it are made at the same time if it has been begun with locking, see
    :class:`~docbus.tokens.calls.Calls`, each in a session of its token that no other uses meanwhile. After any failure
    it is begun again before its next use, when no thread is inside it any more.
    """

    def __init__(self, file: Path) -> None:
        self._file = file
        self._calls = Calls(f"docbus-token-{file.name}", f"the PKCS #11 library {file}")
        self._library: Library | None = None
        self._doubtful = False
        """Whether a call has failed in a way that only a new beginning heals; what that clears is below."""
        self._pools: dict[str, SessionPool] = {}
        """By the names of their tokens."""
        self._found: dict[TokenUri, SessionPool] = {}
        """Those that are logged in, by what keys on their tokens are called."""
        self._logins = Logins()
        self._asking = threading.Lock()

    def use(self, uri: TokenUri, work: Work[T]) -> T:
        """Do something with a private key, logging in first if nobody has; asks for the PIN only then.

        Args:
            uri: Which key.
            work: Gets the key, and the PIN if the key wants it for each signature.

        Raises:
            PinError: The PIN is missing, wrong or locked.
            KeyFileError: The token has no such key, or several.
            SignerAwayError: The token is not there, or does not answer.
        """
        return self._logged_in(uri, partial(self._use, uri, work))

    def in_session(self, uri: TokenUri, work: Callable[[pkcs11.Session], T]) -> T:
        """Do something in a session that may write, logging in first if nobody has.

        Raises:
            DocbusError: As :meth:`use`.
        """
        return self._logged_in(uri, partial(self._write, uri, work))

    def look(self, uri: TokenUri) -> TokenLook:
        """Return what can be seen without a PIN.

        Raises:
            KeyFileError: Several tokens or keys are meant, or the key is none that may sign.
            SignerAwayError: The token is not there, or does not answer.
        """
        return self._call(uri, partial(self._look, uri))

    def close(self) -> None:
        """Forget sessions, logins and PINs; what comes next begins anew."""
        self._calls.call("", self._forget, alone=True)

    def _logged_in(self, uri: TokenUri, step: Callable[[Pin | None], T | _PinWanted]) -> T:
        answer = self._call(uri, partial(step, None))
        if not isinstance(answer, _PinWanted):
            return answer
        # One at a time: a PIN is asked for once, however many sign.
        if not self._asking.acquire(timeout=CALL_SECONDS + PIN_SECONDS):
            raise SignerAwayError(f"{uri.token_text} still waits for its PIN")
        try:
            answer = self._call(uri, partial(step, None))
            if not isinstance(answer, _PinWanted):
                return answer
            pin = read_pin(uri)
            if answer.last_try and not pin.typed:
                raise PinError(
                    f"{uri.token_text} locks if the next PIN is wrong, so that none is tried that nobody has typed",
                    hint="Log in once by hand, with the software of the token's maker, then start docbus again.",
                )
            answer = self._call(uri, partial(step, pin))
        finally:
            self._asking.release()
        if isinstance(answer, _PinWanted):
            raise SignerAwayError(f"{uri.token_text} was exchanged while its PIN was asked for")
        return answer

    def _call(self, uri: TokenUri, step: Callable[[], T]) -> T:
        try:
            return self._calls.call(uri.token_text, partial(self._guarded, uri, step))
        except (TokenAbsentError, KeyAbsentError) as error:
            if error.looked_anew:
                raise
        # Some libraries see what has come or gone only when they begin, which the next call lets them.
        return self._calls.call(uri.token_text, partial(self._guarded, uri, step))

    # What follows runs in the module's own threads.

    def _guarded(self, uri: TokenUri, step: Callable[[], T], *, alone: bool) -> T:
        """Do a step with the library begun; after a failure, the next call that is alone begins anew."""
        begun_now = False
        try:
            if alone:
                begun_now = self._begin()
            with translated(uri):
                return step()
        except BaseException as error:
            # Also after one that lasts: the session may be in the middle of a signature, and python-pkcs11 holds a lock
            # of it for as long as anybody looks at the error.
            self._doubtful = True
            if isinstance(error, TokenAbsentError | KeyAbsentError):
                error.looked_anew = begun_now
            raise

    def _begin(self) -> bool:
        """Load the library, or begin it anew if need be, and tell whether it was; no other call is being made."""
        needed = self._library is None or self._doubtful
        if self._library is None:
            self._library = load(self._file)
        elif self._doubtful:
            self._pools.clear()
            self._found.clear()
            begin_again(self._library)
        self._doubtful = False
        if self._library.locking:
            self._calls.share()
        return needed

    def _forget(self, *, alone: bool) -> None:
        assert alone  # noqa: S101 - it was asked for
        self._pools.clear()
        self._found.clear()
        self._logins.forget()
        self._doubtful = True

    def _look(self, uri: TokenUri) -> TokenLook:
        token = find_token(self._begun, uri)
        pool = self._pools.get(name_of(token))
        if pool is not None and pool.logged_in:
            # Some tokens have no other session left.
            with pool.session() as session:
                return look_at(token, session.session, uri)
        with token.open() as opened:
            return look_at(token, opened, uri)

    def _use(self, uri: TokenUri, work: Work[T], pin: Pin | None) -> T | _PinWanted:
        pool = self._pool(uri, pin)
        if isinstance(pool, _PinWanted):
            return pool
        with pool.session() as session:
            found = session.key(uri)
            if not found.asks_each_time:
                with self._logins.refusing(pool.name, uri):
                    return work(found.key, None)
            # One signature at a time: with several, a wrong PIN would be tried as often.
            with pool.pin_in_use():
                self._logins.check(pool.name)
                known = self._logins.passed(pool.name)
                with self._logins.refusing(pool.name, uri):
                    return work(found.key, None if known is None else known.text)

    def _write(self, uri: TokenUri, work: Callable[[pkcs11.Session], T], pin: Pin | None) -> T | _PinWanted:
        pool = self._pool(uri, pin)
        if isinstance(pool, _PinWanted):
            return pool
        with pool.writing() as session:
            return work(session)

    @property
    def _begun(self) -> Library:
        assert self._library is not None  # noqa: S101 - _guarded has loaded it
        return self._library

    def _pool(self, uri: TokenUri, pin: Pin | None) -> SessionPool | _PinWanted:
        """Return the token's sessions, logged in."""
        from pkcs11 import TokenFlag

        if (known := self._found.get(uri)) is not None:
            return known
        token = find_token(self._begun, uri)
        name = name_of(token)
        pool = self._pools.setdefault(name, SessionPool(token))
        with pool.pin_in_use():
            self._logins.check(name)
            if not pool.logged_in:
                pin = pin or self._logins.passed(name)
                if pin is None:
                    return _PinWanted(last_try=bool(token.flags & TokenFlag.USER_PIN_FINAL_TRY))
                with self._logins.refusing(name, uri):
                    pool.log_in(pin)
                self._logins.keep(name, pin)
        self._found[uri] = pool
        return pool


_modules: dict[Path, Module] = {}
_loading = threading.Lock()


def module_of(uri: TokenUri) -> Module:
    """Return the library that a URI names, one object for each in this process; nothing is loaded yet.

    Raises:
        KeyFileError: It is not installed.
    """
    file = library_file(uri).resolve()
    with _loading:
        if file not in _modules:
            _modules[file] = Module(file)
        return _modules[file]
