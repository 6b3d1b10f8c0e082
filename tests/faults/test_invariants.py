"""The invariants notice what they are there to notice."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

import pytest

from docbus.storage.database import Database
from tests.faults import invariants
from tests.faults.letters import DRAWINGS, around_drawings, letters
from tests.support import trial
from tests.support.trial import HANOI, TAY_NINH, opened, settled

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.support.trial import Exchange

PUBLISHED = [*letters()[0], *around_drawings()[1]]


@pytest.fixture
async def exchange(tmp_path: Path) -> Exchange:
    """An exchange in which four letters, and a document with large content, have arrived."""
    made = await trial.found(tmp_path, trial.AGENCIES[:2])
    async with opened(made, HANOI, TAY_NINH) as (hanoi, tay_ninh), hanoi.serving(), tay_ninh.serving():
        await hanoi.publish_documents(PUBLISHED)
        await settled(hanoi, tay_ninh)
    return made


async def check(exchange: Exchange) -> None:
    await invariants.check(exchange, sender=HANOI, recipient=TAY_NINH, published=PUBLISHED)


def lose_a_document(exchange: Exchange) -> None:
    shutil.rmtree(exchange.filed(TAY_NINH)[0].folder)


def file_one_twice(exchange: Exchange) -> None:
    one = exchange.filed(TAY_NINH)[0].folder
    shutil.copytree(one, one.with_name("again"))


def alter_a_file(exchange: Exchange) -> None:
    (path,) = exchange.filed(TAY_NINH)[0].folder.glob("files/*.bin")
    path.write_bytes(b"something else")


def alter_large_content(exchange: Exchange) -> None:
    (folder,) = (one.folder for one in exchange.filed(TAY_NINH) if one.document_id == DRAWINGS)
    (path,) = folder.glob("files/*.pdf")
    path.write_bytes(path.read_bytes()[:-1] + b"x")


def alter_an_envelope(exchange: Exchange) -> None:
    path = exchange.filed(TAY_NINH)[0].folder / "envelope.bin"
    path.write_bytes(path.read_bytes()[:-1] + b"x")


def leave_something_half_filed(exchange: Exchange) -> None:
    (exchange.folder / TAY_NINH / "documents" / ".docbus-work-left").mkdir()


def leave_something_in_the_outbox(exchange: Exchange) -> None:
    database = Database.open(exchange.folder / HANOI / "state.db")
    database.write_now(lambda connection: connection.execute("UPDATE copy SET state = 2 WHERE ordinal = 0"))
    database.close()


@pytest.mark.parametrize(
    "damage",
    [
        lose_a_document,
        file_one_twice,
        alter_a_file,
        alter_large_content,
        alter_an_envelope,
        leave_something_half_filed,
        leave_something_in_the_outbox,
    ],
    ids=lambda damage: damage.__name__,
)
async def test_damage_is_noticed(exchange: Exchange, damage: Callable[[Exchange], None]) -> None:
    """What holds for an exchange that nothing happened to, no longer does after a single damage."""
    await check(exchange)
    damage(exchange)

    with pytest.raises(Exception):  # noqa: B017, PT011 - a failed assertion, or an envelope that does not verify
        await check(exchange)
