"""Values of wrong types: each is named where it is given, and nothing is accepted."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pytest

from docbus import Agency, AgencyId, Document, File, FileStream
from docbus.errors import ConfigurationError, DocumentError
from tests.support.trial import HANOI, TAY_NINH, letter, opened
from tests.support.trial import found as found_trial

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from pathlib import Path


def publishing(**changed: Any) -> Callable[[Agency], Awaitable[object]]:
    """Return a call of publish with some of it changed."""
    return lambda agency: agency.publish(letter(), **({"to": [TAY_NINH]} | changed))


CALLS: list[tuple[str, str, Callable[[Agency], Awaitable[object]]]] = [
    ("to", "NoneType|None", publishing(to=None)),
    ("to", "int in it", publishing(to=[1])),
    ("to", "one text", publishing(to=TAY_NINH)),
    ("id", "int", publishing(id=17)),
    ("document_id", "empty", publishing(id="")),
    ("title", "int", publishing(title=5)),
    ("number", "int", publishing(number=5)),
    ("revision", "str", publishing(revision="1")),
    ("revision", "bool", publishing(revision=True)),
    ("urgency", "None", publishing(urgency=None)),
    ("not_after", "str", publishing(not_after="2030-01-01")),
    ("not_after", "datetime", publishing(not_after=datetime(2030, 1, 1, tzinfo=UTC))),
    ("in_reply_to", "str", publishing(in_reply_to="H26/x")),
    ("concerns", "str in it", publishing(kind="recall", concerns=["x"])),
    ("concerns", "one text", publishing(kind="recall", concerns="x")),
    ("properties", "dict", publishing(properties={"a": 1})),
    ("properties", "not two texts", publishing(properties=[("a", 1)])),
    ("files", "bytes", lambda agency: agency.publish(b"content", to=[TAY_NINH])),  # type: ignore[arg-type]
    ("files", "list", lambda agency: agency.publish(["a.txt"], to=[TAY_NINH])),  # type: ignore[arg-type]
    ("documents", "Document", lambda agency: agency.publish_documents(a_document())),  # type: ignore[arg-type]
    ("timeout", "str", lambda agency: agency.wait("one", until="sent", timeout="x")),  # type: ignore[arg-type]
    ("reason", "None", lambda agency: agency.recall("one", reason=None)),  # type: ignore[arg-type]
    ("to", "one text", lambda agency: agency.recall("one", reason="a", to=TAY_NINH)),
    ("to", "one text", lambda agency: agency.update("one", reason="a", to=TAY_NINH)),
    ("to", "one text", lambda agency: agency.replace("one", letter(), reason="a", to=TAY_NINH)),
    ("also", "one text", lambda agency: agency.replace("one", letter(), reason="a", also="two")),
    ("document_id", "empty", lambda agency: agency.update("one", reason="a", id="")),
    ("document_id", "int", lambda agency: agency.recall(1, reason="a")),  # type: ignore[arg-type]
    ("status", "str", lambda agency: agency.report(HANOI, "one", "03")),  # type: ignore[arg-type]
]


def a_document() -> Document:
    """Return one."""
    return Document(document_id="d", title="t", files=(letter(),), recipients=(TAY_NINH,))


async def test_wrong_type_is_named(tmp_path: Path) -> None:
    """Each error begins with the field, says what was given, and leaves the outbox as it was."""
    exchange = await found_trial(tmp_path)
    async with opened(exchange, HANOI) as (agency,):
        await agency.publish(letter(), to=[TAY_NINH], id="one")
        await agency.publish(letter(), to=[TAY_NINH], id="two")
        for field, said, call in CALLS:
            with pytest.raises(DocumentError, match=rf"^{field}: .*({said})"):
                await call(agency)
        waiting = (await agency.status()).outbox.accepted

    assert 2 == waiting


async def test_report_on_what_never_came_is_refused(tmp_path: Path) -> None:
    """The id or the sender is mistyped then; where folders share the inbox, another one may have the document."""
    exchange = await found_trial(tmp_path)
    async with opened(exchange, HANOI) as (agency,):
        with pytest.raises(DocumentError, match="has not received document one revision 1 from vn2016"):
            await agency.report(TAY_NINH, "one", 3)
        shared = agency.settings.inbox.model_copy(update={"shared": True})
        agency.settings = agency.settings.model_copy(update={"inbox": shared})
        await agency.report(TAY_NINH, "one", 3)


async def test_agency_ids_are_recipients(tmp_path: Path) -> None:
    """Where a code is taken, the object that stands for it is, too; and who comes after the block is told."""
    exchange = await found_trial(tmp_path)
    async with opened(exchange, HANOI) as (agency,):
        accepted = await agency.publish(letter(), to=[AgencyId.parse(TAY_NINH)])
        (leg,) = (await agency.track(accepted.document_id)).legs
    with pytest.raises(ConfigurationError, match="not open"):
        await agency.publish(letter(), to=[TAY_NINH])

    assert str(AgencyId.parse(TAY_NINH)) == leg.recipient


def test_wrong_type_of_a_files_part_is_named() -> None:
    """Content is bytes, and an opener is a function."""
    with pytest.raises(DocumentError, match=r"^content: str, wanted is bytes"):
        File(name="a", media_type="text/plain", content="x")  # type: ignore[arg-type]
    with pytest.raises(DocumentError, match=r"^opener: int, wanted is a function"):
        FileStream(name="a", opener=5)  # type: ignore[arg-type]
