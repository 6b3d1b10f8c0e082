"""Rows 16 and 20 of the threats: what unpacks to too much, and what unpacks to the wrong place."""

from __future__ import annotations

import ast
from typing import TYPE_CHECKING

import pytest

from docbus.edxml.archive import MAX_UNPACKED_BYTES
from tests.bombs import archive_attacks
from tests.support.cost import cost_of
from tests.support.source import modules, tree

if TYPE_CHECKING:
    from pathlib import Path

SOURCE_COPIES = 8
"""Times that an edXML file is in memory while it is read: its bytes, its text, its base64 without blanks, what they
decode to, and copies on the way."""
MAX_CPU_SECONDS = 5.0
"""Seconds of a processor; unpacking all of the nested bomb takes twice as long."""


@pytest.mark.parametrize(
    ("attack", "kept"), [("bomb", False), ("liar", False), ("nested", True), ("entries", True), ("deflated", True)]
)
def test_a_packed_bomb_costs_no_more_than_the_largest_attachment(attack: str, kept: bool) -> None:
    """One level is unpacked, up to its bound; a bomb is refused, and what is no zip of transport stays packed."""
    cost = cost_of(getattr(archive_attacks, attack))

    size, (content,) = cost.outcome
    assert kept == (content is not None and content < size)
    assert cost.peak_bytes < SOURCE_COPIES * size + 2 * MAX_UNPACKED_BYTES
    assert cost.cpu_seconds < MAX_CPU_SECONDS


def test_no_entry_leads_out_of_the_folder() -> None:
    """Zips, tars and attachments with names that climb, start at the root or are links are filed in their folder."""
    cost = cost_of(archive_attacks.slips)

    assert cost.outcome["read"] == cost.outcome["files"] > 15
    assert [] == cost.outcome["outside"] == cost.outcome["links"]
    assert cost.peak_bytes < MAX_UNPACKED_BYTES
    assert cost.cpu_seconds < MAX_CPU_SECONDS


def test_nothing_is_ever_extracted_to_a_disk() -> None:
    """No module extracts an archive into a folder, or knows of tar at all."""
    forbidden = {"tarfile", "extract", "extractall", "unpack_archive"}

    assert {} == {name: found for name, path in modules().items() if (found := forbidden & _names_in(path))}


def _names_in(path: Path) -> set[str]:
    """Return what a module imports, and the attributes that it asks for."""
    names: set[str] = set()
    for node in ast.walk(tree(path)):
        if isinstance(node, ast.Attribute):
            names.add(node.attr)
        elif isinstance(node, ast.Import | ast.ImportFrom):
            names |= {alias.name for alias in node.names}
    return names
