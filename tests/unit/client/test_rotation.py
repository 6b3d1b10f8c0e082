"""An agency's rotation to new keys: each step once, in this order, whatever dies in between."""

from __future__ import annotations

import shutil
import sys
import tomllib
from typing import TYPE_CHECKING

import pytest

from docbus.client import key_folders
from docbus.client.connect import decrypters_of_settings, next_signer_of_settings, signer_of_settings
from docbus.client.key_folders import LOCK_NAME, MAX_SETS_A_DAY
from docbus.client.rotation import DEFAULT_OVERLAP_MS, PAUSE_MS, rotate, rotation_state
from docbus.clock import SystemClock
from docbus.errors import ConfigurationError, DirectoryError, LockedError
from docbus.identity.join import read_join_request, verify_join_request
from docbus.settings import load_settings
from docbus.storage.locks import hold
from docbus.wire.profiles import Profile
from tests.support.dying import dies_at
from tests.support.rotating import DAY_MS, ENVIRONMENT, HANOI, At, directory, publish, revoke

if TYPE_CHECKING:
    from pathlib import Path

    from docbus.client.rotation import Rotation

KEY_FILES = {"signing.pem", "certificate.pem", "encryption.pem"}


def go_on(exchange: Path, **more: object) -> Rotation:
    """Give the command once."""
    return rotate(exchange / HANOI, directory(exchange), SystemClock(), **more)  # type: ignore[arg-type] # by name


def contents(folder: Path) -> dict[str, bytes]:
    """Return every file of a folder, but for the note of who held the lock."""
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file() and path.name != LOCK_NAME
    }


def test_first_run_makes_keys_names_them_and_asks_for_them(exchange: Path, hanoi: Path) -> None:
    """New keys lie in their own folder for their owner alone; the old ones stay; the request proves the new ones."""
    before, old = contents(hanoi), load_settings(hanoi)

    found = go_on(exchange)

    settings = load_settings(hanoi)
    assert settings.keys is not None
    assert old.keys is not None
    (made,) = [path for path in (hanoi / "keys").iterdir() if path.is_dir()]
    assert {path.name for path in made.iterdir()} == KEY_FILES
    assert ["0o600", "0o600"] == [
        oct((made / name).stat().st_mode & 0o777) for name in ("signing.pem", "encryption.pem")
    ]
    assert (f"file:keys/{made.name}/encryption.pem", *old.keys.encryption) == settings.keys.encryption
    assert old.keys.signing == settings.keys.signing
    following = next_signer_of_settings(settings)
    assert following is not None
    assert "requested" == found.step
    assert found.request is not None
    checked = verify_join_request(
        found.request.read_text("ascii"),
        environment=ENVIRONMENT,
        genesis=settings.exchange.genesis_bytes,
        now_ms=SystemClock().now_ms(),
    )
    assert found.fingerprint == checked.fingerprint
    assert (following.certificate, decrypters_of_settings(settings)[0].public_key) == (
        checked.certificates[0].digest,
        checked.request.encryption.public_key,
    )
    assert {name: content for name, content in contents(hanoi).items() if name in before and name != "docbus.toml"} == {
        name: content for name, content in before.items() if name != "docbus.toml"
    }


def test_comments_and_order_of_the_settings_stay(exchange: Path, hanoi: Path) -> None:
    """What a person has written into the settings is there afterwards, and so are the file's rights."""
    path = hanoi / "docbus.toml"
    text = path.read_text("utf-8").replace(
        'encryption = ["file:keys/encryption.pem"]',
        '# newest first\nencryption = [\n  "file:keys/encryption.pem", # of the founding\n]',
    )
    path.write_text(text + "\n# the end\n", "utf-8")
    path.chmod(0o640)

    go_on(exchange)

    changed = path.read_text("utf-8")
    assert [line for line in text.splitlines() if line not in changed.splitlines()] == []
    assert changed.endswith("# the end\n")
    assert "0o640" == oct(path.stat().st_mode & 0o777)


def test_second_run_changes_nothing(exchange: Path, hanoi: Path) -> None:
    """Given again before the registrar has done anything, the command says the same and touches no file."""
    first = go_on(exchange)
    before = contents(hanoi)

    second = go_on(exchange)

    assert before == contents(hanoi)
    assert ((), first.certificate, first.fingerprint) == (second.done, second.certificate, second.fingerprint)
    assert "requested" == rotation_state(load_settings(hanoi), directory(exchange), SystemClock().now_ms()).step


def test_run_after_the_grant_completes_it(exchange: Path, hanoi: Path) -> None:
    """Once the directory grants the new keys, the settings name them alone; the old decryption key stays."""
    first = go_on(exchange)
    snapshot = publish(exchange, first)
    granted = rotation_state(load_settings(hanoi), snapshot, SystemClock().now_ms())

    found = go_on(exchange)

    settings = load_settings(hanoi)
    assert settings.keys is not None
    assert ("granted", "overlapping") == (granted.step, found.step)
    assert (None, None) == (settings.keys.next_signing, settings.keys.next_certificate)
    assert first.certificate == signer_of_settings(settings).certificate.hex() == found.certificate
    assert 2 == len(settings.keys.encryption)
    assert found.retires_at is not None
    assert 29 * DAY_MS < found.retires_at - SystemClock().now_ms() <= 30 * DAY_MS
    before = contents(hanoi)
    assert ("overlapping", ()) == (go_on(exchange).step, go_on(exchange).done)
    assert before == contents(hanoi)


def test_another_rotation_does_not_begin_by_mistake(exchange: Path, hanoi: Path) -> None:
    """Without an overlap a day has to pass, unless another rotation is asked for by name."""
    snapshot = publish(exchange, go_on(exchange), overlap_ms=None)
    go_on(exchange)
    newest = snapshot.made_at

    assert "complete" == rotate(hanoi, snapshot, At(newest + PAUSE_MS - 1)).step
    assert "none" == rotation_state(load_settings(hanoi), snapshot, newest + PAUSE_MS).step
    assert "requested" == go_on(exchange, again=True).step
    keys = load_settings(hanoi).keys
    assert keys is not None
    assert 3 == len(keys.encryption)


def test_the_request_asks_for_the_keys_of_one_set(exchange: Path, hanoi: Path) -> None:
    """Whatever order somebody gives the decryption keys, the one that was made with the signing key is asked for."""
    first = go_on(exchange)
    assert first.request is not None
    text = first.request.read_text("ascii")
    first.request.unlink()
    path = hanoi / "docbus.toml"
    named = load_settings(hanoi).keys
    assert named is not None
    new, old = named.encryption
    path.write_text(path.read_text("utf-8").replace(f'["{new}", "{old}"]', f'["{old}", "{new}"]'), "utf-8")
    assert (old, new) == load_settings(hanoi).keys.encryption  # type: ignore[union-attr] # it has keys

    again = go_on(exchange)

    assert again.request is not None
    asked = [read_join_request(one).encryption for one in (text, again.request.read_text("ascii"))]
    assert asked[0] == asked[1]


def test_a_request_follows_the_settings(exchange: Path, hanoi: Path) -> None:
    """One that names other keys than the settings by now is written anew, so that it can be corrected there."""
    first = go_on(exchange)
    assert first.request is not None
    text = first.request.read_text("ascii")
    first.request.write_text((hanoi / f"{HANOI}.join").read_text("ascii"), "ascii")

    again = go_on(exchange)

    assert again.request == first.request
    assert (f"wrote {first.request.name}",) == again.done
    asked = [read_join_request(one) for one in (text, first.request.read_text("ascii"))]
    assert (asked[0].signing, asked[0].encryption) == (asked[1].signing, asked[1].encryption)


def test_a_decryption_key_that_was_granted_before_is_not_asked_for(exchange: Path, hanoi: Path) -> None:
    """Whoever names a next signing key by hand and forgets the new decryption key hears so, not the registrar."""
    first = go_on(exchange)
    assert first.request is not None
    first.request.unlink()
    path = hanoi / "docbus.toml"
    named = load_settings(hanoi).keys
    assert named is not None
    new, old = named.encryption
    path.write_text(path.read_text("utf-8").replace(f'["{new}", "{old}"]', f'["{old}"]'), "utf-8")

    with pytest.raises(ConfigurationError, match="was granted before") as refused:
        go_on(exchange)

    assert "encryption" in (refused.value.hint or "")
    assert not first.request.exists()


@pytest.mark.parametrize("when", ["begun", "requested"])
def test_another_profile_waits_until_the_rotation_is_over(exchange: Path, hanoi: Path, when: str) -> None:
    """A profile is not dropped silently where the keys are made already."""
    first = go_on(exchange)
    assert first.request is not None
    if when == "begun":
        first.request.unlink()

    with pytest.raises(ConfigurationError, match="under way already"):
        go_on(exchange, profile=int(Profile.ED25519))


def test_begins_without_the_directory_and_completes_with_it_alone(exchange: Path, hanoi: Path) -> None:
    """Keys and request can be made while the brokers are away; what the directory grants is then not known."""
    found = rotate(hanoi, None, SystemClock())
    again = rotate(hanoi, None, SystemClock())
    publish(exchange, found)

    assert [("requested", False)] * 2 == [(one.step, one.known) for one in (found, again)]
    assert "requested" == rotate(hanoi, None, SystemClock()).step
    assert "overlapping" == go_on(exchange).step


def test_a_second_rotation_does_not_begin_without_the_directory(exchange: Path, hanoi: Path) -> None:
    """Whether the last rotation is over, only the directory says; who knows better can say so."""
    publish(exchange, go_on(exchange))
    go_on(exchange)
    before = contents(hanoi)

    with pytest.raises(ConfigurationError, match="it is not known whether the last rotation is over"):
        rotate(hanoi, None, SystemClock())

    assert before == contents(hanoi)
    assert "requested" == rotate(hanoi, None, SystemClock(), again=True).step


def test_a_revoked_key_is_rotated_at_once(exchange: Path, hanoi: Path) -> None:
    """Whoever has lost a new key need not wait, whatever the last rotation has left."""
    publish(exchange, go_on(exchange))
    go_on(exchange)
    stolen = signer_of_settings(load_settings(hanoi)).certificate
    revoke(exchange, stolen)

    found = go_on(exchange)

    assert "requested" == found.step
    after = publish(exchange, found, overlap_ms=None)
    assert found.certificate != stolen.hex()
    assert "complete" == rotate(hanoi, after, SystemClock()).step


def test_the_overlap_that_was_asked_for_stays(exchange: Path, hanoi: Path) -> None:
    """What was given first holds for later runs and for whoever only looks, until something else is given."""
    asked = [
        go_on(exchange, overlap_ms=10 * DAY_MS).overlap_ms,
        go_on(exchange).overlap_ms,
        rotation_state(load_settings(hanoi), directory(exchange), SystemClock().now_ms()).overlap_ms,
        go_on(exchange, overlap_ms=36 * 60 * 60 * 1000).overlap_ms,
        go_on(exchange, overlap_ms=0).overlap_ms,
        go_on(exchange).overlap_ms,
    ]
    publish(exchange, go_on(exchange))
    go_on(exchange)

    assert [10 * DAY_MS] * 3 + [36 * 60 * 60 * 1000, None, None] == asked
    assert "next_overlap_minutes" not in (hanoi / "docbus.toml").read_text("utf-8")
    assert DEFAULT_OVERLAP_MS == go_on(exchange, again=True).overlap_ms


def test_a_revoked_key_has_no_overlap(exchange: Path, hanoi: Path) -> None:
    """Whether it is revoked before the rotation begins or while it waits, none is proposed for it any more."""
    first = go_on(exchange, overlap_ms=10 * DAY_MS)
    revoke(exchange, signer_of_settings(load_settings(hanoi)).certificate)

    waiting = go_on(exchange)

    assert (10 * DAY_MS, None) == (first.overlap_ms, waiting.overlap_ms)
    with pytest.raises(DirectoryError, match="no certificate that an overlap could let sign on") as refused:
        publish(exchange, waiting)
    assert "--overlap" in (refused.value.hint or "")
    publish(exchange, waiting, overlap_ms=None)
    assert "complete" == go_on(exchange).step


def test_requests_are_gone_once_they_are_granted(exchange: Path, hanoi: Path) -> None:
    """The next rotation's request is the only one, so that a pattern on the command line finds it alone."""
    first = publish(exchange, go_on(exchange))
    go_on(exchange)
    after = [path.name for path in hanoi.glob("*.join")]

    second = go_on(exchange, again=True)

    assert first.position > 0
    assert ["H26.join"] == after
    assert [second.request] == list(hanoi.glob("H26-*.join"))


@pytest.mark.parametrize("profile", [Profile.RSA_PSS_SHA256, Profile.ED25519, Profile.ES256_ML_DSA_65])
def test_profile_changes_on_demand(exchange: Path, hanoi: Path, profile: Profile) -> None:
    """A rotation may go over to another algorithm, and the registrar takes it."""
    publish(exchange, go_on(exchange, profile=profile))
    go_on(exchange)

    assert profile == signer_of_settings(load_settings(hanoi)).profile


@pytest.mark.skipif(sys.platform == "win32", reason="forks")
def test_death_at_any_change_loses_and_doubles_nothing(founded: Path, tmp_path: Path) -> None:
    """Whatever the process dies at while it begins, the next one goes on, with one set of keys and one request."""
    snapshot, number, died = directory(founded), 0, True
    while died:
        number += 1
        exchange = shutil.copytree(founded, tmp_path / str(number))
        hanoi = exchange / HANOI
        died = dies_at(number, lambda hanoi=hanoi: rotate(hanoi, snapshot, SystemClock()))
        load_settings(hanoi)

        found = rotate(hanoi, snapshot, SystemClock())

        keys = load_settings(hanoi).keys
        assert keys is not None
        (made,) = [path for path in (hanoi / "keys").iterdir() if path.is_dir()]
        assert {path.name for path in made.iterdir()} == KEY_FILES
        assert (f"file:keys/{made.name}/encryption.pem", "file:keys/encryption.pem") == keys.encryption
        assert [f"H26-{made.name}.join", "H26.join"] == sorted(path.name for path in hanoi.glob("*.join"))
        assert [] == [*hanoi.glob("*.new"), *hanoi.glob(".*")]
        assert "requested" == found.step
        assert found.request is not None
        verify_join_request(
            found.request.read_text("ascii"),
            environment=ENVIRONMENT,
            genesis=snapshot.genesis,
            now_ms=SystemClock().now_ms(),
        )
        shutil.rmtree(exchange)

    assert number > 10


@pytest.mark.skipif(sys.platform == "win32", reason="forks")
def test_death_while_it_completes_leaves_settings_that_work(exchange: Path, tmp_path: Path) -> None:
    """At each change while the settings go over to the new key they are the old ones or the new ones."""
    snapshot, number, died = publish(exchange, go_on(exchange)), 0, True
    while died:
        number += 1
        hanoi = shutil.copytree(exchange, tmp_path / str(number)) / HANOI
        died = dies_at(number, lambda hanoi=hanoi: rotate(hanoi, snapshot, SystemClock()))
        signer_of_settings(load_settings(hanoi))

        assert "overlapping" == rotate(hanoi, snapshot, SystemClock()).step
        assert [] == [*hanoi.glob("*.new")]

    assert number > 2


def test_nothing_is_overwritten(exchange: Path, hanoi: Path) -> None:
    """A folder of the same day is left as it is, and the new keys get the next number."""
    day = At(1_800_000_000_000)
    first = hanoi / "keys" / "2027-01-15"
    first.mkdir()
    (first / "signing.pem").write_text("somebody else's")

    rotate(hanoi, None, day)

    assert "somebody else's" == (first / "signing.pem").read_text()
    assert KEY_FILES == {path.name for path in (hanoi / "keys" / "2027-01-15-2").iterdir()}


def test_sets_of_keys_are_bounded(hanoi: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """So many sets are made on one day, and no more."""
    monkeypatch.setattr(key_folders, "MAX_SETS_A_DAY", 2)
    for name in ("2027-01-15", "2027-01-15-2"):
        (hanoi / "keys" / name).mkdir()

    with pytest.raises(ConfigurationError, match="has 2 sets of keys of 2027-01-15"):
        rotate(hanoi, None, At(1_800_000_000_000))

    assert 99 == MAX_SETS_A_DAY
    assert {"file:keys/encryption.pem"} == set(load_settings(hanoi).keys.encryption)  # type: ignore[union-attr] # it has


def test_one_process_at_a_time(hanoi: Path) -> None:
    """While another process changes the keys of the folder, this one is told so and changes nothing."""
    before = contents(hanoi)

    with hold(hanoi / LOCK_NAME, "changing keys", SystemClock()), pytest.raises(LockedError):
        rotate(hanoi, None, SystemClock())

    assert before == contents(hanoi)


def test_keys_in_the_environment_are_not_rotated(hanoi: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A variable that stands above the file would hide what is written there; the name of it is told."""
    monkeypatch.setenv("DOCBUS_KEYS__SIGNING", "file:keys/signing.pem")

    with pytest.raises(ConfigurationError, match="DOCBUS_KEYS__SIGNING is set and stands above"):
        rotate(hanoi, None, SystemClock())

    text = (hanoi / "docbus.toml").read_text("utf-8")
    assert "next_signing" not in tomllib.loads(text)["keys"]


def test_an_auditor_has_no_keys_to_rotate(exchange: Path) -> None:
    """The folder of an auditor or a registrar is named for what it is."""
    with pytest.raises(ConfigurationError):
        rotate(exchange / "auditor", None, SystemClock())
