from __future__ import annotations

import re

from hypothesis import given
from hypothesis import strategies as st

from docbus.consumers.sinks.naming import MAX_NAME, delivery_name

TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=200)


def test_name_is_readable() -> None:
    """A usual document is found by its sender and id."""
    assert "vn%3AH26~0193-7f~2" == delivery_name("vn:H26", "0193-7f", 2)


@given(TEXTS, st.integers(1, 2**31 - 1))
def test_name_is_safe(document_id: str, revision: int) -> None:
    """Whatever the id, the name is short plain ASCII, without separators, and not hidden."""
    name = delivery_name("vn:H26", document_id, revision)

    assert re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._~%-]*", name)
    assert len(name) <= MAX_NAME


@given(st.tuples(TEXTS, TEXTS, st.integers(1, 100)), st.tuples(TEXTS, TEXTS, st.integers(1, 100)))
def test_different_documents_have_different_names(one: tuple[str, str, int], other: tuple[str, str, int]) -> None:
    """No two documents share a name, cut or not."""
    assert (one == other) == (delivery_name(*one) == delivery_name(*other))


def test_cut_names_differ_by_their_digest() -> None:
    """Ids that agree in all that is kept of them still have names of their own."""
    names = {delivery_name("vn:H26", "x" * 199 + end, 1) for end in "abc"}

    assert 3 == len(names)
    assert {MAX_NAME} == {len(name) for name in names}
