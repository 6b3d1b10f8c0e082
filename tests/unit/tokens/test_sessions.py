"""Several sessions of one token, some of which fail, hang, or are not to be had."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import pytest
from pkcs11 import Attribute, KeyType
from pkcs11.util.ec import encode_named_curve_parameters

from docbus.errors import PinError, SignerAwayError
from docbus.tokens.beginning import Library
from docbus.tokens.making import make_token_key
from docbus.tokens.pins import Pin
from docbus.tokens.search import find_token
from docbus.tokens.sessions import MAX_SESSIONS, SessionPool
from docbus.tokens.signer import open_token_key
from docbus.tokens.uri import parse_token_uri
from docbus.wire.profiles import Profile
from tests.support.softhsm import PIN, SO_PIN, tool

if TYPE_CHECKING:
    from collections.abc import Iterator

    from docbus.tokens.signer import TokenKey
    from tests.support.altered_softhsm import AlteredSoftHSM
    from tests.support.softhsm import SoftHSM

SLOW = 20_000
PATIENCE = 20.0
SHORT = 0.3


@pytest.fixture
def key(altered: AlteredSoftHSM) -> Iterator[TokenKey]:
    """Return a key by the library that can be changed; nothing hangs any more at the end."""
    made = make_token_key(altered.uri(), Profile.ES256)
    yield made
    altered.set("released", 1)


def sign_many(key: TokenKey, signatures: int = 16) -> None:
    """Sign with several threads at the same time."""
    with ThreadPoolExecutor(8) as threads:
        list(threads.map(lambda number: key.sign(b"%d" % number), range(signatures)))


def until(altered: AlteredSoftHSM, name: str, value: int) -> None:
    """Wait until a variable of the library has a value."""
    for _ in range(int(PATIENCE / 0.001)):
        if altered.get(name) == value:
            return
        threading.Event().wait(0.001)
    pytest.fail(f"{name} is still {altered.get(name)}")


def test_sessions_are_opened_as_they_are_needed(altered: AlteredSoftHSM, key: TokenKey) -> None:
    """One suffices for whoever signs one after the other; more are opened for several at a time, up to the limit."""
    for number in range(10):
        key.sign(b"%d" % number)
    one = altered.get("sessions")
    altered.set("sign_microseconds", SLOW)
    sign_many(key)
    sign_many(key)

    assert (1, MAX_SESSIONS) == (one, altered.get("sessions"))
    assert (MAX_SESSIONS, 1) == (altered.get("most_inside"), altered.get("logins"))


@pytest.mark.parametrize("most", [1, 2])
def test_token_with_few_sessions_is_content_with_them(altered: AlteredSoftHSM, most: int) -> None:
    """It answers CKR_SESSION_COUNT: no more are asked of it, whoever wants one waits, and nothing is begun anew."""
    key = make_token_key(altered.uri(), Profile.ES256)
    key.module.close()
    key.sign(b"first")
    altered.set("most_sessions", most)
    altered.set("sign_microseconds", SLOW)

    sign_many(key)
    look = key.module.look(key.uri)

    assert (most, most) == (altered.get("sessions"), altered.get("most_inside"))
    assert (2, key.public_key) == (altered.get("begun"), look.public_key)


def test_token_without_a_session_left_is_away(altered: AlteredSoftHSM, key: TokenKey) -> None:
    """Other programs have all of them: that is waited out, and over when they end."""
    key.module.close()
    altered.set("most_sessions", -1)
    with pytest.raises(SignerAwayError, match="SessionCount"):
        key.sign(b"signed")
    altered.set("most_sessions", 0)

    assert key.sign(b"signed")


def test_session_is_waited_for_only_so_long(altered: AlteredSoftHSM, key: TokenKey) -> None:
    """All are in use: whoever wants one gets an error that can be retried, and the next one that is free."""
    key.module.close()
    library = Library(str(altered.library))
    pool = SessionPool(find_token(library, parse_token_uri(altered.uri())), most=1, seconds=0.05)
    with pool.pin_in_use():
        pool.log_in(Pin(PIN))

        with pytest.raises(SignerAwayError, match="has not answered a PIN"), pool.pin_in_use():
            pytest.fail("two give a PIN")
    refused = pytest.raises(SignerAwayError, match="all 1 sessions of the token H26 have been in use")
    with pool.session() as first, refused, pool.session():
        pytest.fail("two have the session")
    with pool.session() as second:
        assert first is second
    library.finalize()


def test_signature_that_hangs_holds_up_only_its_session(altered: AlteredSoftHSM, key: TokenKey) -> None:
    """Others are made meanwhile; when it returns after all, its session is used again."""
    key.module._calls._seconds = SHORT
    altered.set("to_hang", 1)
    with pytest.raises(SignerAwayError, match="has not answered"):
        key.sign(b"hangs")

    key.module._calls._seconds = PATIENCE
    sign_many(key)
    inside = altered.get("inside")
    altered.set("released", 1)
    until(altered, "inside", 0)
    altered.set("sign_microseconds", SLOW)
    sign_many(key)

    assert (1, 1, MAX_SESSIONS) == (inside, altered.get("begun"), altered.get("sessions"))


def test_library_does_not_begin_again_while_somebody_is_inside(altered: AlteredSoftHSM, key: TokenKey) -> None:
    """A failure beside a signature that hangs: it is away for everybody until that returns, and begins then."""
    key.module._calls._seconds = SHORT
    altered.set("to_hang", 1)
    with pytest.raises(SignerAwayError, match="has not answered"):
        key.sign(b"hangs")
    altered.set("to_fail", 1)
    with pytest.raises(SignerAwayError, match="FunctionFailed"):
        key.sign(b"fails")
    for _ in range(2):
        with pytest.raises(SignerAwayError, match="has not answered"):
            key.sign(b"waits for the one that hangs")
    meanwhile = altered.get("begun")

    altered.set("released", 1)
    key.module._calls._seconds = PATIENCE
    key.sign(b"after")

    assert (1, 2, 0) == (meanwhile, altered.get("begun"), altered.get("ended_with_one_inside"))


def test_session_that_has_failed_is_not_used_again(altered: AlteredSoftHSM, key: TokenKey) -> None:
    """One of many fails: the library begins again when the others have returned, and nobody asks for the PIN."""
    altered.set("sign_microseconds", SLOW)
    sign_many(key)
    altered.set("to_fail", 1)

    with ThreadPoolExecutor(8) as threads:
        signed = list(threads.map(lambda number: signed_at_once(key, number), range(32)))

    assert 1 == signed.count(False)
    assert (2, 0, 2) == (altered.get("begun"), altered.get("ended_with_one_inside"), altered.get("logins"))


def signed_at_once(key: TokenKey, number: int) -> bool:
    """Tell whether a signature was made at the first try."""
    try:
        return bool(key.sign(b"%d" % number))
    except SignerAwayError:
        return False


def test_token_that_is_pulled_while_many_sign_comes_back(altered: AlteredSoftHSM, softhsm: SoftHSM) -> None:
    """Every thread is told that it is away, none crashes, and all sign when it is there again."""
    key = make_token_key(altered.uri(), Profile.ES256)
    altered.set("sign_microseconds", SLOW // 10)
    with ThreadPoolExecutor(8) as threads:
        signed = threads.map(lambda number: signed_at_once(key, number), range(400))
        until(altered, "most_inside", MAX_SESSIONS)
        softhsm.pull()
        results = list(signed)
        softhsm.put_back()
        sign_many(key)

    assert results[0]
    assert not results[-1]
    assert 0 == altered.get("ended_with_one_inside")


def test_token_that_is_pulled_before_its_key_was_looked_for_is_away(key: TokenKey, softhsm: SoftHSM) -> None:
    """SoftHSM says then that the token has no such key; it is not taken for a mistake, which would end the process."""
    softhsm.pull()
    with pytest.raises(SignerAwayError):
        key.sign(b"meanwhile")
    softhsm.put_back()

    assert key.sign(b"after")


def test_pin_that_was_changed_is_tried_once_however_many_sign(
    altered: AlteredSoftHSM, softhsm: SoftHSM, key: TokenKey
) -> None:
    """Threads that come back to a token whose PIN is another one let it see theirs one time."""
    serial = key.module.look(key.uri).serial
    softhsm.pull()
    with pytest.raises(SignerAwayError):
        key.sign(b"meanwhile")
    softhsm.put_back()
    tool("--init-token", "--serial", serial, "--label", "H26", "--pin", "11223344", "--so-pin", SO_PIN)
    before = altered.get("logins")

    with ThreadPoolExecutor(8) as threads:
        tries = [threads.submit(key.sign, b"%d" % number) for number in range(24)]
        refused = [type(one.exception(PATIENCE)) for one in tries]

    assert {PinError} == set(refused)
    assert 1 == altered.get("logins") - before


def test_wrong_pin_for_each_signature_is_tried_once_however_many_sign(altered: AlteredSoftHSM, key: TokenKey) -> None:
    """A key that asks each time is used by one at a time, so that the others hear that the PIN is wrong."""
    template = {Attribute.ALWAYS_AUTHENTICATE: True, Attribute.PRIVATE: True}
    curve = {Attribute.EC_PARAMS: encode_named_curve_parameters("secp256r1")}
    key.module.in_session(
        key.uri,
        lambda session: session.create_domain_parameters(KeyType.EC, curve, local=True).generate_keypair(
            store=True, label="careful", id=b"2", private_template=template
        ),
    )
    careful = open_token_key(altered.uri("careful"))
    sign_many(careful, 8)
    logins = careful.module._logins
    (name,) = logins._passed
    logins._passed[name] = Pin("97531864")
    before = altered.get("logins")

    with ThreadPoolExecutor(8) as threads:
        tries = [threads.submit(careful.sign, b"%d" % number) for number in range(16)]
        refused = [type(one.exception(PATIENCE)) for one in tries]

    assert {PinError} == set(refused)
    assert 1 == altered.get("logins") - before
