"""The folder of a small authority: nothing is given twice, and nothing that was revoked is forgotten."""

from __future__ import annotations

import fcntl
import json
import stat
from typing import TYPE_CHECKING

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec

from docbus.client import issuing
from docbus.client.issuing import CERTIFICATE, JOURNAL, KEY, Authority, found_authority
from docbus.errors import ConfigurationError, IdentityError, KeyFileError, LockedError
from docbus.identity.pki.crl import read_list
from docbus.identity.pki.issuing import make_request
from tests.support.outbox import FakeClock
from tests.support.pki import AGENCY

if TYPE_CHECKING:
    from pathlib import Path

REQUEST = make_request(ec.generate_private_key(ec.SECP256R1()), AGENCY)
CLOCK = FakeClock()
SUPERSEDED = x509.ReasonFlags.superseded


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Return the folder of an authority."""
    found_authority(tmp_path / "ca", name="Authority", clock=CLOCK, points=["http://ca.test/ca.crl"])
    return tmp_path / "ca"


def test_key_and_journal_are_for_their_owner_alone(folder: Path) -> None:
    """The certificate is for everybody."""
    modes = [stat.S_IMODE((folder / name).stat().st_mode) for name in (KEY, JOURNAL, CERTIFICATE)]

    assert [0o600, 0o600, 0o644] == modes


def test_an_authority_is_founded_once(folder: Path) -> None:
    """A second one would take the first one's key away."""
    before = (folder / KEY).read_bytes()
    with pytest.raises(ConfigurationError, match="cannot be made"):
        found_authority(folder, name="Another", clock=CLOCK)

    assert before == (folder / KEY).read_bytes()


def test_what_was_issued_and_revoked_is_known_to_the_next_process(folder: Path) -> None:
    """The journal says all of it, and lists are numbered on."""
    first, second = (Authority(folder, CLOCK).issue(REQUEST, days=30) for _ in range(2))
    Authority(folder, CLOCK).revoke(first.serial, SUPERSEDED)
    lists = [read_list(Authority(folder, CLOCK).list_revocations(days=7)) for _ in range(2)]
    known = Authority(folder, CLOCK).issued()

    assert first.serial != second.serial
    assert [(first.serial, SUPERSEDED), (second.serial, None)] == [
        (one.serial, one.revoked and one.revoked.reason) for one in known
    ]
    assert [1, 2] == [one.number for one in lists]
    assert [{first.serial}] * 2 == [set(one.revoked) for one in lists]


def test_a_line_that_was_cut_short_was_never_answered_for(folder: Path) -> None:
    """After a crash in the middle of a line the next entry takes its place."""
    issued = Authority(folder, CLOCK).issue(REQUEST, days=30)
    with (folder / JOURNAL).open("ab") as journal:
        journal.write(b'{"event":"issued","serial":"12')
    again = Authority(folder, CLOCK).issue(REQUEST, days=30)

    assert [issued.serial, again.serial] == [one.serial for one in Authority(folder, CLOCK).issued()]
    assert 3 == len([json.loads(line) for line in (folder / JOURNAL).read_bytes().splitlines()])


@pytest.mark.parametrize("content", [b"", b"[]\n", b'{"event":"issued"}\n', b"not JSON\n"])
def test_a_damaged_journal_issues_nothing(folder: Path, content: bytes) -> None:
    """Without it nobody knows what was revoked."""
    (folder / JOURNAL).write_bytes(content)
    with pytest.raises(ConfigurationError, match="journal of issued certificates is damaged"):
        Authority(folder, CLOCK).issue(REQUEST, days=30)


def test_a_journal_has_a_bounded_size(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is read whole."""
    monkeypatch.setattr(issuing, "MAX_JOURNAL_BYTES", 10)
    with pytest.raises(ConfigurationError, match="more than 10 bytes"):
        Authority(folder, CLOCK).issued()


def test_one_process_at_a_time_writes(folder: Path) -> None:
    """Two would give a number twice."""
    with (folder / JOURNAL).open("rb") as journal:
        fcntl.flock(journal, fcntl.LOCK_EX)
        with pytest.raises(LockedError, match="another process writes"):
            Authority(folder, CLOCK).issue(REQUEST, days=30)


@pytest.mark.parametrize("days", [0, 732])
def test_a_certificate_is_for_two_years_at_most(folder: Path, days: int) -> None:
    """Nobody would believe a longer one."""
    with pytest.raises(IdentityError, match="1 to 731 are allowed"):
        Authority(folder, CLOCK).issue(REQUEST, days=days)


def test_only_what_was_issued_is_revoked_and_once(folder: Path) -> None:
    """A typing error revokes nothing, and a second reason does not take the place of the first."""
    authority = Authority(folder, CLOCK)
    issued = authority.issue(REQUEST, days=30)
    with pytest.raises(IdentityError, match="was issued here"):
        authority.revoke(1, SUPERSEDED)
    authority.revoke(issued.serial, SUPERSEDED)

    with pytest.raises(IdentityError, match="was revoked before"):
        authority.revoke(issued.serial, x509.ReasonFlags.key_compromise)


@pytest.mark.parametrize(
    ("name", "content", "error"),
    [(CERTIFICATE, b"nothing", ConfigurationError), (KEY, b"nothing", KeyFileError)],
)
def test_a_folder_that_is_no_authoritys_is_told_so(
    folder: Path, name: str, content: bytes, error: type[Exception]
) -> None:
    """Whatever is missing or damaged is named."""
    (folder / name).write_bytes(content)
    with pytest.raises(error, match=name):
        Authority(folder, CLOCK)
    (folder / name).unlink()
    with pytest.raises(error, match=name):
        Authority(folder, CLOCK)
