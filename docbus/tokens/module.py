"""One library in this process: its tokens with one session each, logins, and the keys that were found."""

from __future__ import annotations

import threading
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

from docbus.errors import DocbusError, PinError, SignerAwayError
from docbus.tokens.calls import CALL_SECONDS, CallThread
from docbus.tokens.failures import translated
from docbus.tokens.library import begin_again, library_file, load
from docbus.tokens.logins import Logins
from docbus.tokens.look import look_at, name_of
from docbus.tokens.pins import PIN_SECONDS, read_pin
from docbus.tokens.search import TokenAbsentError, asks_each_time, find_private_key, find_token

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    import pkcs11
    from pkcs11._pkcs11 import lib as Library  # noqa: N812 - a class in spite of its name

    from docbus.tokens.look import TokenLook
    from docbus.tokens.pins import Pin
    from docbus.tokens.uri import TokenUri

    Work = Callable[[Any, str | None], "T"]

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class _FoundKey:
    """A private key of python-pkcs11, by token.

    Attributes:
        key: It.
        token: Serial number and label of its token.
        asks_each_time: It wants the PIN for each signature (``CKA_ALWAYS_AUTHENTICATE``), as keys of personal cards do.
    """

    key: Any
    token: str
    asks_each_time: bool


@dataclass(frozen=True, slots=True)
class _PinWanted:
    """Nobody has logged in yet.

    Attributes:
        last_try: The token locks if the next PIN is wrong.
    """

    last_try: bool


class Module:
    """A library in use. Any thread may call its methods; what they do happens in a thread of its own.

    A token has one session in this process, opened with the first signature and kept: PKCS #11 knows one login for all
    sessions of a process, and signatures of one library are made one after the other anyway, see
    :class:`~docbus.tokens.calls.CallThread`.
    """

    def __init__(self, file: Path) -> None:
        self._file = file
        self._thread = CallThread(f"docbus-token-{file.name}", f"the PKCS #11 library {file}")
        self._library: Library | None = None
        self._doubtful = False
        """Whether a call has failed in a way that only a new beginning heals."""
        self._sessions: dict[str, pkcs11.Session] = {}
        self._keys: dict[TokenUri, _FoundKey] = {}
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
        return self._thread.call(partial(self._guarded, uri, lambda: look_at(self._begun, uri)))

    def close(self) -> None:
        """Forget sessions, logins and PINs; what comes next begins anew."""
        self._thread.call(self._forget)

    def _logged_in(self, uri: TokenUri, step: Callable[[Pin | None], T | _PinWanted]) -> T:
        answer = self._thread.call(partial(self._guarded, uri, step, None))
        if not isinstance(answer, _PinWanted):
            return answer
        # One at a time: a PIN is asked for once, however many sign.
        if not self._asking.acquire(timeout=CALL_SECONDS + PIN_SECONDS):
            raise SignerAwayError(f"{uri.token_text} still waits for its PIN")
        try:
            answer = self._thread.call(partial(self._guarded, uri, step, None))
            if not isinstance(answer, _PinWanted):
                return answer
            pin = read_pin(uri)
            if answer.last_try and not pin.typed:
                raise PinError(
                    f"{uri.token_text} locks if the next PIN is wrong, so that none is tried that nobody has typed",
                    hint="Log in once by hand, with the software of the token's maker, then start docbus again.",
                )
            answer = self._thread.call(partial(self._guarded, uri, step, pin))
        finally:
            self._asking.release()
        if isinstance(answer, _PinWanted):
            raise SignerAwayError(f"{uri.token_text} was exchanged while its PIN was asked for")
        return answer

    # What follows runs in the module's own thread.

    def _guarded(self, uri: TokenUri, step: Callable[..., T], *arguments: Any) -> T:
        """Do a step with the library begun; after a failure, begin anew next time."""
        try:
            begun_before = self._begin()
            with translated(uri):
                try:
                    return step(*arguments)
                except TokenAbsentError:
                    if not begun_before:
                        raise
            self._doubtful = True
            self._begin()
            with translated(uri):
                return step(*arguments)
        except DocbusError:
            # Also after one that lasts: the session may be in the middle of a signature, and python-pkcs11 holds a lock
            # of it for as long as anybody looks at the error.
            self._doubtful = True
            raise

    def _begin(self) -> bool:
        """Load the library, or begin it anew if need be; tell whether it was in use before."""
        before = self._library is not None and not self._doubtful
        if self._library is None:
            self._library = load(self._file)
        elif self._doubtful:
            self._sessions.clear()
            self._keys.clear()
            begin_again(self._library)
        self._doubtful = False
        return before

    def _forget(self) -> None:
        self._sessions.clear()
        self._keys.clear()
        self._logins.forget()
        self._doubtful = True

    def _use(self, uri: TokenUri, work: Work[T], pin: Pin | None) -> T | _PinWanted:
        found = self._keys.get(uri)
        if found is None:
            session = self._session(uri, pin)
            if isinstance(session, _PinWanted):
                return session
            key = find_private_key(session, uri)
            found = self._keys[uri] = _FoundKey(key, name_of(session.token), asks_each_time(key))
        known = self._logins.passed(found.token) if found.asks_each_time else None
        with self._logins.refusing(found.token, uri):
            return work(found.key, None if known is None else known.text)

    def _write(self, uri: TokenUri, work: Callable[[pkcs11.Session], T], pin: Pin | None) -> T | _PinWanted:
        session = self._session(uri, pin)
        if isinstance(session, _PinWanted):
            return session
        with session.token.open(rw=True) as writing:
            return work(writing)

    @property
    def _begun(self) -> Library:
        assert self._library is not None  # noqa: S101 - _guarded has loaded it
        return self._library

    def _session(self, uri: TokenUri, pin: Pin | None) -> pkcs11.Session | _PinWanted:
        """Return the token's session, logged in."""
        from pkcs11 import TokenFlag, UserAlreadyLoggedIn

        token = find_token(self._begun, uri)
        name = name_of(token)
        self._logins.check(name)
        if name in self._sessions:
            return self._sessions[name]
        pin = pin or self._logins.passed(name)
        if pin is None:
            return _PinWanted(last_try=bool(token.flags & TokenFlag.USER_PIN_FINAL_TRY))
        with self._logins.refusing(name, uri):
            try:
                session = token.open(user_pin=pin.text)
            except UserAlreadyLoggedIn:
                # Somebody else in this process has, by the same library.
                session = token.open()
        self._logins.keep(name, pin)
        self._sessions[name] = session
        return session


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
