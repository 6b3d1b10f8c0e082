"""Every setting is documented, with its default, and nothing else is."""

from __future__ import annotations

import re
import tomllib
import typing

import pytest

from docbus.settings import Settings
from tests.support.source import ROOT

if typing.TYPE_CHECKING:
    from pathlib import Path

PAGE = (ROOT / "docs" / "reference" / "configuration.md").read_text("utf-8")
ROWS = {
    row[1]: row for row in re.finditer(r"^\| `([a-z_]+\.[a-z_]+)` \| (.+?) \| (.+?) \| (.+?) \|$", PAGE, re.MULTILINE)
}


def _settings() -> dict[str, object]:
    """Return every setting with its default; the ellipsis stands for none, as it is required."""
    found: dict[str, object] = {}
    for table, field in Settings.model_fields.items():
        kinds = [
            kind for kind in (field.annotation, *typing.get_args(field.annotation)) if hasattr(kind, "model_fields")
        ]
        for kind in kinds:
            for name, one in kind.model_fields.items():
                found[f"{table}.{name}"] = ... if one.is_required() else one.default
    return found


SETTINGS = _settings()


def test_every_setting_is_documented() -> None:
    """The page has a row for each setting, and no row for what is none."""
    assert set(SETTINGS) == set(ROWS)
    assert "kafka.bootstrap" in SETTINGS


@pytest.mark.parametrize("name", SETTINGS)
def test_default_is_the_one_in_force(name: str) -> None:
    """The page says which settings are required, and the default of the others."""
    default = SETTINGS[name]
    expected = "required" if default is ... else "none" if default is None else f"`{_written(default)}`"

    assert expected == ROWS[name][3]


def _written(default: object) -> str:
    if isinstance(default, tuple):
        return str([str(one) for one in default]).replace("'", '"')
    return str(default).lower() if isinstance(default, bool) else str(default)


def test_example_is_valid(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The example can be copied."""
    monkeypatch.setenv("DOCBUS_KAFKA__SASL_PASSWORD", "secret")
    example = re.search(r"```toml\n(.*?)```", PAGE, re.DOTALL)
    assert example is not None

    settings = Settings(folder=tmp_path, **tomllib.loads(example[1]))

    assert settings.agency is not None
    assert "vn:H37.02.02" == settings.agency.id
