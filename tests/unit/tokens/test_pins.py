"""Where PINs come from."""

from __future__ import annotations

import os
import subprocess
import sys
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from docbus.errors import PinError
from docbus.tokens import pins
from docbus.tokens.pins import MAX_PIN_BYTES, PIN_VARIABLE, Pin, read_pin
from docbus.tokens.uri import TokenUri

if TYPE_CHECKING:
    from collections.abc import Callable

PIN = "24681357"
SECONDS = 20
NOBODY = TokenUri(token="H26", key_label="docbus")


@pytest.fixture
def written(tmp_path: Path) -> Callable[..., TokenUri]:
    """Return a way to write a file, and to get the URI that names it."""

    def write(content: bytes, mode: int = 0o600) -> TokenUri:
        path = tmp_path / "pin"
        path.write_bytes(content)
        path.chmod(mode)
        return TokenUri(token="H26", key_label="docbus", pin_file=path)

    return write


@pytest.mark.parametrize("content", [PIN, f"{PIN}\n", f"{PIN}\r\n"])
def test_pin_is_the_line_of_the_file(written: Callable[..., TokenUri], content: str) -> None:
    """The end of the line is none of the PIN, and the file goes before the variable."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(PIN_VARIABLE, "another")

        assert Pin(PIN) == read_pin(written(content.encode()))


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o660, 0o610])
def test_file_open_to_others_is_refused(written: Callable[..., TokenUri], mode: int) -> None:
    """A PIN that others can read or change is not used."""
    with pytest.raises(PinError, match=f"mode {mode:04o}") as refused:
        read_pin(written(PIN.encode(), mode))

    assert "chmod 600" in (refused.value.hint or "")


@pytest.mark.parametrize("content", [b"", b"\n", b"\xff\xfe", b"a" * (MAX_PIN_BYTES + 1)])
def test_what_is_no_pin_is_refused(written: Callable[..., TokenUri], content: bytes) -> None:
    """An empty file, a long one and one that is not text are refused without showing what is in them."""
    with pytest.raises(PinError, match="holds no PIN") as refused:
        read_pin(written(content))

    assert "aaa" not in refused.value.text
    assert None is refused.value.__cause__


def test_longest_pin_is_taken(written: Callable[..., TokenUri]) -> None:
    """A PIN may have so many bytes."""
    assert "a" * MAX_PIN_BYTES == read_pin(written(b"a" * MAX_PIN_BYTES + b"\n")).text


def test_what_is_no_file_is_refused(tmp_path: Path) -> None:
    """A file that is missing, a folder and a pipe are named, and nobody waits for a pipe's other end."""
    os.mkfifo(tmp_path / "pipe", 0o600)

    for name, text in (("missing", "cannot be read"), ("", "cannot be read"), ("pipe", "not a plain file")):
        with pytest.raises(PinError, match=text):
            read_pin(TokenUri(pin_file=tmp_path / name))


def test_variable_has_the_pin_where_no_file_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """The environment is asked next."""
    monkeypatch.setenv(PIN_VARIABLE, PIN)

    assert Pin(PIN) == read_pin(NOBODY)


def test_without_a_terminal_there_is_no_pin(monkeypatch: pytest.MonkeyPatch) -> None:
    """A service that was told no PIN says where one can come from."""
    monkeypatch.setattr(pins, "_TERMINAL", "/nowhere/tty")

    with pytest.raises(PinError, match="there is no PIN for the token token=H26") as refused:
        read_pin(NOBODY)

    assert PIN_VARIABLE in (refused.value.hint or "")


def test_nothing_shows_a_pin() -> None:
    """A PIN that gets into a log or a traceback is not readable there."""
    assert PIN not in f"{Pin(PIN)} {Pin(PIN)!r}"


def _at_a_terminal(program: str, typed: bytes) -> str:
    """Run a program in a session of its own with a terminal, type something there, and return all that it shows."""
    ours, theirs = os.openpty()
    begin = "import os, sys; os.close(os.open(sys.argv[1], os.O_RDWR)); from docbus.tokens.pins import *; "
    with subprocess.Popen(
        [sys.executable, "-c", begin + "\n" + program, os.ttyname(theirs)],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        start_new_session=True,
        cwd=Path(__file__).parents[3],
    ) as process:
        shown = b""
        while b"PIN: " not in shown:
            shown += os.read(ours, 1000)
        os.write(ours, typed)
        printed, _ = process.communicate(timeout=SECONDS)
        shown += os.read(ours, 1000)
    os.close(theirs)
    os.close(ours)
    return (shown + printed).decode()


def test_pin_is_typed_unseen_at_the_terminal() -> None:
    """The prompt is shown, what is typed is not, and it is what the token gets."""
    shown = _at_a_terminal("import hashlib; print(hashlib.sha256(ask('PIN: ')).hexdigest())", b"1357\n")

    assert ["PIN: ", sha256(b"1357\n").hexdigest()] == shown.splitlines()
    assert "1357" not in shown


def test_nobody_is_waited_for_without_end() -> None:
    """Where nobody types, the prompt ends with an error."""
    shown = _at_a_terminal(
        "from docbus.errors import PinError\ntry: ask('PIN: ', seconds=0.1)\nexcept PinError as error: print(error)",
        b"",
    )

    assert "nobody has typed a PIN within 0 s" in shown
