"""From settings to keys and transport, and what an agency refuses to start with."""

from __future__ import annotations

import asyncio
import shutil
from typing import TYPE_CHECKING

import pytest

from docbus.client.agency import Agency
from docbus.client.connect import agency_id, open_registrar, open_transport, transport_of
from docbus.client.files import read_file
from docbus.client.founding import found_agency
from docbus.clock import SystemClock
from docbus.documents.file import FileStream
from docbus.errors import (
    BrokerUnavailableError,
    ConfigurationError,
    DirectoryError,
    DocumentError,
    IdentityError,
    KeyFileError,
)
from docbus.settings import EmbeddedSettings, KafkaServerSettings, load_settings
from docbus.transport.kafka import KafkaTransport
from docbus.transport.sqlite import SqliteTransport
from tests.support import trial
from tests.support.trial import ENVIRONMENT, HANOI, TAY_NINH, id_of

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.support.trial import Exchange


@pytest.fixture
async def exchange(tmp_path: Path) -> Exchange:
    """Two agencies and an auditor."""
    return await trial.found(tmp_path, trial.AGENCIES[:2])


async def refusal_of(folder: Path) -> ConfigurationError | IdentityError:
    """Open an agency that must not start, and return why."""
    with pytest.raises((ConfigurationError, IdentityError)) as refused:
        async with Agency.open(folder):
            pass
    return refused.value


def remove(path: Path) -> None:
    path.unlink()


def open_to_all(path: Path) -> None:
    path.chmod(0o644)


def empty(path: Path) -> None:
    path.write_bytes(b"")


@pytest.mark.parametrize("key", ["signing", "encryption"])
@pytest.mark.parametrize(
    ("damage", "text", "hint"),
    [
        (remove, "does not exist", "Check the key's URI"),
        (open_to_all, "can be used by others than its owner .mode 0644.", "chmod 600"),
        (empty, "has no PEM block", "PKCS#8"),
    ],
)
async def test_unusable_key_is_named(
    exchange: Exchange, key: str, damage: Callable[[Path], None], text: str, hint: str
) -> None:
    """A key that is missing, open to others, or no key, stops the start; the error names file and remedy."""
    path = exchange.folder / HANOI / "keys" / f"{key}.pem"
    damage(path)

    with pytest.raises(KeyFileError, match=f"{path} {text}") as refused:
        async with exchange.agency(HANOI):
            pass

    assert hint in (refused.value.hint or "")


async def test_key_of_another_agency_is_refused(exchange: Exchange) -> None:
    """A signing key that does not belong to the certificate is noticed before anything is connected."""
    other = exchange.folder / TAY_NINH / "keys" / "signing.pem"
    shutil.copy(other, exchange.folder / HANOI / "keys" / "signing.pem")

    error = await refusal_of(exchange.folder / HANOI)
    assert isinstance(error, KeyFileError)
    assert "keys/signing.pem" in error.text


async def test_certificate_of_another_agency_is_refused(exchange: Exchange) -> None:
    """Key and certificate of somebody else fit together and are granted, but not to the agency of the settings."""
    for name in ("signing.pem", "certificate.pem"):
        shutil.copy(exchange.folder / TAY_NINH / "keys" / name, exchange.folder / HANOI / "keys" / name)

    error = await refusal_of(exchange.folder / HANOI)
    assert f"the certificate is granted to {id_of(TAY_NINH)}, the settings say {id_of(HANOI)}" == error.text


@pytest.mark.parametrize("content", [None, b"not a certificate"])
async def test_unusable_certificate_is_named(exchange: Exchange, content: bytes | None) -> None:
    """A certificate that is missing or is none is named."""
    path = exchange.folder / HANOI / "keys" / "certificate.pem"
    path.unlink()
    if content is not None:
        path.write_bytes(content)

    error = await refusal_of(exchange.folder / HANOI)
    assert isinstance(error, KeyFileError)
    assert str(path) in error.text


async def test_agency_that_was_not_granted_is_told_what_to_do(exchange: Exchange) -> None:
    """Between `docbus init` and the registrar's grant, the error names the next step."""
    folder = exchange.folder / "H37"
    bus = EmbeddedSettings(file=exchange.folder / "bus.db")
    found_agency(
        folder, code="H37", name="H37", environment=ENVIRONMENT, genesis=exchange.genesis, bus=bus, clock=SystemClock()
    )

    error = await refusal_of(folder)
    assert "the directory does not know the certificate of vn:H37" == error.text
    assert "docbus registrar grant" in (error.hint or "")


@pytest.mark.parametrize("folder", ["auditor", "registrar"])
async def test_folder_without_an_agency_is_none(exchange: Exchange, folder: str) -> None:
    """The folder of an auditor or registrar cannot be opened as an agency; the error says what is missing."""
    with pytest.raises(ConfigurationError, match=r"is not an agency's folder: its settings have no \[agency\]"):
        Agency.open(exchange.folder / folder)
    with pytest.raises(ConfigurationError, match=r"is not an agency's folder"):
        agency_id(load_settings(exchange.folder / folder))


async def test_auditors_folder_is_no_registrars(exchange: Exchange) -> None:
    """The auditor has no key to sign entries with."""
    with pytest.raises(ConfigurationError, match=r"is not a registrar's folder"):
        async with open_registrar(exchange.folder / "auditor", clock=SystemClock()):
            pass


async def test_other_directory_is_not_trusted(exchange: Exchange) -> None:
    """An agency whose settings pin another genesis does not start on this bus."""
    settings = exchange.folder / HANOI / "docbus.toml"
    settings.write_text(settings.read_text("utf-8").replace(exchange.genesis, "00" * 32), "utf-8")

    error = await refusal_of(exchange.folder / HANOI)
    assert isinstance(error, DirectoryError)


async def test_failed_start_leaves_nothing_open(exchange: Exchange) -> None:
    """After a start that failed, the mended folder opens at once."""
    path = exchange.folder / HANOI / "keys" / "certificate.pem"
    content = path.read_bytes()
    path.write_bytes((exchange.folder / TAY_NINH / "keys" / "certificate.pem").read_bytes())
    await refusal_of(exchange.folder / HANOI)
    path.write_bytes(content)

    async with exchange.agency(HANOI) as hanoi:
        assert (id_of(HANOI), dict(trial.AGENCIES)[HANOI]) == (hanoi.id, hanoi.name)


async def test_settings_say_which_transport(exchange: Exchange, tmp_path: Path) -> None:
    """[embedded] and [kafka] each have their own, with files as seen from the folder."""
    embedded = open_transport(load_settings(exchange.folder / HANOI))
    kafka = transport_of(KafkaServerSettings(bootstrap="127.0.0.1:9092"), tmp_path)

    assert isinstance(embedded, SqliteTransport)
    assert (exchange.folder / "bus.db").samefile(embedded.path)
    assert isinstance(kafka, KafkaTransport)


def test_file_of_a_document_is_read(tmp_path: Path) -> None:
    """A path becomes a stream with its name and size; its media type is told when it is read."""
    path = tmp_path / "công văn.pdf"
    path.write_bytes(b"%PDF-1.7\n")

    file = read_file(str(path))
    assert isinstance(file, FileStream)
    with file.opener() as stream:
        assert ("công văn.pdf", None, 9, b"%PDF-1.7\n") == (file.name, file.media_type, file.size, stream.read())
    assert file is read_file(file)


@pytest.mark.parametrize(
    ("name", "text"), [("folder", "is a directory"), ("nothing", "cannot be read"), ("empty.txt", "is empty")]
)
def test_what_is_no_file_is_refused(tmp_path: Path, name: str, text: str) -> None:
    """A directory, a missing file and an empty one are refused at the door, by name."""
    (tmp_path / "folder").mkdir()
    (tmp_path / "empty.txt").touch()

    with pytest.raises(DocumentError, match=f"{name}.*{text}"):
        read_file(tmp_path / name)


async def test_keys_that_open_nothing_receive_nothing(exchange: Exchange) -> None:
    """An agency whose decryption key is another one's does not start to receive, and says why."""
    folder = exchange.folder / TAY_NINH
    shutil.copy(exchange.folder / HANOI / "keys" / "encryption.pem", folder / "keys" / "encryption.pem")

    async with exchange.agency(TAY_NINH) as agency:
        with pytest.raises(KeyFileError, match="none of the decryption keys of .* opens what others encrypt to it"):
            await agency.run(stop=asyncio.Event(), send=False)


async def test_bus_file_is_made_by_nobody_else(exchange: Exchange) -> None:
    """Whoever founds an exchange makes its file; for all others a file that is not there is a bus that is away."""
    (exchange.folder / "bus.db").rename(exchange.folder / "moved.db")
    transport = open_transport(load_settings(exchange.folder / "auditor"))

    with pytest.raises(BrokerUnavailableError, match="bus.db cannot be found"):
        await transport.start()
    await transport.aclose()

    assert not (exchange.folder / "bus.db").exists()
