"""The layers of docbus, as pyproject.toml has them for import-linter."""

from __future__ import annotations

import tomllib
from contextlib import redirect_stdout
from io import StringIO
from typing import TYPE_CHECKING

from importlinter.cli import EXIT_STATUS_SUCCESS, lint_imports

from tests.support.source import ROOT

if TYPE_CHECKING:
    import pytest


def test_every_import_contract_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    """No module imports from its own line or a higher one, the core does no I/O, and aiokafka has one home."""
    monkeypatch.chdir(ROOT)
    output = StringIO()
    with redirect_stdout(output):
        status = lint_imports(no_cache=True)

    assert EXIT_STATUS_SUCCESS == status, output.getvalue()


def test_no_contract_lets_a_wrong_import_pass() -> None:
    """The layers cover every module, and the only import that a contract overlooks is the Kafka adapter's."""
    with (ROOT / "pyproject.toml").open("rb") as file:
        contracts = tomllib.load(file)["tool"]["importlinter"]["contracts"]

    assert [True] == [contract["exhaustive"] for contract in contracts if contract["type"] == "layers"]
    overlooked = [line for contract in contracts for line in contract.get("ignore_imports", [])]
    assert ["docbus.transport.* -> aiokafka"] == overlooked
