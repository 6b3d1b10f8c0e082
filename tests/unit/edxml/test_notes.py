"""Warnings."""

from __future__ import annotations

from docbus.edxml.notes import MAX_WARNINGS, EdXMLWarning, Notes


def test_a_warning_reads_like_a_hubs_own() -> None:
    """Letter, path and text."""
    warning = EdXMLWarning(letter="N", path="MessageHeader.To", text="is missing")

    assert ("N.MessageHeader.To", "N.MessageHeader.To: is missing") == (warning.code, warning.line)


def test_too_many_warnings_are_counted() -> None:
    """A hostile file does not grow the list, and the reader learns that there was more."""
    notes = Notes()
    for at in range(MAX_WARNINGS + 7):
        notes.add("M", f"X[{at}]", "is odd")

    warnings = notes.warnings()

    assert MAX_WARNINGS + 1 == len(warnings)
    assert "7 more warnings are not shown" == warnings[-1].text


def test_earlier_warnings_come_first() -> None:
    """What mapping adds stands after what reading found."""
    earlier = (EdXMLWarning(letter="N", path="A", text="is missing"),)
    notes = Notes(earlier)
    notes.add("M", "B", "is odd")

    assert ["N.A", "M.B"] == [warning.code for warning in notes.warnings()]
