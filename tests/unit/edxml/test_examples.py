"""The project's own examples, and the vendor's samples where they are."""

from __future__ import annotations

import importlib.util
import sys
from dataclasses import replace

import pytest

from docbus.edxml import EdXMLDocument, read, to_document, to_status
from tests.support.edxml import EXAMPLES, SAMPLES, codes, read_document

NAMES = sorted(path.name for path in EXAMPLES.glob("*.edxml"))
FOUND = sorted(SAMPLES.glob("*.edxml"))
ABSENT = pytest.mark.skip(reason=f"NO VENDOR SAMPLES: {SAMPLES} is not here, so none of them was read")

ODD = {
    "new-one-to-many.edxml": ["T.AttachmentEncoded.Attachment.ContentTransferEncoded"],
    "new-three-attachments.edxml": ["T.AttachmentEncoded.Attachment[2].ContentTransferEncoded"],
    "new-untidy.edxml": [
        "T.edXML",
        "M.edXML",
        "M.MessageHeader.To.OrganName",
        "M.MessageHeader.PromulgationInfo.PromulgationDate",
        "R.MessageHeader.OtherInfo.Priority",
        "N.MessageHeader.ResponseFor[2]",
        "N.TraceHeaderList.TraceHeader[1].OrganId",
        "M.MessageHeader.DocumentId",
    ],
    "recall.edxml": [
        "N.TraceHeaderList.Bussiness.DocumentId",
        "R.MessageHeader.DocumentId",
        "N.AttachmentEncoded",
    ],
    "update.edxml": ["R.MessageHeader.DocumentId"],
}
"""Warnings of each example that has any."""


@pytest.mark.parametrize("name", NAMES)
def test_every_example_is_read(name: str) -> None:
    """Each one maps with exactly the warnings it was written to show."""
    result = read((EXAMPLES / name).read_bytes())
    fields = to_document(result) if isinstance(result, EdXMLDocument) else to_status(result)

    assert sorted(ODD.get(name, [])) == sorted(codes(fields.warnings))


def test_examples_are_what_their_builder_writes(monkeypatch: pytest.MonkeyPatch) -> None:
    """Files and builder are in step; compressed bytes may differ between zlib versions, so contents are compared."""
    spec = importlib.util.spec_from_file_location("build_examples", EXAMPLES / "build_examples.py")
    assert spec is not None
    assert spec.loader is not None
    builder = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, "build_examples", builder)
    spec.loader.exec_module(builder)
    built = builder.examples()

    assert NAMES == sorted(built)
    for name, text in built.items():
        written, made = read((EXAMPLES / name).read_bytes()), read(text.encode())
        assert replace(written, source=b"") == replace(made, source=b"")


def test_the_untidy_example_loses_nothing() -> None:
    """With eight oddities at once, every field that can be read is read."""
    document = read_document((EXAMPLES / "new-untidy.edxml").read_bytes())

    assert ("303", "UBND-VP", "Báo cáo kết quả ứng phó mưa lớn") == (
        document.number,
        document.notation,
        document.subject,
    )
    assert (document.attachments[0].content or b"").startswith("Không có thiệt hại".encode())


@pytest.mark.parametrize(
    "path", FOUND or [pytest.param(None, marks=ABSENT)], ids=lambda path: getattr(path, "name", "none")
)
def test_vendor_samples_are_read(path: object) -> None:
    """Each of the vendor's samples maps; where attachments are cut, the file itself is the document."""
    assert path in FOUND
    source = next(each for each in FOUND if each == path).read_bytes()
    result = read(source)

    if isinstance(result, EdXMLDocument):
        fields = to_document(result)
        assert [source] == [file.content for file in fields.files]
        assert "N.AttachmentEncoded" in codes(fields.warnings)
    else:
        assert () == to_status(result).warnings
