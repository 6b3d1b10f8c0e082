"""`docbus keys`: an agency's keys on the command line."""

from __future__ import annotations

import json
import shutil
from typing import TYPE_CHECKING, Any

import pytest

from docbus.cli.keys import SHOWN_DIGITS
from docbus.settings import load_settings

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.unit.cli.conftest import Result

    Docbus = Callable[..., Result]


def shown(docbus: Docbus, folder: str = "H26") -> dict[str, Any]:
    """Return what `keys show` says, for a program."""
    found: dict[str, Any] = docbus("-C", folder, "keys", "show", "--output", "json").json
    return found


def request_of(exchange: Path) -> str:
    """Return the request of the rotation that is under way."""
    (found,) = (exchange / "H26").glob("H26-*.join")
    return str(found)


def test_keys_are_shown(exchange: Path, docbus: Docbus) -> None:
    """Each key has its use, profile, fingerprint, state and place; a table has the first digits, JSON has all."""
    table, found = docbus("-C", "H26", "keys", "show"), shown(docbus)

    signing, decryption = found["keys"]
    assert ("signing", "ES256", "in force", "file:keys/signing.pem") == tuple(
        signing[name] for name in ("use", "profile", "state", "uri")
    )
    assert ("decryption", "MLKEM768-X25519", "in force", None) == tuple(
        decryption[name] for name in ("use", "profile", "state", "expires_at")
    )
    assert [] == found["destroyed"]
    for key in (signing, decryption):
        assert key["since"] is not None
        assert f"{key['fingerprint'][:SHOWN_DIGITS]}…" in table.out
        assert key["fingerprint"] not in table.out


def test_a_rotation_from_beginning_to_end(exchange: Path, docbus: Docbus) -> None:
    """Each run says where it stands and what comes next, to a person and to a program."""
    idle = docbus("-C", "H26", "keys", "rotate", "--status")
    assert "none is under way" in idle.out

    begun = docbus("-C", "H26", "keys", "rotate", "--overlap", "10d")
    assert (0, True) == (begun.code, "waits for the registrar" in begun.out)
    assert "docbus registrar rotate REQUEST --overlap 10d" in begun.err
    assert "made keys in keys/" in begun.out
    again = docbus("-C", "H26", "keys", "rotate", "--output", "json").json
    assert ("requested", []) == (again["step"], again["done"])
    assert ["signing", "next signing", "decryption", "decryption"] == [key["use"] for key in shown(docbus)["keys"]]
    assert ["in force", "not granted", "not granted", "in force"] == [key["state"] for key in shown(docbus)["keys"]]

    assert "the next key waits for the registrar" in docbus("-C", "H26", "doctor").out

    published = docbus("-C", "registrar", "registrar", "rotate", request_of(exchange), "--overlap", "10d")
    assert 0 == published.code
    assert "granted" == docbus("-C", "H26", "keys", "rotate", "--status", "--output", "json").json["step"]
    assert "Finish the rotation" in docbus("-C", "H26", "doctor").out
    assert 0 == docbus("-C", "H26", "publish", "letter.txt", "--to", "H37.02.02").code

    done = docbus("-C", "H26", "keys", "rotate")
    assert "the old key may sign until its end" in done.out
    settings = load_settings(exchange / "H26")
    assert settings.keys is not None
    assert settings.keys.next_signing is None
    agency = docbus("-C", "H26", "agency", "show", "H26")
    assert ", by entry" in agency.out
    assert ["in force", "ends by entry 3", "in force", "retired by entry 3, opens what was sent before"] == [
        key["state"] for key in shown(docbus)["keys"]
    ]


def test_a_rotation_without_overlap(exchange: Path, docbus: Docbus) -> None:
    """If the registrar retires the old key at once, the folder works with the new one all the same."""
    docbus("-C", "H26", "keys", "rotate", "--profile", "ed25519")
    docbus("-C", "registrar", "registrar", "rotate", request_of(exchange))

    assert 0 == docbus("-C", "H26", "publish", "letter.txt", "--to", "H37.02.02").code
    assert "done" in docbus("-C", "H26", "keys", "rotate").out
    assert "Ed25519" == shown(docbus)["keys"][0]["profile"]
    assert "--again" in docbus("-C", "H26", "keys", "rotate").err


def test_without_the_bus_a_rotation_can_begin(exchange: Path, docbus: Docbus) -> None:
    """While the directory cannot be read, the keys are made, and it is said that nobody knows what is granted."""
    (exchange / "bus.db").rename(exchange / "aside.db")

    found = docbus("-C", "H26", "keys", "rotate")

    assert 0 == found.code
    assert "waits for the registrar" in found.out
    assert "the directory cannot be read" in found.err
    assert all("not known" in key["state"] for key in shown(docbus)["keys"])


def test_a_shared_inbox_comes_with_a_warning(exchange: Path, docbus: Docbus) -> None:
    """Other folders that read the same inbox need the new decryption key, too."""
    path = exchange / "H26" / "docbus.toml"
    path.write_text(path.read_text("utf-8") + "\n[inbox]\nshared = true\n", "utf-8")

    assert "put the new decryption key into the other folders" in docbus("-C", "H26", "keys", "rotate").err


def test_old_key_is_destroyed_on_demand(exchange: Path, docbus: Docbus) -> None:
    """A retired key is refused as long as it may be needed, destroyed with --now, and shown as destroyed."""
    docbus("-C", "H26", "keys", "rotate")
    docbus("-C", "registrar", "registrar", "rotate", request_of(exchange), "--overlap", "1d")
    docbus("-C", "H26", "keys", "rotate")
    old = shown(docbus)["keys"][-1]["fingerprint"]
    command = ("-C", "H26", "keys", "destroy", old[:12], "--reason", "it is old")

    refused = docbus(*command)
    assert (1, True) == (refused.code, "may be needed for 99 more days" in refused.err)
    done = docbus(*command, "--now", "--operator", "an", "--output", "json")

    assert (0, old, "an") == (done.code, done.json["fingerprint"], done.json["operator"])
    found = shown(docbus)
    assert old not in {key["fingerprint"] for key in found["keys"]}
    assert [(old, "it is old")] == [(one["fingerprint"], one["reason"]) for one in found["destroyed"]]
    (destroyed,) = found["destroyed"]
    assert (done.json["act"], 0) == (destroyed["act"], destroyed["offset"])
    table = docbus("-C", "H26", "keys", "show").out
    assert (old[:SHOWN_DIGITS] in table, "ledger 0" in table) == (True, True)
    replayed = docbus("-C", "auditor", "replay", "--output", "json").json
    assert [(old, "passed")] == [(one["key"], one["outcome"]) for one in replayed["destroyed_keys"]["records"]]
    assert 0 == docbus("-C", "H26", "publish", "letter.txt", "--to", "H37.02.02").code


def test_keys_are_neither_rotated_nor_destroyed_by_another_directory(exchange: Path, docbus: Docbus) -> None:
    """Where the bus shows less than the folder has seen, nothing is decided by it, and nothing changes."""
    docbus("-C", "H26", "keys", "rotate")
    shutil.copyfile(exchange / "bus.db", exchange / "old.db")
    docbus("-C", "registrar", "registrar", "rotate", request_of(exchange), "--overlap", "1d")
    docbus("-C", "H26", "keys", "rotate")
    docbus("-C", "H26", "publish", "letter.txt", "--to", "H37.02.02")
    old = shown(docbus)["keys"][-1]["fingerprint"]
    settings = (exchange / "H26" / "docbus.toml").read_text("utf-8")
    for name in ("bus.db", "bus.db-wal", "bus.db-shm"):
        (exchange / name).unlink(missing_ok=True)
    shutil.copyfile(exchange / "old.db", exchange / "bus.db")

    for command in (("rotate",), ("rotate", "--again"), ("destroy", old, "--reason", "x", "--now"), ("show",)):
        found = docbus("-C", "H26", "keys", *command)
        assert (1, True) == (found.code, "this agency has seen entry" in found.err)

    assert settings == (exchange / "H26" / "docbus.toml").read_text("utf-8")


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (("keys", "rotate", "--overlap", "a month"), "is not an age"),
        (("keys", "rotate", "--profile", "dsa"), "dsa"),
        (("keys", "destroy", "ffffffffffff", "--reason", "x", "--now"), "names 0 of the 1 decryption keys"),
    ],
)
def test_wrong_usage_is_named(exchange: Path, docbus: Docbus, given: tuple[str, ...], said: str) -> None:
    """What cannot be understood changes nothing."""
    before = (exchange / "H26" / "docbus.toml").read_bytes()

    result = docbus("-C", "H26", *given)

    assert result.code in {1, 2}
    assert said in result.err
    assert before == (exchange / "H26" / "docbus.toml").read_bytes()


@pytest.mark.parametrize(
    ("profile", "shown_as"),
    [
        ("ed25519", "Ed25519"),
        ("rsa-pss-sha256", "RSA-PSS-SHA256"),
        ("es256-ml-dsa-65", "ES256+ML-DSA-65"),
    ],
)
def test_an_agency_is_founded_with_another_kind_of_key(
    exchange: Path, docbus: Docbus, profile: str, shown_as: str
) -> None:
    """`docbus init --profile` makes such a key, the registrar grants it, and documents are signed with it."""
    genesis = docbus("-C", "registrar", "registrar", "show", "--output", "json").json["genesis"]
    founded = docbus(
        *("-C", "new", "init", "--code", "H30", "--name", "Hà Tĩnh", "--environment", "test", "--genesis", genesis),
        *("--bus", "bus.db", "--profile", profile),
    )
    assert 0 == founded.code
    assert 0 == docbus("-C", "registrar", "registrar", "grant", "new/H30.join").code
    assert 0 == docbus("-C", "registrar", "provision").code

    assert None is shown(docbus, "new")["keys"][0]["last_used_at"]
    assert 0 == docbus("-C", "new", "publish", "letter.txt", "--to", "H26", "--wait", "sent").code

    assert [True, False] == [key["last_used_at"] is not None for key in shown(docbus, "new")["keys"]]
    assert (shown_as, "in force") == tuple(shown(docbus, "new")["keys"][0][name] for name in ("profile", "state"))


def test_overlap_and_keeping_the_old_key_exclude_each_other(exchange: Path, docbus: Docbus) -> None:
    """A key has an end or it has none."""
    docbus("-C", "H26", "keys", "rotate")

    result = docbus("-C", "registrar", "registrar", "rotate", request_of(exchange), "--overlap", "1d", "--keep-old")

    assert (2, True) == (result.code, "exclude each other" in result.err)


def test_an_overlap_that_is_too_long_is_refused(exchange: Path, docbus: Docbus) -> None:
    """The registrar is told the bound, and nothing is published."""
    docbus("-C", "H26", "keys", "rotate")

    result = docbus("-C", "registrar", "registrar", "rotate", request_of(exchange), "--overlap", "400d")

    assert (1, True) == (result.code, "within 366 days" in result.err)


def test_status_is_readable_by_programs(exchange: Path, docbus: Docbus) -> None:
    """The state of a rotation is one JSON object with all its fields."""
    found = json.loads(docbus("-C", "H26", "keys", "rotate", "--status", "--output", "json").out)

    assert {
        "step",
        "known",
        "certificate",
        "before",
        "retires_at",
        "overlap_ms",
        "certification",
        "request",
        "fingerprint",
        "done",
    } == set(found)


def test_the_overlap_is_told_as_it_was_given(exchange: Path, docbus: Docbus) -> None:
    """Later runs and the status repeat it; after a revocation there is none, and the registrar's command has none."""
    docbus("-C", "H26", "keys", "rotate", "--overlap", "36h")
    status = docbus("-C", "H26", "keys", "rotate", "--status")
    certificate = shown(docbus)["keys"][0]["fingerprint"]
    docbus("-C", "registrar", "registrar", "revoke", certificate, "--reason", "stolen")

    after = docbus("-C", "H26", "keys", "rotate")

    assert "rotate REQUEST --overlap 36h`" in status.err
    assert "36h" in status.out
    assert "docbus registrar rotate REQUEST` and compares" in after.err
    assert "\noverlap" not in after.out


def test_keys_of_two_rotations_are_all_shown(exchange: Path, docbus: Docbus) -> None:
    """Each certificate that may still sign stands there with its place, and each decryption key that is left."""
    for again in ((), ("--again",)):
        docbus("-C", "H26", "keys", "rotate", *again)
        docbus("-C", "registrar", "registrar", "rotate", request_of(exchange), "--overlap", "10d")
        docbus("-C", "H26", "keys", "rotate")

    found = shown(docbus)["keys"]

    assert ["signing", "former signing", "former signing", "decryption", "decryption", "decryption"] == [
        key["use"] for key in found
    ]
    assert ["in force", "ends by entry 4", "ends by entry 3"] == [key["state"] for key in found[:3]]
    assert "file:keys/signing.pem" == found[2]["uri"]
    assert 6 == len({key["uri"] for key in found})
    docbus("-C", "registrar", "registrar", "revoke", found[2]["fingerprint"], "--reason", "stolen")
    assert found[2]["fingerprint"] not in {key["fingerprint"] for key in shown(docbus)["keys"]}


def test_a_decryption_key_that_is_missing_is_shown(exchange: Path, docbus: Docbus) -> None:
    """Others encrypt to it, and this folder could not open that."""
    docbus("-C", "H26", "keys", "rotate")
    docbus("-C", "registrar", "registrar", "rotate", request_of(exchange))
    docbus("-C", "H26", "keys", "rotate")
    path = exchange / "H26" / "docbus.toml"
    keys = load_settings(exchange / "H26").keys
    assert keys is not None
    new, old = keys.encryption
    path.write_text(path.read_text("utf-8").replace(f'["{new}", "{old}"]', f'["{old}"]'), "utf-8")

    assert [("retired by entry 3, opens what was sent before", old), ("in force, and not in this folder", None)] == [
        (key["state"], key["uri"]) for key in shown(docbus)["keys"][-2:]
    ]


def test_a_rotation_with_an_authority(exchange: Path, docbus: Docbus) -> None:
    """Each run says what comes next: the authority, the certificate, the registrar, and that it is done."""
    docbus("-C", "ca", "cert", "ca", "init", "--name", "Authority")
    docbus("-C", "registrar", "registrar", "authority", "add", "ca/authority.crt.pem", "--name", "Authority")
    begun = docbus("-C", "H26", "keys", "rotate", "--authority", "--overlap", "10d")
    (csr,) = (exchange / "H26").glob("*.csr.pem")
    waiting = shown(docbus)["keys"][1]
    doctor = docbus("-C", "H26", "doctor")

    assert ("waits for the certificate of an authority" in begun.out, str(csr.name) in begun.err) == (True, True)
    assert "docbus cert use CERTIFICATE" in docbus("-C", "H26", "keys", "rotate", "--status").err
    assert ("next signing", "", "ES256") == (waiting["use"], waiting["fingerprint"], waiting["profile"])
    assert "–" in docbus("-C", "H26", "keys", "show").out
    assert f"Hand {csr.name} to the authority" in doctor.out
    assert 0 == docbus("-C", "ca", "cert", "issue", str(csr), "--days", "30", "-o", "crt").code
    used = docbus("-C", "H26", "cert", "use", "crt")
    assert (0, True) == (used.code, "rotate REQUEST --overlap 10d`" in used.err)
    assert "requested" == docbus("-C", "H26", "cert", "use", "crt", "--output", "json").json["step"]
    assert 0 == docbus("-C", "registrar", "registrar", "rotate", request_of(exchange), "--overlap", "10d").code
    assert "done" in docbus("-C", "H26", "keys", "rotate").out
    assert [] == list((exchange / "H26").glob("H26-*"))


def test_a_revocation_by_the_registrar_is_seen_at_a_glance(exchange: Path, docbus: Docbus) -> None:
    """Status says by which entry and why until the agency has other keys."""
    assert "KEY REVOKED" not in docbus("-C", "H26", "status").out
    docbus("-C", "registrar", "registrar", "revoke", "H26/keys/certificate.pem", "--reason", "server stolen")

    shown = docbus("-C", "H26", "status")

    assert "KEY REVOKED" in shown.out
    assert "by entry 3: server stolen" in shown.out
    assert 3 == docbus("-C", "H26", "status", "--output", "json").json["directory"]["revoked_by"]
    docbus("-C", "H26", "keys", "rotate")
    docbus("-C", "registrar", "registrar", "rotate", request_of(exchange))
    assert "KEY REVOKED" not in docbus("-C", "H26", "status").out
