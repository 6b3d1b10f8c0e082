"""A token with keys for each test that asks for one."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from docbus.identity.signing import generate_signing_key, private_key_pem
from docbus.tokens.pins import PIN_VARIABLE
from docbus.tokens.signer import TOKEN_PROFILES
from tests.support.softhsm import PIN

if TYPE_CHECKING:
    from pathlib import Path

    from docbus.identity.signing import PrivateKey
    from tests.support.altered_softhsm import AlteredSoftHSM
    from tests.support.softhsm import SoftHSM


@pytest.fixture(scope="session", params=TOKEN_PROFILES, ids=["ES256", "PS256", "Ed25519"])
def private_key(request: pytest.FixtureRequest) -> PrivateKey:
    """Return one key of each profile, as it was before it came onto the token."""
    return generate_signing_key(request.param)


@pytest.fixture
def token(softhsm: SoftHSM, monkeypatch: pytest.MonkeyPatch) -> SoftHSM:
    """Return SoftHSM with an empty token ``H26``, whose PIN is in the environment."""
    softhsm.initialise("H26")
    monkeypatch.setenv(PIN_VARIABLE, PIN)
    return softhsm


@pytest.fixture
def keyed(token: SoftHSM, private_key: PrivateKey, tmp_path: Path) -> SoftHSM:
    """Return the token with the key ``docbus`` on it."""
    put_on(token, private_key, tmp_path)
    return token


def put_on(token: SoftHSM, private_key: PrivateKey, folder: Path, *, key: str = "docbus", key_id: str = "01") -> None:
    """Put a key onto the token ``H26``."""
    pem = folder / "imported.pem"
    pem.write_bytes(private_key_pem(private_key))
    token.import_key("H26", pem, key=key, key_id=key_id)
    pem.unlink()


@pytest.fixture
def altered(token: SoftHSM, altered_softhsm: AlteredSoftHSM) -> AlteredSoftHSM:
    """Return a library for the token ``H26`` that can be made to behave otherwise than SoftHSM."""
    return altered_softhsm
