"""Whose turn it is to seal: another key from one batch to the next, and what the old one signed until its end."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import pytest

from docbus.errors import IdentityError
from docbus.producers.sealing import Sealing
from tests.support.outbox import NOW_MS, FakeClock, FakeSealer, FakeSnapshot, begin, document, rows, take_in

if TYPE_CHECKING:
    from docbus.storage.database import Database

OLD, NEW = b"o" * 32, b"n" * 32
END = NOW_MS + 60_000


@dataclass
class _Grant:
    """A grant with an end."""

    end: int

    def may_sign_at(self, time_ms: int) -> bool:
        return time_ms <= self.end


class _Directory(FakeSnapshot):
    """A directory that grants certificates until a time."""

    def __init__(self, **ends: int) -> None:
        super().__init__()
        self.ends = ends

    def certificate(self, digest: bytes) -> _Grant | None:
        end = self.ends.get("old" if digest == OLD else "new")
        return None if end is None else _Grant(end)


def _sealer(certificate: bytes) -> FakeSealer:
    sealer = FakeSealer()
    sealer.certificate = certificate
    return sealer


@dataclass
class _Keys:
    """Keys of which a test says whose turn it is."""

    sealer: FakeSealer = field(default_factory=lambda: _sealer(OLD))
    refused: bool = False

    def choose(self, _snapshot: object) -> FakeSealer:
        return self.sealer

    def check(self, sealer: FakeSealer, _snapshot: object) -> None:
        if self.refused:
            raise IdentityError(f"{sealer.certificate.hex()} may not sign")


@dataclass
class Situation:
    """Step P3 with keys and a directory that a test changes."""

    database: Database
    keys: _Keys = field(default_factory=_Keys)
    clock: FakeClock = field(default_factory=FakeClock)
    directory: _Directory = field(default_factory=lambda: _Directory(old=END, new=END * 2))

    def __post_init__(self) -> None:
        """Make the epochs."""
        begin(self.database)
        values: Any = {"sealer": self.keys.sealer, "keys": self.keys}
        self.sealing = Sealing(
            database=self.database,
            snapshot=lambda: self.directory,  # type: ignore[arg-type, return-value] # as much as is used
            clock=self.clock,
            **values,
        )

    def seal(self, name: str) -> list[tuple[str, int]]:
        """Accept a document, seal what waits, and return the sealed document names with their stream."""
        take_in(self.database, document(name))
        self.sealing.seal_next()
        return rows(
            self.database,
            "SELECT o.document_id, c.stream FROM copy c JOIN outgoing o USING (outgoing)"
            " WHERE c.state = 1 ORDER BY c.stream, c.sequence",
        )


@pytest.fixture
def situation(database: Database) -> Situation:
    """Return the situation."""
    return Situation(database)


def test_another_key_begins_its_own_streams(situation: Situation) -> None:
    """From one batch to the next the new key seals in new epochs, and what the old one sealed stays as it is."""
    ((_, old_stream),) = situation.seal("old")
    situation.keys.sealer = _sealer(NEW)

    (first, second) = situation.seal("new")

    assert ("old", old_stream) == first
    assert "new" == second[0]
    assert second[1] != old_stream
    assert [OLD] == situation.sealing._turns._leaving


def test_at_its_end_the_old_keys_rest_goes_out_again(situation: Situation) -> None:
    """Without anything new to seal, the end of the old key is noticed, once, and its documents are sealed again."""
    situation.seal("old")
    situation.keys.sealer = _sealer(NEW)
    situation.sealing.attend()
    situation.clock.ms = END
    assert 0 == len(situation.sealing.seal_next().copies)
    situation.clock.ms = END + 1

    again = situation.sealing.seal_next()

    assert 1 == len(again.copies)
    assert [6, 1] == [state for (state,) in rows(situation.database, "SELECT state FROM copy ORDER BY ordinal")]
    assert 0 == len(situation.sealing.seal_next().copies)


def test_a_revoked_key_takes_nothing_along(situation: Situation) -> None:
    """If the old key may not sign any more, what it signed goes out again at once."""
    situation.seal("old")
    situation.directory.ends = {"new": END}
    situation.keys.sealer = _sealer(NEW)

    sealed = situation.seal("new")

    assert ["old", "new"] == [name for name, _ in sealed]
    assert 1 == len({stream for _, stream in sealed})


def test_a_restart_remembers_what_is_being_left(situation: Situation) -> None:
    """Another process, after the overlap has ended, lets the old key's documents go out again."""
    situation.seal("old")
    situation.keys.sealer = _sealer(NEW)
    situation.sealing.attend()

    later = Situation(situation.database, keys=situation.keys, clock=FakeClock(ms=END + 1))
    batch = later.sealing.seal_next()

    assert 1 == len(batch.copies)


def test_a_key_that_may_not_sign_seals_nothing(situation: Situation) -> None:
    """What waits keeps waiting, and an outbox in which nothing waits says nothing."""
    situation.keys.refused = True
    situation.sealing.seal_next()

    with pytest.raises(IdentityError, match="may not sign"):
        situation.seal("waits")

    assert [(0,)] == rows(situation.database, "SELECT state FROM copy")
