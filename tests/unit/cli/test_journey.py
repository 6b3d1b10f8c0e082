"""The main path on one agency that sends to itself: everything but a second process."""

from __future__ import annotations

import json
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from docbus.storage.database import Database

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.unit.cli.conftest import Result

EXAMPLES = Path(__file__).parents[3] / "examples" / "edxml"


@pytest.fixture
def received(exchange: Path, docbus: Callable[..., Result]) -> Path:
    """Have H26 send a document to itself, and wait for its receipt."""
    found = docbus(
        "-C", "H26", "publish", "letter.txt", "--to", "H26", "--id", "one", "--wait", "received", "--timeout", 20
    )
    assert 0 == found.code, found.err
    assert "received" in found.out
    return exchange


def test_exchange_is_founded_step_by_step(
    docbus: Callable[..., Result], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Registrar, agency, grant, topics: each command's output is what the next one needs."""
    monkeypatch.chdir(tmp_path)
    founded = docbus(
        "-C", "reg", "registrar", "init", "--environment", "test", "--name", "R", "--bus", "bus.db", "--output", "json"
    )
    genesis = founded.json["genesis"]
    reach = ("--environment", "test", "--genesis", genesis, "--bus", "bus.db")
    agency = docbus("-C", "h26", "init", "--code", "H26", "--name", "Hà Nội", *reach, "--output", "json")
    auditor = docbus("-C", "audit", "init", "--auditor", *reach)
    request, fingerprint = agency.json["request"], agency.json["fingerprint"]
    wrong = docbus("-C", "reg", "registrar", "grant", request, "--fingerprint", "0" * 32)
    granted = docbus("-C", "reg", "registrar", "grant", request, "--fingerprint", fingerprint, "--output", "json")
    dry = docbus("-C", "reg", "provision", "--dry-run", "--output", "json")
    done = docbus("-C", "reg", "provision", "--output", "json")
    again = docbus("-C", "reg", "provision")
    shown = docbus("-C", "audit", "registrar", "show", "--output", "json")

    assert [0, 0, 0, 1, 0, 0] == [r.code for r in (founded, agency, auditor, wrong, granted, done)]
    assert fingerprint in wrong.err
    assert 1 == granted.json["entry"]
    assert (5, []) == (len(dry.json["planned"]), dry.json["created"])
    assert 5 == len(done.json["created"])
    assert "0 topics created" in again.out
    assert (genesis, "1") == (shown.json["genesis"], shown.json["last_entry"])


def test_folder_is_never_overwritten(docbus: Callable[..., Result], exchange: Path) -> None:
    """A folder that has settings is left alone."""
    before = (exchange / "H26" / "docbus.toml").read_bytes()

    found = docbus(
        "-C", "H26", "init", "--code", "H26", "--name", "x", "--environment", "e", "--genesis", "ab" * 32, "--bus", "b"
    )

    assert (2, before) == (found.code, (exchange / "H26" / "docbus.toml").read_bytes())
    assert "nothing is overwritten" in found.err


def test_agencies_are_listed_and_shown(docbus: Callable[..., Result], exchange: Path) -> None:
    """Anybody with a folder can read the directory, also without keys."""
    listed = docbus("-C", "auditor", "agency", "list", "--output", "json")
    below = docbus("-C", "auditor", "agency", "list", "--below", "H26")
    shown = docbus("-C", "auditor", "agency", "show", "H37.02.02")

    assert ["vn:H26", "vn:H37.02.02"] == [one["id"] for one in listed.json]
    assert ("H37.02.02" in below.out, "Hà Nội" in below.out) == (False, True)
    assert "Sở Tư pháp" in shown.out
    assert "in force" in shown.out
    assert "docbus.inbox.vn.H37.02.02" in shown.out


def test_directory_is_changed_by_the_registrar(docbus: Callable[..., Result], exchange: Path) -> None:
    """Alias, name, revocation and closure are entries, each with its number."""
    registrar = ("-C", "registrar", "registrar")
    results = [
        docbus(*registrar, "alias", "H37.02.02", "000.02.02.H37"),
        docbus(*registrar, "rename", "000.02.02.H37", "Sở Tư pháp tỉnh"),
        docbus(*registrar, "revoke", "H37.02.02/keys/certificate.pem", "--reason", "lost"),
        docbus(*registrar, "close", "H37.02.02", "--successor", "H26", "--reason", "merged"),
    ]
    shown = docbus("-C", "registrar", "agency", "show", "H37.02.02", "--output", "json").json

    assert [0, 0, 0, 0] == [result.code for result in results], [result.err for result in results]
    assert [f"entry  {at}" for at in range(3, 7)] == [result.out.splitlines()[0] for result in results]
    assert ("Sở Tư pháp tỉnh", 6, "vn:H26") == (shown["name"], shown["closed_by_entry"], shown["successor"])
    assert shown["certificates"][0]["state"].endswith("lost")


def test_published_document_is_accepted_once(docbus: Callable[..., Result], exchange: Path) -> None:
    """The same id again is the same document, and the user is told so."""
    publish = ("-C", "H26", "publish", "letter.txt", "--to", "H37.02.02", "--id", "one")
    first, again = docbus(*publish), docbus(*publish)
    quiet = docbus("-q", *publish)
    tracked = docbus("-C", "H26", "track", "one", "--output", "json").json

    assert (0, 0) == (first.code, again.code)
    assert first.out.startswith("accepted: one to H37.02.02")
    assert "same document" in again.out
    assert ("one\n", "") == (quiet.out, quiet.err)
    assert ["accepted"] == [leg["state"] for leg in tracked["legs"]]


def test_standard_input_is_a_file(
    docbus: Callable[..., Result], exchange: Path, stdin: Callable[[bytes], None]
) -> None:
    """What comes in a pipe is sent under the name that is given for it, and needs one."""
    stdin(b"a;b\n")
    named = docbus("-C", "H26", "publish", "-", "--name", "report.csv", "--to", "H37.02.02")
    nameless = docbus("-C", "H26", "publish", "-", "--to", "H37.02.02")

    assert (0, 2) == (named.code, nameless.code)
    assert "--name" in nameless.err


def test_edxml_is_read(docbus: Callable[..., Result], exchange: Path) -> None:
    """An edXML file gives recipients, title and id; what was odd about it is shown; it can go as a plain file too."""
    edxml = EXAMPLES / "new-untidy.edxml"

    read = docbus("-C", "H26", "publish", edxml, "--to", "H37.02.02", "--output", "json")
    own_id = docbus("-C", "H26", "publish", edxml, "--to", "H37.02.02", "--id", "mine", "--output", "json")
    plain = docbus("-C", "H26", "publish", edxml, "--to", "H37.02.02", "--as-file", "--output", "json")
    unknown = docbus("-C", "H26", "publish", EXAMPLES / "new-three-attachments.edxml")
    status = docbus("-C", "H26", "publish", EXAMPLES / "status-02-refused.edxml", "--to", "H37.02.02")

    assert "000.00.32.H53,2026/11/06,303/UBND-VP" == read.json["document_id"]
    assert "warning: new-untidy.edxml: M.edXML" in read.err
    assert "mine" == own_id.json["document_id"]
    assert ("", True) == (plain.err, "000.00.32.H53" not in plain.json["document_id"])
    assert (1, True) == (unknown.code, "000.00.02.H53" in unknown.err)
    assert (1, True) == (status.code, "docbus report" in status.err)


def test_received_document_is_tracked_and_filed(received: Path, docbus: Callable[..., Result]) -> None:
    """After the receipt the journey says so, and the folder of the agency has the file."""
    tracked = docbus("-C", "H26", "track", "one", "--output", "json").json["legs"][0]
    status = docbus("-C", "H26", "status", "--output", "json").json

    filed = [path.read_text("utf-8") for path in (received / "H26" / "documents").glob("*/files/*")]
    assert "received" == tracked["state"]
    assert tracked["settled_at"].endswith("Z")
    assert ["Kính gửi quý cơ quan.\n"] == filed
    assert (1, 1, None) == (status["outbox"]["received"], status["inbox"]["documents"], status["trouble"])


def test_status_report_is_accepted(docbus: Callable[..., Result], exchange: Path) -> None:
    """A business status is on disk when the command returns; a refusal needs its reason, and a received document."""
    with closing(Database.open(exchange / "H37.02.02" / "state.db")) as database:
        row = ("vn:H26", "one", 1, bytes(32), 1, 1, None)
        database.write_now(
            lambda c: c.execute("INSERT INTO incoming_document VALUES (?, ?, ?, ?, ?, ?, ?)", row).rowcount
        )
    report = ("-C", "H37.02.02", "report", "one", "--from-sender", "H26", "--status")
    found = docbus(*report, "03")
    without_reason = docbus(*report, "02")
    with_reason = docbus(*report, "2", "--note", "Thiếu trang 3", "--output", "json")
    unknown = docbus(*report, "07")
    mistyped = docbus("-C", "H37.02.02", "report", "oen", "--from-sender", "H26", "--status", "03")

    assert (1, True) == (mistyped.code, "has not received document oen" in mistyped.err)
    assert [0, 1, 0, 1] == [r.code for r in (found, without_reason, with_reason, unknown)]
    assert "03 accepted and registered of one, sender vn:H26" in found.out
    assert ("02", "vn:H26") == (with_reason.json["status"], with_reason.json["sender"])


def test_envelope_is_verified_offline(received: Path, docbus: Callable[..., Result]) -> None:
    """The exported envelope and the trust bundle are all that a verification needs."""
    assert 0 == docbus("-C", "H26", "export", "envelope", "one", "-o", "one.envelope").code
    assert 0 == docbus("-C", "auditor", "export", "trust", "-o", "trust.json").code
    genesis = json.loads(Path("trust.json").read_bytes())["genesis"]
    (received / "bus.db").rename("away.db")

    text = docbus("verify", "one.envelope", "--trust", "trust.json", "--genesis", genesis, "--recipient", "H26")
    found = docbus("verify", "one.envelope", "--trust", "trust.json", "--output", "json")

    assert 0 == text.code, text.err
    assert "C1.08" in text.out
    assert "verdict: valid" in text.out
    assert ("valid", "vn:H26/one/1") == (found.json["verdict"], found.json["document"])
    assert "compare it with one from the registrar" in found.json["notes"][0]


def test_altered_envelope_is_invalid(received: Path, docbus: Callable[..., Result]) -> None:
    """One changed bit is found, by number and reason, and the exit code is 1."""
    value = bytearray(docbus("-C", "H26", "export", "envelope", "one").content)
    docbus("-C", "auditor", "export", "trust", "-o", "trust.json")
    value[len(value) // 2] ^= 1
    Path("altered.envelope").write_bytes(value)

    found = docbus("verify", "altered.envelope", "--trust", "trust.json", "--output", "json")

    assert (1, "invalid") == (found.code, found.json["verdict"])
    assert ["failed"] == [check["result"] for check in found.json["checks"] if check["result"] == "failed"]


def test_envelope_of_another_inbox_is_invalid(received: Path, docbus: Callable[..., Result]) -> None:
    """An envelope that is valid for one recipient is not valid in another's inbox."""
    docbus("-C", "H26", "export", "envelope", "one", "-o", "one.envelope")
    docbus("-C", "auditor", "export", "trust", "-o", "trust.json")

    found = docbus("verify", "one.envelope", "--trust", "trust.json", "--recipient", "H37.02.02", "--output", "json")

    assert 1 == found.code
    assert ["C1.14"] == [check["id"] for check in found.json["checks"] if check["result"] == "failed"]


@pytest.mark.parametrize("missing", ["envelope", "trust"])
def test_evidence_that_cannot_be_read_has_its_own_exit_code(
    received: Path, docbus: Callable[..., Result], missing: str
) -> None:
    """4 says that nothing was verified, so that nobody takes it for a verdict."""
    docbus("-C", "H26", "export", "envelope", "one", "-o", "envelope")
    docbus("-C", "auditor", "export", "trust", "-o", "trust")
    Path(missing).unlink()

    found = docbus("verify", "envelope", "--trust", "trust")

    assert (4, "") == (found.code, found.out)
    assert missing in found.err


def test_bundle_of_another_exchange_is_refused(received: Path, docbus: Callable[..., Result]) -> None:
    """The pinned genesis decides whose directory is believed."""
    docbus("-C", "H26", "export", "envelope", "one", "-o", "one.envelope")
    docbus("-C", "auditor", "export", "trust", "-o", "trust.json")

    found = docbus("verify", "one.envelope", "--trust", "trust.json", "--genesis", "ab" * 32)

    assert 4 == found.code
    assert "ab" * 32 in found.err


def test_export_overwrites_nothing(received: Path, docbus: Callable[..., Result]) -> None:
    """A file that is there is evidence, perhaps."""
    found = docbus("-C", "H26", "export", "envelope", "one", "-o", "letter.txt")

    assert 2 == found.code
    assert "letter.txt exists" in found.err


def test_export_asks_which_copy(docbus: Callable[..., Result], exchange: Path) -> None:
    """An envelope is one recipient's; of several, one must be named, and one that is not signed yet is not there."""
    docbus("-C", "H26", "publish", "letter.txt", "--to", "H26", "--to", "H37.02.02", "--id", "two")

    several = docbus("-C", "H26", "export", "envelope", "two")
    unsigned = docbus("-C", "H26", "export", "envelope", "two", "--to", "H26")
    foreign = docbus("-C", "H26", "export", "envelope", "two", "--to", "H53")

    assert [1, 1, 1] == [several.code, unsigned.code, foreign.code]
    assert "H26, H37.02.02" in several.err
    assert "not signed yet" in unsigned.err
    assert "vn:H53 is not a recipient" in foreign.err


def test_replay_gives_a_verdict(received: Path, docbus: Callable[..., Result]) -> None:
    """An auditor's replay of an honest exchange is valid; standard output holds the report only."""
    text = docbus("-C", "auditor", "replay", "--verify")
    found = docbus("-C", "auditor", "replay", "--verify", "--agency", "H26", "--to", "2100-01-01", "--output", "json")

    assert (0, 0) == (text.code, found.code), text.err
    assert text.out.splitlines()[-1].startswith("verdict: valid")
    assert ("valid", 2) == (found.json["verdict"], found.json["records"])
    assert found.json["as_of"].endswith("Z")


def test_replay_without_bus_is_not_a_verdict(received: Path, docbus: Callable[..., Result]) -> None:
    """If the streams cannot be read, the exit code is 4."""
    (received / "bus.db").unlink()
    (received / "bus.db").mkdir()

    found = docbus("-C", "auditor", "replay", "--verify")

    assert (4, "") == (found.code, found.out)
