"""What of an edXML file is read and shown, where there is very much of it."""

from __future__ import annotations

import io
from types import SimpleNamespace
from typing import Any

import pytest

from docbus.cli import edxml
from docbus.cli.output import Form
from docbus.cli.publish import SHOWN_RECIPIENTS, _show
from docbus.documents.file import File, FileStream
from docbus.errors import EdXMLError
from tests.support.edxml import example


def test_a_file_is_read_up_to_a_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    """A file of the limit is read whole, one byte more is refused, however endless it is."""
    content = example()
    monkeypatch.setattr(edxml, "MAX_EDXML_BYTES", len(content))
    read: list[int] = []

    class Endless(io.BytesIO):
        def read(self, size: int | None = -1) -> bytes:
            read.append(size or 0)
            return super().read(size)

    whole = edxml.edxml_file(FileStream(name="a.edxml", opener=lambda: io.BytesIO(content)))
    with pytest.raises(EdXMLError, match="which no edXML file has"):
        edxml.edxml_file(FileStream(name="a.edxml", opener=lambda: Endless(content + bytes(1000))))

    assert content == (whole or pytest.fail("not read")).content
    assert len(content) + 1 == sum(read)


def test_warnings_that_are_shown_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of a file with many oddities the first are told, and how many more there are."""
    monkeypatch.setattr(edxml, "SHOWN_WARNINGS", 2)
    told: list[str] = []
    session: Any = SimpleNamespace(warn=told.append)
    agency: Any = SimpleNamespace(snapshot=SimpleNamespace(resolve=lambda code: f"vn:{code}"), id="vn:H26")
    file = File(name="a.edxml", media_type="application/xml", content=example("new-untidy.edxml"))

    edxml.edxml_document(session, agency, file, ["H53"])

    about_the_file = [line for line in told if "its sender" not in line]
    assert 3 == len(about_the_file)
    assert about_the_file[2].endswith("more")


def test_recipients_that_are_named_are_bounded(capsys: pytest.CaptureFixture[str]) -> None:
    """A document to very many agencies is told in one line, with the first of them and the number of the others."""
    recipients = tuple(f"vn:H{number}" for number in range(100, 100 + SHOWN_RECIPIENTS + 3))
    session: Any = SimpleNamespace(quiet=False, note=lambda _: None)
    document: Any = SimpleNamespace(recipients=recipients)
    accepted: Any = SimpleNamespace(document_id="a", duplicate=False)

    _show(session, document, accepted, None, Form.TEXT)

    (line,) = capsys.readouterr().out.splitlines()
    assert (SHOWN_RECIPIENTS, True) == (line.count("H1"), line.endswith("and 3 more"))
