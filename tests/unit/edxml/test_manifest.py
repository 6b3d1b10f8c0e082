"""The manifest."""

from __future__ import annotations

import pytest

from docbus.edxml.manifest import Manifest, plain_id
from tests.support.edxml import cursor


def _manifest(*entries: tuple[str, str]) -> Manifest:
    inner = "".join(
        f"<Reference><ContentId>{content_id}</ContentId><AttachmentName>{name}</AttachmentName></Reference>"
        for content_id, name in entries
    )
    return Manifest(cursor(f"<X>{inner}</X>")[0])


@pytest.mark.parametrize(
    ("content_id", "plain"), [("cid:209", "209"), ("CID: 209", "209"), ("209", "209"), ("cid:", None), (None, None)]
)
def test_ids_with_and_without_cid(content_id: str | None, plain: str | None) -> None:
    """Some senders leave the scheme out in one of the two places."""
    assert plain == plain_id(content_id)


def test_by_id_before_name() -> None:
    """Two entries of one name are told apart by id."""
    manifest = _manifest(("cid:1", "a.pdf"), ("cid:2", "a.pdf"))

    entry = manifest.claim("2", "a.pdf")

    assert manifest.entries[1] is entry


def test_by_name_where_the_id_leads_nowhere() -> None:
    """An id that only one side has does not keep the two apart."""
    manifest = _manifest(("cid:1", "a.pdf"))

    assert manifest.entries[0] is manifest.claim("7", "a.pdf")


def test_each_entry_once() -> None:
    """A second attachment of one id gets the second entry, a third none."""
    manifest = _manifest(("1", "a.pdf"), ("1", "b.pdf"))

    assert [*manifest.entries, None] == [manifest.claim("1", None) for _ in range(3)]


def test_nothing_matches_nothing() -> None:
    """An attachment without id and name belongs to no entry, not to one without either."""
    manifest = _manifest(("", ""))

    assert manifest.claim(None, None) is None
