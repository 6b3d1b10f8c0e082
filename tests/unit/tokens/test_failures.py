"""What errors of PKCS #11 mean."""

from __future__ import annotations

import pytest
from pkcs11 import exceptions as pkcs11

from docbus.errors import DocbusError, KeyFileError, PinError, SignerAwayError
from docbus.tokens import failures
from docbus.tokens.failures import translated
from docbus.tokens.uri import TokenUri

URI = TokenUri(token="H26", key_label="docbus")


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (pkcs11.DeviceRemoved(), SignerAwayError),
        (pkcs11.DeviceError(), SignerAwayError),
        (pkcs11.SessionHandleInvalid(), SignerAwayError),
        (pkcs11.TokenNotPresent(), SignerAwayError),
        (pkcs11.UserNotLoggedIn(), SignerAwayError),
        (pkcs11.GeneralError(), SignerAwayError),
        (pkcs11.PKCS11Error("Unmapped error code 0x80000001"), SignerAwayError),
        (pkcs11.PKCS11Error("Unmapped error code 0x68"), KeyFileError),
        (pkcs11.MechanismInvalid(), KeyFileError),
        (pkcs11.KeyTypeInconsistent(), KeyFileError),
        (pkcs11.PinIncorrect(), PinError),
        (pkcs11.PinLocked(), PinError),
        (pkcs11.PinExpired(), PinError),
    ],
    ids=lambda value: getattr(value, "__name__", None) or f"{type(value).__name__} {value}",
)
def test_error_asks_for_one_of_three_things(error: Exception, expected: type[DocbusError]) -> None:
    """Whatever is not known to last is waited out; a PIN and a key that cannot be used are for people."""
    with pytest.raises(DocbusError) as raised, translated(URI):
        raise error

    assert expected is type(raised.value)
    assert "token=H26" in raised.value.text
    assert raised.value.hint


def test_names_are_those_of_the_library() -> None:
    """Each error that is told by its name has a class of that name."""
    assert [] == [name for name in (*failures._PIN, *failures._UNUSABLE) if not hasattr(pkcs11, name)]
