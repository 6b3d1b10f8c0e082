"""Files documents with docbus's own sink in a folder deep inside another, and looks at what lies where afterwards."""

from __future__ import annotations

import asyncio
import os
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from docbus.consumers.sinks.folder import FolderSink
from tests.support.deliveries import delivery

if TYPE_CHECKING:
    from collections.abc import Sequence


def file_away(documents: Sequence[Sequence[tuple[str, bytes]]]) -> dict[str, Any]:
    """File documents of (name, content) pairs; return what was made.

    Returns:
        ``files``: how many files were filed; ``outside``: everything that lies elsewhere; ``links``: everything that is
        neither a file nor a folder.
    """
    with tempfile.TemporaryDirectory(prefix="docbus-filing-") as temporary:
        folder = Path(temporary)
        home = folder / "a" / "b" / "c"
        home.mkdir(parents=True)
        before = Path.cwd()
        os.chdir(home)
        try:
            asyncio.run(_file(home, documents))
        finally:
            os.chdir(before)
        made = [path for path in folder.rglob("*") if path.is_symlink() or not path.is_dir()]
        return {
            "files": sum(path.parent.name == "files" and path.parents[2] == home for path in made),
            "outside": [str(path.relative_to(folder)) for path in made if home not in path.parents],
            "links": [str(path.relative_to(folder)) for path in made if path.is_symlink() or not path.is_file()],
        }


async def _file(home: Path, documents: Sequence[Sequence[tuple[str, bytes]]]) -> None:
    sink = FolderSink(home)
    await sink.start()
    try:
        for number, files in enumerate(documents):
            await sink.deliver([delivery(f"document-{number}", files=tuple(files), sequence=number + 1)])
    finally:
        await sink.aclose()
