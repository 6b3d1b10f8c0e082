from __future__ import annotations

import json
import logging
from typing import TYPE_CHECKING

import pytest
import structlog

from docbus.cli.logs import configure

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture(autouse=True)
def _reset() -> Iterator[None]:
    """Leave no set-up behind."""
    yield
    root = logging.getLogger()
    for handler in [one for one in root.handlers if type(one).__module__ == configure.__module__]:
        root.removeHandler(handler)
    structlog.reset_defaults()


def test_log_is_json_on_standard_error(capsys: pytest.CaptureFixture[str]) -> None:
    """Away from a terminal each event is a line of JSON, and standard output stays free for results."""
    configure(quiet=False, verbose=False, serving=False)

    structlog.get_logger("docbus.x").warning("set_aside", detail="\x1b[2J\u202e")

    out, err = capsys.readouterr()
    event = json.loads(err)
    assert "" == out
    assert ("set_aside", "warning") == (event["event"], event["level"])
    assert event["timestamp"].endswith("Z")
    assert not {"\x1b", "\u202e"} & set(err)


@pytest.mark.parametrize(
    ("quiet", "verbose", "serving", "shown"),
    [
        (False, False, False, ["warning", "error"]),
        (False, False, True, ["info", "warning", "error"]),
        (False, True, False, ["debug", "info", "warning", "error"]),
        (True, False, True, ["error"]),
    ],
)
def test_how_much_is_logged(
    capsys: pytest.CaptureFixture[str], *, quiet: bool, verbose: bool, serving: bool, shown: list[str]
) -> None:
    """Commands are silent unless something is odd, what serves tells what it does, and options change both."""
    configure(quiet=quiet, verbose=verbose, serving=serving)
    log = structlog.get_logger("docbus.x")

    for level in ("debug", "info", "warning", "error"):
        getattr(log, level)("event")

    assert shown == [json.loads(line)["level"] for line in capsys.readouterr().err.splitlines()]


def test_log_on_a_terminal_sends_no_escapes_of_peers(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """On a terminal what peers wrote is named, and NO_COLOR is honoured."""
    monkeypatch.setenv("NO_COLOR", "1")
    monkeypatch.setattr("sys.stderr.isatty", lambda: True)
    configure(quiet=False, verbose=False, serving=False)

    structlog.get_logger("docbus.x").warning("set_aside", detail="\x1b[2J")

    err = capsys.readouterr().err
    assert "<U+001B>[2J" in err
    assert "\x1b" not in err


def test_what_libraries_log_is_a_line_of_the_same_log(capsys: pytest.CaptureFixture[str]) -> None:
    """What a library says of a stranger's answer is one line of JSON, from warnings on, and never written twice."""
    configure(quiet=False, verbose=True, serving=True)
    configure(quiet=False, verbose=True, serving=True)

    logging.getLogger("library.x").info("not shown")
    logging.getLogger("library.x").error("a broker says %s", "\x1b[2J\n2026 forged")

    (line,) = capsys.readouterr().err.splitlines()
    event = json.loads(line)
    assert ("library.x", "error", "a broker says \x1b[2J\n2026 forged") == tuple(
        event[name] for name in ("logger", "level", "event")
    )


def test_quiet_is_quiet_for_libraries_too(capsys: pytest.CaptureFixture[str]) -> None:
    """With --quiet a library's warning is not shown, and its error is."""
    configure(quiet=True, verbose=False, serving=True)

    logging.getLogger("library").warning("slow")
    logging.getLogger("library").error("gone")

    assert ["gone"] == [json.loads(line)["event"] for line in capsys.readouterr().err.splitlines()]
