"""What the doctor says of whole installations: a valid one, and such as differ from it in one thing."""

from __future__ import annotations

import asyncio
import shutil
import sqlite3
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding

from docbus.client.connect import open_registrar, started_transport
from docbus.client.doctor.diagnosis import Diagnosis, Outcome
from docbus.client.doctor.examination import examine, has_failed
from docbus.client.expiry import LOOK_SECONDS
from docbus.client.registrar_keys import make_registrar_key
from docbus.client.rotation import rotate
from docbus.clock import SystemClock
from docbus.consumers.subscriber import LOCK_NAME as INBOX_LOCK
from docbus.errors import (
    AccessDeniedError,
    BrokerUnavailableError,
    ConfigurationError,
    TopicMissingError,
    TransportError,
)
from docbus.identity.certificates import make_certificate
from docbus.identity.encryption import generate_encryption_key
from docbus.identity.signing import generate_signing_key, private_key_pem
from docbus.limits import MAX_CLOCK_SKEW_MS
from docbus.producers.drain import LOCK_NAME as OUTBOX_LOCK
from docbus.settings import load_settings
from docbus.storage.locks import hold
from docbus.transport import topics
from docbus.wire.profiles import Profile
from tests.support.doctor import HANOI, TAYNINH, Brokers, by_name, found_installation, put_on_kafka, refusing
from tests.support.outbox import FakeClock

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from docbus.registry.publish import Registrar

MINUTE_MS = 60_000
DAY_MS = 24 * 60 * MINUTE_MS
AGENCY = "vn:H26"
INBOX = topics.inbox(AGENCY)
ON_EMBEDDED = {"access", "consumer group"}
"""Checks that an embedded bus has no answer to."""
OF_BROKERS = ON_EMBEDDED | {
    "directory",
    "directory seen",
    "freshness",
    "certificate",
    "encryption key",
    "topics",
    "clock",
}


@pytest.fixture(scope="module")
def founded(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Found an installation once; tests change copies."""
    folder = tmp_path_factory.mktemp("founded")
    asyncio.run(found_installation(folder))
    return folder


@pytest.fixture
def exchange(founded: Path, tmp_path: Path) -> Path:
    """Return the folder of an exchange that has all it needs."""
    folder = tmp_path / "exchange"
    shutil.copytree(founded, folder)
    return folder


@pytest.fixture
def hanoi(exchange: Path) -> Iterator[Path]:
    """Return the folder of an agency in which somebody sends and receives."""
    folder = exchange / HANOI
    with ExitStack() as stack:
        for name in (OUTBOX_LOCK, INBOX_LOCK):
            stack.enter_context(hold(folder / name, "working"))
        yield folder


def now(*, later_ms: int = 0) -> FakeClock:
    """Return a clock that stands still, at the time at which the exchange is looked at, or later."""
    return FakeClock(ms=SystemClock().now_ms() + later_ms)


async def diagnoses(folder: Path, **changed: Any) -> dict[str, Diagnosis]:
    """Examine a folder; fails if the exit code and the outcomes do not agree."""
    clock = changed.pop("clock", None) or now()
    found = await examine(folder, clock, **changed)
    assert has_failed(found) == any(one.outcome is Outcome.FAILED for one in found)
    for one in found:
        assert (one.remedy is None) == (one.outcome in {Outcome.PASSED, Outcome.NOT_ASKED}), one
    return by_name(found)


def not_passed(found: dict[str, Diagnosis]) -> dict[str, Outcome]:
    """Return the outcomes of all checks that have not passed."""
    return {name: one.outcome for name, one in found.items() if one.outcome is not Outcome.PASSED}


async def only(folder: Path, check: str, outcome: Outcome, **changed: Any) -> Diagnosis:
    """Examine an agency's folder of which one check says so and all others pass, and return that one."""
    found = await diagnoses(folder, **changed)
    expected = dict.fromkeys(ON_EMBEDDED, Outcome.NOT_ASKED) | {check: outcome}
    assert expected == not_passed(found)
    return found[check]


async def changed_by(exchange: Path, change: Callable[[Registrar], Any]) -> None:
    """Let the registrar change something, and beat once more."""
    async with open_registrar(exchange / "registrar", clock=SystemClock()) as registrar:
        await registrar.load()
        await change(registrar)


def replace_in(path: Path, old: str, new: str) -> None:
    """Change one thing in the settings."""
    text = path.read_text("utf-8")
    assert old in text
    path.write_text(text.replace(old, new, 1), "utf-8")


def append_settings(folder: Path, text: str) -> None:
    """Add a table to the settings."""
    with (folder / "docbus.toml").open("a", encoding="utf-8") as file:
        file.write(f"\n{text}\n")


# --- valid ----------------------------------------------------------------------------------------------


async def test_agency_that_has_all_it_needs(hanoi: Path) -> None:
    """Everything passes, but for rights, which an embedded bus does not have."""
    found = await diagnoses(hanoi)

    assert dict.fromkeys(ON_EMBEDDED, Outcome.NOT_ASKED) == not_passed(found)
    assert found["settings"].found.endswith("docbus.toml: agency vn:H26, an embedded bus")
    assert found["directory"].found.startswith("begins with the pinned genesis; entry 3 of ")
    assert "all 6 are there, and configured as they should be" == found["topics"].found
    assert found["clock"].found.endswith("whether it is ahead cannot be told from that")


async def test_registrar_that_has_all_it_needs(exchange: Path) -> None:
    """A registrar's key is that of the directory's terms, and the topics of all agencies are looked at."""
    found = await diagnoses(exchange / "registrar")

    assert {"access": Outcome.NOT_ASKED} == not_passed(found)
    assert "signs every entry; 1 of 1 keys are needed" == found["registrar key in force"].found
    assert "all 11 are there, and configured as they should be" == found["topics"].found


async def test_auditor_that_has_all_it_needs(exchange: Path) -> None:
    """An auditor has no keys and no topics, and needs the directory."""
    found = await diagnoses(exchange / "auditor")

    assert {"access": Outcome.NOT_ASKED, "topics": Outcome.NOT_ASKED} == not_passed(found)
    assert {"software", "settings", "disk", "folder", "brokers", "directory", "freshness", "clock"} < found.keys()


async def test_nothing_is_changed(exchange: Path) -> None:
    """Files, their contents and the bus are as they were, also where something is missing."""
    shutil.rmtree(exchange / TAYNINH / "documents")

    def everything() -> dict[str, bytes | None]:
        # SQLite's shared memory and the log of a database that is open come and go with it.
        return {
            str(path): path.read_bytes() if path.is_file() else None
            for path in sorted(exchange.rglob("*"))
            if not path.name.endswith(("-shm", "-wal"))
        }

    before = everything()
    for name in (HANOI, TAYNINH, "registrar", "auditor"):
        await examine(exchange / name, now())

    assert before == everything()


# --- this machine ---------------------------------------------------------------------------------------


async def test_settings_that_cannot_be_read(hanoi: Path) -> None:
    """An unknown setting is named, and nothing else is asked."""
    append_settings(hanoi, "[unknown]")

    found = await diagnoses(hanoi)

    assert {"settings": Outcome.FAILED, "everything else": Outcome.NOT_ASKED} == not_passed(found)
    assert "unknown: unknown setting" in found["settings"].found


async def test_folder_that_is_none(tmp_path: Path) -> None:
    """A folder without settings is said to be none."""
    found = await diagnoses(tmp_path / "nowhere")

    assert found["settings"].found.startswith("there is no docbus.toml in ")


@pytest.mark.parametrize(("key", "check"), [("signing", "signing key"), ("encryption", "decryption keys")])
async def test_key_that_is_open_to_others(hanoi: Path, key: str, check: str) -> None:
    """A key that others may read fails with the command that closes it."""
    path = hanoi / "keys" / f"{key}.pem"
    path.chmod(0o644)

    found = await diagnoses(hanoi)

    assert (Outcome.FAILED, f"chmod 600 {path}") == (found[check].outcome, found[check].remedy)


@pytest.mark.parametrize("key", ["signing.pem", "certificate.pem", "encryption.pem"])
async def test_key_that_is_missing(hanoi: Path, key: str) -> None:
    """A file that is not there is named, and the directory is not asked about a certificate that is not known."""
    (hanoi / "keys" / key).unlink()
    check = "decryption keys" if key == "encryption.pem" else "signing key"

    found = await diagnoses(hanoi)

    assert Outcome.FAILED is found[check].outcome
    assert key in found[check].found
    assert (check == "signing key") == (found["certificate"].outcome is Outcome.NOT_ASKED)


async def test_key_of_another_certificate(hanoi: Path) -> None:
    """A signing key that is not the certificate's cannot sign under it."""
    (hanoi / "keys" / "signing.pem").write_bytes(private_key_pem(generate_signing_key(Profile.ES256)))

    found = await diagnoses(hanoi)

    assert Outcome.FAILED is found["signing key"].outcome
    assert "does not belong to the certificate" in found["signing key"].found


async def test_no_key_is_shown(hanoi: Path) -> None:
    """Neither a private key nor a password is in what is said, whatever is wrong with them."""
    put_on_kafka(hanoi)
    (hanoi / "keys" / "signing.pem").chmod(0o644)
    material = [line for name in ("signing", "encryption") for line in _lines(hanoi / "keys" / f"{name}.pem")]

    found = await diagnoses(hanoi, opened=lambda _: Brokers(hanoi.parent / "bus.db"))

    said = repr(found)
    assert [] == [line for line in [*material, "secret"] if line in said]


def _lines(path: Path) -> list[str]:
    return [line for line in path.read_text("ascii").splitlines() if not line.startswith("-----")]


async def test_registrar_key_that_is_missing(exchange: Path) -> None:
    """A registrar's key that is not there fails, and its standing is not asked."""
    (exchange / "registrar" / "keys" / "registrar.pem").unlink()

    found = await diagnoses(exchange / "registrar")

    assert {"registrar key": Outcome.FAILED, "access": Outcome.NOT_ASKED} == not_passed(found)


async def test_registrar_key_that_is_not_in_force(exchange: Path) -> None:
    """A key that the directory does not take is named, as its entries would be refused by everybody."""
    folder = exchange / "registrar"
    (folder / "keys" / "registrar.pem").unlink()
    make_registrar_key(folder / "keys" / "registrar.pem")

    found = await diagnoses(folder)

    assert {"registrar key in force": Outcome.FAILED, "access": Outcome.NOT_ASKED} == not_passed(found)


async def test_sink_that_is_missing(hanoi: Path) -> None:
    """A folder for documents that is not there fails with the command that makes it."""
    (hanoi / "documents").rmdir()

    found = await only(hanoi, "sink", Outcome.FAILED)

    assert found.remedy is not None
    assert found.remedy.startswith(f"mkdir -p {hanoi / 'documents'}")


async def test_sink_that_is_a_file(hanoi: Path) -> None:
    """A file where documents are to be filed is no folder."""
    (hanoi / "documents").rmdir()
    (hanoi / "documents").write_bytes(b"")

    found = await only(hanoi, "sink", Outcome.FAILED)

    assert found.found.endswith("documents cannot be written: Not a directory")


async def test_content_folder_that_is_a_file(hanoi: Path) -> None:
    """A file where large content is to lie is no folder."""
    append_settings(hanoi, '[content]\nfolder = "letter"')
    (hanoi / "letter").write_bytes(b"")

    assert (await only(hanoi, "content", Outcome.FAILED)).found.endswith("letter cannot be written: Not a directory")


async def test_state_that_is_not_there(exchange: Path) -> None:
    """Before the first start there is no database, and none is made; nobody works there either."""
    found = await diagnoses(exchange / TAYNINH)

    fresh = dict.fromkeys(("state.db", "outbox", "directory seen", *ON_EMBEDDED), Outcome.NOT_ASKED)
    assert fresh | dict.fromkeys(("sending", "receiving"), Outcome.WARNING) == not_passed(found)
    assert not (exchange / TAYNINH / "state.db").exists()
    assert f"docbus -C {exchange / TAYNINH} run" == found["sending"].remedy


async def test_state_that_is_damaged(hanoi: Path) -> None:
    """Pages that were overwritten are found, and what depends on them is not asked."""
    path = hanoi / "state.db"
    content = bytearray(path.read_bytes())
    content[8192:] = bytes(len(content) - 8192)
    path.write_bytes(content)

    found = await diagnoses(hanoi)

    assert Outcome.FAILED is found["state.db"].outcome
    assert Outcome.NOT_ASKED is found["outbox"].outcome


async def test_state_of_another_program(hanoi: Path) -> None:
    """A database that is not docbus's is left alone."""
    (hanoi / "state.db").unlink()
    with sqlite3.connect(hanoi / "state.db") as connection:
        connection.execute("CREATE TABLE other (x)")
    connection.close()

    found = await diagnoses(hanoi)

    assert "is an SQLite database of another program" in found["state.db"].found


async def test_state_of_an_older_version(hanoi: Path) -> None:
    """An older schema passes, and what the new one has is not asked for before the next start."""
    with sqlite3.connect(hanoi / "state.db") as connection:
        connection.execute("PRAGMA user_version = 1")
    connection.close()

    assert "the next start brings state.db to schema" in (await only(hanoi, "outbox", Outcome.NOT_ASKED)).found


# --- brokers and directory ------------------------------------------------------------------------------


async def test_bus_file_that_is_missing(hanoi: Path) -> None:
    """Without the bus everything local is checked, the rest waits, and no file is made."""
    bus = hanoi.parent / "bus.db"
    bus.unlink()

    found = await diagnoses(hanoi)

    assert dict.fromkeys(OF_BROKERS, Outcome.NOT_ASKED) | {"brokers": Outcome.FAILED} == not_passed(found)
    assert not bus.exists()


async def test_bus_file_that_is_empty(hanoi: Path) -> None:
    """An empty file is no bus, and none is made of it."""
    bus = hanoi.parent / "bus.db"
    bus.write_bytes(b"")

    assert (await diagnoses(hanoi))["brokers"].found.endswith("bus.db is empty")
    assert b"" == bus.read_bytes()


@pytest.mark.parametrize("error", [BrokerUnavailableError, ConfigurationError])
async def test_brokers_that_cannot_be_reached(hanoi: Path, error: type[Exception]) -> None:
    """Why they cannot be reached is said, and what has to be asked of them waits."""
    put_on_kafka(hanoi)

    found = await diagnoses(hanoi, opened=lambda _: Brokers(hanoi.parent / "bus.db", start=error("no broker")))

    assert dict.fromkeys(OF_BROKERS, Outcome.NOT_ASKED) | {"brokers": Outcome.FAILED} == not_passed(found)
    assert "no broker" == found["brokers"].found


async def test_settings_that_make_no_transport(hanoi: Path) -> None:
    """An address that is none is an answer like any other."""
    put_on_kafka(hanoi)
    replace_in(hanoi / "docbus.toml", "broker1:9092", "broker1:port")

    found = await diagnoses(hanoi)

    assert "is not host:port" in found["brokers"].found


async def test_directory_of_another_genesis(hanoi: Path) -> None:
    """A directory that does not begin as pinned is believed nothing."""
    genesis = load_settings(hanoi).exchange.genesis
    replace_in(hanoi / "docbus.toml", genesis, "00" * 32)

    found = await diagnoses(hanoi)

    assert Outcome.FAILED is found["directory"].outcome
    assert "pinned is 0000" in found["directory"].found
    for name in ("directory seen", "freshness", "certificate", "encryption key", "topics"):
        assert (name, Outcome.NOT_ASKED) == (name, found[name].outcome)


async def test_directory_of_another_environment(hanoi: Path) -> None:
    """Settings that name another exchange than the directory are wrong."""
    replace_in(hanoi / "docbus.toml", 'environment = "test"', 'environment = "other"')

    found = await diagnoses(hanoi)

    assert {"directory", "certificate"} == {name for name, outcome in not_passed(found).items() if outcome == "failed"}


async def test_directory_that_was_cut_back(hanoi: Path) -> None:
    """A directory that ends before what was followed here has been cut back."""
    with sqlite3.connect(hanoi / "state.db") as connection:
        connection.execute("UPDATE outbox SET value = 99 WHERE name = 'directory_position'")
    connection.close()

    found = await diagnoses(hanoi)
    assert "this agency has seen entry 99" in found["directory seen"].found
    assert Outcome.FAILED is found["directory seen"].outcome
    # What it says of the keys is no reason to ask the registrar for anything.
    assert [Outcome.NOT_ASKED] * 2 == [found[name].outcome for name in ("certificate", "encryption key")]


@pytest.mark.parametrize(
    ("age_ms", "outcome"),
    [(14 * MINUTE_MS, None), (20 * MINUTE_MS, Outcome.WARNING), (25 * 60 * MINUTE_MS, Outcome.FAILED)],
)
async def test_age_of_the_directory(hanoi: Path, age_ms: int, outcome: Outcome | None) -> None:
    """An old directory warns, one that is too old to decide fails."""
    found = await diagnoses(hanoi, clock=now(later_ms=age_ms))

    assert outcome == not_passed(found).get("freshness")


async def test_certificate_that_ends(hanoi: Path) -> None:
    """Two months before its end it passes, a day later it warns, and at its end it fails."""
    certificate = x509.load_pem_x509_certificate((hanoi / "keys" / "certificate.pem").read_bytes())
    ends = round(certificate.not_valid_after_utc.timestamp() * 1000)

    outcomes = [
        (await diagnoses(hanoi, clock=FakeClock(ms=ends - left)))["certificate"].outcome
        for left in (60 * DAY_MS, 59 * DAY_MS, 1, 0)
    ]

    assert [Outcome.PASSED, Outcome.WARNING, Outcome.WARNING, Outcome.FAILED] == outcomes


async def test_certificate_that_is_not_granted(hanoi: Path) -> None:
    """A key that nobody has granted is not believed."""
    key = generate_signing_key(Profile.ES256)
    certificate = x509.load_der_x509_certificate(make_certificate(key, AGENCY, now_ms=SystemClock().now_ms()))
    (hanoi / "keys" / "signing.pem").write_bytes(private_key_pem(key))
    (hanoi / "keys" / "certificate.pem").write_bytes(certificate.public_bytes(Encoding.PEM))

    found = await only(hanoi, "certificate", Outcome.FAILED)

    assert "the directory does not know the certificate of vn:H26" == found.found
    assert "docbus registrar grant" in (found.remedy or "")


async def test_certificate_that_is_revoked(hanoi: Path) -> None:
    """A key that may not sign any more fails."""
    pem = (hanoi / "keys" / "certificate.pem").read_bytes()
    digest = x509.load_pem_x509_certificate(pem).fingerprint(SHA256())
    await changed_by(hanoi.parent, lambda registrar: registrar.revoke(digest, reason="stolen"))

    found = await only(hanoi, "certificate", Outcome.FAILED)

    assert "the certificate of vn:H26 may not sign any more" == found.found
    assert "entry 4 has revoked it. `docbus keys rotate` makes new keys" in (found.remedy or "")
    assert "without an overlap" in (found.remedy or "")


async def test_rotation_that_is_not_completed(hanoi: Path) -> None:
    """Once the next key signs, the settings still name both, and what completes the rotation is said."""
    begun = rotate(hanoi, None, SystemClock())
    assert begun.request is not None
    request = begun.request.read_text("ascii")
    await changed_by(hanoi.parent, lambda registrar: registrar.rotate(request))

    found = await only(hanoi, "certificate", Outcome.WARNING)

    assert "the next key signs, granted by entry 4, and docbus.toml still names both" == found.found
    assert "docbus keys rotate" in (found.remedy or "")


async def test_next_key_that_cannot_be_used(hanoi: Path) -> None:
    """A next signing key whose file is gone would stop the agency at its next start."""
    made = rotate(hanoi, None, SystemClock())
    assert made.request is not None
    signing = load_settings(hanoi).keys.next_signing  # type: ignore[union-attr] # it has keys
    file = hanoi / (signing or "").removeprefix("file:")
    file.unlink()

    found = await only(hanoi, "certificate", Outcome.FAILED)

    assert str(file) in found.found


async def test_certificate_that_is_being_left(hanoi: Path) -> None:
    """A folder that has stayed with the old key is told until when, and what to do, for as long as the key lasts."""
    made = rotate(hanoi, None, SystemClock())
    assert made.request is not None
    request = made.request.read_text("ascii")
    await changed_by(hanoi.parent, lambda registrar: registrar.rotate(request, overlap_ms=30 * DAY_MS))
    text = (hanoi / "docbus.toml").read_text("utf-8")
    (hanoi / "docbus.toml").write_text("\n".join(line for line in text.splitlines() if not line.startswith("next_")))

    found = await only(hanoi, "certificate", Outcome.WARNING)
    ended = await diagnoses(hanoi, clock=now(later_ms=31 * DAY_MS))

    assert "it may sign until" in found.found
    assert "by entry 4, and another one is in force" in found.found
    assert Outcome.FAILED is ended["certificate"].outcome
    assert "may not sign any more" in ended["certificate"].found


async def test_agency_that_is_suspended(hanoi: Path) -> None:
    """A suspended agency may sign nothing; who ends that is said."""
    await changed_by(hanoi.parent, lambda registrar: registrar.suspend(HANOI, reason="under investigation"))

    found = await only(hanoi, "certificate", Outcome.FAILED)

    assert "vn:H26 is suspended by entry 4 and may sign nothing: under investigation" == found.found
    assert "docbus registrar reinstate" in (found.remedy or "")


async def test_agency_that_is_closed(hanoi: Path) -> None:
    """A closed agency signs nothing, is sent nothing, and no topics are asked for."""
    await changed_by(hanoi.parent, lambda registrar: registrar.close(HANOI, reason="merged"))

    found = not_passed(await diagnoses(hanoi))

    assert (Outcome.FAILED, Outcome.FAILED, Outcome.NOT_ASKED) == tuple(
        found[name] for name in ("certificate", "encryption key", "topics")
    )


async def test_decryption_key_that_is_not_the_granted_one(hanoi: Path) -> None:
    """Where none of the keys is the one in force, nothing that comes can be opened."""
    (hanoi / "keys" / "encryption.pem").write_bytes(generate_encryption_key().pem())

    assert "none of the keys here opens that" in (await only(hanoi, "encryption key", Outcome.FAILED)).found


async def test_decryption_key_in_force_may_stand_anywhere(hanoi: Path) -> None:
    """Before a rotation the new key stands in front of the one in force, which is enough."""
    new = hanoi / "keys" / "new.pem"
    new.write_bytes(generate_encryption_key().pem())
    new.chmod(0o600)
    replace_in(hanoi / "docbus.toml", 'encryption = ["', 'encryption = ["file:keys/new.pem", "')

    found = await diagnoses(hanoi)

    assert dict.fromkeys(ON_EMBEDDED, Outcome.NOT_ASKED) == not_passed(found)
    assert found["decryption keys"].found.startswith("2: ")


# --- topics ---------------------------------------------------------------------------------------------


async def alter(exchange: Path, statement: str, *values: object) -> None:
    """Change the bus behind everybody's back."""
    with sqlite3.connect(exchange / "bus.db") as connection:
        connection.execute(statement, values)
    connection.close()


async def test_topic_that_is_missing(hanoi: Path) -> None:
    """A topic that is not there is named, with who makes it."""
    await alter(hanoi.parent, "UPDATE topics SET name = 'elsewhere' WHERE name = ?", topics.ledger(AGENCY))

    found = await only(hanoi, "topics", Outcome.FAILED)

    missing = "1 of 6 are not as they should be: create docbus.ledger.vn.H26 with 1 partition"
    assert (missing, "Ask the registrar to run `docbus provision`.") == (found.found, found.remedy)


RETENTION = """UPDATE topics SET configuration = json_set(configuration, '$."retention.ms"', '1000') WHERE name = ?"""


async def test_topic_that_is_configured_otherwise(hanoi: Path) -> None:
    """What differs is said with both values; for the registrar too, who mends it."""
    await alter(hanoi.parent, RETENTION, INBOX)

    found = await only(hanoi, "topics", Outcome.FAILED)
    registrars = (await diagnoses(hanoi.parent / "registrar"))["topics"]

    assert "configure docbus.inbox.vn.H26: retention.ms 1000 -> 7776000000" in found.found
    assert (Outcome.FAILED, "docbus provision") == (registrars.outcome, registrars.remedy)


async def test_retention_of_content_is_the_registrars(hanoi: Path) -> None:
    """For how long parts are kept says the folder that provisions: an agency's does not compare its own setting."""
    await alter(hanoi.parent, RETENTION, topics.content(AGENCY))

    assert Outcome.PASSED is (await diagnoses(hanoi))["topics"].outcome
    assert Outcome.FAILED is (await diagnoses(hanoi.parent / "registrar"))["topics"].outcome


async def test_topic_with_other_partitions(hanoi: Path) -> None:
    """Partitions cannot be changed any more, so that this warns."""
    await alter(hanoi.parent, "UPDATE topics SET partitions = 3 WHERE name = ?", INBOX)

    assert "has 3 partitions, the directory asks for 2" in (await only(hanoi, "topics", Outcome.WARNING)).found


async def test_topics_that_are_named_are_bounded(exchange: Path) -> None:
    """Of many topics the first are named, and the others counted."""
    await alter(exchange, "UPDATE topics SET name = 'elsewhere.' || id WHERE name != ?", topics.DIRECTORY)

    found = (await diagnoses(exchange / "registrar"))["topics"]

    assert found.found.startswith("10 of 11 are not as they should be: ")
    assert (5, True) == (found.found.count("create "), found.found.endswith("; and 5 more"))


# --- rights ---------------------------------------------------------------------------------------------


@pytest.fixture
def on_kafka(hanoi: Path) -> Path:
    """Return the folder of an agency whose settings name Kafka."""
    put_on_kafka(hanoi)
    return hanoi


async def of_kafka(folder: Path, **raised: Any) -> dict[str, Diagnosis]:
    """Examine a folder whose brokers refuse something."""
    return await diagnoses(folder, opened=lambda _: Brokers(folder.parent / "bus.db", **raised))


async def test_rights_that_are_enough(on_kafka: Path) -> None:
    """On Kafka all topics of the agency and its group are looked at, and everything passes."""
    brokers = Brokers(on_kafka.parent / "bus.db")

    found = await diagnoses(on_kafka, opened=lambda _: brokers)

    assert {} == not_passed(found)
    assert found["access"].found.startswith(f"docbus.directory, {INBOX}, ")
    assert f"{INBOX}, read up to nowhere yet" == found["consumer group"].found
    # An empty topic is read for a moment, as brokers refuse only then.
    assert LOOK_SECONDS == brokers.waits[INBOX]


async def test_position_of_the_group_is_shown(on_kafka: Path) -> None:
    """Up to where the group has read is in the answer."""
    async with (
        started_transport(load_settings(on_kafka.parent / "auditor")) as transport,
        transport.subscribe(INBOX, INBOX, start="earliest") as reading,
    ):
        await reading.commit({0: 0})

    assert f"{INBOX}, read up to offset 0 of partition 0" == (await of_kafka(on_kafka))["consumer group"].found


async def test_right_to_read_that_is_missing(on_kafka: Path) -> None:
    """A topic that may not be read fails with the command that lets this user."""
    found = await of_kafka(on_kafka, topics=refusing(AccessDeniedError, [INBOX]))

    assert {"access": Outcome.FAILED} == not_passed(found)
    command = (
        "kafka-acls.sh --bootstrap-server broker1:9092 --add --allow-principal User:h26 --operation Read"
        f" --topic {INBOX}"
    )
    assert command == found["access"].remedy


async def test_right_to_read_the_directory_that_is_missing(on_kafka: Path) -> None:
    """Without the directory nothing else is known; the right that is missing is named twice, and the brokers answer."""
    found = await of_kafka(on_kafka, topics=refusing(AccessDeniedError, [topics.DIRECTORY]))

    assert Outcome.PASSED is found["brokers"].outcome
    assert (Outcome.FAILED, True) == (
        found["directory"].outcome,
        (found["directory"].remedy or "").endswith("--operation Read --topic docbus.directory"),
    )
    assert Outcome.FAILED is found["access"].outcome


async def test_right_to_use_the_group_that_is_missing(on_kafka: Path) -> None:
    """A group that may not be used fails with the command that lets this user."""
    found = await of_kafka(on_kafka, group=AccessDeniedError("no"))

    assert {"consumer group": Outcome.FAILED} == not_passed(found)
    assert (found["consumer group"].remedy or "").endswith(f"--operation Read --group {INBOX}")


async def test_right_to_see_configurations_that_is_missing(on_kafka: Path) -> None:
    """Documents travel without that right, so that it warns, with the command that gives it."""
    found = await of_kafka(on_kafka, compare=AccessDeniedError("asking for configurations: no"))

    assert {"topics": Outcome.WARNING} == not_passed(found)
    assert "--operation DescribeConfigs --resource-pattern-type prefixed --topic docbus." in (
        found["topics"].remedy or ""
    )


async def test_questions_without_an_answer(on_kafka: Path) -> None:
    """What brokers fail to answer on the way is not taken for a missing right."""
    found = await of_kafka(
        on_kafka,
        topics=refusing(BrokerUnavailableError, [INBOX]),
        group=TransportError("later"),
        compare=TransportError("no"),
    )

    outcomes = {"access": Outcome.WARNING, "consumer group": Outcome.WARNING, "topics": Outcome.FAILED}
    assert outcomes == not_passed(found)


async def test_inbox_that_is_missing_has_no_rights(on_kafka: Path) -> None:
    """A topic that is not there is the business of another check."""
    found = await of_kafka(on_kafka, topics=refusing(TopicMissingError, [INBOX]), group=TopicMissingError("no"))

    assert {"consumer group": Outcome.NOT_ASKED} == not_passed(found)
    assert f"{INBOX}," not in found["access"].found


async def test_auditor_tries_one_inbox(exchange: Path) -> None:
    """An auditor's right is for all inboxes at once, so that one of them tells."""
    folder = exchange / "auditor"
    put_on_kafka(folder, user="auditor")

    allowed = await of_kafka(folder)
    denied = await of_kafka(folder, topics=refusing(AccessDeniedError, [INBOX]))

    assert (Outcome.PASSED, Outcome.FAILED) == (allowed["access"].outcome, denied["access"].outcome)
    command = "--allow-principal User:auditor --operation Read --resource-pattern-type prefixed --topic docbus.inbox."
    assert (denied["access"].remedy or "").endswith(command)


# --- time -----------------------------------------------------------------------------------------------


async def test_clock_that_is_behind(hanoi: Path) -> None:
    """A clock that says less than what was stored before is behind; a little is let pass, as everywhere."""
    async with started_transport(load_settings(hanoi)) as transport:
        (entry,) = await transport.read(topics.DIRECTORY, 0, 3, max_records=1, max_bytes=1 << 20, wait=0)
    newest = entry.timestamp_ms

    inside = await diagnoses(hanoi, clock=FakeClock(ms=newest - MAX_CLOCK_SKEW_MS))
    beyond = await diagnoses(hanoi, clock=FakeClock(ms=newest - MAX_CLOCK_SKEW_MS - 1))

    assert (Outcome.PASSED, Outcome.FAILED) == (inside["clock"].outcome, beyond["clock"].outcome)
    assert "is 300 s behind" in beyond["clock"].found


async def test_clock_behind_the_registrars(hanoi: Path) -> None:
    """The time in the registrar's last entry counts as well, whatever brokers say of their own."""
    await alter(hanoi.parent, "UPDATE records SET stored_ms = 0")

    found = await diagnoses(hanoi, clock=now(later_ms=-DAY_MS))

    assert Outcome.FAILED is found["clock"].outcome


async def test_embedded_bus_is_not_waited_for(hanoi: Path) -> None:
    """Where there are no rights to be refused, an empty topic is not waited for."""
    brokers = Brokers(hanoi.parent / "bus.db")

    await diagnoses(hanoi, opened=lambda _: brokers)

    assert 0.0 == brokers.waits[INBOX]


async def test_brokers_that_go_away_meanwhile(hanoi: Path) -> None:
    """Brokers that can be connected to and do not answer what is asked cannot be reached either."""
    put_on_kafka(hanoi)

    found = await of_kafka(hanoi, topics=refusing(BrokerUnavailableError, [topics.DIRECTORY]))

    assert dict.fromkeys(OF_BROKERS, Outcome.NOT_ASKED) | {"brokers": Outcome.FAILED} == not_passed(found)


async def test_certificate_that_does_not_hold_yet(hanoi: Path) -> None:
    """A clock that is far behind lies before the certificate's beginning, which points at the clock."""
    found = await diagnoses(hanoi, clock=now(later_ms=-400 * DAY_MS))

    assert Outcome.FAILED is found["certificate"].outcome
    assert "this machine's clock says" in found["certificate"].found
