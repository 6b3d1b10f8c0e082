"""`docbus registrar suspend`, `move`, `delegate` and `keys`, and what everybody sees of them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.unit.cli.conftest import Result

SUSPEND = ("-C", "registrar", "registrar", "suspend", "H37.02.02", "--reason", "under investigation")


def _agency(docbus: Callable[..., Result], code: str) -> Any:
    (found,) = [one for one in docbus("-C", "H26", "agency", "list", "--output", "json").json if code in one["id"]]
    return found


def test_suspended_agency_is_shown_as_such(exchange: Path, docbus: Callable[..., Result]) -> None:
    """The list, its own page and its own status say so, with the reason; so does what is published; then it is over."""
    entry = docbus(*SUSPEND, "--output", "json").json["entry"]
    published = docbus("-C", "H37.02.02", "publish", "letter.txt", "--to", "H26")

    assert (entry, "under investigation") == (
        _agency(docbus, "H37.02.02")["suspended_by_entry"],
        _agency(docbus, "H37.02.02")["suspension_reason"],
    )
    assert f"suspended by entry {entry}: under investigation" in docbus("-C", "H26", "agency", "show", "H37.02.02").out
    status = docbus("-C", "H37.02.02", "status").out
    assert f"by entry {entry}: under investigation; nothing is signed" in status
    assert 0 == published.code
    assert f"suspended by directory entry {entry}: what is accepted is sent once it is reinstated" in published.err

    assert 0 == docbus("-C", "registrar", "registrar", "reinstate", "H37.02.02", "--reason", "settled").code
    assert "SUSPENDED" not in docbus("-C", "H37.02.02", "status").out
    assert "warning" not in docbus("-C", "H37.02.02", "publish", "letter.txt", "--to", "H26").err


def test_move_shows_in_the_agency_s_page(exchange: Path, docbus: Callable[..., Result]) -> None:
    """The parent is the one that the directory names; exactly one of --under and --top is given."""
    move = ("-C", "registrar", "registrar", "move", "H37.02.02")

    assert 0 == docbus(*move, "--under", "H26").code
    assert "parent     H26" in docbus("-C", "H26", "agency", "show", "H37.02.02").out
    assert 0 == docbus(*move, "--top").code
    assert "parent" not in docbus("-C", "H26", "agency", "show", "H37.02.02").out
    assert {2} == {docbus(*move).code, docbus(*move, "--under", "H26", "--top").code}


def test_document_is_sent_for_another_agency(exchange: Path, docbus: Callable[..., Result]) -> None:
    """With a delegation and not without; `docbus verify` of what was filed says for whom."""
    publish = ("-C", "H26", "publish", "letter.txt", "--to", "H26", "--on-behalf-of", "H37.02.02")
    refused = docbus(*publish)
    registrar = ("-C", "registrar", "registrar")
    delegate = (*registrar, "delegate", "H37.02.02", "--to", "H26", "--until", "2099-01-01", "--reason", "leave")
    delegated = docbus(*delegate, "--kind", "document")
    accepted = docbus(*publish, "--id", "for-them", "--wait", "received", "--timeout", 20)

    assert (1, 0, 0) == (min(refused.code, 1), delegated.code, accepted.code)
    assert "holds no delegation from vn:H37.02.02" in refused.err
    shown = docbus("-C", "H26", "agency", "show", "H26", "--output", "json").json["delegations"]
    assert [("vn:H26", "vn:H37.02.02", ["document"])] == [(d["delegate"], d["agency"], d["kinds"]) for d in shown]
    assert "vn:H26  vn:H37.02.02  document" in docbus("-C", "H26", "agency", "show", "H37.02.02").out
    assert 0 == docbus("-C", "H26", "export", "trust", "-o", "trust.json").code
    (envelope,) = (exchange / "H26" / "documents").glob("*/envelope.bin")
    verified = docbus("verify", envelope, "--trust", "trust.json")
    assert "for       vn:H37.02.02" in verified.out
    assert 0 == docbus(*registrar, "undelegate", "H37.02.02", "--to", "H26", "--reason", "back").code
    assert "holds no delegation" in docbus(*publish).err
    assert [] == docbus("-C", "H26", "agency", "show", "H26", "--output", "json").json["delegations"]


@pytest.mark.parametrize("options", [("--kind", "letter"), ("--until", "tomorrow"), ("--from", "2026-01-01T00:00:00")])
def test_delegation_that_cannot_be_is_refused(
    exchange: Path, docbus: Callable[..., Result], options: tuple[str, ...]
) -> None:
    """Kinds are known ones, and times say when."""
    given = {"--to": "H26", "--until": "2099-01-01", "--reason": "x"} | dict([options])
    words = [word for pair in given.items() for word in pair]

    result = docbus("-C", "registrar", "registrar", "delegate", "H37.02.02", *words)

    assert (2, True) == (result.code, options[1] in result.err)


def test_registrar_keys_are_made_shown_and_exchanged(exchange: Path, docbus: Callable[..., Result]) -> None:
    """Two of three keys are asked for; a key that stays online signs heartbeats alone."""
    registrar = ("-C", "registrar", "registrar")
    for name in ("b", "c", "online"):
        assert 0 == docbus("registrar", "keys", "new", f"{name}.pem").code
    changed = docbus(
        *(*registrar, "--key", "b.pem", "keys", "change", "--threshold", "2"),
        *("--add", "b.pub.pem", "--add", "c.pub.pem", "--add-heartbeat", "online.pub.pem"),
    )

    assert 0 == changed.code
    shown = docbus(*registrar, "--key", "c.pem", "keys", "show", "--output", "json").json
    assert (2, [True, False, True, False]) == (shown["threshold"], [key["here"] for key in shown["keys"]])
    alone = docbus(*registrar, "rename", "H26", "Hà Nội")
    assert "needs the signatures of 2 of the registrar's keys; 1 of them can sign here" in alone.err
    assert 0 == docbus(*registrar, "--key", "c.pem", "rename", "H26", "Hà Nội").code

    settings = exchange / "registrar" / "docbus.toml"
    text = settings.read_text("utf-8").replace(
        'key = "file:keys/registrar.pem"', 'heartbeat_key = "file:../online.pem"'
    )
    settings.write_text(text, "utf-8")
    assert 0 == docbus(*registrar, "heartbeat").code
    assert "0 of them can sign here" in docbus(*registrar, "rename", "H26", "Hanoi").err


def test_registrar_key_is_dropped_by_how_it_begins(exchange: Path, docbus: Callable[..., Result]) -> None:
    """What names none of the keys, or too little, is refused; a dropped key signs nothing any more."""
    registrar = ("-C", "registrar", "registrar")
    (old,) = docbus(*registrar, "keys", "show", "--output", "json").json["keys"]
    docbus("registrar", "keys", "new", "b.pem")
    change = (*registrar, "--key", "b.pem", "keys", "change", "--add", "b.pub.pem", "--drop")

    assert {2} == {docbus(*change, "00" * 32).code, docbus(*change, old["key"][:7]).code}
    assert 0 == docbus(*change, old["key"][:8]).code
    assert 0 != docbus(*registrar, "heartbeat").code
    assert 0 == docbus(*registrar, "--key", "b.pem", "heartbeat").code


def test_change_of_nothing_is_refused(exchange: Path, docbus: Callable[..., Result]) -> None:
    """It would be an entry that says what stands already."""
    result = docbus("-C", "registrar", "registrar", "keys", "change")

    assert (2, True) == (result.code, "nothing to change" in result.err)


def test_directory_is_shown_as_it_was(exchange: Path, docbus: Callable[..., Result]) -> None:
    """By entry and by time; an entry that is not there yet, and a time before the first one, are errors."""
    docbus("-C", "registrar", "registrar", "rename", "H26", "Hà Nội")
    show = ("-C", "H26", "agency", "show", "H26", "--output", "json", "--at")
    entry = docbus("-C", "registrar", "registrar", "show", "--output", "json").json["last_entry"]

    assert ["UBND thành phố Hà Nội", "Hà Nội", "Hà Nội"] == [
        docbus(*show, at).json["name"] for at in (str(int(entry) - 1), entry, "2099-01-01")
    ]
    assert 1 == len(docbus("-C", "H26", "agency", "list", "--output", "json", "--at", "1").json)
    assert "has no entry 99" in docbus(*show, "99").err
    assert "begins later" in docbus(*show, "2020-01-01").err
    assert (2, True) == ((bad := docbus(*show, "yesterday")).code, "is not a time" in bad.err)


def test_change_of_what_this_outbox_does_not_have_is_said(exchange: Path, docbus: Callable[..., Result]) -> None:
    """Another outbox of the agency may have sent it, so it is accepted; a typing error is noticed."""
    change = ("-C", "H26", "publish", "letter.txt", "--to", "H37.02.02", "--kind", "recall", "--concerns")
    docbus("-C", "H26", "publish", "letter.txt", "--to", "H37.02.02", "--id", "known")

    unknown, known = docbus(*change, "nope"), docbus(*change, "known")

    assert (0, 0) == (unknown.code, known.code)
    assert "warning: the outbox has no document nope" in unknown.err
    assert "warning" not in known.err


def test_same_document_whose_copy_has_failed_is_not_taken_for_sent(
    exchange: Path, docbus: Callable[..., Result]
) -> None:
    """Publishing it again does nothing, which is said with the way out."""
    registrar = ("-C", "registrar", "registrar")
    delegate = (*registrar, "delegate", "H37.02.02", "--to", "H26", "--until", "2099-01-01", "--reason", "leave")
    publish = ("-C", "H26", "publish", "letter.txt", "--to", "H26", "--on-behalf-of", "H37.02.02", "--id", "twice")
    docbus(*delegate)
    docbus(*publish)
    docbus(*registrar, "undelegate", "H37.02.02", "--to", "H26", "--reason", "back")
    docbus("-C", "H26", "publish", "letter.txt", "--to", "H26", "--wait", "sent")
    docbus(*delegate)

    again = docbus(*publish)

    assert "failed for 1 of 1 recipients (delegation_missing) and is not sent again" in again.err


def test_public_key_is_not_taken_for_a_private_one(exchange: Path, docbus: Callable[..., Result]) -> None:
    """The file beside it is the one that is meant."""
    docbus("registrar", "keys", "new", "b.pem")

    result = docbus("-C", "registrar", "registrar", "--key", "b.pub.pem", "heartbeat")

    assert "b.pub.pem holds a public key" in result.err
