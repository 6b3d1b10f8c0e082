"""The wheel has everything that docbus needs to run, and nothing else."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING
from zipfile import ZipFile

import pytest

from tests.support.source import PACKAGE, ROOT

if TYPE_CHECKING:
    from pathlib import Path

BUILD_SECONDS = 50.0
"""Building takes a second."""


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> ZipFile:
    """A wheel of this checkout."""
    folder: Path = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "hatchling", "build", "--target", "wheel", "--directory", str(folder)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=BUILD_SECONDS, check=False)
    assert done.returncode == 0, done.stderr
    (path,) = folder.glob("*.whl")
    return ZipFile(path)


def test_wheel_has_package_schemas_and_migrations(wheel: ZipFile) -> None:
    """An installed docbus finds its schemas, its SQL and its type marker without the repository."""
    sources = [path for path in PACKAGE.rglob("*") if path.is_file() and path.suffix in {".py", ".sql"}]
    expected = {"docbus/py.typed", *(path.relative_to(ROOT).as_posix() for path in sources)}
    expected |= {f"docbus/schemas/{path.name}" for path in (ROOT / "schemas").glob("*.avsc")}
    built = {name for name in wheel.namelist() if ".dist-info/" not in name}

    assert expected == built
    assert {"docbus/schemas/envelope.avsc", "docbus/storage/migrations/0001_outbox.sql"} <= built


def test_wheel_names_licence_and_command(wheel: ZipFile) -> None:
    """Installing the wheel gives the licence's text and the command `docbus`."""
    described = {name.partition(".dist-info/")[2]: name for name in wheel.namelist() if ".dist-info/" in name}

    assert "licenses/LICENSE" in described
    assert "[console_scripts]\ndocbus = docbus.cli:main" in wheel.read(described["entry_points.txt"]).decode()
    assert "License-Expression: Apache-2.0" in wheel.read(described["METADATA"]).decode()
