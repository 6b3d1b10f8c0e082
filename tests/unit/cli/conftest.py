"""An exchange of two agencies on the embedded transport, and the command line to work in it."""

from __future__ import annotations

import asyncio
import io
import json
import shutil
from typing import TYPE_CHECKING, Any, NamedTuple

import pytest
import structlog

from docbus.cli import main
from docbus.client.connect import started_transport
from docbus.client.trial import found_exchange
from docbus.clock import SystemClock
from docbus.settings import EmbeddedSettings, load_settings

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from docbus.transport.port import NewRecord


class Result(NamedTuple):
    code: int
    out: str
    err: str
    content: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.out)


@pytest.fixture(scope="session")
def founded(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Found an exchange of H26 and H37.02.02 once; tests work in copies."""
    folder = tmp_path_factory.mktemp("founded")
    agencies = [("H26", "UBND thành phố Hà Nội"), ("H37.02.02", "Sở Tư pháp")]
    bus = EmbeddedSettings(file=folder / "bus.db")
    asyncio.run(found_exchange(folder, agencies, environment="test", bus=bus, clock=SystemClock()))
    return folder


@pytest.fixture
def exchange(founded: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a folder with ``bus.db`` and the folders of two agencies, the registrar and an auditor; work in it."""
    folder = tmp_path / "exchange"
    shutil.copytree(founded, folder)
    monkeypatch.chdir(folder)
    (folder / "letter.txt").write_text("Kính gửi quý cơ quan.\n", "utf-8")
    return folder


@pytest.fixture
def docbus(capsysbinary: pytest.CaptureFixture[bytes]) -> Iterator[Callable[..., Result]]:
    """Run the command line and return exit code and output."""

    def run(*arguments: object) -> Result:
        capsysbinary.readouterr()
        code = main([str(argument) for argument in arguments])
        out, err = capsysbinary.readouterr()
        return Result(code, out.decode(errors="replace"), err.decode(), out)

    yield run
    structlog.reset_defaults()


@pytest.fixture
def stdin(monkeypatch: pytest.MonkeyPatch) -> Callable[[bytes], None]:
    """Give the command line its standard input."""
    return lambda content: monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(content)))


@pytest.fixture
def append(exchange: Path) -> Callable[[Sequence[NewRecord]], None]:
    """Put records on the bus, as anybody may."""

    async def work(records: Sequence[NewRecord]) -> None:
        async with started_transport(load_settings(exchange / "auditor")) as transport:
            await transport.append(records)

    return lambda records: asyncio.run(work(records))
