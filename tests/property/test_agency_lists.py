"""A sound list is taken whole, and one defect in it is always reported on its row."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from docbus.errors import MalformedError
from docbus.identity.lists.checks import check_list
from docbus.identity.lists.reading import read_list
from docbus.identity.lists.rows import REFUSING
from tests.support.lists import as_csv, as_json, found

NAMES = st.text("ABCĐabcđêồ ", min_size=1, max_size=12).map(lambda text: f"Sở {' '.join(text.split())}".strip())


@st.composite
def sound_lists(draw: st.DrawFn) -> list[dict[str, Any]]:
    """A tree of agencies in any order: each below one that is there, with former codes of its own."""
    codes = ["H37"]
    pids: list[int | None] = [None]
    for at in range(draw(st.integers(0, 12))):
        above = draw(st.integers(0, len(codes) - 1))
        if codes[above].count(".") < 2:
            codes.append(f"{codes[above]}.{at:02}")
            pids.append(above + 1)
    rows = [
        {"id": at + 1, "pid": pid, "code": code, "name": f"{draw(NAMES)} {at}", "oldCode": f"{at:02}.01.H37"}
        for at, (code, pid) in enumerate(zip(codes, pids, strict=True))
    ]
    return draw(st.permutations(rows))


DEFECTS = {
    "code_missing": lambda row, _: row | {"code": None},
    "code_characters": lambda row, _: row | {"code": row["code"][:2] + "\u200b" + row["code"][2:]},
    "code_malformed": lambda row, _: row | {"code": row["code"] + "."},
    "code_twice": lambda row, other: row | {"code": other["code"]},
    "former_malformed": lambda row, _: row | {"oldCode": "1137.H53"},
    "former_twice": lambda row, other: row | {"oldCode": other["oldCode"]},
    "former_is_code": lambda row, other: row | {"oldCode": other["code"]},
    "name_missing": lambda row, _: row | {"name": ""},
    "name_characters": lambda row, _: row | {"name": row["name"] + "\u202e"},
    "id_twice": lambda row, other: row | {"id": other["id"]},
    "parent_unknown": lambda row, _: row | {"pid": 999},
    "parent_circle": lambda row, _: row | {"pid": row["id"]},
    "row_form": lambda row, _: row | {"name": {}},
    "name_letters": lambda row, _: row | {"name": "Ð" + row["name"]},
    "name_spaces": lambda row, _: row | {"name": "Sở  " + row["name"]},
}


@given(sound_lists(), st.sampled_from([as_json, as_csv, lambda rows: as_csv(rows, ",", b"\xef\xbb\xbf")]))
def test_a_sound_list_is_taken_whole(rows: list[dict[str, Any]], form: Any) -> None:
    """Every row of a sound list becomes an expected agency with its name, former code and superior; nothing is said."""
    checked = check_list(read_list(form(rows)))

    codes = {row["id"]: f"vn:{row['code']}" for row in rows}
    assert set() == found(checked)
    assert {(codes[row["id"]], row["name"], f"vnlegacy:{row['oldCode']}", codes.get(row["pid"])) for row in rows} == {
        (one.id, one.name, one.aliases[0], one.parent) for one in checked.agencies
    }


@given(sound_lists().filter(lambda rows: len(rows) > 1), st.sampled_from(sorted(DEFECTS)), st.data())
def test_one_defect_is_reported_on_its_row(rows: list[dict[str, Any]], kind: str, data: st.DataObject) -> None:
    """Whatever single defect is put into whatever row, it is reported there, and its row is taken only with hints."""
    at = data.draw(st.integers(0, len(rows) - 1))
    other = data.draw(st.integers(0, len(rows) - 1).filter(lambda number: number != at))
    damaged = [DEFECTS[kind](row, rows[other]) if number == at else row for number, row in enumerate(rows)]

    checked = check_list(read_list(as_json(damaged)))

    assert (at + 1, kind) in found(checked)
    assert (kind in REFUSING) == (at + 1 in checked.refused)
    assert len(rows) == len(checked.agencies) + len(checked.refused)


@given(st.binary(max_size=300) | st.text(max_size=200).map(lambda text: f"code,name\n{text}".encode(errors="replace")))
def test_any_bytes_are_a_list_or_an_error(content: bytes) -> None:
    """Whatever a file holds, it is read and every row accounted for, or refused as no list."""
    try:
        checked = check_list(read_list(content))
    except MalformedError:
        return

    assert checked.total == len(checked.agencies) + len(checked.refused) + checked.placeholders
