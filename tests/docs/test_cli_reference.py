"""The reference of commands is what the commands say of themselves."""

from __future__ import annotations

from docbus.cli.reference import reference
from tests.support.source import ROOT


def test_reference_is_made_of_the_help_texts() -> None:
    """The page is up to date; if this fails, run ``python -m docbus.cli.reference > docs/reference/cli.md``."""
    assert reference() == (ROOT / "docs" / "reference" / "cli.md").read_text("utf-8")
