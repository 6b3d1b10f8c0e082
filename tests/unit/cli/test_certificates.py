"""`docbus cert` and `docbus registrar authority`: from the request to the verdict, offline and in an exchange."""

from __future__ import annotations

import json
from datetime import datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest

from docbus.cli.agencies import _in_time
from docbus.settings import load_settings
from tests.support.pki import TestAuthority

if TYPE_CHECKING:
    from collections.abc import Callable

ANCHOR = "ca/authority.crt.pem"


@pytest.fixture
def certified(exchange: Path, docbus: Callable[..., Any]) -> Callable[..., Any]:
    """Return the command line where an authority has certified H26, and nobody has named it yet."""
    for command in (
        ("-C", "ca", "cert", "ca", "init", "--name", "Authority", "--crl-uri", "http://ca.test/ca.crl"),
        ("-C", "H26", "cert", "request", "-o", "csr"),
        ("-C", "ca", "cert", "issue", "csr", "--days", "30", "-o", "crt"),
        ("-C", "ca", "cert", "crl", "-o", "crl"),
    ):
        assert 0 == docbus(*command).code
    return docbus


def test_files_alone_give_a_verdict(certified: Callable[..., Any]) -> None:
    """Exit codes tell passed, failed and indeterminate apart, and the report names each step."""
    nothing = certified("cert", "check", "crt", "--ca", ANCHOR, "--output", "json")
    passed = certified("cert", "check", "crt", "--ca", ANCHOR, "--material", "crl", "--output", "json")
    assert 0 == certified("-C", "ca", "cert", "revoke", "crt", "--reason", "superseded").code
    assert 0 == certified("-C", "ca", "cert", "crl", "-o", "crl-2").code
    failed = certified("cert", "check", "crt", "--ca", ANCHOR, "--material", "crl-2", "--output", "json")
    # The second before may be that of the revocation.
    past = (datetime.fromisoformat(passed.json["as_of"]) - timedelta(minutes=1)).isoformat()
    earlier = certified("cert", "check", "crt", "--ca", ANCHOR, "--material", "crl-2", "--at", past)

    assert (3, 0, 1, 0) == (nothing.code, passed.code, failed.code, earlier.code)
    assert ["X1", "X2", "X3", "X4", "X5"] == [step["id"] for step in passed.json["steps"]]
    assert ("revocation_unknown", "revoked_by_authority") == (nothing.json["code"], failed.json["code"])
    assert "verdict: passed" in earlier.out


def test_what_a_certificate_says_is_shown(certified: Callable[..., Any]) -> None:
    """Believed or not."""
    shown = certified("cert", "show", "crt", "--output", "json").json

    assert ("vn:H26", "CN=Authority", "ES256") == (shown["agency"], shown["issuer"], shown["key"])
    assert "http://ca.test/ca.crl" == shown["revocation_list"]


def test_what_was_issued_is_listed(certified: Callable[..., Any]) -> None:
    """With what became of it."""
    (before,) = certified("-C", "ca", "cert", "ca", "list", "--output", "json").json
    revoked = certified(
        "-C",
        "ca",
        "cert",
        "revoke",
        before["serial"],
        "--reason",
        "key-compromise",
        "--compromised-since",
        "2026-11-20",
    )
    (after,) = certified("-C", "ca", "cert", "ca", "list", "--output", "json").json

    assert ("vn:H26", None) == (before["agency"], before["reason"])
    assert (0, "keyCompromise") == (revoked.code, after["reason"])
    assert "vn:H26" in certified("-C", "ca", "cert", "ca", "list").out


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (("crt", "--reason", "boredom"), "no reason"),
        (("crt", "--reason", "superseded", "--compromised-since", "2026-11-20"), "goes with"),
        (("no file", "--reason", "superseded"), "neither a file nor a serial number"),
    ],
)
def test_a_revocation_that_makes_no_sense_is_wrong_usage(
    certified: Callable[..., Any], arguments: tuple[str, ...], expected: str
) -> None:
    """Nothing is revoked by mistake."""
    result = certified("-C", "ca", "cert", "revoke", *arguments)

    assert 2 == result.code
    assert expected in result.err


def test_the_directory_names_authorities(certified: Callable[..., Any]) -> None:
    """Each is added, listed, given another name, and ended; an agency's certificate is none."""
    added = certified("-C", "registrar", "registrar", "authority", "add", ANCHOR)
    again = certified("-C", "registrar", "registrar", "authority", "add", ANCHOR, "--name", "CA")
    (listed,) = certified("-C", "H26", "registrar", "authority", "list", "--output", "json").json
    shown = certified("-C", "registrar", "registrar", "authority", "list")
    wrong = certified("-C", "registrar", "registrar", "authority", "add", "H26/keys/certificate.pem")
    ended = certified("-C", "registrar", "registrar", "authority", "end", ANCHOR, "--reason", "superseded")

    assert (0, 0, 1, 0) == (added.code, again.code, wrong.code, ended.code)
    assert ("CA", 0) == (listed["name"], listed["intermediates"])
    assert listed["digest"] in shown.out
    assert "authority_fit" in wrong.err
    assert [] == certified("-C", "registrar", "registrar", "authority", "list", "--output", "json").json


def test_a_folder_keeps_lists_and_judges_by_them(certified: Callable[..., Any]) -> None:
    """Only what an authority of the directory has signed, and nothing that is older than what is known."""
    foreign = certified("-C", "H37.02.02", "cert", "import", "crl")
    certified("-C", "registrar", "registrar", "authority", "add", ANCHOR)
    unknown = certified("-C", "H37.02.02", "cert", "check", "crt")
    imported = certified("-C", "H37.02.02", "cert", "import", "crl", "--output", "json")
    known = certified("-C", "H37.02.02", "cert", "check", "crt")
    certified("-C", "ca", "cert", "crl", "-o", "crl-2")
    newer = certified("-C", "H37.02.02", "cert", "import", "crl-2")
    older = certified("-C", "H37.02.02", "cert", "import", "crl")
    (listed,) = certified("-C", "H37.02.02", "cert", "lists", "--output", "json").json
    exported = certified("-C", "H37.02.02", "export", "material")

    assert (1, 3, 0, 0, 0, 1) == (foreign.code, unknown.code, imported.code, known.code, newer.code, older.code)
    assert [{"file": "crl", "new": True}] == imported.json
    assert "is older than list 2, which is known" in older.err
    assert ("CN=Authority", 2, 0) == (listed["authority"], listed["number"], listed["revoked"])
    assert "CN=Authority" in certified("-C", "H37.02.02", "cert", "lists").out
    assert 2 == len(json.loads(exported.out)["material"])


def test_a_response_about_nobody_is_not_kept(certified: Callable[..., Any]) -> None:
    """It has to be about a certificate in force."""
    root = TestAuthority()
    Path("a.ocsp").write_bytes(root.response(root.issue()))
    result = certified("-C", "H26", "cert", "import", "a.ocsp")

    assert 1 == result.code
    assert "not an authority's word on a certificate in force" in result.err


def test_fetching_says_what_came_and_what_did_not(certified: Callable[..., Any]) -> None:
    """Without authorities there is nothing to ask."""
    result = certified("-C", "H26", "cert", "fetch", "--output", "json")

    assert (0, {"new": [], "known": [], "failed": []}) == (result.code, result.json)


def test_a_document_of_a_self_made_certificate_rests_on_nothing(certified: Callable[..., Any]) -> None:
    """And a file that is no envelope was never taken."""
    for name in ("crl", "none"):
        result = certified("-C", "H26", "export", "material", name)

        assert 1 == result.code
        assert name in result.err


def test_verify_takes_material_in_either_form(certified: Callable[..., Any]) -> None:
    """A list, or a file of `docbus export material`; anything else is told by name."""
    certified("-C", "H26", "publish", "letter.txt", "--to", "H37.02.02", "--id", "letter-1")
    Path("material.json").write_bytes(certified("-C", "H26", "export", "material").content)
    Path("wrong.json").write_text("{}")
    trust = certified("-C", "H26", "export", "trust", "-o", "trust.json")
    found = [
        certified(
            "verify", "crl", "--trust", "trust.json", "--material", name, "--known-at", "2024-01-01T00:00:00Z"
        ).code
        for name in ("crl", "material.json", "wrong.json")
    ]

    assert 0 == trust.code
    assert [1, 1, 2] == found


def test_an_issuer_that_is_not_named_is_refused_unless_that_is_meant(certified: Callable[..., Any]) -> None:
    """At a rotation as at a grant, and before anything is published."""
    genesis = load_settings(Path("H26")).exchange
    new = ("--code", "H41", "--name", "Huế", "--environment", genesis.environment, "--genesis", genesis.genesis)
    for command in (
        ("-C", "H41", "init", *new, "--bus", "bus.db"),
        ("-C", "H41", "cert", "request", "-o", "csr-41"),
        ("-C", "ca", "cert", "issue", "csr-41", "-o", "crt-41"),
        ("-C", "H41", "cert", "use", "crt-41"),
        ("-C", "H26", "cert", "use", "crt"),
    ):
        assert 0 == certified(*command).code
    (request,), (other,) = Path("H41").glob("H41-*.join"), Path("H26").glob("H26-*.join")
    before = certified("-C", "registrar", "registrar", "show", "--output", "json").json
    refused = certified("-C", "registrar", "registrar", "grant", request, "--yes")
    rotated = certified("-C", "registrar", "registrar", "rotate", other, "--yes")
    after = certified("-C", "registrar", "registrar", "show", "--output", "json").json
    meant = certified("-C", "registrar", "registrar", "grant", request, "--yes", "--unnamed-issuer")

    assert (1, 1, 0) == (refused.code, rotated.code, meant.code)
    assert "CN=Authority, which issued the certificate for vn:H41, is no authority of the directory" in refused.err
    assert "--unnamed-issuer" in refused.err
    assert "is no authority of the directory" in rotated.err
    assert before == after
    assert "it counts as self-made" in meant.err


def test_a_self_made_certificate_is_judged_by_its_grant(certified: Callable[..., Any]) -> None:
    """It needs no path, and the answer says so: 0 while it is granted and in force, 1 if it is not."""
    own = "H26/keys/certificate.pem"
    granted = certified("-C", "H37.02.02", "cert", "check", own)
    told = certified("-C", "H37.02.02", "cert", "check", own, "--output", "json")
    files = certified("cert", "check", own, "--ca", ANCHOR)
    unnamed = certified("-C", "H37.02.02", "cert", "check", "crt")
    later = certified("-C", "H37.02.02", "cert", "check", own, "--at", "2099-01-01")
    certified("-C", "registrar", "registrar", "revoke", own, "--reason", "stolen")
    revoked = certified("-C", "H37.02.02", "cert", "check", own)

    assert (0, 0, 1, 1, 1, 1) == (granted.code, told.code, files.code, unnamed.code, later.code, revoked.code)
    assert "it is self-made, and needs no path: its grant in the directory decides" in granted.out
    assert ("passed", None, []) == (told.json["verdict"], told.json["code"], told.json["steps"])
    assert "granted to vn:H26 by entry" in told.json["detail"]
    assert "path_invalid" in files.out
    assert "this certificate is self-made" in files.out
    assert "certificate_unknown" in unnamed.out
    assert "counts as self-made" in unnamed.out
    assert "authority_missing" in later.out
    assert "authority_missing" in revoked.out


def test_what_has_ended_is_not_shown_as_in_force(exchange: Path, docbus: Callable[..., Any]) -> None:
    """Neither a certificate whose own time is over, nor one whose overlap is; one that has not begun is not, either."""
    shown = docbus("-C", "H26", "agency", "show", "H26")
    past = docbus("-C", "H26", "agency", "show", "H26", "--at", "2099-01-01")
    (told,) = docbus("-C", "H26", "agency", "show", "H26", "--at", "2099-01-01", "--output", "json").json[
        "certificates"
    ]

    assert "in force" in shown.out
    assert f"ended {told['not_after']}" == told["state"]
    assert told["state"] in past.out


@pytest.mark.parametrize(
    ("at_ms", "expected"),
    [
        (999, "not in force before 1970-01-01T00:00:01Z"),
        (1000, "in force until 1970-01-01T00:00:02Z, by entry 7"),
        (2000, "in force until 1970-01-01T00:00:02Z, by entry 7"),
        (2001, "ended 1970-01-01T00:00:02Z, by entry 7"),
        (3001, "ended 1970-01-01T00:00:03Z"),
    ],
)
def test_the_state_of_a_certificate_follows_the_time(at_ms: int, expected: str) -> None:
    """Ends are the last moment in which it may sign."""
    times: Any = SimpleNamespace(not_before_ms=1000, retires_at_ms=2000, not_after_ms=3000, overlap_at=7)

    assert expected == _in_time(times, at_ms)


def test_nothing_is_issued_that_nobody_gets(certified: Callable[..., Any]) -> None:
    """Where the result cannot be written, no certificate and no list is journalled."""
    before = Path("ca/issued.jsonl").read_bytes()

    for target, said in (("crt", "crt exists already"), ("nowhere/crt", "no folder that may be written")):
        issued = certified("-C", "ca", "cert", "issue", "csr", "-o", target)
        listed = certified("-C", "ca", "cert", "crl", "-o", target)
        assert (2, 2, True, True) == (issued.code, listed.code, said in issued.err, said in listed.err)

    assert before == Path("ca/issued.jsonl").read_bytes()


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (("registrar", "grant", "csr"), ("csr is not a join request", "a certification request, for an authority")),
        (("registrar", "rotate", "csr"), ("csr is not a join request", "a certification request, for an authority")),
        (("registrar", "grant", "H26/keys/signing.pem"), ("signing.pem is not a join request", "make another one now")),
        (("registrar", "grant", "letter.txt"), ("letter.txt is not a join request", "`docbus init`")),
        (("registrar", "revoke", "csr", "--reason", "x"), ("csr is not a certificate", "64 hex digits")),
        (("cert", "issue", "H26/H26.join"), ("H26.join: not a certification request", "docbus cert request")),
    ],
)
def test_a_file_of_another_kind_is_named(
    certified: Callable[..., Any], arguments: tuple[str, ...], expected: tuple[str, str]
) -> None:
    """The error says which file it is, and the hint what it is for, or which one is meant."""
    result = certified("-C", "ca" if arguments[0] == "cert" else "registrar", *arguments)

    assert result.code in {1, 2}
    assert [True, True] == [text in result.err for text in expected], result.err
