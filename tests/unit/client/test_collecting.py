"""What is fetched for the certificates in force, and what becomes of each answer."""

from __future__ import annotations

import asyncio
from contextlib import closing
from typing import TYPE_CHECKING, Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509 import ocsp
from cryptography.x509.oid import AuthorityInformationAccessOID

from docbus.client import collecting
from docbus.client.collecting import collect, keep_collecting, question_of, wanted_of
from docbus.client.material_memory import MaterialMemory
from docbus.errors import RevocationUnavailableError
from docbus.identity import entries
from docbus.identity.pki.ocsp import read_response
from docbus.storage.database import Database
from tests.support.directory import DirectoryBuilder, grant_of, make_keys
from tests.support.outbox import FakeClock
from tests.support.pki import TestAuthority

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from docbus.identity.snapshot import TrustSnapshot

LIST, OCSP, BELOW = "http://ca.test/ca.crl", "http://ca.test/ocsp", "http://ca.test/root.crl"


def _points(uri: str) -> tuple[x509.ExtensionType, bool]:
    point = x509.DistributionPoint([x509.UniformResourceIdentifier(uri)], None, None, None)
    return x509.CRLDistributionPoints([point]), False


ANSWERS = x509.AuthorityInformationAccess(
    [x509.AccessDescription(AuthorityInformationAccessOID.OCSP, x509.UniformResourceIdentifier(OCSP))]
)
ROOT = TestAuthority()
ISSUING = TestAuthority(name="Issuing", above=ROOT, serial=2, changed={x509.CRLDistributionPoints: _points(BELOW)})


def _directory() -> tuple[TrustSnapshot, x509.Certificate]:
    """Return a directory with a certificate of a list, one of a responder, a self-made one and a closed agency's.

    The second is returned as well.
    """
    issued = []
    builder = DirectoryBuilder()
    builder.append(entries.Authority(name="Root", certificate=ROOT.der, intermediates=(ISSUING.der,)))
    for agency, serial, changed in (
        ("vn:H26", 0x26, {x509.CRLDistributionPoints: _points(LIST)}),
        ("vn:H53", 0x53, {x509.AuthorityInformationAccess: (ANSWERS, False)}),
        ("vn:H37", 0x37, {x509.CRLDistributionPoints: _points("http://ca.test/retired.crl")}),
    ):
        keys = make_keys(agency)
        made = ISSUING.issue(keys.private_key, agency=agency, serial=serial, changed=changed)
        keys.certificate = made.public_bytes(Encoding.DER)
        builder.append(grant_of(keys))
        issued.append(made)
    builder.append(entries.Closure(agency="vn:H37", successor=None, reason="dissolved"))
    builder.grant("vn:H41")
    return builder.snapshot(), issued[1]


SNAPSHOT, ASKED = _directory()
SNAPSHOT_WITHOUT = DirectoryBuilder().snapshot()


@pytest.fixture
def memory(tmp_path: Path) -> Iterator[MaterialMemory]:
    """Return an agency's memory."""
    with closing(Database.open(tmp_path / "state.db", FakeClock())) as opened:
        yield MaterialMemory(opened, FakeClock())


class _Web:
    """Answers by address."""

    def __init__(self, **answers: bytes) -> None:
        self.answers = answers
        self.asked: list[tuple[str, bytes | None]] = []

    async def __call__(
        self, uri: str, *, max_bytes: int, body: bytes | None = None, headers: Any = None, stopped: Any = None
    ) -> bytes:
        self.asked.append((uri, body))
        found = self.answers.get(uri)
        if found is None:
            raise RevocationUnavailableError(f"{uri} answers with status 404")
        assert len(found) <= max_bytes
        return found


def _web(**changed: bytes) -> _Web:
    web = _Web()
    web.answers = {
        LIST: ISSUING.revocations(),
        BELOW: ROOT.revocations(),
        OCSP: ISSUING.response(ASKED, nonce=b"n" * 16),
    } | {{"list": LIST, "below": BELOW, "ocsp": OCSP}[name]: content for name, content in changed.items()}
    return web


def test_lists_and_questions_are_those_of_certificates_in_force() -> None:
    """A list is asked for once; a responder where there is no list; closed agencies and self-made keys not at all."""
    wanted = wanted_of(SNAPSHOT)

    assert (LIST, BELOW) == wanted.lists
    assert [(OCSP, 0x53)] == [(one.uri, one.certificate.serial_number) for one in wanted.questions]
    assert 0 == wanted.left_out
    assert ((), (), 0) == wanted_of(SNAPSHOT_WITHOUT)


def test_the_own_certificate_is_asked_about_first_whatever_is_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    """A revoked agency has to hear of it, however many others there are."""
    monkeypatch.setattr(collecting, "MAX_FETCHED", 1)

    assert ((LIST,), ()) == wanted_of(SNAPSHOT)[:2]
    assert ((), [OCSP]) == (
        wanted_of(SNAPSHOT, "vn:H53").lists,
        [one.uri for one in wanted_of(SNAPSHOT, "vn:H53").questions],
    )
    assert 2 == wanted_of(SNAPSHOT, "vn:H53").left_out


def test_addresses_of_a_round_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is left out is counted."""
    monkeypatch.setattr(collecting, "MAX_FETCHED", 1)
    wanted = wanted_of(SNAPSHOT)

    assert ((LIST,), (), 2) == wanted


async def test_what_comes_is_kept(memory: MaterialMemory) -> None:
    """The second time nothing of it is new, but an answer, which is made anew each time."""
    web = _web()

    def rounds() -> Any:
        return collect(wanted_of(SNAPSHOT), memory, SNAPSHOT, fetch=web, nonce=lambda: b"n" * 16)

    first, second = await rounds(), await rounds()

    assert ((LIST, BELOW, OCSP), (), ()) == first
    assert (LIST, BELOW) == second.known
    assert 3 == len(memory.current.pieces)
    body = web.asked[2][1]
    assert body is not None
    assert 0x53 == ocsp.load_der_ocsp_request(body).serial_number


@pytest.mark.parametrize(
    ("changed", "expected"),
    [
        ({"list": b"<html>"}, "cannot be read"),
        ({"list": TestAuthority().revocations()}, "signed by no authority"),
        ({"ocsp": ISSUING.response(ASKED, nonce=b"m" * 16)}, "its nonce is not the one sent"),
        ({"ocsp": ISSUING.response(ISSUING.issue(serial=1))}, "not its authority's word"),
    ],
)
async def test_what_is_nothing_is_told_and_holds_nothing_up(
    memory: MaterialMemory, changed: dict[str, bytes], expected: str
) -> None:
    """One address that fails leaves the others as they are."""
    found = await collect(wanted_of(SNAPSHOT), memory, SNAPSHOT, fetch=_web(**changed), nonce=lambda: b"n" * 16)

    ((_, text),) = found.failed
    assert expected in text
    assert 2 == len(found.new) == len(memory.current.pieces)


async def test_rounds_go_on_until_they_are_stopped(memory: MaterialMemory, monkeypatch: pytest.MonkeyPatch) -> None:
    """One that failed is made again sooner."""
    pauses: list[float] = []
    stop = asyncio.Event()

    async def wait(_event: asyncio.Event, seconds: float) -> bool:
        pauses.append(seconds)
        if len(pauses) > 1:
            stop.set()
        return stop.is_set()

    web = _Web()

    async def told(wanted: Any, kept: MaterialMemory, known: Any, stopped: Any) -> Any:
        return await collect(wanted, kept, known, fetch=web, nonce=lambda: b"n" * 16, stopped=stopped)

    monkeypatch.setattr(collecting, "wait_for", wait)
    monkeypatch.setattr(collecting, "collect", lambda *given, stopped: _then(told(*given, stopped), web))
    await keep_collecting(lambda: SNAPSHOT, "vn:H26", memory, stop)

    assert [collecting.AGAIN_SECONDS, collecting.EVERY_SECONDS] == pauses


async def _then(running: Any, web: _Web) -> Any:
    found = await running
    web.answers = _web().answers
    return found


def test_a_response_in_a_file_finds_its_certificate() -> None:
    """Among those in force; of another one there is none."""
    found = question_of(read_response(ISSUING.response(ASKED)), SNAPSHOT)

    assert found is not None
    assert 0x53 == found[0].serial_number
    assert None is question_of(read_response(ISSUING.response(ISSUING.issue(serial=9))), SNAPSHOT)


async def test_who_is_stopped_asks_for_nothing_more(memory: MaterialMemory) -> None:
    """A process ends in seconds, however many addresses are left."""
    web = _web()
    found = await collect(wanted_of(SNAPSHOT), memory, SNAPSHOT, fetch=web, stopped=lambda: len(web.asked) > 0)

    assert ((LIST,), 1) == (found.new, len(web.asked))
