"""Recall, update and replace, on one agency that sends to itself where an answer is wanted."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING

import pytest

from docbus import Agency
from tests.support.trial import settled

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.unit.cli.conftest import Result

REASON = ("--reason", "Ban hành nhầm")
PUBLISH = ("-C", "H26", "publish", "letter.txt", "--to")


@pytest.fixture
def own(docbus: Callable[..., Result], exchange: Path) -> Path:
    """Have H26 send itself two documents, and wait for their receipts."""
    for name in ("one", "two"):
        found = docbus(*PUBLISH, "H26", "--id", name, "--wait", "received", "--timeout", 20)
        assert 0 == found.code, found.err
    return exchange


def answers(docbus: Callable[..., Result], document: str) -> list[tuple[int, str | None]]:
    """Let H26 work until nothing is under way; return what `track` says about changing its document."""
    asyncio.run(work())
    journey = docbus("-C", "H26", "track", document, "--output", "json").json
    return [(one["code"], one["note"]) for one in journey["legs"][0]["statuses"] if one["code"] >= 13]


async def work() -> None:
    """Send, receive and answer, as `docbus run` does."""
    async with Agency.open("H26") as agency, agency.serving():
        await settled(agency)


def marks(exchange: Path, document: str) -> list[tuple[str, str]]:
    """Return kind and id of the changes that a filed document is marked with."""
    found = [
        json.loads(path.read_text("utf-8"))
        for path in sorted((exchange / "H26" / "documents" / f"vn%3AH26~{document}~1" / "changes").glob("*.json"))
    ]
    return [(mark["kind"], mark["document_id"]) for mark in found]


def test_recall_is_answered(docbus: Callable[..., Result], own: Path) -> None:
    """The command accepts, the recipient marks its document, and `track` shows 13 and the answer 15 in words."""
    recalled = docbus("-C", "H26", "recall", "one", *REASON)

    assert 0 == recalled.code, recalled.err
    assert ["accepted: recall~1~one"] == recalled.out.splitlines()
    assert "docbus track one" in recalled.err
    assert [(13, "recall recall~1~one"), (15, None)] == answers(docbus, "one")
    assert [("recall", "recall~1~one")] == marks(own, "one")
    shown = docbus("-C", "H26", "track", "one").out
    assert "15 change agreed" in shown
    assert "not possible" not in shown


def test_update_is_answered(docbus: Callable[..., Result], own: Path) -> None:
    """The files and the reason of an update are a document of its own; a second time is the same update."""
    update = ("-C", "H26", "update", "one", "letter.txt", *REASON, "--id", "new", "--output", "json")
    first, second = docbus(*update).json, docbus(*update).json

    assert {"document_id": "new", "updates": "one", "duplicate": False} == first
    assert second == first | {"duplicate": True}
    assert [(13, "update new"), (15, None)] == answers(docbus, "one")
    assert [("update", "new")] == marks(own, "one")
    (mark,) = (own / "H26" / "documents" / "vn%3AH26~one~1" / "changes").glob("*.json")
    assert ("letter.txt", REASON[1]) == tuple(json.loads(mark.read_text("utf-8"))[name] for name in ("title", "reason"))


def test_replacement_is_answered_for_each_former_document(docbus: Callable[..., Result], own: Path) -> None:
    """One new document in the place of two is accepted once, and answered for both."""
    replaced = docbus(
        "-C", "H26", "replace", "one", "letter.txt", "--also", "two", *REASON, "--id", "new", "--output", "json"
    )

    assert {"document_id": "new", "replaces": ["one", "two"], "duplicate": False} == replaced.json
    for name in ("one", "two"):
        assert [(13, "replacement new"), (15, None)] == answers(docbus, name)
        assert [("replacement", "new")] == marks(own, name)


def test_document_from_standard_input_replaces(
    docbus: Callable[..., Result], exchange: Path, stdin: Callable[[bytes], None]
) -> None:
    """What comes in a pipe needs a name here, too."""
    docbus(*PUBLISH, "H37.02.02", "--id", "one")
    replace = ("-C", "H26", "replace", "one", "-", *REASON)
    stdin(b"a;b\n")

    named, nameless = docbus(*replace, "--name", "list.csv"), docbus(*replace)

    assert (0, 2) == (named.code, nameless.code)
    assert "--name" in nameless.err


def test_recalling_twice(docbus: Callable[..., Result], exchange: Path) -> None:
    """The same again is the same recall; for another reason it is an error that says where the answers are."""
    docbus(*PUBLISH, "H37.02.02", "--id", "one")
    recall = ("-C", "H26", "recall", "one", "--reason")

    first, second, other = docbus(*recall, "a"), docbus(*recall, "a"), docbus(*recall, "b")

    assert (0, 0, 1) == (first.code, second.code, other.code)
    assert "accepted before: recall~1~one" == second.out.splitlines()[0]
    assert "error: document one revision 1 was recalled before, for another reason" in other.err
    assert "docbus track one" in other.err


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (("recall", "oen", *REASON), 1, "the outbox has no document oen"),
        (("recall", "one", "--revision", 2, *REASON), 1, "the outbox has no document one revision 2"),
        (("recall", "one", *REASON, "--to", "H26"), 1, "vn:H26 was never sent one revision 1"),
        (("recall", "one", *REASON, "--to", "H99"), 1, "H99"),
        (("recall", "one", "--reason", " "), 1, "reason: empty"),
        (("recall", "one", *REASON, "--again"), 1, "nobody has refused to change one revision 1"),
        (("recall", "one"), 2, "--reason"),
        (("update", "oen", "letter.txt", *REASON), 1, "the outbox has no document oen"),
        (("update", "one", "leter.txt", *REASON), 1, "leter.txt cannot be read: No such file or directory"),
        (("update", "one", ".", *REASON), 1, ". is a directory"),
        (("update", "one", "letter.txt", *REASON, "--to", "H26"), 1, "vn:H26 was never sent one revision 1"),
        (("update", "one", "letter.txt", *REASON, "--id", "one"), 1, "document one revision 1 was accepted before"),
        (("update", "one", "letter.txt"), 2, "--reason"),
        (("replace", "one", *REASON), 1, "files: none given"),
        (("replace", "one", "letter.txt", "--also", "oen", *REASON), 1, "the outbox has no document oen"),
        (("replace", "one", "letter.txt", "--also", "one", *REASON), 1, "one document is there twice"),
        (("replace", "one", "leter.txt", *REASON), 1, "leter.txt cannot be read"),
    ],
)
def test_bad_input_is_named(
    docbus: Callable[..., Result], exchange: Path, arguments: tuple[object, ...], code: int, said: str
) -> None:
    """Each error names what is wrong, as text and as JSON, without a traceback, and nothing is accepted."""
    docbus(*PUBLISH, "H37.02.02", "--id", "one")

    text = docbus("-C", "H26", *arguments)
    for_program = docbus("-C", "H26", *arguments, "--output", "json")

    assert (code, code, "", "") == (text.code, for_program.code, text.out, for_program.out)
    assert text.err.startswith("error: ")
    assert said in text.err
    assert "Traceback" not in text.err
    assert (said in for_program_error(for_program), code) == (True, json.loads(for_program.err)["error"]["exit_code"])
    assert 1 == docbus("-C", "H26", "status", "--output", "json").json["outbox"]["accepted"]


def for_program_error(result: Result) -> str:
    """Return the text of an error that was printed as JSON."""
    return str(json.loads(result.err)["error"]["text"])


def test_change_of_what_was_never_delivered(docbus: Callable[..., Result], exchange: Path) -> None:
    """A document that is still in the outbox is recalled behind it, and both arrive, in that order."""
    docbus(*PUBLISH, "H26", "--id", "one")
    docbus("-C", "H26", "recall", "one", *REASON)

    assert [(13, "recall recall~1~one"), (15, None)] == answers(docbus, "one")
    assert [("recall", "recall~1~one")] == marks(exchange, "one")


def test_recall_of_what_was_withdrawn(docbus: Callable[..., Result], exchange: Path) -> None:
    """Nobody has it, so nothing is sent, and the error says why."""
    docbus(*PUBLISH, "H37.02.02", "--id", "one")
    docbus("-C", "H26", "withdraw", "one")

    found = docbus("-C", "H26", "recall", "one", *REASON)

    assert (1, "") == (found.code, found.out)
    assert "nobody was sent one revision 1" in found.err
    assert "withdrawn" in found.err
