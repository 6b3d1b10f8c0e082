"""What the doctor says of authorities' revocation lists."""

from __future__ import annotations

from contextlib import closing
from typing import TYPE_CHECKING

import pytest

from docbus.client.doctor.authorities import known_material, lists
from docbus.client.doctor.diagnosis import Outcome
from docbus.client.material_memory import MaterialMemory
from docbus.identity import entries
from docbus.identity.pki.crl import read_list
from docbus.identity.pki.material import NOTHING_KNOWN, ValidationMaterial
from docbus.identity.pki.ocsp import read_response
from docbus.storage.database import Database
from tests.support.directory import DirectoryBuilder
from tests.support.outbox import FakeClock
from tests.support.pki import TestAuthority, authorities_of, ms

if TYPE_CHECKING:
    from pathlib import Path

ROOT = TestAuthority()
LIST = read_list(ROOT.revocations(ends=6))


def _snapshot(*named: TestAuthority) -> DirectoryBuilder:
    builder = DirectoryBuilder()
    for one in named:
        builder.append(entries.Authority(name=one.name, certificate=one.der, intermediates=()))
    return builder


SNAPSHOT = _snapshot(ROOT).snapshot()


@pytest.mark.parametrize(
    ("days", "outcome"), [(0, Outcome.PASSED), (5.5, Outcome.WARNING), (6, Outcome.WARNING), (7, Outcome.FAILED)]
)
def test_a_list_is_worth_a_word_a_day_before_its_end(days: float, outcome: Outcome) -> None:
    """And afterwards nothing under the authority is believed."""
    (found,) = lists(SNAPSHOT, ValidationMaterial([LIST]), ms(days))

    assert outcome is found.outcome
    assert "list 1 of CN=Root is good until 2026-11-29" in found.found


def test_an_authority_without_a_list_is_told() -> None:
    """One whose answers are known instead is left out, and so is everything where there are no authorities."""
    (found,) = lists(SNAPSHOT, NOTHING_KNOWN, ms(0))
    answers = ValidationMaterial([read_response(ROOT.response(ROOT.issue()))])

    assert Outcome.WARNING is found.outcome
    assert found.remedy is not None
    assert "docbus cert import" in found.remedy
    assert [] == lists(SNAPSHOT, answers, ms(0)) == lists(DirectoryBuilder().snapshot(), NOTHING_KNOWN, ms(0))


async def test_what_a_folder_keeps_is_looked_at(tmp_path: Path) -> None:
    """A folder without a database keeps nothing."""
    with closing(Database.open(tmp_path / "state.db", FakeClock())) as database:
        await MaterialMemory(database, FakeClock()).keep_list(LIST, authorities_of(ROOT.anchor()))

    assert [LIST.digest] == list(known_material(tmp_path / "state.db").pieces)
    assert {} == known_material(tmp_path / "none.db").pieces
