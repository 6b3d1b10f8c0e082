"""Destroying an old decryption key: never one that is needed, and wholly, whatever dies in between."""

from __future__ import annotations

import shutil
import sys
from typing import TYPE_CHECKING, Any

import pytest

from docbus.client.connect import decrypters_of_settings
from docbus.client.destruction import MIN_FINGERPRINT_DIGITS, NEEDED_MS, Destruction, destroy, destructions
from docbus.client.local import open_state
from docbus.client.rotation import rotate
from docbus.clock import SystemClock
from docbus.errors import KeyDestructionError
from docbus.limits import MAX_ACT_REASON_BYTES, MAX_CLOCK_SKEW_MS, MAX_OPERATOR_BYTES
from docbus.settings import load_settings
from tests.support.dying import dies_at
from tests.support.rotating import HANOI, At, directory, publish

if TYPE_CHECKING:
    from pathlib import Path

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
    told = {"reason": "it is old", "operator": "an", "clock": SystemClock(), "now": True} | more
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
