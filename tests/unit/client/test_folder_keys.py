"""The keys of a folder that is worked in: new ones are found without a restart, and the directory says which signs."""

from __future__ import annotations

import asyncio
import shutil
from typing import TYPE_CHECKING

import pytest

from docbus.client import folder_keys
from docbus.client.folder_keys import FolderKeys
from docbus.client.rotation import rotate
from docbus.clock import SystemClock
from docbus.envelope.keys import KeyRing, wrap_context
from docbus.envelope.statement import SUITE_2026
from docbus.errors import IdentityError, MalformedError
from docbus.identity.encryption import Encrypter
from docbus.settings import load_settings
from tests.support.outbox import until
from tests.support.rotating import DAY_MS, ENVIRONMENT, At, directory, publish, revoke

if TYPE_CHECKING:
    from pathlib import Path

OWN, OTHER = "vn:H26", "vn:H53"


def keys_of(folder: Path, clock: At | SystemClock | None = None) -> FolderKeys:
    """Return the keys of a folder, as a process reads them when it starts."""
    return FolderKeys(load_settings(folder), clock or SystemClock())


def wrapped(encrypter: Encrypter) -> bytes:
    """Return a batch key that another agency has encrypted to a key."""
    return encrypter.encrypt(bytes(32), wrap_context(SUITE_2026, ENVIRONMENT, OTHER, OWN, encrypter.digest))


def opened(ring: KeyRing, wrap: bytes) -> bytes:
    """Open it as the recipient."""
    return ring.batch_key(wrap, environment=ENVIRONMENT, sender=OTHER, recipient=OWN)


def test_first_envelope_for_a_new_key_opens(exchange: Path, hanoi: Path) -> None:
    """What is encrypted to a key that was put in place after the start opens at once: nobody has to look in between."""
    keys = keys_of(hanoi)
    ring = KeyRing(keys.decrypters)
    found = publish(exchange, rotate(hanoi, directory(exchange), SystemClock()))
    agency = found.agency(OWN)
    assert agency is not None

    assert bytes(32) == opened(ring, wrapped(agency.encrypter))
    assert bytes(32) == opened(ring, wrapped(agency.encrypters[0][0]))


def test_a_key_that_comes_meanwhile_is_tried(exchange: Path, hanoi: Path) -> None:
    """If somebody else reads the settings while all keys are gone through, the new one is found all the same."""
    keys = keys_of(hanoi)
    old = keys.decrypters[0].digest
    going_through = iter(keys.decrypters)
    assert old == next(going_through).digest
    rotate(hanoi, directory(exchange), SystemClock())
    assert keys.renew()

    rest = [one.digest for one in going_through]

    assert [keys.decrypters[0].digest] == rest
    assert old not in rest


def test_what_no_key_opens_is_refused_as_before(hanoi: Path) -> None:
    """A wrap for somebody else's key opens with none, and the settings are not read again for each of them."""
    keys = keys_of(hanoi)
    read: list[object] = []
    strange = Encrypter(keys.decrypters[0].public_key)
    wrap = strange.encrypt(bytes(32), b"another context")
    original = folder_keys.load_settings
    folder_keys.load_settings = lambda folder: read.append(folder) or original(folder)  # type: ignore[assignment, func-returns-value]
    try:
        for _ in range(3):
            with pytest.raises(MalformedError, match="no key of the recipient"):
                opened(KeyRing(keys.decrypters), wrap)
    finally:
        folder_keys.load_settings = original

    assert [] == read


def test_next_key_signs_once_the_directory_grants_it(exchange: Path, hanoi: Path) -> None:
    """Until then the old one signs; afterwards the new one, whatever the settings name first."""
    keys = keys_of(hanoi)
    before = directory(exchange)
    old = keys.signer(before).certificate
    rotation = rotate(hanoi, before, SystemClock())
    keys.renew()

    assert old == keys.signer(before).certificate == keys.choose(before).certificate
    after = publish(exchange, rotation)
    assert rotation.certificate == keys.signer(after).certificate.hex() == keys.choose(after).certificate.hex()
    keys.check(keys.choose(after), after)


def test_a_process_that_starts_in_between_chooses_likewise(exchange: Path, hanoi: Path) -> None:
    """Settings that still name both keys are as good as those that name the new one."""
    rotation = rotate(hanoi, directory(exchange), SystemClock())
    after = publish(exchange, rotation, overlap_ms=None)

    keys = keys_of(hanoi)

    assert rotation.certificate == keys.signer(after).certificate.hex()
    keys.check(keys.choose(after), after)
    rotate(hanoi, after, SystemClock())
    assert keys.renew()
    assert rotation.certificate == keys.signer(after).certificate.hex()


def test_after_a_revocation_the_key_before_signs_nothing(exchange: Path, hanoi: Path) -> None:
    """A process that runs refuses as one that begins, though an overlap would let the key before sign on."""
    keys = keys_of(hanoi)
    publish(exchange, rotate(hanoi, directory(exchange), SystemClock()))
    rotate(hanoi, directory(exchange), SystemClock())
    assert keys.renew()
    newest = keys.choose(directory(exchange)).certificate

    after = revoke(exchange, newest)

    for running in (keys, keys_of(hanoi)):
        assert newest == running.choose(after).certificate
        with pytest.raises(IdentityError, match="may not sign any more"):
            running.check(running.choose(after), after)


def test_settings_are_looked_into_before_nobody_may_sign(exchange: Path, hanoi: Path) -> None:
    """If the old key ends before a process has looked at the settings again, it looks now, and the new one signs."""
    keys = keys_of(hanoi)
    rotation = rotate(hanoi, directory(exchange), SystemClock())
    after = publish(exchange, rotation, overlap_ms=None)

    sealer = keys.choose(after)

    assert rotation.certificate == sealer.certificate.hex()
    keys.check(sealer, after)


def test_a_key_put_in_place_too_early_stops_nobody(exchange: Path, hanoi: Path) -> None:
    """If somebody lets the settings name a signing key that is not granted yet, a process goes on with the old one."""
    keys, snapshot = keys_of(hanoi), directory(exchange)
    old = keys.signer(snapshot).certificate
    rotation = rotate(hanoi, snapshot, SystemClock())
    path = hanoi / "docbus.toml"
    named = load_settings(hanoi).keys
    assert named is not None
    text = "\n".join(one for one in path.read_text("utf-8").splitlines() if not one.startswith("next_"))
    text = text.replace(named.signing, named.next_signing or "").replace(
        str(named.certificate), str(named.next_certificate)
    )
    path.write_text(text, "utf-8")

    assert keys.renew()

    assert old == keys.choose(snapshot).certificate
    keys.check(keys.choose(snapshot), snapshot)
    after = publish(exchange, rotation)
    assert rotation.certificate == keys.choose(after).certificate.hex()


def test_old_key_may_not_sign_after_its_end(exchange: Path, hanoi: Path) -> None:
    """A folder that was left behind, with the old key alone, is told so when the overlap is over."""
    old = keys_of(shutil.copytree(hanoi, exchange / "left behind"))
    after = publish(exchange, rotate(hanoi, directory(exchange), SystemClock()))
    grant = after.certificate(old.signer(after).certificate)
    assert grant is not None
    end = grant.retires_at_ms
    assert end is not None

    old._clock = At(end)
    old.check(old.choose(after), after)
    old._clock = At(end + 1)

    with pytest.raises(IdentityError, match="may not sign any more"):
        old.check(old.choose(after), after)


def test_what_is_told_of_the_end_is_the_earlier_one(exchange: Path, hanoi: Path) -> None:
    """A folder that was left behind is told the end of the overlap, and the others that of their certificate."""
    left = keys_of(shutil.copytree(hanoi, exchange / "left behind"))
    before = directory(exchange)
    keys = keys_of(hanoi)
    assert keys.ends_at(before) == left.ends_at(before)
    after = publish(exchange, rotate(hanoi, before, SystemClock()))
    keys.renew()

    old, new = (after.certificate(one.signer(after).certificate) for one in (left, keys))

    assert old is not None
    assert new is not None
    assert (old.retires_at_ms, new.not_after_ms) == (left.ends_at(after), keys.ends_at(after))


@pytest.mark.parametrize("damage", ["no TOML", "another setting", "a missing key"])
def test_settings_that_cannot_be_used_change_nothing(exchange: Path, hanoi: Path, damage: str) -> None:
    """While somebody has written something wrong, a process goes on with the keys it has, and takes the mended ones."""
    path = hanoi / "docbus.toml"
    text = path.read_text("utf-8")
    keys, snapshot = keys_of(hanoi), directory(exchange)
    before = keys.signer(snapshot)
    path.write_text(
        {
            "no TOML": text + "\n[",
            "another setting": text + "\n[unknown]\n",
            "a missing key": text.replace("file:keys/encryption.pem", "file:keys/none.pem"),
        }[damage],
        "utf-8",
    )

    assert not keys.renew()
    assert not keys.renew()
    assert before is keys.signer(snapshot)
    assert 1 == len(list(keys.decrypters))
    path.write_text(text, "utf-8")
    assert keys.renew()


def test_settings_that_are_away_change_nothing(hanoi: Path) -> None:
    """A file that is not there for a moment is waited for."""
    keys = keys_of(hanoi)
    (hanoi / "docbus.toml").rename(hanoi / "aside")
    assert not keys.renew()

    (hanoi / "aside").rename(hanoi / "docbus.toml")
    keys.renew()

    assert 1 == len(keys.decrypters)
    assert keys.decrypters[:1] == (keys.decrypters[0],)


async def test_an_idle_process_looks_by_itself(hanoi: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without anything to open, changed settings are read all the same."""
    monkeypatch.setattr(folder_keys, "WATCH_SECONDS", 0.005)
    keys, stop = keys_of(hanoi), asyncio.Event()
    watching = asyncio.create_task(keys.watch(stop))
    rotate(hanoi, None, At(1_800_000_000_000 + DAY_MS))

    await until(lambda: len(keys.decrypters) == 2)
    stop.set()
    await watching

    assert "file:keys/2027-01-16/signing.pem" == keys.settings.keys.next_signing  # type: ignore[union-attr] # it has keys
