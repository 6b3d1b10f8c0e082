"""Whatever is wrong, the user reads what it is and what to do; nothing accepted before is lost."""

from __future__ import annotations

import shutil
import sqlite3
from typing import TYPE_CHECKING

import pytest

from docbus.client.founding import found_agency
from docbus.clock import SystemClock
from docbus.settings import EmbeddedSettings, load_settings
from docbus.storage.locks import hold

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.unit.cli.conftest import Result

KEPT = "kept"


@pytest.fixture
def refused(exchange: Path, docbus: Callable[..., Result]) -> Callable[..., Result]:
    """Run a command that must fail; look that an earlier document is still there afterwards."""
    assert 0 == docbus("-C", "H26", "publish", "letter.txt", "--to", "H37.02.02", "--id", KEPT).code

    def run(*arguments: object, code: int = 1, named: str, remedy: str) -> Result:
        found = docbus(*arguments)
        assert (code, "") == (found.code, found.out), found.err
        assert named in found.err
        assert remedy in found.err
        assert "Traceback" not in found.err
        with sqlite3.connect(f"file:{exchange / 'H26' / 'state.db'}?mode=ro", uri=True) as connection:
            assert [(KEPT,)] == connection.execute("SELECT document_id FROM outgoing").fetchall()
        connection.close()
        return found

    return run


def _publish(*arguments: object) -> tuple[object, ...]:
    return "-C", "H26", "publish", *arguments


@pytest.mark.parametrize(
    ("code", "named", "remedy"),
    [
        ("H37.02.03", "vn:H37.02.03", "H37.02.02"),
        ("h26", "U+0068", "Write H26"),
        ("H26\u200b", "U+200B", "type it"),
        ("nonsense", "nonsense", ""),
    ],
)
def test_wrong_code(refused: Callable[..., Result], code: str, named: str, remedy: str) -> None:
    """A code that is unknown or none at all is shown, with what cannot be seen in it."""
    found = refused(*_publish("letter.txt", "--to", code), named=named, remedy=remedy)

    assert "\u200b" not in found.err


def test_time_that_has_passed(refused: Callable[..., Result]) -> None:
    """What nobody would take any more is not accepted."""
    arguments = _publish("letter.txt", "--to", "H37.02.02", "--not-after", "2025-01-01")

    refused(*arguments, named="not_after: 1735689600000 is past", remedy="milliseconds since 1970")


def test_closed_recipient(refused: Callable[..., Result], docbus: Callable[..., Result]) -> None:
    """A closed agency is named with its successor."""
    closed = docbus("-C", "registrar", "registrar", "close", "H37.02.02", "--successor", "H26", "--reason", "merged")

    assert 0 == closed.code
    refused(*_publish("letter.txt", "--to", "H37.02.02"), named="H37.02.02 is closed", remedy="successor is vn:H26")


@pytest.fixture
def newcomer(exchange: Path) -> Path:
    """Return the folder of an agency that has made its join request, and no more."""
    settings = load_settings(exchange / "H26").exchange
    found_agency(
        exchange / "new",
        code="H53",
        name="New",
        environment=settings.environment,
        genesis=settings.genesis,
        bus=EmbeddedSettings(file=exchange / "bus.db"),
        clock=SystemClock(),
    )
    return exchange / "new"


def test_sender_that_is_not_granted(refused: Callable[..., Result], newcomer: Path) -> None:
    """An agency that the registrar has not granted yet is told to hand in its request."""
    refused("-C", newcomer, "publish", "letter.txt", "--to", "H26", named="vn:H53", remedy="docbus registrar grant")


def test_missing_key(refused: Callable[..., Result], exchange: Path) -> None:
    """A key that is not there is named by its path."""
    (exchange / "H26" / "keys" / "signing.pem").unlink()

    refused(*_publish("letter.txt", "--to", "H26"), code=2, named="signing.pem", remedy="")


def test_wrong_key(refused: Callable[..., Result], exchange: Path) -> None:
    """A key that does not belong to the certificate is refused before anything is signed."""
    shutil.copy(exchange / "H37.02.02" / "keys" / "signing.pem", exchange / "H26" / "keys" / "signing.pem")

    refused(*_publish("letter.txt", "--to", "H26"), code=2, named="signing.pem", remedy="certificate")


def test_key_that_others_may_read(refused: Callable[..., Result], exchange: Path) -> None:
    """A key with wide permissions is refused, with the command that mends it."""
    (exchange / "H26" / "keys" / "signing.pem").chmod(0o644)

    refused(*_publish("letter.txt", "--to", "H26"), code=2, named="signing.pem", remedy="chmod 600")


def test_file_too_large(refused: Callable[..., Result], exchange: Path) -> None:
    """A file over the limit of the settings is refused with both sizes, and nothing of it stays on the disk."""
    settings = exchange / "H26" / "docbus.toml"
    settings.write_text(
        settings.read_text("utf-8") + "\n[content]\nmax_bytes = 1048576\nspool_bytes = 1048576\n", "utf-8"
    )
    (exchange / "big").write_bytes(bytes((1 << 20) + 1))

    refused(*_publish("big", "--to", "H26"), named="1,048,577 bytes or more, at most 1,048,576", remedy="max_bytes")

    assert [] == [path for path in (exchange / "H26" / "content").rglob("*") if path.is_file()]


def test_empty_file(refused: Callable[..., Result], exchange: Path) -> None:
    """An empty file is named."""
    (exchange / "empty.txt").touch()

    refused(*_publish("empty.txt", "--to", "H26"), named='"empty.txt" is empty', remedy="with content")


def test_directory_instead_of_file(refused: Callable[..., Result]) -> None:
    """A directory is not taken for a file."""
    refused(*_publish("H26", "--to", "H26"), named="H26 is a directory", remedy="Name the files in it")


def test_missing_file(refused: Callable[..., Result]) -> None:
    """A file that is not there is named."""
    refused(*_publish("nothing.pdf", "--to", "H26"), named="nothing.pdf", remedy="Check the name")


def test_no_recipient(refused: Callable[..., Result]) -> None:
    """Without a recipient nothing is accepted."""
    refused(*_publish("letter.txt"), named="no recipient", remedy="--to CODE")


def test_other_content_under_the_same_id(refused: Callable[..., Result], exchange: Path) -> None:
    """An id stands for one content."""
    (exchange / "letter.txt").write_text("other", "utf-8")

    refused(*_publish("letter.txt", "--to", "H37.02.02", "--id", KEPT), named=KEPT, remedy="next revision")


def test_broken_edxml(refused: Callable[..., Result], exchange: Path) -> None:
    """A file that calls itself edXML and is none can still be sent as it is."""
    (exchange / "x.edxml").write_text('<!DOCTYPE x [<!ENTITY a "b">]><edXML>&a;</edXML>')

    refused(*_publish("x.edxml", "--to", "H26"), named="x.edxml", remedy="--as-file")


@pytest.mark.parametrize(
    ("damage", "named", "remedy"),
    [
        ("[exchange", "docbus.toml is not TOML", "Mend"),
        ("[sink]\nfolder = 'x'\nfodler = 'y'\n", "sink.fodler: unknown setting", "configuration.md"),
        ("[outbox]\nmax_bytes = 'much'\n", "outbox.max_bytes", "configuration.md"),
    ],
)
def test_unreadable_settings(
    refused: Callable[..., Result], exchange: Path, damage: str, named: str, remedy: str
) -> None:
    """Settings that are no TOML, unknown or of the wrong kind are named."""
    path = exchange / "H26" / "docbus.toml"
    path.write_text(path.read_text("utf-8").replace('[sink]\nfolder = "documents"\n', damage), "utf-8")

    refused(*_publish("letter.txt", "--to", "H26"), code=2, named=named, remedy=remedy)


def test_folder_without_settings(refused: Callable[..., Result], exchange: Path) -> None:
    """A folder that is none of docbus's is named."""
    (exchange / "elsewhere").mkdir()

    refused("-C", "elsewhere", "status", code=2, named="elsewhere", remedy="docbus init")


@pytest.mark.parametrize("command", [["publish", "letter.txt", "--to", "H26"], ["status"], ["run"]])
def test_folder_of_somebody_else(refused: Callable[..., Result], command: list[str]) -> None:
    """The auditor's folder cannot publish."""
    refused("-C", "auditor", *command, code=2, named="not an agency's folder", remedy="--folder")


@pytest.mark.parametrize("command", [["revoke", "ab" * 32, "--reason", "x"], ["rename", "H26", "x"]])
def test_not_the_registrar(refused: Callable[..., Result], command: list[str]) -> None:
    """An agency's folder cannot publish entries."""
    refused("-C", "H26", "registrar", *command, code=2, named="not a registrar's folder", remedy="--folder")


def _without_broker(folder: Path) -> None:
    """Let a folder's settings name a broker where none is."""
    path = folder / "docbus.toml"
    bus = next(line for line in path.read_text("utf-8").splitlines() if line.startswith("file = "))
    text = path.read_text("utf-8").replace(f"[embedded]\n{bus}", '[kafka]\nbootstrap = "127.0.0.1:1"')
    path.write_text(text, "utf-8")


@pytest.mark.loopback  # the port is closed; only a real connection can tell
def test_broker_absent(exchange: Path, docbus: Callable[..., Result]) -> None:
    """Without a broker a document is accepted all the same, and the user hears of it, with the address."""
    assert 0 == docbus(*_publish("letter.txt", "--to", "H37.02.02")).code
    _without_broker(exchange / "H26")

    found = docbus(*_publish("letter.txt", "--to", "H37.02.02", "--id", "during"))

    assert 0 == found.code, found.err
    assert "accepted: during" in found.out
    assert "127.0.0.1:1" in found.err
    assert "bus_unreachable" in found.err


@pytest.mark.loopback  # likewise
def test_broker_that_was_never_there(exchange: Path, docbus: Callable[..., Result]) -> None:
    """A folder that has never seen the bus fails with the code that says it may be tried again, and the address."""
    _without_broker(exchange / "H26")

    found = docbus(*_publish("letter.txt", "--to", "H37.02.02"))

    assert (5, "") == (found.code, found.out)
    assert "127.0.0.1:1" in found.err
    assert "Start the broker" in found.err


def test_bus_file_absent_does_not_hide_the_outbox(exchange: Path, docbus: Callable[..., Result]) -> None:
    """Without the bus the status is shown all the same, with its trouble and exit code 5."""
    docbus("-C", "H26", "publish", "letter.txt", "--to", "H37.02.02")
    (exchange / "bus.db").unlink()
    (exchange / "bus.db").mkdir()

    found = docbus("-C", "H26", "status")

    assert 5 == found.code
    assert "1 accepted and not sent" in found.out
    assert "trouble with the bus" in found.out


def test_topic_missing(refused: Callable[..., Result], docbus: Callable[..., Result], newcomer: Path) -> None:
    """A missing topic is named, with the command that creates it, wherever it is noticed."""
    assert 0 == docbus("-C", "registrar", "registrar", "grant", newcomer / "H53.join").code
    inbox = "docbus.inbox.vn.H53"

    refused("-C", newcomer, "quarantine", "ls", named="docbus.quarantine.vn.H53", remedy="docbus provision")
    refused("-C", newcomer, "receive", "--from", "earliest", named=inbox, remedy="docbus provision")


def test_recipient_without_inbox(docbus: Callable[..., Result], newcomer: Path) -> None:
    """A document to an agency whose topics are missing is accepted, and waiting for more says what is missing."""
    assert 0 == docbus("-C", "registrar", "registrar", "grant", newcomer / "H53.join").code

    found = docbus(*_publish("letter.txt", "--to", "H53", "--id", "x", "--wait", "sent", "--timeout", 1))

    assert 5 == found.code
    assert "docbus.inbox.vn.H53" in found.err
    assert "safe in the outbox" in found.err
    assert "docbus.inbox.vn.H53" in docbus("-C", "H26", "status").out
    assert "accepted" == docbus("-C", "H26", "track", "x", "--output", "json").json["legs"][0]["state"]


def test_disk_full_in_the_outbox(refused: Callable[..., Result], monkeypatch: pytest.MonkeyPatch) -> None:
    """A full disk refuses the new document and keeps the old one; the code says that it may be tried again."""

    def fail(*_arguments: object, **_options: object) -> None:
        error = sqlite3.OperationalError("database or disk is full")
        error.sqlite_errorcode = sqlite3.SQLITE_FULL
        error.sqlite_errorname = "SQLITE_FULL"
        raise error

    monkeypatch.setattr("docbus.producers.publisher.accept", fail)

    refused(*_publish("letter.txt", "--to", "H26"), code=5, named="no space left", remedy="was accepted before is kept")


@pytest.mark.parametrize(
    ("command", "lock"), [("send", "outbox.lock"), ("receive", "inbox.lock"), ("run", "outbox.lock")]
)
def test_second_process(refused: Callable[..., Result], exchange: Path, command: str, lock: str) -> None:
    """A second sender or receiver of one folder is told who is at work already."""
    with hold(exchange / "H26" / lock, "a test"):
        refused("-C", "H26", command, code=5, named=f"{lock} is held for a test by process", remedy="Stop that process")


def test_request_that_is_none(refused: Callable[..., Result]) -> None:
    """The registrar reads join requests only."""
    refused("-C", "registrar", "registrar", "grant", "letter.txt", code=2, named="letter.txt", remedy="docbus init")
    refused("-C", "registrar", "registrar", "grant", "no.join", code=2, named="no.join", remedy="docbus init")
