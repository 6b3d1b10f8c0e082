"""One library in use: PINs, sessions, and tokens that are pulled, with SoftHSM."""

from __future__ import annotations

import traceback
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import pytest
from pkcs11 import Attribute, KeyType, TokenFlag
from pkcs11.util.ec import encode_named_curve_parameters

from docbus.errors import KeyFileError, PinError, SignerAwayError
from docbus.tokens import module as modules
from docbus.tokens.making import make_token_key
from docbus.tokens.pins import PIN_VARIABLE, Pin
from docbus.tokens.signer import open_token_key
from docbus.wire.profiles import Profile
from tests.support.softhsm import PIN, SO_PIN, tool

if TYPE_CHECKING:
    from collections.abc import Callable

    from docbus.tokens.uri import TokenUri
    from tests.support.softhsm import SoftHSM


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Return the PINs that are handed out, in order; each is the right one unless a test changes it."""
    handed: list[str] = []

    def read(uri: TokenUri) -> Pin:
        handed.append(PIN)
        return Pin(PIN)

    monkeypatch.setattr(modules, "read_pin", read)
    return handed


def test_pin_is_asked_for_with_the_first_signature_and_once(keyed: SoftHSM, asked: list[str]) -> None:
    """Finding the key needs none; the first signature does, and later ones have it."""
    key = open_token_key(keyed.uri("H26"))
    before = list(asked)
    for number in range(3):
        key.sign(b"%d" % number)
    open_token_key(keyed.uri("H26")).sign(b"by another name of the same key")

    assert ([], [PIN]) == (before, asked)


def test_pin_is_asked_for_once_however_many_sign(keyed: SoftHSM, asked: list[str]) -> None:
    """Threads that sign first at the same time share one login."""
    key = open_token_key(keyed.uri("H26"))

    with ThreadPoolExecutor(8) as threads:
        list(threads.map(lambda number: key.sign(b"%d" % number), range(8)))

    assert [PIN] == asked


def test_wrong_pin_is_tried_once(keyed: SoftHSM, monkeypatch: pytest.MonkeyPatch) -> None:
    """However often is signed, the token sees it one time; the error says so, and not what was tried."""
    monkeypatch.setenv(PIN_VARIABLE, "97531864")
    key = open_token_key(keyed.uri("H26"))
    tried = count_logins(monkeypatch)

    errors = []
    for _ in range(3):
        with pytest.raises(PinError, match="it is not tried again") as refused:
            key.sign(b"signed")
        errors.append(refused.value)

    assert ["97531864"] == tried
    text = "".join("".join(traceback.format_exception(error)) for error in errors)
    assert "97531864" not in text
    assert "start docbus again" in (errors[-1].hint or "")


def test_wrong_pin_is_not_tried_again_after_the_token_was_away(keyed: SoftHSM, monkeypatch: pytest.MonkeyPatch) -> None:
    """Pulling the token and putting it back is no new start."""
    monkeypatch.setenv(PIN_VARIABLE, "97531864")
    key = open_token_key(keyed.uri("H26"))
    tried = count_logins(monkeypatch)
    with pytest.raises(PinError):
        key.sign(b"signed")
    keyed.pull()
    with pytest.raises((PinError, SignerAwayError)):
        key.sign(b"signed")
    keyed.put_back()
    monkeypatch.setenv(PIN_VARIABLE, PIN)

    for _ in range(3):
        with pytest.raises((PinError, SignerAwayError)):
            key.sign(b"signed")
    key.module.look(key.uri)
    with pytest.raises(PinError, match="it is not tried again"):
        key.sign(b"signed")

    assert ["97531864"] == tried


@pytest.mark.parametrize(("typed", "tried"), [(False, []), (True, [PIN])])
def test_last_try_is_for_a_person(
    keyed: SoftHSM, monkeypatch: pytest.MonkeyPatch, typed: bool, tried: list[str]
) -> None:
    """A token that locks with the next wrong PIN gets none from a file; what somebody has just typed is tried."""
    key = open_token_key(keyed.uri("H26"))
    logins = count_logins(monkeypatch, last_try=True)
    monkeypatch.setattr(modules, "read_pin", lambda uri: Pin(PIN, typed=typed))

    if typed:
        key.sign(b"signed")
    else:
        with pytest.raises(PinError, match="locks if the next PIN is wrong"):
            key.sign(b"signed")

    assert tried == logins


def test_pulled_token_is_away_and_comes_back_by_itself(keyed: SoftHSM, asked: list[str]) -> None:
    """Each try meanwhile can be retried; then the same object signs, and nobody is asked for the PIN again."""
    key = open_token_key(keyed.uri("H26"))
    key.sign(b"before")
    keyed.pull()
    for _ in range(3):
        with pytest.raises(SignerAwayError):
            key.sign(b"meanwhile")
        with pytest.raises(SignerAwayError):
            key.module.look(key.uri)
    keyed.put_back()

    key.sign(b"after")

    assert [PIN] == asked


def test_token_that_was_not_there_at_the_start_is_found_later(keyed: SoftHSM) -> None:
    """A machine that starts before its token signs once it is there."""
    uri = keyed.uri("H26")
    key = open_token_key(uri)
    key.module.close()
    keyed.pull()
    with pytest.raises(SignerAwayError):
        key.sign(b"meanwhile")
    keyed.put_back()

    assert key.sign(b"after")


def test_token_that_comes_while_the_library_is_in_use_is_found(keyed: SoftHSM, asked: list[str]) -> None:
    """SoftHSM looks for tokens only when it begins; another one is found all the same, and the first goes on."""
    key = open_token_key(keyed.uri("H26"))
    key.sign(b"before")
    keyed.initialise("later")

    with pytest.raises(KeyFileError, match="token=later shows no public key"):
        open_token_key(keyed.uri("later"))

    assert key.sign(b"after")
    assert [PIN] == asked


def test_pin_that_was_changed_while_the_token_was_away_is_tried_once(
    keyed: SoftHSM, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A login that has passed before is no leave to try for ever."""
    key = open_token_key(keyed.uri("H26"))
    serial = key.module.look(key.uri).serial
    key.sign(b"before")
    keyed.pull()
    with pytest.raises(SignerAwayError):
        key.sign(b"meanwhile")
    keyed.put_back()
    tool("--init-token", "--serial", serial, "--label", "H26", "--pin", "11223344", "--so-pin", SO_PIN)
    tried = count_logins(monkeypatch)

    for _ in range(3):
        with pytest.raises((PinError, SignerAwayError)):
            key.sign(b"after")

    assert [PIN] == tried


def test_sessions_do_not_grow(keyed: SoftHSM) -> None:
    """However many signatures and looks there are, one after the other, the token has one session open."""
    key = open_token_key(keyed.uri("H26"))

    for number in range(20):
        key.sign(b"%d" % number)
        key.module.look(key.uri)

    (pool,) = key.module._pools.values()
    assert (1, 1) == (pool._opened, len(key.module._found))


def test_one_library_is_loaded_once(keyed: SoftHSM) -> None:
    """Keys of one library share it, by whichever name it is called."""
    first = open_token_key(keyed.uri("H26"))
    second = open_token_key(keyed.uri("H26", module_path=str(keyed.library.resolve())))

    assert first.module is second.module


def count_logins(monkeypatch: pytest.MonkeyPatch, *, last_try: bool = False) -> list[str]:
    """Return the PINs with which a login is tried from now on."""
    tried: list[str] = []
    find: Callable[..., Any] = modules.find_token

    class Counting:
        """A token that notes logins, and passes everything on."""

        def __init__(self, token: Any) -> None:
            self._token = token

        def __getattr__(self, name: str) -> Any:
            if name == "flags" and last_try:
                return self._token.flags | TokenFlag.USER_PIN_FINAL_TRY
            return getattr(self._token, name)

        def open(self, **given: Any) -> Any:
            if given.get("user_pin") is not None:
                tried.append(given["user_pin"])
            return self._token.open(**given)

    monkeypatch.setattr(modules, "find_token", lambda library, uri: Counting(find(library, uri)))
    return tried


# --- keys that want the PIN for each signature ----------------------------------------------------------


@pytest.fixture
def careful(token: SoftHSM) -> SoftHSM:
    """Return the token with a key ``docbus`` that a login alone does not let sign."""
    key = make_token_key(token.uri("H26", "other"), Profile.ES256)
    template = {Attribute.ALWAYS_AUTHENTICATE: True, Attribute.PRIVATE: True}
    curve = {Attribute.EC_PARAMS: encode_named_curve_parameters("secp256r1")}
    key.module.in_session(
        key.uri,
        lambda session: session.create_domain_parameters(KeyType.EC, curve, local=True).generate_keypair(
            store=True, label="docbus", id=b"2", private_template=template
        ),
    )
    key.module.close()
    return token


def test_key_that_wants_the_pin_each_time_gets_it(careful: SoftHSM, asked: list[str]) -> None:
    """The PIN that is kept is given to the key with each signature, and nobody is asked again."""
    key = open_token_key(careful.uri("H26"))

    for number in range(3):
        key.sign(b"%d" % number)

    assert [PIN] == asked


def test_pin_that_such_a_key_refuses_is_tried_once(careful: SoftHSM, monkeypatch: pytest.MonkeyPatch) -> None:
    """Though the login has passed, the key sees a wrong PIN one time."""
    key = open_token_key(careful.uri("H26"))
    key.sign(b"before")
    (name,) = key.module._logins._passed
    key.module._logins._passed[name] = Pin("97531864")
    tried = count_logins(monkeypatch)

    for _ in range(3):
        with pytest.raises(PinError, match="it is not tried again"):
            key.sign(b"signed")
    keyless = open_token_key(careful.uri("H26", "other"))
    with pytest.raises(PinError, match="it is not tried again"):
        keyless.sign(b"by another key of the same token")

    assert ([], []) == (tried, [*key.module._logins._passed])
