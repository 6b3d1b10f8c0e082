"""Libraries that several threads may call, and those that they may not."""

from __future__ import annotations

import sys
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import pkcs11
import pytest

from docbus.tokens.beginning import Library
from docbus.tokens.library import begin_again
from docbus.tokens.making import make_token_key
from docbus.tokens.sessions import MAX_SESSIONS
from docbus.wire.profiles import Profile

if TYPE_CHECKING:
    from tests.support.altered_softhsm import AlteredSoftHSM
    from tests.support.softhsm import SoftHSM

SLOW = 20_000


def sign_many(altered: AlteredSoftHSM, signatures: int = 16) -> int:
    """Sign with several threads, and return how many signatures were made at a time."""
    key = make_token_key(altered.uri(), Profile.ES256)
    altered.set("sign_microseconds", SLOW)
    with ThreadPoolExecutor(8) as threads:
        list(threads.map(lambda number: key.sign(b"%d" % number), range(signatures)))
    return altered.get("most_inside")


def test_library_is_begun_with_locking(altered: AlteredSoftHSM) -> None:
    """Then several signatures are made at the same time."""
    assert MAX_SESSIONS == sign_many(altered)


def test_library_that_refuses_locking_is_called_by_one_thread_at_a_time(altered: AlteredSoftHSM) -> None:
    """It answers CKR_CANT_LOCK, and is begun as by python-pkcs11 itself."""
    altered.set("refuses_locking", 1)

    assert 1 == sign_many(altered)
    assert 1 == altered.get("begun")


def test_library_that_other_code_has_begun_is_called_by_one_thread_at_a_time(altered: AlteredSoftHSM) -> None:
    """Nobody knows how it was begun; it is used all the same, and not begun a second time."""
    pkcs11.lib(str(altered.library))

    try:
        assert 1 == sign_many(altered)
        assert 1 == altered.get("begun")
    finally:
        pkcs11.unload(str(altered.library))


@pytest.mark.parametrize("refuses", [0, 1])
def test_library_begins_again_as_it_has_begun(altered: AlteredSoftHSM, refuses: int) -> None:
    """Ended and begun, however it was begun; and a second time if it was not begun at all."""
    altered.set("refuses_locking", refuses)
    library = Library(str(altered.library))

    begin_again(library)
    library.finalize()
    begin_again(library)

    assert (3, not refuses) == (altered.get("begun"), library.locking)
    assert ["H26"] == [slot.get_token().label for slot in library.get_slots(token_present=True)][:1]
    library.finalize()


def test_a_library_that_would_not_end_stays_as_it_is(altered: AlteredSoftHSM) -> None:
    """Begun a second time, it says that it is begun; it has been with locking, and still is."""
    library = Library(str(altered.library))

    library.initialize()

    assert (1, True) == (altered.get("begun"), library.locking)
    library.finalize()


@pytest.mark.parametrize("profile", [Profile.ES256, Profile.RSA_PSS_SHA256])
def test_threads_that_change_all_the_time_do_not_disturb_each_other(token: SoftHSM, profile: Profile) -> None:
    """Whatever eight threads sign and look for at the same time verifies, with Python's threads in turn each 10 µs."""
    key = make_token_key(token.uri("H26"), profile)
    each = 250 if profile is Profile.ES256 else 15

    def sign(thread: int) -> int:
        made = 0
        for number in range(each):
            made += len(key.sign(b"%d %d" % (thread, number))) > 0
            if number % 50 == 0:
                assert key.module.look(key.uri).public_key == key.public_key
        return made

    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    try:
        with ThreadPoolExecutor(8) as threads:
            assert 8 * each == sum(threads.map(sign, range(8)))
    finally:
        sys.setswitchinterval(before)
