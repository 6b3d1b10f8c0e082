"""What is known of the PINs of tokens."""

from __future__ import annotations

import pytest
from pkcs11.exceptions import DeviceRemoved, PinIncorrect

from docbus.errors import PinError, SignerAwayError
from docbus.tokens.logins import Logins
from docbus.tokens.pins import Pin
from docbus.tokens.uri import TokenUri

URI = TokenUri(token="H26", key_label="docbus")


def test_a_token_that_has_refused_a_pin_gets_none_again() -> None:
    """The PIN that has passed before is forgotten as well, and other tokens are not concerned."""
    logins = Logins()
    logins.keep("H26", Pin("24681357"))
    logins.keep("H37", Pin("24681357"))

    with pytest.raises(PinError), logins.refusing("H26", URI):
        raise PinIncorrect
    with pytest.raises(PinError, match="it is not tried again"):
        logins.check("H26")

    logins.check("H37")
    assert (None, Pin("24681357")) == (logins.passed("H26"), logins.passed("H37"))


def test_a_token_that_was_pulled_meanwhile_has_refused_nothing() -> None:
    """The PIN is kept, and may be given again."""
    logins = Logins()
    logins.keep("H26", Pin("24681357"))

    with pytest.raises(SignerAwayError), logins.refusing("H26", URI):
        raise DeviceRemoved

    logins.check("H26")
    assert Pin("24681357") == logins.passed("H26")


def test_all_of_it_can_be_forgotten() -> None:
    """Then it is as in a new process."""
    logins = Logins()
    logins.keep("H37", Pin("24681357"))
    with pytest.raises(PinError), logins.refusing("H26", URI):
        raise PinIncorrect

    logins.forget()

    logins.check("H26")
    assert None is logins.passed("H37")
