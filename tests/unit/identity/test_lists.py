"""Lists of agencies: read in two forms, checked row by row, compared with the register."""

from __future__ import annotations

import json
from types import SimpleNamespace
from typing import Any

import pytest

from docbus.errors import MalformedError
from docbus.identity.lists import json_form, reading, rows
from docbus.identity.lists.checks import check_list
from docbus.identity.lists.reading import read_list
from docbus.identity.lists.register import (
    Change,
    ExpectedAgency,
    Register,
    compare,
    differences,
    dump_register,
    load_register,
)
from docbus.identity.lists.rows import KINDS, REFUSING
from tests.support.lists import SOUND, as_csv, as_json, changed, check, found

EXPECTED = (
    ExpectedAgency("vn:H26", "UBND thành phố Hà Nội", (), None),
    ExpectedAgency("vn:H37", "UBND tỉnh Lạng Sơn", ("vn2016:000.00.00.H37",), None),
    ExpectedAgency("vn:H37.02", "Sở Khoa học và Công nghệ", ("vn2016:000.00.02.H37",), "vn:H37"),
    ExpectedAgency("vn:H37.02.02", "Trung tâm Tin học", ("vn2016:000.02.02.H37",), "vn:H37.02"),
)
REGISTER = Register(list="a.csv", sha256="00", imported_at=1, agencies={one.id: one for one in EXPECTED})


@pytest.mark.parametrize(
    "content",
    [
        as_json(SOUND),
        json.dumps(SOUND).encode(),
        b"\xef\xbb\xbf" + as_json(SOUND),
        json.dumps({"status": "OK", "code": 0, "data": SOUND}).encode(),
        as_csv(SOUND),
        as_csv(SOUND, ",", b"\xef\xbb\xbf"),
        as_csv(SOUND, "\t"),
        as_csv(SOUND).replace(b"\r\n", b"\n").replace(b"\n", b"\n;;;;\n"),
        as_csv(SOUND).replace(b"code;name;oldCode", "Mã  định danh;TÊN cơ quan;mã cũ".encode(), 1),
        as_json([{("code102" if key == "oldCode" else key): row[key] for key in row} for row in SOUND]),
    ],
)
def test_every_form_says_the_same(content: bytes) -> None:
    """A list is the same in JSON, bare or inside an answer, and in CSV with any separator, mark and known headings."""
    checked = check_list(read_list(content))

    assert set() == found(checked)
    assert (EXPECTED, 4, 0) == (checked.agencies, checked.total, checked.placeholders)


def test_form_and_columns_are_said() -> None:
    """The form that was found is named, and so are the columns that are read and those that are not."""
    listing = read_list(as_csv([{"STT": 1, "Mã": "H26", "Tên": "Hà Nội", "mail": "a@b"}]))

    assert "CSV, separated by semicolons" == listing.form
    assert {"code": "Mã", "name": "Tên"} == listing.columns
    assert ("STT", "mail") == listing.unread
    assert 'JSON, the array "agencies"' == read_list(as_json(SOUND)).form


@pytest.mark.parametrize(
    ("kind", "number", "values"),
    [
        ("code_missing", 3, {"code": ""}),
        ("code_characters", 3, {"code": "H37.02.02\u200b"}),
        ("code_characters", 3, {"code": "Н37.02.02"}),  # noqa: RUF001 - Cyrillic on purpose
        ("code_characters", 3, {"code": "h37.02.02"}),
        ("code_characters", 3, {"code": "H37.02.02 "}),
        ("code_malformed", 3, {"code": "000.1137.H53"}),
        ("code_twice", 4, {"code": "H37.02.02"}),
        ("former_characters", 3, {"oldCode": "000.02.02.H37\ufeff"}),
        ("former_malformed", 3, {"oldCode": "02-02-H37"}),
        ("former_twice", 4, {"oldCode": "000.02.02.H37"}),
        ("former_is_code", 4, {"oldCode": "H37.02.02"}),
        ("name_missing", 3, {"name": None}),
        ("name_characters", 3, {"name": "huyện\u200b Tân Châu"}),
        ("name_characters", 3, {"name": "Sở Tư pháp\u0301"}),
        ("id_twice", 4, {"id": 3}),
        ("parent_unknown", 3, {"pid": 17}),
        ("parent_circle", 3, {"pid": 3}),
        ("row_form", 3, {"name": ["a"]}),
        ("cell_too_long", 3, {"name": "a" * (rows.MAX_CELL_CHARACTERS + 1)}),
        ("placeholder", 3, {"code": "W00.01", "pid": None}),
        ("superior_missing", 3, {"code": "H37.03.02"}),
        ("hierarchy_differs", 3, {"pid": 1}),
        ("hierarchy_differs", 3, {"pid": None}),
        ("code_unusual", 4, {"code": "28.22.H17"}),
        ("mapping_unusual", 3, {"oldCode": "000.03.02.H37"}),
        ("name_letters", 4, {"name": "Ðà Nẵng"}),
        ("name_letters", 4, {"name": "Cаo Bằng"}),  # noqa: RUF001 - Cyrillic on purpose
        ("name_spaces", 4, {"name": "Cao\u00a0Bằng"}),
        ("name_twice", 4, {"name": "ubnd tỉnh Lạng Sơn"}),
    ],
)
def test_a_defect_is_found_in_its_row(kind: str, number: int, values: dict[str, Any]) -> None:
    """Each kind of defect is found where it is; what refuses keeps its row out, and a hint does not."""
    checked = check(changed(number, **values))

    assert (number, kind) in found(checked)
    assert (kind in REFUSING) == (number in checked.refused)
    ids = {one.id for one in checked.agencies}
    assert 4 == len(ids) + len(checked.refused) + checked.placeholders


def test_a_superior_that_is_left_out_is_said() -> None:
    """An agency below a row that is refused is taken without a superior, with a hint."""
    checked = check(changed(2, name=""))

    assert {(2, "name_missing"), (3, "parent_left_out")} == found(checked)
    assert None is checked.agencies[-1].parent
    assert {"vn:H37.02"} == checked.refused_ids


def test_parent_column_names_a_code() -> None:
    """In a table the superior may be named by its code; one that is not there is an error."""
    table = [{"code": "H37", "name": "a", "parent": ""}, {"code": "H37.02", "name": "b", "parent": "H37"}]
    strange = [{**table[0], "parent": "H26"}, {**table[1], "parent": "h37"}]

    assert ["vn:H37"] == [one.parent for one in check_list(read_list(as_csv(table))).agencies if one.parent]
    assert {(2, "parent_unknown"), (3, "parent_unknown")} == found(check_list(read_list(as_csv(strange))))


def test_former_code_like_the_code_is_none() -> None:
    """Where a list repeats the code as the former one, the agency has no alias and nothing is said."""
    checked = check(changed(4, oldCode="H26"))

    assert (set(), ()) == (found(checked), checked.agencies[0].aliases)


def test_rows_of_a_table_count_like_a_spreadsheet() -> None:
    """The heading is row 1, and a cell too many or too few is found in its row."""
    content = "code,name\nH26,Hà Nội\nH37\nH53,Tây Ninh,x\nH01,An Giang,\n".encode()

    checked = check_list(read_list(content))

    assert {(3, "row_form"), (4, "row_form")} == found(checked)
    assert ["vn:H01", "vn:H26"] == [one.id for one in checked.agencies]


@pytest.mark.parametrize(
    ("content", "text"),
    [
        (b"", "is empty"),
        (b"\xef\xbb\xbf \n", "is empty"),
        ("code,name\nH26,Hà Nội\n".encode("utf-16"), "not UTF-8: line 1, byte 1"),
        (b"code,name\nH26,H" + b"\xe0 N\n", "not UTF-8: line 2, byte 6"),
        (as_json(SOUND)[:-20], "ends too early"),
        (b'[{"code": "H26", "name": "a"}, ', "line 1, column"),
        (b'{"a": [], "b": []}', "2 arrays"),
        (b'{"a": 1}', "0 arrays"),
        (b'[{"title": "a"}]', 'no codes, or no names; what its rows have is "title"'),
        (b'[{"code": 1e999, "name": "a", "id": NaN}]', "numbers or nesting"),
        (b"[" * 100_000, "numbers or nesting"),
        (b"title;text\n1;2\n", "row 1: the list has no column of codes"),
        (b"code,name,code\nH26,a,b\n", "both mean code"),
        (b'code,name\nH26,"Ha Noi\n', "row 2"),
        (b'code,name\nH26,"Ha" Noi\n', "row 2"),
    ],
)
def test_what_is_no_list_is_refused(content: bytes, text: str) -> None:
    """Other bytes are refused with the place at which they are wrong."""
    with pytest.raises(MalformedError, match=text) as refused:
        read_list(content)

    assert text in refused.value.text


def test_a_name_twice_in_an_object_is_found() -> None:
    """An object that has a name twice is refused, as one of the two would be dropped unseen."""
    content = b'[{"code": "H26", "code": "H37", "name": "a"}, {"code": "H53", "name": "b"}]'

    assert {(1, "row_form")} == found(check_list(read_list(content)))


def test_bytes_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """A list of the limit is read, and of one byte more is refused before it is looked into."""
    monkeypatch.setattr(reading, "MAX_LIST_BYTES", len(as_json(SOUND)))

    assert 4 == read_list(as_json(SOUND)).total
    with pytest.raises(MalformedError, match="more than"):
        read_list(as_json(SOUND) + b" ")


@pytest.mark.parametrize("content", [as_json(SOUND), as_csv(SOUND)])
def test_rows_are_bounded(monkeypatch: pytest.MonkeyPatch, content: bytes) -> None:
    """As many rows as the limit are read in both forms, and one more is refused."""
    for module in (json_form, reading.read_csv.__globals__):
        (monkeypatch.setitem if isinstance(module, dict) else monkeypatch.setattr)(module, "MAX_ROWS", 4)  # type: ignore[operator]
    assert 4 == read_list(content).total
    for module in (json_form, reading.read_csv.__globals__):
        (monkeypatch.setitem if isinstance(module, dict) else monkeypatch.setattr)(module, "MAX_ROWS", 3)  # type: ignore[operator]

    with pytest.raises(MalformedError, match="rows"):
        read_list(content)


@pytest.mark.parametrize("form", [as_json, as_csv])
def test_columns_are_bounded(form: Any) -> None:
    """As many columns as the limit are read in both forms, and one more is refused."""
    row = {"code": "H26", "name": "a"} | {f"c{at}": "x" for at in range(rows.MAX_COLUMNS - 3)}

    assert 1 == read_list(form([row])).total
    with pytest.raises(MalformedError, match=str(rows.MAX_COLUMNS)):
        read_list(form([row | {"d": "x", "e": "x"}]))


def test_findings_that_are_kept_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of very many findings of one kind the first are kept, all are counted, and every row is refused."""
    monkeypatch.setattr(rows, "MAX_FINDINGS", 2)

    checked = check([dict(row, name="") for row in SOUND])

    assert (2, {"name_missing": 4}) == (len(checked.findings), checked.counts)
    assert {1, 2, 3, 4} == checked.refused
    assert () == checked.agencies


def test_every_kind_has_a_meaning() -> None:
    """Each kind of finding is explained in a sentence."""
    assert all(meaning.endswith(".") for meaning in KINDS.values())


def test_register_reads_back() -> None:
    """What is written is read back, one line for each agency and one about the list."""
    lines = list(dump_register(REGISTER))

    assert REGISTER == load_register(lines)
    assert 5 == len(lines)


@pytest.mark.parametrize(
    "lines",
    [
        [],
        [b"{}"],
        [b"[1]"],
        list(dump_register(REGISTER))[:-1],
        [*list(dump_register(REGISTER))[:-1], b'{"id": 1, "name": "a", "aliases": [], "parent": null}\n'],
        [*list(dump_register(REGISTER))[:-1], list(dump_register(REGISTER))[1]],
        [b'{"format": "docbus-expected-2"}'],
        [b"\xff"],
    ],
)
def test_damaged_register_is_refused(lines: list[bytes]) -> None:
    """A register that is cut off, or is none, is never taken for a smaller one."""
    with pytest.raises(MalformedError, match="is damaged in line"):
        load_register(lines)


def test_changes_are_told_apart() -> None:
    """Of two registers it is said what was added, renamed, given other former codes, moved, and what is gone."""
    newer = [
        EXPECTED[1]._replace(name="UBND Lạng Sơn"),
        EXPECTED[2]._replace(aliases=()),
        EXPECTED[3]._replace(parent="vn:H37"),
        ExpectedAgency("vn:H53", "UBND tỉnh Tây Ninh", (), None),
    ]

    assert [] == compare(REGISTER, EXPECTED)
    assert ["added"] * 4 == [change.kind for change in compare(None, EXPECTED)]
    assert [
        Change("added", "vn:H53", None, "UBND tỉnh Tây Ninh"),
        Change("renamed", "vn:H37", "UBND tỉnh Lạng Sơn", "UBND Lạng Sơn"),
        Change("recoded", "vn:H37.02", "vn2016:000.00.02.H37", None),
        Change("moved", "vn:H37.02.02", "vn:H37.02", "vn:H37"),
        Change("gone", "vn:H26", "UBND thành phố Hà Nội", None),
    ] == compare(REGISTER, newer)


@pytest.mark.parametrize(
    ("asked", "text"),
    [
        ({}, None),
        ({"aliases": ("vn2016:000.00.00.H37",)}, None),
        ({"name": "Lạng Sơn"}, "has the name 'Lạng Sơn'"),
        ({"aliases": ("vn:H38",)}, "aliases that are not expected: vn:H38"),
        ({"agency": "vn:H73"}, "vn:H73 is not expected; similar codes that are: H37 (UBND tỉnh Lạng Sơn)"),
        ({"agency": "vn2016:000.00.00.H37"}, "is a former code of vn:H37, UBND tỉnh Lạng Sơn"),
    ],
)
def test_a_request_is_compared_with_the_register(asked: dict[str, Any], text: str | None) -> None:
    """A request with the code and name of the register, and no other aliases, is as expected; others are not."""
    request: Any = SimpleNamespace(**({"agency": "vn:H37", "name": "UBND tỉnh Lạng Sơn", "aliases": ()} | asked))

    said = differences(REGISTER, request)

    assert (text is None) == (said == [])
    assert text is None or text in said[0]


def test_what_a_finding_names_is_bounded() -> None:
    """Of very many rows with one code, or one id, the first are named."""
    codes = check([dict(SOUND[0], id=at) for at in range(1, 10)])
    ids = check([{"id": 1, "code": f"H{at}", "name": f"a{at}"} for at in range(10, 20)])

    assert "vn:H37 is the code of rows 2, 3, 4, 5, 6 and 3 more as well" == codes.findings[0].text
    assert 'the id "1" stands in the rows 1, 2, 3, 4, 5' == ids.findings[0].text


@pytest.mark.parametrize("form", [as_json, as_csv])
def test_headings_that_an_error_names_are_bounded(form: Any) -> None:
    """Of a file with very many other columns the first are named."""
    with pytest.raises(MalformedError) as refused:
        read_list(form([{f"c{at}": "x" for at in range(rows.SHOWN_HEADINGS + 1)}]))

    assert rows.SHOWN_HEADINGS == refused.value.text.count('"c')
