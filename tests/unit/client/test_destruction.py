"""Destroying an old decryption key: never one that is needed, and wholly, whatever dies in between."""

from __future__ import annotations

import asyncio
import os
import shutil
import sys
from typing import TYPE_CHECKING, Any

import pytest

from docbus.audit.replay import Replay
from docbus.client.connect import decrypters_of_settings, open_registrar, signer_of_settings, started_transport
from docbus.client.destroyed_keys import append_to_ledger, destroyed_keys, destructions_in_ledger
from docbus.client.destruction import MIN_FINGERPRINT_DIGITS, NEEDED_MS, Destruction, destroy, destructions
from docbus.client.local import open_state
from docbus.client.rotation import rotate
from docbus.clock import SystemClock
from docbus.errors import BrokerUnavailableError, KeyDestructionError
from docbus.limits import MAX_ACT_REASON_BYTES, MAX_CLOCK_SKEW_MS, MAX_OPERATOR_BYTES
from docbus.settings import load_settings
from tests.support.dying import DIED, dies_at
from tests.support.rotating import HANOI, At, directory, publish, revoke

if TYPE_CHECKING:
    from pathlib import Path

    from docbus.audit.report import ReplayReport
    from docbus.consumers.key_destructions import ReadDestruction
    from docbus.identity.snapshot import TrustSnapshot


@pytest.fixture
def rotated(exchange: Path, hanoi: Path) -> Path:
    """Return the folder of an agency that has rotated: its first encryption key is retired."""
    publish(exchange, rotate(hanoi, directory(exchange), SystemClock()))
    rotate(hanoi, directory(exchange), SystemClock())
    return hanoi


def fingerprints(folder: Path) -> list[str]:
    """Return those of the decryption keys that the settings name."""
    return [one.digest.hex() for one in decrypters_of_settings(load_settings(folder))]


def give(folder: Path, fingerprint: str, snapshot: TrustSnapshot | None = None, **more: Any) -> Destruction:
    """Give the command."""
    told = {
        "reason": "it is old",
        "operator": "an",
        "clock": SystemClock(),
        "now": True,
        "append": lambda value: asyncio.run(append_to_ledger(load_settings(folder), value)),
    } | more
    with open_state(load_settings(folder)) as database:
        return destroy(folder, fingerprint, snapshot=snapshot or directory(folder.parent), database=database, **told)


def noted(folder: Path) -> list[Destruction]:
    """Return what the folder knows of destroyed keys."""
    with open_state(load_settings(folder)) as database:
        return database.read_now(destructions)


def test_old_key_is_overwritten_removed_and_named_no_more(rotated: Path) -> None:
    """The file is gone, and the very bytes were overwritten; the settings name the others; who and why is kept."""
    current, old = fingerprints(rotated)
    file = rotated / "keys" / "encryption.pem"
    linked = rotated / "another-name-of-the-same-bytes"
    linked.hardlink_to(file)

    done = give(rotated, old[:16])

    assert not file.exists()
    assert bytes(linked.stat().st_size) == linked.read_bytes()
    assert [current] == fingerprints(rotated)
    assert (old, str(file), "an", "it is old", True) == (
        done.fingerprint,
        done.path,
        done.operator,
        done.reason,
        done.finished,
    )
    assert [done] == noted(rotated)


def test_given_again_it_changes_nothing(rotated: Path) -> None:
    """A key that is destroyed stays as it was noted, and a file that lies in its place now is not touched."""
    _, old = fingerprints(rotated)
    first = give(rotated, old)
    file = rotated / "keys" / "encryption.pem"
    file.write_text("another one")

    assert first == give(rotated, old, reason="another reason")
    assert "another one" == file.read_text()


def test_key_that_others_encrypt_to_is_kept(rotated: Path) -> None:
    """The newest key of the directory is never destroyed, whatever is said."""
    current, old = fingerprints(rotated)

    with pytest.raises(KeyDestructionError, match="others encrypt to it"):
        give(rotated, current)

    assert [current, old] == fingerprints(rotated)
    assert [] == noted(rotated)


def test_key_of_a_rotation_that_is_under_way_is_kept(exchange: Path, hanoi: Path) -> None:
    """A key that the directory does not know yet may be needed tomorrow."""
    rotate(hanoi, directory(exchange), SystemClock())
    new, _ = fingerprints(hanoi)

    with pytest.raises(KeyDestructionError, match="does not know it yet"):
        give(hanoi, new)


def test_key_is_kept_as_long_as_envelopes_may_wait(rotated: Path) -> None:
    """Up to the last millisecond in which something may wait for it the key is kept, unless its end is asked for."""
    snapshot = directory(rotated.parent)
    _, old = fingerprints(rotated)
    last = snapshot.made_at + snapshot.freshness_limit_ms + MAX_CLOCK_SKEW_MS + NEEDED_MS

    with pytest.raises(KeyDestructionError, match="may be needed for 1 more days"):
        give(rotated, old, snapshot, now=False, clock=At(last - 1000))
    with pytest.raises(KeyDestructionError):
        give(rotated, old, snapshot, now=False, clock=At(last))

    assert give(rotated, old, snapshot, now=False, clock=At(last + 1)).finished


@pytest.mark.parametrize("fingerprint", ["", "no digits", "ffffffffffffffff"])
def test_what_names_no_key_destroys_none(rotated: Path, fingerprint: str) -> None:
    """A fingerprint of another key, or none, is refused, with the place where they are listed."""
    with pytest.raises(KeyDestructionError, match="names 0|names 2") as refused:
        give(rotated, fingerprint)

    assert "docbus keys show" in (refused.value.hint or "")
    assert 2 == len(fingerprints(rotated))


def test_few_digits_name_no_key(rotated: Path) -> None:
    """Eight digits are enough, and seven are not."""
    _, old = fingerprints(rotated)

    with pytest.raises(KeyDestructionError):
        give(rotated, old[: MIN_FINGERPRINT_DIGITS - 1])

    assert give(rotated, old[:MIN_FINGERPRINT_DIGITS]).finished


@pytest.mark.parametrize(
    "words",
    [
        {"reason": " "},
        {"operator": ""},
        {"reason": "x" * (MAX_ACT_REASON_BYTES + 1)},
        {"operator": "x" * (MAX_OPERATOR_BYTES + 1)},
    ],
)
def test_who_and_why_are_needed_and_short(rotated: Path, words: dict[str, str]) -> None:
    """Nothing is destroyed without a reason and a name, or with endless ones."""
    _, old = fingerprints(rotated)

    with pytest.raises(KeyDestructionError, match="are kept"):
        give(rotated, old, **words)


@pytest.mark.skipif(sys.platform == "win32", reason="forks")
def test_death_at_any_change_is_gone_on_from(rotated: Path, tmp_path: Path) -> None:
    """Whatever the process dies at, the settings can be used, and the next one brings the destruction to its end."""
    snapshot, number, died = directory(rotated.parent), 0, True
    current, old = fingerprints(rotated)
    while died:
        number += 1
        folder = shutil.copytree(rotated.parent, tmp_path / str(number)) / HANOI
        died = dies_at(number, lambda folder=folder: give(folder, old, snapshot))
        if (folder / "keys" / "encryption.pem").exists():
            load_settings(folder)

        done = give(folder, old, snapshot)

        assert done.finished
        assert [current] == fingerprints(folder)
        assert not (folder / "keys" / "encryption.pem").exists()
        assert [done] == noted(folder)
        shutil.rmtree(folder.parent)

    assert number > 5


def read(folder: Path) -> list[ReadDestruction]:
    """Return the acts about destroyed keys in the agency's ledger topic."""
    return asyncio.run(destructions_in_ledger(load_settings(folder), directory(folder.parent)))


def test_a_signed_act_says_so(rotated: Path) -> None:
    """It names key, entry, operator and reason, passes, and is in the ledger topic before anything is destroyed."""
    _, old = fingerprints(rotated)
    file, there = rotated / "keys" / "encryption.pem", []

    def append(value: bytes) -> None:
        there.append((file.exists(), fingerprints(rotated)[-1]))
        asyncio.run(append_to_ledger(load_settings(rotated), value))

    done = give(rotated, old, append=append)

    (act,) = read(rotated)
    assert act.destruction is not None
    assert act.digest is not None
    assert [(True, old)] == there
    assert ("passed", (), done.act, True) == (act.verdict, act.findings, act.digest.hex(), done.signed)
    assert (old, done.retired_by, "an", "it is old", done.at) == (
        act.destruction.key.hex(),
        act.destruction.retired_by,
        act.destruction.operator,
        act.destruction.reason,
        act.destruction.made_at,
    )


def test_without_the_ledger_nothing_is_destroyed(rotated: Path) -> None:
    """While the act cannot be stored the key is there; given again, the same act is stored and the key destroyed."""
    current, old = fingerprints(rotated)
    offered: list[bytes] = []

    def away(value: bytes) -> None:
        offered.append(value)
        raise BrokerUnavailableError("no broker answers")

    for _ in range(2):
        with pytest.raises(BrokerUnavailableError):
            give(rotated, old, append=away)
    assert [current, old] == fingerprints(rotated)

    done = give(rotated, old, reason="another reason")

    assert 1 == len(set(offered))
    assert [done.act] == [one.digest.hex() for one in read(rotated) if one.digest is not None]
    assert ("it is old", [current]) == (done.reason, fingerprints(rotated))


@pytest.mark.skipif(sys.platform == "win32", reason="forks")
@pytest.mark.parametrize("when", ["before", "after"])
def test_death_beside_the_act_makes_no_second_one(rotated: Path, when: str) -> None:
    """If the process dies just before or after it has stored the act, one act is there in the end, and no key."""
    current, old = fingerprints(rotated)
    snapshot = directory(rotated.parent)

    def die(value: bytes) -> None:
        if when == "after":
            asyncio.run(append_to_ledger(load_settings(rotated), value))
        os._exit(DIED)

    child = os.fork()
    if child == 0:
        try:
            give(rotated, old, snapshot, append=die)
        finally:
            os._exit(1)
    assert DIED == os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    assert [current, old] == fingerprints(rotated)

    done = give(rotated, old)

    assert [done.act] == [one.digest.hex() for one in read(rotated) if one.digest is not None]
    assert [current] == fingerprints(rotated)


def test_under_a_revoked_key_no_key_is_destroyed(rotated: Path) -> None:
    """Nobody would believe the act; what is to be done first is said, and nothing changes."""
    _, old = fingerprints(rotated)
    settings = load_settings(rotated)
    revoke(rotated.parent, signer_of_settings(settings).certificate)
    for digest in directory(rotated.parent).agency("vn:H26").certificates[:1]:  # type: ignore[union-attr] # it is there
        revoke(rotated.parent, digest)

    with pytest.raises(KeyDestructionError, match="would not be believed: revoked") as refused:
        give(rotated, old)

    assert "docbus keys rotate" in (refused.value.hint or "")
    assert [] == noted(rotated) == read(rotated)
    assert old in fingerprints(rotated)


def test_a_closed_agency_destroys_without_an_act(rotated: Path) -> None:
    """It may sign nothing any more, and has keys that are to go; its own note stays."""

    async def close() -> None:
        async with open_registrar(rotated.parent / "registrar", clock=SystemClock()) as registrar:
            await registrar.close("H26", reason="merged")

    asyncio.run(close())
    current, _ = fingerprints(rotated)

    done = give(rotated, current)

    assert (None, False, True) == (done.act, done.signed, done.finished)
    assert [] == read(rotated)
    assert [None] == [one.offset for one in destroyed_keys(noted(rotated), [])]


def test_another_folder_knows_of_it_by_the_act(rotated: Path) -> None:
    """Where the folder's own notes are lost, the ledger topic says what was destroyed; what both know stands once."""
    _, old = fingerprints(rotated)
    done = give(rotated, old)
    acts = read(rotated)

    (both,), (lost,) = destroyed_keys(noted(rotated), acts), destroyed_keys([], acts)

    assert (old, done.act, acts[0].offset) == (both.fingerprint, both.act, both.offset)
    assert (old, done.act, acts[0].offset, "it is old") == (lost.fingerprint, lost.act, lost.offset, lost.reason)
    assert (str(rotated / "keys" / "encryption.pem"), None) == (both.path, lost.path)


def test_a_replay_lists_what_was_destroyed(rotated: Path) -> None:
    """An auditor without keys finds the act, verified; it changes no verdict."""
    settings = load_settings(rotated.parent / "auditor")

    async def replay() -> ReplayReport:
        async with started_transport(settings) as transport:
            return await Replay(transport, settings.exchange.genesis_bytes, SystemClock()).run()

    before = asyncio.run(replay())
    _, old = fingerprints(rotated)
    give(rotated, old)
    after = asyncio.run(replay())

    assert () == before.destroyed_keys.records
    assert [("vn:H26", old, "passed", None)] == [
        (one.agency, one.key, one.outcome, one.code) for one in after.destroyed_keys.records
    ]
    assert before.verdict == after.verdict
    assert [] == [*before.destroyed_keys.unread, *after.destroyed_keys.unread]
