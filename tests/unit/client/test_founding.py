"""Making the folders of a registrar, an agency, an auditor."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from cryptography import x509

from docbus.client import founding
from docbus.client.connect import decrypters_of_settings, open_registrar, open_transport, signer_of_settings
from docbus.client.founding import certificate_digest, found_agency, found_auditor, found_registrar
from docbus.client.new_files import write_new
from docbus.errors import AgencyCodeError, AppendUnknownError, ConfigurationError, DirectoryError
from docbus.identity.join import verify_join_request
from docbus.settings import EmbeddedSettings, KafkaServerSettings, load_settings
from docbus.wire.profiles import Profile
from tests.support.directory import NOW_MS
from tests.support.outbox import FakeClock

if TYPE_CHECKING:
    from docbus.client.founding import FoundedAgency

GENESIS = bytes(range(32))
EMBEDDED = EmbeddedSettings(file=Path("/nowhere/bus.db"))
KAFKA = KafkaServerSettings(
    bootstrap="kafka-1:9092,kafka-2:9092",
    tls_ca=Path("/etc/ca.pem"),
    sasl_mechanism="SCRAM-SHA-512",
    sasl_username="hanoi",
    sasl_password="never written",
)


def found(folder: Path, **changed: Any) -> FoundedAgency:
    """Found Hanoi, except for what is changed."""
    values: dict[str, Any] = {
        "code": "H26",
        "name": "Hà Nội",
        "environment": "test",
        "genesis": GENESIS.hex(),
        "bus": EMBEDDED,
        "clock": FakeClock(),
    }
    return found_agency(folder, **(values | changed))


def mode(path: Path) -> str:
    return oct(path.stat().st_mode & 0o777)


def everything(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_agency_folder_is_complete(tmp_path: Path) -> None:
    """Keys, certificate, settings, join request, and a folder for documents: nothing else, and nothing missing."""
    made = found(tmp_path / "hanoi")

    names = {str(path.relative_to(made.folder)) for path in made.folder.rglob("*")}
    keys = {"keys", "keys/signing.pem", "keys/encryption.pem", "keys/certificate.pem"}
    assert {*keys, "documents", "docbus.toml", "H26.join"} == names
    assert ("vn:H26", made.folder / "H26.join", None) == (made.agency, made.request, made.warning)


def test_private_keys_are_for_their_owner_alone(tmp_path: Path) -> None:
    """Private keys have mode 0600 in a folder with 0700, whatever the umask lets through."""
    before = os.umask(0)
    try:
        folder = found(tmp_path / "hanoi").folder
    finally:
        os.umask(before)

    assert "0o700" == mode(folder / "keys")
    assert ["0o600", "0o600"] == [mode(folder / "keys" / name) for name in ("signing.pem", "encryption.pem")]


def test_settings_are_read_back(tmp_path: Path) -> None:
    """What was written is what `load_settings` reads, and the keys that it names belong together."""
    folder = found(tmp_path / "hanoi", name='Ủy ban "nhân dân"\\\n').folder

    settings = load_settings(folder)
    assert settings.agency is not None
    assert ("vn:H26", 'Ủy ban "nhân dân"\\\n') == (settings.agency.id, settings.agency.name)
    assert ("test", GENESIS) == (settings.exchange.environment, settings.exchange.genesis_bytes)
    certificate = (folder / "keys" / "certificate.pem").read_bytes()
    assert certificate_digest(certificate) == signer_of_settings(settings).certificate
    assert 1 == len(decrypters_of_settings(settings))


def test_folders_can_be_moved_together(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Paths are written as seen from the folder, so that agency and bus may move to another place as one."""
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    found(Path("hanoi"), bus=EmbeddedSettings(file=Path("bus.db")))
    shutil.move(tmp_path / "here", tmp_path / "there")
    monkeypatch.chdir(tmp_path)

    settings = load_settings(Path("there/hanoi"))
    assert settings.embedded is not None
    assert Path("../bus.db") == settings.embedded.file
    assert tmp_path / "there" / "bus.db" == Path(os.path.normpath(open_transport(settings).path))  # type: ignore[attr-defined]
    signer_of_settings(settings)


def test_kafka_settings_are_written_without_the_password(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Brokers, files and the user are written, the password is not: it comes from the environment."""
    folder = found(tmp_path / "hanoi", bus=KAFKA).folder
    text = (folder / "docbus.toml").read_text("utf-8")
    monkeypatch.setenv("DOCBUS_KAFKA__SASL_PASSWORD", "from outside")

    settings = load_settings(folder)
    assert "never written" not in text
    assert "DOCBUS_KAFKA__SASL_PASSWORD" in text
    assert settings.kafka is not None
    assert settings.kafka.sasl_password is not None
    assert "from outside" == settings.kafka.sasl_password.get_secret_value()
    assert (KAFKA.bootstrap, "hanoi") == (settings.kafka.bootstrap, settings.kafka.sasl_username)
    assert settings.kafka.tls_ca is not None
    assert Path("/etc/ca.pem") == Path(os.path.normpath(folder / settings.kafka.tls_ca))


def test_join_request_verifies(tmp_path: Path) -> None:
    """The registrar can check the request, and both sides see the same fingerprint."""
    made = found(tmp_path / "hanoi", aliases=["000.00.00.H26"])

    checked = verify_join_request(made.request.read_text("ascii"), environment="test", genesis=GENESIS, now_ms=NOW_MS)
    asked = checked.request
    assert ("vn:H26", "Hà Nội", ("vn2016:000.00.00.H26",)) == (asked.agency, asked.name, asked.aliases)
    assert made.fingerprint == checked.fingerprint


@pytest.mark.parametrize("profile", [Profile.RSA_PSS_SHA256, Profile.ED25519, Profile.ES256_ML_DSA_65])
def test_other_keys_are_made_on_demand(tmp_path: Path, profile: Profile) -> None:
    """A profile other than the default is taken, and its keys work."""
    folder = found(tmp_path / "hanoi", profile=profile).folder

    assert profile == signer_of_settings(load_settings(folder)).profile


def test_unusual_code_comes_with_a_warning(tmp_path: Path) -> None:
    """A code of the older kind is accepted, and somebody is told."""
    made = found(tmp_path / "old", code="28.22.H17")

    assert "vnlegacy:28.22.H17" == made.agency
    assert made.warning


def test_nothing_is_overwritten(tmp_path: Path) -> None:
    """A second founding in the same folder is refused, and every byte stays as it was."""
    folder = found(tmp_path / "hanoi").folder
    before = everything(folder)

    with pytest.raises(ConfigurationError, match=r"has a docbus.toml already"):
        found(folder)
    with pytest.raises(ConfigurationError, match=r"has a docbus.toml already"):
        found_auditor(folder, environment="test", genesis=GENESIS.hex(), bus=EMBEDDED)

    assert before == everything(folder)


@pytest.mark.parametrize("name", ["keys/signing.pem", "keys/encryption.pem", "H26.join"])
def test_existing_file_is_not_overwritten(tmp_path: Path, name: str) -> None:
    """A key or request that lies there already is kept, without settings too, and the error names it."""
    path = tmp_path / name
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(b"precious")

    with pytest.raises(ConfigurationError, match=f"{name} exists already"):
        found(tmp_path)

    assert b"precious" == path.read_bytes()
    assert not (tmp_path / "docbus.toml").exists()


def test_folder_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    """A file where the folder should be is an error that names it."""
    (tmp_path / "file").write_text("")

    with pytest.raises(ConfigurationError, match=f"{tmp_path}/file/hanoi cannot be made: Not a directory"):
        found(tmp_path / "file" / "hanoi")


@pytest.mark.parametrize("genesis", ["", "00" * 31, "00" * 33, "zz" * 32, "0x" + "00" * 31])
def test_wrong_genesis_hash_is_refused_before_anything_is_made(tmp_path: Path, genesis: str) -> None:
    """A hash that is none makes no folder and no keys; the error says how long it should be."""
    with pytest.raises(ConfigurationError, match="has 64 hex digits") as refused:
        found(tmp_path / "hanoi", genesis=genesis)

    assert refused.value.hint
    assert not (tmp_path / "hanoi").exists()


def test_genesis_hash_is_taken_as_it_is_pasted(tmp_path: Path) -> None:
    """Upper case and blanks around it, as after copying from a letter, are forgiven and not written."""
    folder = found(tmp_path / "hanoi", genesis=f" {GENESIS.hex().upper()}\n").folder

    assert GENESIS.hex() == load_settings(folder).exchange.genesis


@pytest.mark.parametrize("wrong", [{"code": "h26"}, {"code": "H26\u200b"}, {"aliases": ["nonsense"]}])
def test_wrong_code_is_refused_before_anything_is_made(tmp_path: Path, wrong: dict[str, Any]) -> None:
    """A code or alias that is none makes no folder."""
    with pytest.raises(AgencyCodeError):
        found(tmp_path / "hanoi", **wrong)

    assert not (tmp_path / "hanoi").exists()


def test_auditor_has_no_keys(tmp_path: Path) -> None:
    """An auditor's folder says which exchange it is and where, and holds no secret."""
    found_auditor(tmp_path / "auditor", environment="test", genesis=GENESIS.hex(), bus=EMBEDDED)

    settings = load_settings(tmp_path / "auditor")
    assert (None, None, None) == (settings.agency, settings.registrar, settings.keys)
    assert ["docbus.toml"] == list(everything(tmp_path / "auditor"))


async def test_registrar_begins_the_directory(tmp_path: Path) -> None:
    """The registrar's folder has its key alone, the printed hash pins the genesis entry, and it can be opened again."""
    bus = EmbeddedSettings(file=tmp_path / "bus.db")
    made = await found_registrar(
        tmp_path / "registrar", environment="test", name="Cục CĐSQG", bus=bus, clock=FakeClock()
    )

    async with open_registrar(made.folder, clock=FakeClock()) as registrar:
        snapshot = await registrar.load()
    assert (made.genesis, "test", 0) == (snapshot.genesis.hex(), snapshot.environment, snapshot.position)
    assert "0o600" == mode(made.folder / "keys" / "registrar.pem")
    assert made.genesis == load_settings(made.folder).exchange.genesis


async def test_bus_has_one_directory(tmp_path: Path) -> None:
    """A second registrar on the same bus is refused, and leaves no settings behind."""
    bus = EmbeddedSettings(file=tmp_path / "bus.db")
    await found_registrar(tmp_path / "first", environment="test", name="A", bus=bus, clock=FakeClock())

    with pytest.raises(DirectoryError, match="is not empty"):
        await found_registrar(tmp_path / "second", environment="test", name="B", bus=bus, clock=FakeClock())

    assert not (tmp_path / "second" / "docbus.toml").exists()


async def test_agency_folder_is_no_registrars(tmp_path: Path) -> None:
    """Who opens an agency's folder as the registrar is told what is missing."""
    folder = found(tmp_path / "hanoi").folder

    with pytest.raises(ConfigurationError, match=r"is not a registrar's folder"):
        async with open_registrar(folder, clock=FakeClock()):
            pass


def test_certificate_digest_refuses_what_is_none() -> None:
    """A file that is no certificate is named as such."""
    with pytest.raises(ConfigurationError, match="not a certificate in PEM"):
        certificate_digest(b"-----BEGIN CERTIFICATE-----")


def test_certificate_names_the_agency(tmp_path: Path) -> None:
    """The certificate has the code in its SAN URI."""
    folder = found(tmp_path / "hanoi").folder
    certificate = x509.load_pem_x509_certificate((folder / "keys" / "certificate.pem").read_bytes())

    names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert ["urn:docbus:agency:vn:H26"] == names.get_values_for_type(x509.UniformResourceIdentifier)


def test_failure_takes_away_only_what_it_made(tmp_path: Path) -> None:
    """A file that somebody else puts into the folder meanwhile is not the founding's to remove, nor the folder then."""
    with pytest.raises(RuntimeError), founding._new_folder(tmp_path) as made:  # noqa: PT012 - both files first
        write_new(made, tmp_path / "keys" / "registrar.pem", b"key", 0o600)
        (tmp_path / "stranger.txt").write_text("mine")
        raise RuntimeError

    assert ["stranger.txt"] == sorted(path.name for path in tmp_path.rglob("*"))


@pytest.mark.parametrize("reason", [RuntimeError, KeyboardInterrupt])
def test_failure_leaves_no_empty_folder(tmp_path: Path, reason: type[BaseException]) -> None:
    """Folders that were made for the founding are gone, those above included; one that was there before stays."""
    before = tmp_path / "there"
    (before / "keys").mkdir(parents=True)
    for folder in (tmp_path / "above" / "hanoi", before):
        with pytest.raises(reason), founding._new_folder(folder):
            raise reason

    assert ["there", "there/keys"] == sorted(str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*"))


def test_folder_stays_where_the_directory_may_know_its_key(tmp_path: Path) -> None:
    """What is not known to have failed takes no key away."""
    with pytest.raises(AppendUnknownError), founding._new_folder(tmp_path / "registrar") as made:  # noqa: PT012 - the file first
        write_new(made, tmp_path / "registrar" / "keys" / "registrar.pem", b"key", 0o600)
        raise AppendUnknownError("no answer")

    assert b"key" == (tmp_path / "registrar" / "keys" / "registrar.pem").read_bytes()
