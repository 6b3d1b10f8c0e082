"""Pages as a whole: links lead somewhere, every page is listed, one sentence per line."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")])
NAMES = [str(path.relative_to(ROOT)) for path in PAGES]
WRITTEN_HERE = [
    name
    for name in NAMES
    if re.match(
        r"README|CHANGELOG|SECURITY|docs/(index|tutorial|how-to|explanation|reference/(glossary|python-api))", name
    )
]
_LINK = re.compile(r"\]\(([^)\s]+)\)")
_FENCED = re.compile(r"^```.*?^```$", re.DOTALL | re.MULTILINE)


def text_of(name: str) -> str:
    """Return a page without what stands in fences."""
    return _FENCED.sub("", (ROOT / name).read_text("utf-8"))


def anchors(path: Path) -> set[str]:
    """Return what links may lead to within a page."""
    titles = re.findall(r"^#+ (.+)$", path.read_text("utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w -]", "", title.lower()).replace(" ", "-") for title in titles}


@pytest.mark.parametrize("name", NAMES)
def test_links_lead_somewhere(name: str) -> None:
    """Every link to a file of the repository, and to a title in it, is right."""
    broken = []
    for link in _LINK.findall(text_of(name)):
        target, _, anchor = link.partition("#")
        if "://" in target:
            continue
        path = (ROOT / name).parent / target if target else ROOT / name
        if not path.exists() or (anchor and anchor not in anchors(path)):
            broken.append(link)

    assert [] == broken


def test_every_page_is_in_the_index() -> None:
    """The index leads to every page of the documentation; decisions are listed by their folder."""
    index = ROOT / "docs" / "index.md"
    linked = {(index.parent / link.partition("#")[0]).resolve() for link in _LINK.findall(index.read_text("utf-8"))}
    pages = {path.resolve() for path in (ROOT / "docs").glob("**/*.md") if path.parent.name != "adr"}

    assert set() == pages - linked - {index.resolve()}


@pytest.mark.parametrize("name", WRITTEN_HERE)
def test_one_sentence_per_line(name: str) -> None:
    """No line of text has two sentences; cells of tables may."""
    lines = [line for line in text_of(name).splitlines() if not line.startswith("|")]

    assert [] == [line for line in lines if re.search(r"[a-z)`]\. [A-Z]", line)]
