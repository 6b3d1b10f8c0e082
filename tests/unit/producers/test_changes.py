from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from docbus.errors import DocumentError
from docbus.producers.changes import SHOWN_RECIPIENTS, read_originals, recipients_of
from tests.support.outbox import ANNA, document, take_in

if TYPE_CHECKING:
    from docbus.storage.database import Database


def test_recipients_that_are_named_are_bounded(database: Database) -> None:
    """Where one was never sent a document, the error names the first who were, and says that there are more."""
    names = [f"vn:H{number}" for number in range(40, 40 + SHOWN_RECIPIENTS + 1)]
    take_in(database, document("a", *names))
    originals = database.read_now(lambda c: read_originals(c, [("a", None)]))

    with pytest.raises(DocumentError, match="vn:H37 was never sent a revision 1") as caught:
        recipients_of(originals, [ANNA])

    assert f"It went to {', '.join(names[:-1])}, …." == caught.value.hint


@pytest.mark.parametrize("chosen", [None, ["vn:H40", ANNA]])
def test_recipients_were_sent_all_that_a_change_concerns(database: Database, chosen: list[str] | None) -> None:
    """Nobody learns the id of a document that was never sent there; the error says how else to do it."""
    take_in(database, document("a", "vn:H40", ANNA), document("b", "vn:H40"))
    originals = database.read_now(lambda c: read_originals(c, [("a", None), ("b", None)]))

    with pytest.raises(DocumentError, match=f"^{ANNA} was never sent b revision 1$") as caught:
        recipients_of(originals, chosen)

    assert "It went to vn:H40. Change the documents one by one, each for those who have it." == caught.value.hint
    assert ("vn:H40",) == recipients_of(originals, ["vn:H40"])
