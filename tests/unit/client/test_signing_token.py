"""What status, metrics and doctor say of a signing key on a token."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from docbus.client.connect import signer_of_settings
from docbus.client.doctor.diagnosis import Diagnosis, Outcome
from docbus.client.doctor.keys import SIGNING, registrar_key, signing_key
from docbus.client.founding import found_agency
from docbus.client.registrar_keys import make_registrar_token_key
from docbus.client.signing_token import token_trouble
from docbus.clock import SystemClock
from docbus.errors import ConfigurationError, DocbusError, KeyFileError, PinError, SignerAwayError
from docbus.settings import EmbeddedSettings, load_settings
from docbus.tokens.making import make_token_key
from docbus.tokens.module import Module, module_of
from docbus.tokens.signer import open_token_key
from docbus.tokens.uri import parse_token_uri
from docbus.wire.profiles import Profile
from tests.support.softhsm import PIN

if TYPE_CHECKING:
    from pathlib import Path

    from docbus.settings import Settings
    from tests.support.softhsm import SoftHSM

GENESIS = "ab" * 32


def found(folder: Path, uri: str | None, *, make: bool = True) -> Settings:
    """Found an agency with its signing key on a token."""
    found_agency(
        folder,
        code="H26",
        name="Hà Nội",
        environment="test",
        genesis=GENESIS,
        bus=EmbeddedSettings(file=folder.parent / "bus.db"),
        clock=SystemClock(),
        signing_key=uri,
        make_signing_key=make,
    )
    return load_settings(folder)


@pytest.fixture
def settings(softhsm: SoftHSM, tmp_path: Path) -> Settings:
    """Return those of an agency whose key is on a token."""
    softhsm.initialise("H26")
    return found(tmp_path / "hanoi", softhsm.uri("H26", pin_source=f"file:{softhsm.pin_file()}"))


def change_uri(settings: Settings, old: str, new: str) -> Settings:
    """Change something in the key's URI."""
    path = settings.folder / "docbus.toml"
    text = path.read_text("utf-8")
    assert old in text
    path.write_text(text.replace(old, new), "utf-8")
    return load_settings(settings.folder)


def test_doctor_sees_token_key_and_certificate(settings: Settings) -> None:
    """All is well, and no PIN was needed to see it."""
    diagnosis, signer = signing_key(settings)

    assert signer is not None
    assert (Outcome.PASSED, None) == (diagnosis.outcome, token_trouble(settings))
    assert "ES256 on token H26, serial " in diagnosis.found
    assert f"belongs to certificate {signer.certificate.hex()[:16]}" in diagnosis.found


def test_doctor_says_that_the_token_is_away(settings: Settings, softhsm: SoftHSM) -> None:
    """So does the status, which is bounded and needs no PIN either; the certificate can be checked all the same."""
    softhsm.pull()
    softhsm.tokens.mkdir()
    module_of(parse_token_uri(softhsm.uri("H26"))).close()

    trouble, (diagnosis, signer) = token_trouble(settings), signing_key(settings)

    assert (SIGNING, Outcome.FAILED) == (diagnosis.check, diagnosis.outcome)
    assert "the token token=H26 is not there" == diagnosis.found
    assert "Put the token back" in (diagnosis.remedy or "")
    assert signer is not None
    assert trouble is not None
    assert trouble.text == diagnosis.found


def test_doctor_says_that_a_library_does_not_begin_without_its_token(settings: Settings, softhsm: SoftHSM) -> None:
    """Some do not, as SoftHSM without its folder; that is no missing key either."""
    softhsm.pull()
    module_of(parse_token_uri(softhsm.uri("H26"))).close()

    diagnosis, signer = signing_key(settings)

    assert Outcome.FAILED is diagnosis.outcome
    assert "libsofthsm2.so cannot begin" in diagnosis.found
    assert "Put the token back" in (diagnosis.remedy or "")
    assert signer is not None


def test_doctor_says_that_the_key_is_another_ones(settings: Settings, softhsm: SoftHSM, tmp_path: Path) -> None:
    """A key that does not belong to the certificate is found without a signature."""
    found(tmp_path / "other", softhsm.uri("H26", "other", pin_source=f"file:{softhsm.pin_file()}"))

    diagnosis, signer = signing_key(change_uri(settings, "object=docbus", "object=other"))

    assert (Outcome.FAILED, None) == (diagnosis.outcome, signer)
    assert "object=other does not belong to certificate" in diagnosis.found


def test_doctor_warns_where_the_token_does_not_show_the_key(settings: Settings) -> None:
    """Whether a key is there that has no public half beside it, nobody can tell without the PIN."""
    diagnosis, signer = signing_key(change_uri(settings, "object=docbus", "object=hidden"))

    assert Outcome.WARNING is diagnosis.outcome
    assert signer is not None
    assert "does not show the public half of the key object=hidden" in diagnosis.found


def test_doctor_looks_at_the_file_with_the_pin(settings: Settings, softhsm: SoftHSM) -> None:
    """A PIN that others can read is found, with the remedy."""
    (softhsm.folder / "pin").chmod(0o644)

    diagnosis, _ = signing_key(settings)

    assert (Outcome.FAILED, f"chmod 600 {softhsm.folder / 'pin'}") == (diagnosis.outcome, diagnosis.remedy)


def test_doctor_warns_after_a_wrong_pin(settings: Settings, softhsm: SoftHSM) -> None:
    """The token says that the last one was wrong, and a login that passes ends that."""
    uri = settings.keys.signing if settings.keys else ""
    softhsm.pin_file("97531864")
    key = open_token_key(uri)
    key.module.close()
    with pytest.raises(PinError):
        key.sign(b"signed")
    warned, signer = signing_key(settings)
    softhsm.pin_file()
    key.module.close()
    key.sign(b"signed")

    assert (Outcome.WARNING, True) == (warned.outcome, signer is not None)
    assert "the last PIN that was tried on it was wrong" in warned.found
    assert Outcome.PASSED is signing_key(settings)[0].outcome


def test_doctor_says_that_a_token_is_locked(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    """SoftHSM never locks, so that its answer is changed: nothing can be signed then, whatever else is right."""
    look = Module.look
    monkeypatch.setattr(Module, "look", lambda module, uri: replace(look(module, uri), pin_locked=True))

    diagnosis, signer = signing_key(settings)

    assert (Outcome.FAILED, None) == (diagnosis.outcome, signer)
    assert "its PIN is locked" in diagnosis.found


def test_what_cannot_be_used_is_said_before_anything_is_loaded(tmp_path: Path) -> None:
    """A library that is not there, and a URI with a PIN, are named by doctor and status."""
    settings = found(tmp_path / "hanoi", None)

    for uri, text in (
        ("pkcs11:token=a;object=b?module-path=/nowhere/token.so", "/nowhere/token.so is not there"),
        ("pkcs11:token=a;object=b?module-path=/nowhere/token.so&pin-value=1357", "has pin-value"),
    ):
        changed = change_uri(settings, settings.keys.signing if settings.keys else "", uri)
        diagnosis, signer = signing_key(changed)
        assert (Outcome.FAILED, None, SIGNING) == (diagnosis.outcome, signer, diagnosis.check)
        assert text in diagnosis.found
        trouble = token_trouble(changed)
        assert trouble is not None
        assert text in trouble.text
        assert "1357" not in f"{diagnosis} {trouble}"
        settings = changed


def test_key_in_a_file_is_never_away(tmp_path: Path) -> None:
    """Nothing is asked where there is no token."""
    assert None is token_trouble(found(tmp_path / "hanoi", None))


def test_agency_joins_with_a_key_that_is_on_the_token(settings: Settings, softhsm: SoftHSM, tmp_path: Path) -> None:
    """Without being told to make one, the key that is there is taken; to make it again is refused, and leaves none."""
    uri = softhsm.uri("H26", pin_source=f"file:{softhsm.pin_file()}")

    taken = found(tmp_path / "again", uri, make=False)
    with pytest.raises(KeyFileError, match="already"):
        found(tmp_path / "twice", uri)

    key = open_token_key(uri)
    for one in (settings, taken):
        signer = signer_of_settings(one)
        assert Profile.ES256 == signer.profile
        assert signer.key.public_key == key.public_key  # type: ignore[attr-defined]
    assert not (tmp_path / "twice").exists()


@pytest.mark.parametrize(
    ("change", "pin", "error"),
    [
        (("token=H26", "token=H99"), PIN, SignerAwayError),
        (("object=docbus", "object=none"), PIN, KeyFileError),
        (("", ""), "97531864", PinError),
    ],
    ids=["token away", "no such key", "wrong PIN"],
)
def test_failed_founding_leaves_nothing(
    softhsm: SoftHSM, tmp_path: Path, change: tuple[str, str], pin: str, error: type[DocbusError]
) -> None:
    """Whatever is wrong with the token, no folder is left that looks like an agency's; then it works."""
    softhsm.initialise("H26")
    uri = softhsm.uri("H26", pin_source=f"file:{softhsm.pin_file()}")
    make_token_key(uri, Profile.ES256).module.close()
    softhsm.pin_file(pin)

    with pytest.raises(error):
        found(tmp_path / "above" / "hanoi", uri.replace(*change), make=False)
    left = (tmp_path / "above").exists()
    softhsm.pin_file()
    module_of(parse_token_uri(uri)).close()

    assert not left
    assert found(tmp_path / "above" / "hanoi", uri, make=False).keys is not None


def test_registrars_key_on_a_token_is_looked_at(settings: Settings, softhsm: SoftHSM, tmp_path: Path) -> None:
    """The doctor shows a registrar's key by its digest, also where it is on a token, and says if that is away."""
    softhsm.initialise("registrar")
    uri = softhsm.uri("registrar", pin_source=f"file:{softhsm.pin_file()}")
    made = make_registrar_token_key(uri, tmp_path / "registrar.pub.pem")
    with pytest.raises(ConfigurationError, match="exists already"):
        make_registrar_token_key(uri, tmp_path / "registrar.pub.pem")

    there = registrar_key(settings, "registrar key", uri)
    missing = registrar_key(settings, "registrar key", uri.replace("token=registrar", "token=nobody"))

    assert Diagnosis(check="registrar key", outcome=Outcome.PASSED, found=f"ES256, {made.key.hex()[:16]}…") == there[0]
    assert (Outcome.FAILED, None) == (missing[0].outcome, missing[1])
    assert "token=nobody is not there" in missing[0].found
