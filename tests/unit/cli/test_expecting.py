"""Importing a list of agencies, and granting what it leads to expect."""

from __future__ import annotations

import errno
import json
from typing import TYPE_CHECKING, Any

import pytest

from docbus.cli import expecting
from docbus.client import expected
from docbus.client.expected import load_expected
from docbus.identity.lists import reading
from tests.support.lists import SOUND, as_csv, as_json, changed

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.unit.cli.conftest import Result


@pytest.fixture
def imported(exchange: Path, docbus: Callable[..., Result]) -> Callable[..., Result]:
    """Write rows to a file and import it."""

    def run(rows: Any, *more: str) -> Result:
        (exchange / "list.json").write_bytes(rows if isinstance(rows, bytes) else as_json(rows))
        return docbus("-C", "registrar", "registrar", "import", "list.json", *more)

    return run


def test_a_list_is_imported_once(imported: Callable[..., Result], exchange: Path) -> None:
    """A sound list becomes the register; the same list, also in another form, changes nothing."""
    first = imported(SOUND)
    before = (exchange / "registrar" / "expected.jsonl").read_bytes()
    again = imported(as_csv(SOUND))

    assert (0, 0) == (first.code, again.code)
    assert "added: 4" in first.out
    assert first.out.endswith("4 agencies are expected\n")
    assert again.out.endswith("nothing was imported: the register is the same\n")
    assert before == (exchange / "registrar" / "expected.jsonl").read_bytes()


def test_one_wrong_row_stops_all(imported: Callable[..., Result], exchange: Path) -> None:
    """If a row is refused nothing is imported, unless the sound rows are asked for."""
    rows = changed(3, code="H37.02.02\u200b")
    refused = imported(rows)
    register = load_expected(exchange / "registrar")
    sound = imported(rows, "--sound-rows")

    assert (1, 0, None) == (refused.code, sound.code, register)
    assert "  row 3: agency code" in refused.out
    assert "1 rows are refused; --sound-rows leaves them out" in refused.err
    assert 3 == len((load_expected(exchange / "registrar") or pytest.fail("none")).agencies)


def test_trying_changes_nothing(imported: Callable[..., Result], exchange: Path) -> None:
    """A dry run says what would change, and stores nothing."""
    result = imported(SOUND, "--dry-run")

    assert (0, None) == (result.code, load_expected(exchange / "registrar"))
    assert result.out.endswith("nothing was imported: it was only tried\n")


def test_gone_agencies_stay_unless_dropped(imported: Callable[..., Result], exchange: Path) -> None:
    """A list that lacks agencies, as one that was cut off does, is refused until it is said that they are gone."""
    imported(SOUND)
    refused = imported(SOUND[:3])
    kept = load_expected(exchange / "registrar")
    dropped = imported(SOUND[:3], "--drop-gone")

    assert (1, 0) == (refused.code, dropped.code)
    assert "gone: 1\n  vn:H26  UBND thành phố Hà Nội\n" in refused.out
    assert 4 == len((kept or pytest.fail("none")).agencies)
    assert 3 == len((load_expected(exchange / "registrar") or pytest.fail("none")).agencies)


def test_an_agency_whose_row_is_refused_is_not_gone(imported: Callable[..., Result], exchange: Path) -> None:
    """What was known of an agency stays if its row in a newer list cannot be taken."""
    imported(SOUND)
    result = imported(changed(4, name="Hà Nội\u200b"), "--sound-rows")

    register = load_expected(exchange / "registrar") or pytest.fail("none")
    assert (0, "UBND thành phố Hà Nội") == (result.code, register.agencies["vn:H26"].name)


def test_report_is_for_programs(imported: Callable[..., Result], exchange: Path) -> None:
    """Every finding is in the JSON, with row, kind and severity, on standard output and in the report's file."""
    result = imported(changed(3, name="", pid=1), "--output", "json", "--report", "report.json")

    report = json.loads((exchange / "report.json").read_text("utf-8"))
    assert (1, False) == (result.code, result.json["imported"])
    assert [(3, "name_missing", "error"), (3, "hierarchy_differs", "hint")] == [
        (one["row"], one["kind"], one["severity"]) for one in report["findings"]
    ]
    assert report.items() <= result.json.items()


@pytest.mark.parametrize(
    ("content", "code", "text"),
    [
        (as_json(SOUND)[:-9], 1, "list.json: the list is not JSON, or ends too early"),
        ("Mã;Tên\nH26;".encode() + b"\xff\n", 1, "list.json: the list is not UTF-8: line 2, byte 5"),
    ],
)
def test_what_is_no_list_is_an_error(imported: Callable[..., Result], content: bytes, code: int, text: str) -> None:
    """Bytes that are no list are refused with file and place."""
    result = imported(content)

    assert code == result.code
    assert text in result.err


def test_files_that_are_none(exchange: Path, docbus: Callable[..., Result], monkeypatch: pytest.MonkeyPatch) -> None:
    """A folder, a missing file, an endless one and an agency's folder are refused by name."""
    monkeypatch.setattr(reading, "MAX_LIST_BYTES", 1000)
    monkeypatch.setattr(expected, "MAX_LIST_BYTES", 1000)
    command = ("-C", "registrar", "registrar", "import")
    assert "registrar cannot be read: Is a directory" in docbus(*command, "registrar").err
    assert "nowhere cannot be read: No such file" in docbus(*command, "nowhere").err
    assert "more than 1,000 bytes" in docbus(*command, "/dev/zero").err
    assert "is not a registrar's folder" in docbus("-C", "H26", "registrar", "import", "list.json").err


def test_full_disk_leaves_the_register(
    imported: Callable[..., Result], exchange: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """If the new register cannot be written to its end, the old one is in force."""
    imported(SOUND[:1])

    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr("docbus.client.expected.os.fsync", full)
        result = imported(SOUND)

    assert 5 == result.code
    assert 1 == len((load_expected(exchange / "registrar") or pytest.fail("none")).agencies)


def test_what_is_shown_is_bounded(imported: Callable[..., Result]) -> None:
    """Of many findings of one kind a person sees the first, and how many more there are."""
    result = imported([{"code": f"H{at}", "name": ""} for at in range(10, 13 + expecting.SHOWN_FINDINGS)])

    assert expecting.SHOWN_FINDINGS == result.out.count("  row ")
    assert "  and 3 more\n" in result.out


def test_a_grant_is_compared_with_the_register(
    imported: Callable[..., Result], exchange: Path, docbus: Callable[..., Result]
) -> None:
    """A request that is not as expected is refused without asking the bus, and granted where that is said."""
    imported([*SOUND, {"id": 5, "code": "H53", "name": "UBND tỉnh Tây Ninh", "oldCode": "000.00.00.H53"}])
    genesis = docbus("-C", "registrar", "registrar", "show", "--output", "json").json["genesis"]
    asked = ("--environment", "test", "--genesis", genesis, "--bus", "bus.db")
    docbus("-C", "a", "init", "--code", "H53", "--name", "UBND tỉnh Tây Ninh", *asked)
    docbus("-C", "b", "init", "--code", "H37", "--name", "Lạng Sơn", *asked)
    docbus("-C", "c", "init", "--code", "H54", "--name", "Thái Bình", *asked)
    grant = ("-C", "registrar", "registrar", "grant")

    good, renamed, strange, forced = (
        docbus(*grant, "a/H53.join"),
        docbus(*grant, "b/H37.join"),
        docbus(*grant, "c/H54.join"),
        docbus(*grant, "b/H37.join", "--unexpected"),
    )

    assert [0, 1, 1, 0] == [good.code, renamed.code, strange.code, forced.code]
    assert "docbus registrar alias vn:H53 vn2016:000.00.00.H53" in good.err
    assert "expected is 'UBND tỉnh Lạng Sơn'" in renamed.err
    assert "vn:H54 is not expected; similar codes that are: H53 (UBND tỉnh Tây Ninh)" in strange.err
    assert "warning: the request of vn:H37 has the name" in forced.err


def test_expected_agencies_are_listed(imported: Callable[..., Result], docbus: Callable[..., Result]) -> None:
    """Those without a grant are listed, the others counted, also below one agency."""
    missing = docbus("-C", "registrar", "registrar", "expected")
    imported(changed(3, name="Sở Nội vụ"))
    text = docbus("-C", "registrar", "registrar", "expected")
    found = docbus("-C", "registrar", "registrar", "expected", "--below", "H37", "--output", "json").json

    assert (2, 0) == (missing.code, text.code)
    assert "4 expected, 2 granted, 2 not yet" in text.err
    assert (3, 1) == (found["expected"], found["granted"])
    assert ["vn:H37", "vn:H37.02"] == [one["id"] for one in found["missing"]]
    assert ["vn:H37.02.02"] == found["granted_with_another_name"]
    assert [] == found["granted_and_not_expected"]
