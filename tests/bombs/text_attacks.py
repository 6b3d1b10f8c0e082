"""Attacks with names and texts: paths, devices, directions, terminals, and lengths."""

from __future__ import annotations

import io
import json
import logging
import os
from contextlib import redirect_stderr
from typing import TYPE_CHECKING, Any

import structlog
from typing_extensions import override

from docbus.cli.escape import escaped_json, shown
from docbus.cli.logs import configure
from docbus.documents.document import Document
from docbus.documents.file import File
from docbus.envelope.package import decode_package, encode_package
from docbus.errors import DocumentError, MalformedError
from tests.bombs.filing import file_away
from tests.support.edxml import encoded, read_document, with_attachment
from tests.vectors.building.letters import files_of, make_package

if TYPE_CHECKING:
    from collections.abc import Callable

LONG = 1 << 18
"""Characters of a name or text that is too long: as many as a whole package has bytes."""
NAMES = (
    "../../../etc/cron.d/x",
    "/etc/passwd",
    "..",
    ".",
    "a/../../b",
    "..\\..\\w.txt",
    "C:\\Windows\\system.ini",
    "a:stream",
    "nul\x00.txt",
    "NUL",
    "com1.pdf",
    "aux.txt",
    "x\u202efdp.exe",
    "a\u2066b.pdf",
    "\x1b[2Jx.pdf",
    "line\nbreak.pdf",
    "space ",
    "dot.",
    "",
    "x" * LONG,
    "../" * (LONG // 3),
    "\u0344" * (LONG // 2),
)
MAX_ERROR_CHARACTERS = 1000
"""Characters of an error, however long the text that it refuses."""
_RANGES = (range(9), range(11, 32), range(127, 160), range(0x2028, 0x202F), (0xAD, 0x061C, 0xFEFF, 0xE0041))
CONTROLS = "".join(chr(code) for codes in _RANGES for code in codes)
"""What must never be shown; tabs and line feeds lay out a traceback."""
TEXTS = ("\x1b]0;owned\x07", "\r\n2026-01-01 [info] document_filed", "\x1b[2J" * (LONG // 4), CONTROLS, "=1+1\u202e")


def names() -> Callable[[], object]:
    """Return an attack: names that lead away, hide or deceive, at every door through which a name comes in."""
    packages = [encode_package(make_package("name", **_with_file(name))) for name in NAMES]
    # The reader of edXML takes names that another system chose, and makes safe ones of them.
    written = [name for name in NAMES if name.isprintable() and name.strip() and len(name) < LONG // 4]
    sources = [with_attachment(encoded(b"content"), name=name) for name in written]

    def act() -> dict[str, Any]:
        sent = received = 0
        for name, package in zip(NAMES, packages, strict=True):
            try:
                File(name=name, media_type="text/plain", content=b"x")
            except DocumentError as error:
                sent += len(str(error)) < MAX_ERROR_CHARACTERS
            try:
                decode_package(package)
            except MalformedError:
                received += 1
        # Were they ever to come through, the sink would still keep them in its folder.
        short = [name for name in NAMES if name]
        filed = file_away([[(name, b"content")] for name in short])
        read = [one.name for source in sources for one in read_document(source).attachments]
        return filed | {"refused": [sent, received], "given": [len(NAMES), len(short)], "read": len(read)}

    return act


def _with_file(name: str) -> dict[str, Any]:
    files, contents = files_of((name, "text/plain", b"x"))
    return {"files": files, "contents": contents}


class _Terminal(io.StringIO):
    """Standard error that says that somebody watches."""

    @override
    def isatty(self) -> bool:
        return True


def texts(where: str) -> Callable[[], object]:
    """Return an attack: texts that control terminals and forge lines, in all that docbus shows and logs."""
    os.environ["NO_COLOR"] = "1"  # docbus's own colours are escapes too
    written = _Terminal() if where == "terminal" else io.StringIO()
    with redirect_stderr(written):
        configure(quiet=False, verbose=True, serving=True)

    def act() -> dict[str, Any]:
        with redirect_stderr(written):
            for text in TEXTS:
                structlog.get_logger().warning("document_refused", title=text, names=[text], by={text: text})
                logging.getLogger("library").error("a broker says: %s", text)
                structlog.get_logger().error("bug", title=text, exc_info=ValueError(text.replace("\n", " ")))
        seen = [shown(text) for text in TEXTS]
        seen += [escaped_json(json.dumps({"title": text}, ensure_ascii=False)) for text in TEXTS]
        found = [written.getvalue(), *seen]
        return {
            "lines": written.getvalue().count("\n"),
            "events": 3 * len(TEXTS),
            "forged": sum(line.startswith("2026-01-01") for line in written.getvalue().splitlines()),
            "controls": sorted({hex(ord(letter)) for letter in "".join(found)} & {hex(ord(one)) for one in CONTROLS}),
            "refused": sum(map(_is_refused, TEXTS[:4])),
        }

    return act


def _is_refused(text: str) -> bool:
    """Tell whether a sender refuses a title, with an error that does not repeat all of it."""
    file = File(name="a", media_type="text/plain", content=b"x")
    try:
        Document(document_id="1", title=text, files=(file,), recipients=("vn:H26",))
    except DocumentError as error:
        return len(str(error)) < MAX_ERROR_CHARACTERS
    return False
