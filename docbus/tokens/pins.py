"""Where the PIN of a token comes from: a file, the environment, or somebody at the terminal; kept in memory alone."""

from __future__ import annotations

import contextlib
import os
import select
import stat
import termios
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from docbus.errors import PinError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from docbus.tokens.uri import TokenUri

PIN_VARIABLE = "DOCBUS_PIN"
"""Variable of the environment in which the PIN may stand."""
MAX_PIN_BYTES = 255
"""Bytes of a PIN; tokens take from 4 to 64, and what is longer is another file."""
PIN_SECONDS = 120.0
"""Seconds that somebody at the terminal has to type it: what waits in the outbox waits that long, and no longer."""
_TERMINAL = "/dev/tty"
_WIDER_THAN_OWNER = stat.S_IRWXG | stat.S_IRWXO


@dataclass(frozen=True, slots=True)
class Pin:
    """A PIN that nothing shows.

    Attributes:
        text: It.
        typed: Somebody has typed it just now, and can see to it if it is wrong.
    """

    text: str = field(repr=False)
    typed: bool = False


def read_pin(uri: TokenUri) -> Pin:
    """Return the PIN: of the file that the URI names, or of ``DOCBUS_PIN``, or as typed at the terminal.

    Raises:
        PinError: There is none, the file is open to others than its owner, or nobody has typed it in time.
    """
    if uri.pin_file is not None:
        return Pin(_text(_read(uri.pin_file), f"the file {uri.pin_file}"))
    given = os.environ.get(PIN_VARIABLE)
    if given is not None:
        return Pin(_text(given.encode("utf-8", "surrogateescape"), PIN_VARIABLE))
    typed = ask(f"PIN of {uri.token_text}: ")
    if typed is None:
        raise PinError(
            f"there is no PIN for {uri.token_text}",
            hint=f"Name a file with pin-source=file:/path in the key's URI, set {PIN_VARIABLE}, or start docbus at a"
            " terminal.",
        )
    return Pin(_text(typed, "what was typed"), typed=True)


def _text(content: bytes, where: str) -> str:
    content = content.removesuffix(b"\n").removesuffix(b"\r")
    if not content or len(content) > MAX_PIN_BYTES:
        raise PinError(
            f"{where} holds no PIN: it has {len(content)} bytes, 1 to {MAX_PIN_BYTES} are possible",
            hint="Put the PIN there alone, on one line.",
        )
    try:
        return content.decode("utf-8")
    except UnicodeDecodeError:
        # Not chained: the other error would carry the bytes.
        raise PinError(f"{where} holds no PIN: it is not UTF-8", hint="Put the PIN there alone.") from None


def _read(path: Path) -> bytes:
    try:
        with open(path, "rb", opener=lambda name, flags: os.open(name, flags | os.O_NONBLOCK)) as opened:
            # The open file is asked, not the name, so that nothing can be put in its place in between.
            found = os.fstat(opened.fileno())
            if not stat.S_ISREG(found.st_mode):
                raise PinError(f"the PIN file {path} is not a plain file", hint="Name the file itself.")
            if found.st_mode & _WIDER_THAN_OWNER:
                mode = stat.S_IMODE(found.st_mode)
                raise PinError(
                    f"the PIN file {path} can be used by others than its owner (mode {mode:04o})",
                    hint=f"chmod 600 {path}",
                )
            return opened.read(MAX_PIN_BYTES + 3)
    except OSError as error:
        raise PinError(
            f"the PIN file {path} cannot be read: {error.strerror}", hint="Check pin-source in the key's URI."
        ) from error


def ask(prompt: str, *, seconds: float = PIN_SECONDS) -> bytes | None:
    """Return the line that somebody types at the terminal of this process, unseen.

    Returns:
        None without a terminal, or if this process runs in its background, where reading would stop it.

    Raises:
        PinError: Nobody has typed it in time.
    """
    try:
        terminal = os.open(_TERMINAL, os.O_RDWR | os.O_NOCTTY)
    except OSError:
        return None
    try:
        if os.tcgetpgrp(terminal) != os.getpgrp():
            return None
        with _unseen(terminal):
            os.write(terminal, prompt.encode())
            ready, _, _ = select.select([terminal], [], [], seconds)
            line = os.read(terminal, MAX_PIN_BYTES + 3) if ready else b""
        os.write(terminal, b"\n")
    finally:
        os.close(terminal)
    if not line:
        raise PinError(f"nobody has typed a PIN within {seconds:.0f} s", hint="Start docbus again, and type it.")
    return line


@contextlib.contextmanager
def _unseen(terminal: int) -> Iterator[None]:
    """Let the terminal not show what is typed, as long as the block runs."""
    before = termios.tcgetattr(terminal)
    unseen = [*before]
    unseen[3] &= ~termios.ECHO
    termios.tcsetattr(terminal, termios.TCSAFLUSH, unseen)
    try:
        yield
    finally:
        termios.tcsetattr(terminal, termios.TCSAFLUSH, before)
