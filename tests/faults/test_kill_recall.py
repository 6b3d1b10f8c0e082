"""A recipient of recalls, updates and replacements is killed at every write, and each takes effect once."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

import pytest

from docbus.consumers.sinks.naming import delivery_name
from docbus.documents.document import DocumentReference
from tests.faults.killing import inodes, kill_at
from tests.faults.recall_victim import RECIPIENT
from tests.support import trial
from tests.support.trial import HANOI, PATIENCE, TAY_NINH, id_of, letter, opened, settled, until

if TYPE_CHECKING:
    from pathlib import Path

    from tests.support.trial import Exchange

PENDING, MARKS = ".changes", "changes"
CONCERNED = {"a": ["early", "late", "new"], "b": ["early", "new"], "never": ["lost"]}
"""Document to the changes that concern it."""
FILED = ("early", "a", "b", "late", "new", "lost")


@pytest.fixture
async def exchange(tmp_path: Path) -> Exchange:
    """Found an exchange in which everything is sent, and nothing received."""
    return await asked(tmp_path)


async def asked(folder: Path) -> Exchange:
    """Send a change that overtakes its documents, two letters, and changes behind them; one is of nothing."""
    made = await trial.found(folder, trial.AGENCIES[:2])
    async with made.agency(HANOI) as hanoi, hanoi.serving(receive=False):

        def of(*names: str) -> list[DocumentReference]:
            return [DocumentReference(sender=hanoi.id, document_id=name) for name in names]

        await hanoi.publish(to=[TAY_NINH], id="early", kind="update", concerns=of("a", "b"), urgency=2)
        await hanoi.wait("early", until="sent", timeout=PATIENCE)
        for name in ("a", "b"):
            await hanoi.publish(letter(name), to=[TAY_NINH], id=name)
        await hanoi.publish(to=[TAY_NINH], id="late", kind="recall", concerns=of("a"))
        await hanoi.publish(letter("new"), to=[TAY_NINH], id="new", kind="replacement", concerns=of("a", "b"))
        await hanoi.publish(to=[TAY_NINH], id="lost", kind="recall", concerns=of("never"))
        await hanoi.wait("lost", until="sent", timeout=PATIENCE)
    return made


async def go_on(exchange: Exchange) -> None:
    """Start both sides again, until nothing is under way and every change is answered."""
    async with opened(exchange, HANOI, TAY_NINH) as (hanoi, tay_ninh), hanoi.serving(), tay_ninh.serving():
        await settled(hanoi, tay_ninh)

        async def answered() -> bool:
            return sum((await answers(exchange)).values()) >= sum(map(len, CONCERNED.values()))

        await until(answered)
        await settled(hanoi, tay_ninh)


async def answers(exchange: Exchange) -> Counter[tuple[str, int]]:
    """Count by document and code what the sender has noted as answers to its changes."""
    async with exchange.agency(HANOI) as hanoi:
        rows = await hanoi.database.read(
            lambda connection: connection.execute("SELECT document_id, code FROM status WHERE code >= 15").fetchall()
        )
    return Counter(rows)


def files(exchange: Exchange) -> dict[str, bytes]:
    """Return all that lies in the recipient's folder, by path, except what a process works on."""
    root = exchange.folder / TAY_NINH / "documents"
    return {
        str(path.relative_to(root)): path.read_bytes()
        for path in sorted(root.rglob("*"))
        if path.is_file() and not path.parts[len(root.parts)].startswith(".docbus-work-")
    }


def expected() -> set[str]:
    """Return the paths of all that has to lie in the recipient's folder: documents, and each mark where it belongs."""
    filed = {f"{directory(name)}/{file}" for name in FILED for file in ("envelope.bin", "metadata.json")}
    filed |= {f"{directory(name)}/files/công văn.txt" for name in ("a", "b", "new")}
    for name, changes in CONCERNED.items():
        places = [f"{PENDING}/{directory(name)}", *([f"{directory(name)}/{MARKS}"] if name in FILED else [])]
        filed |= {f"{place}/{directory(change)}.json" for place in places for change in changes}
    return filed


def directory(name: str) -> str:
    """Return the directory of a document."""
    return delivery_name(id_of(HANOI), name, 1)


@pytest.mark.parametrize("point", RECIPIENT)
async def test_killed_recipient_lets_each_change_take_effect_once(exchange: Exchange, point: str) -> None:
    """Each document has each mark once, each change one answer per document, and what was there is untouched."""
    kill_at(exchange, "recipient", point, victim="recall_victim")
    before, there = inodes(exchange), files(exchange)

    await go_on(exchange)

    after = files(exchange)
    assert expected() == after.keys()
    assert there == {path: after[path] for path in there}
    assert before.items() <= inodes(exchange).items()
    assert {(name, 15): len(changes) for name, changes in CONCERNED.items()} == await answers(exchange)
    assert "valid" == (await exchange.audit()).verdict
