"""Attacks with names and texts: paths, devices, directions, terminals, and lengths."""

from __future__ import annotations

import io
import json
import logging
import sys
from contextlib import redirect_stderr
from typing import TYPE_CHECKING, Any

import structlog

from docbus.cli.escape import escaped_json, shown, shown_lines
from docbus.cli.logs import configure
from docbus.documents.document import Document
from docbus.documents.file import File
from docbus.envelope.package import decode_package, encode_package
from docbus.errors import DocumentError, MalformedError
from tests.bombs.filing import file_away
from tests.support.edxml import encoded, read_document, with_attachment
from tests.support.letters import world  # noqa: F401 - see below
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
    "a\u200bb.pdf",
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
CONTROLS = "".join(map(chr, [*range(32), *range(127, 160), 0xAD, 0x061C, *range(0x2028, 0x202F), 0xFEFF, 0xE0041]))
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
                sent += len(str(error)) < 1000
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


def texts() -> Callable[[], object]:
    """Return an attack: texts that control terminals and forge lines of a log, in all that docbus shows and writes."""
    configure(quiet=False, verbose=True, serving=True)

    def act() -> dict[str, Any]:
        written = io.StringIO()
        with redirect_stderr(written):
            configure(quiet=False, verbose=True, serving=True)
            for text in TEXTS:
                structlog.get_logger().warning("document_refused", title=text, **{f"k{len(text)}": [text]})
                logging.getLogger("aiokafka").error("from a broker: %s", text)
        lines = written.getvalue().splitlines()
        seen = [shown(text) for text in TEXTS] + [
            escaped_json(json.dumps({"title": text}, ensure_ascii=False)) for text in TEXTS
        ]
        refused = 0
        for text in TEXTS[:4]:
            try:
                Document(
                    document_id="1",
                    title=text,
                    files=(File(name="a", media_type="text/plain", content=b"x"),),
                    recipients=("vn:H26",),
                )
            except DocumentError as error:
                refused += len(str(error)) < 1000
        return {
            "lines": len(lines),
            "forged": [line[:80] for line in lines if not line.startswith("{")],
            "controls": sorted({hex(ord(c)) for c in "".join([*lines, *seen, *map(shown_lines, TEXTS)]) if c in CONTROLS[:-1]}),
            "refused": refused,
        }

    return act


if sys.flags.optimize:
    raise RuntimeError("attacks are checked with assert")
