"""What the doctor says of authorities' revocation lists."""

from __future__ import annotations

from contextlib import closing
from typing import TYPE_CHECKING, Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from docbus.client import collecting
from docbus.client.doctor import authorities
from docbus.client.doctor.authorities import known_material, lists
from docbus.client.doctor.diagnosis import Outcome
from docbus.client.material_memory import MaterialMemory
from docbus.errors import RevocationUnavailableError
from docbus.identity import entries
from docbus.identity.pki.crl import read_list
from docbus.identity.pki.material import NOTHING_KNOWN, ValidationMaterial
from docbus.identity.pki.ocsp import read_response
from docbus.settings import load_settings
from docbus.storage.database import Database
from docbus.wire.profiles import Profile
from tests.support.directory import DirectoryBuilder, grant_of, make_keys
from tests.support.outbox import FakeClock
from tests.support.pki import TestAuthority, ms

if TYPE_CHECKING:
    from pathlib import Path

ROOT = TestAuthority()
LIST = read_list(ROOT.revocations(ends=6))


def _snapshot(*named: TestAuthority) -> DirectoryBuilder:
    builder = DirectoryBuilder()
    for one in named:
        builder.append(entries.Authority(name=one.name, certificate=one.der, intermediates=()))
    return builder


SNAPSHOT = _snapshot(ROOT).snapshot()


@pytest.mark.parametrize(
    ("days", "outcome"), [(0, Outcome.PASSED), (5.5, Outcome.WARNING), (6, Outcome.WARNING), (7, Outcome.FAILED)]
)
def test_a_list_is_worth_a_word_a_day_before_its_end(days: float, outcome: Outcome) -> None:
    """And afterwards nothing under the authority is believed."""
    (found,) = lists(SNAPSHOT, ValidationMaterial([LIST]), ms(days))

    assert outcome is found.outcome
    assert "list 1 of CN=Root is good until 2026-11-29" in found.found


def test_an_authority_without_a_list_is_told() -> None:
    """One whose answers are known instead is left out, and so is everything where there are no authorities."""
    (found,) = lists(SNAPSHOT, NOTHING_KNOWN, ms(0))
    answers = ValidationMaterial([read_response(ROOT.response(ROOT.issue()))])

    assert Outcome.WARNING is found.outcome
    assert found.remedy is not None
    assert "docbus cert import" in found.remedy
    assert [] == lists(SNAPSHOT, answers, ms(0)) == lists(DirectoryBuilder().snapshot(), NOTHING_KNOWN, ms(0))


async def test_what_a_folder_keeps_is_looked_at(tmp_path: Path) -> None:
    """A folder without a database keeps nothing."""
    with closing(Database.open(tmp_path / "state.db", FakeClock())) as database:
        await MaterialMemory(database, FakeClock()).keep_list(LIST, SNAPSHOT)

    assert [LIST.digest] == list(known_material(tmp_path / "state.db").pieces)
    assert {} == known_material(tmp_path / "none.db").pieces


# --- the agency's own certificate ---------------------------------------------------------------------

AGENCY, LIST_URI = "vn:H26", "http://ca.test/ca.crl"
SUPERSEDED, HELD = x509.ReasonFlags.superseded, x509.ReasonFlags.certificate_hold
SERIAL = 0x1001


def _certified(*, uri: str | None = LIST_URI) -> DirectoryBuilder:
    builder = _snapshot(ROOT)
    keys = make_keys(AGENCY)
    names = [] if uri is None else [x509.UniformResourceIdentifier(uri)]
    points = x509.CRLDistributionPoints([x509.DistributionPoint(names, None, None, None)]) if names else None
    changed: Any = {} if points is None else {x509.CRLDistributionPoints: (points, False)}
    keys.certificate = ROOT.issue(keys.private_key, agency=AGENCY, changed=changed).public_bytes(Encoding.DER)
    builder.append(grant_of(keys))
    return builder


def _settings(folder: Path, *, fetch: bool = True) -> Any:
    text = f"""
[exchange]
environment = "test"
genesis = "{"00" * 32}"
[agency]
id = "{AGENCY}"
name = "Hà Nội"
[keys]
signing = "file:signing.pem"
certificate = "certificate.pem"
encryption = ["file:encryption.pem"]
[embedded]
file = "bus.db"
[certificates]
fetch = {str(fetch).lower()}
"""
    (folder / "docbus.toml").write_text(text, "utf-8")
    return load_settings(folder)


async def _own(
    folder: Path,
    *known: bytes,
    served: bytes | None = None,
    fetch: bool = True,
    uri: str | None = LIST_URI,
    snapshot: Any = None,
) -> tuple[list[Any], list[str]]:
    asked: list[str] = []

    async def web(uri: str, **_: Any) -> bytes:
        asked.append(uri)
        if served is None:
            raise RevocationUnavailableError(f"{uri} answers with status 404")
        return served

    found = await authorities.own(
        snapshot or _certified(uri=uri).snapshot(),
        _settings(folder, fetch=fetch),
        AGENCY,
        ValidationMaterial(read_list(one) for one in known),
        ms(0),
        fetch=web,
    )
    return found, asked


REVOKING = ROOT.revocations([(SERIAL, -0.5, SUPERSEDED)], number=2)


async def test_a_revoked_agency_hears_of_it_though_its_folder_has_no_list(tmp_path: Path) -> None:
    """Its authority is asked, at the address in its certificate, and the newest list decides."""
    ((found,), asked) = await _own(tmp_path, ROOT.revocations(), served=REVOKING)

    assert [LIST_URI] == asked
    assert Outcome.FAILED is found.outcome
    assert "was revoked as of" in found.found
    assert "others refuse what is signed under it" in found.found


@pytest.mark.parametrize(
    ("changed", "outcome", "text"),
    [
        pytest.param({"served": ROOT.revocations()}, Outcome.PASSED, "knows of no revocation", id="asked"),
        pytest.param({}, Outcome.WARNING, "could not be asked", id="nobody answers"),
        pytest.param(
            {"served": ROOT.revocations([(SERIAL, -0.5, HELD)])}, Outcome.WARNING, "is on hold since", id="on hold"
        ),
        pytest.param(
            {"fetch": False, "served": REVOKING},
            Outcome.WARNING,
            "nobody asks about this agency's own certificate: the settings say fetch = false",
            id="it is not let",
        ),
        pytest.param(
            {"uri": None, "served": REVOKING},
            Outcome.WARNING,
            "nobody asks about this agency's own certificate: it names no address",
            id="it does not say where",
        ),
    ],
)
async def test_it_is_told_whether_anybody_asks_about_the_own_certificate(
    tmp_path: Path, changed: dict[str, Any], outcome: Outcome, text: str
) -> None:
    """A line says it either way, with what to do."""
    ((found,), _) = await _own(tmp_path, **changed)

    assert outcome is found.outcome
    assert text in found.found
    assert (outcome is Outcome.WARNING) is (found.remedy is not None)


async def test_who_is_not_let_asks_nobody(tmp_path: Path) -> None:
    """On a closed network the doctor, too, makes no request; and of a self-made certificate nothing is said."""
    (_, asked) = await _own(tmp_path, fetch=False, served=REVOKING)
    made_by_itself = _snapshot(ROOT)
    made_by_itself.grant(AGENCY)

    assert [] == asked
    assert ([], []) == await _own(tmp_path, served=REVOKING, snapshot=made_by_itself.snapshot())


async def test_what_an_authority_has_forgotten_is_told(tmp_path: Path) -> None:
    """A finding against the authority; nothing where it has not."""
    snapshot = _certified().snapshot()
    with closing(Database.open(tmp_path / "state.db", FakeClock())) as database:
        memory = MaterialMemory(database, FakeClock())
        await memory.keep_list(read_list(REVOKING), snapshot)
        before = authorities.forgotten(tmp_path / "state.db")
        await memory.keep_list(read_list(ROOT.revocations(number=3)), snapshot)

    (found,) = authorities.forgotten(tmp_path / "state.db")

    assert [] == before
    assert Outcome.WARNING is found.outcome
    assert "list 3 of CN=Root has forgotten that certificate 1001 was revoked" in found.found


async def test_addresses_that_are_asked_about_the_own_certificate_are_bounded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is left out is told."""
    monkeypatch.setattr(collecting, "MAX_OWN", 0)
    ((found,), asked) = await _own(tmp_path, ROOT.revocations(), served=REVOKING)

    assert [] == asked
    assert "1 more addresses were not asked" in found.found


async def test_of_several_certificates_the_newest_is_named(tmp_path: Path) -> None:
    """In an overlap it is the one that signs; a revoked one comes before it."""
    builder = _certified(uri=None)
    newer = ROOT.issue(serial=SERIAL + 1).public_bytes(Encoding.DER)
    signing = entries.SigningKey(profile=Profile.ES256, certificates=(newer,))
    builder.append(
        entries.KeyRotation(agency=AGENCY, signing=signing, encryption=None, retire_signing=(), retire_encryption=())
    )
    snapshot = builder.snapshot()

    ((passed,), _) = await _own(tmp_path, ROOT.revocations(), snapshot=snapshot)
    ((revoked,), _) = await _own(tmp_path, REVOKING, snapshot=snapshot)

    assert f"{SERIAL + 1:x}" in passed.found
    assert "was revoked as of" in revoked.found
