"""C1.23: which certificates are asked for a path, at which time, under which authorities; and what is remembered."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from docbus.envelope.statement import Head
from docbus.errors import IndeterminateError, VerificationError
from docbus.identity import entries
from docbus.identity.pki.material import NOTHING_KNOWN, ValidationMaterial, read_piece
from docbus.verification import paths
from docbus.verification.paths import Paths
from tests.support.directory import DirectoryBuilder, grant_of, make_keys
from tests.support.pki import TestAuthority, ms

if TYPE_CHECKING:
    from docbus.identity.snapshot import TrustSnapshot
    from docbus.verification.paths import Basis

HANOI, TAY_NINH = "vn:H26", "vn:H53"
ROOT = TestAuthority()
SUPERSEDED = x509.ReasonFlags.superseded
SERIAL = 0x1001
NAMED, GRANTED, ENDED = 2, 1, 3


def _builder(*, forged: bool = False) -> tuple[DirectoryBuilder, bytes]:
    """Return a log in which an agency's certificate is granted before its authority is named, and then ended."""
    builder = DirectoryBuilder()
    keys = make_keys(HANOI)
    issuer = TestAuthority() if forged else ROOT
    keys.certificate = issuer.issue(keys.private_key, serial=SERIAL).public_bytes(Encoding.DER)
    builder.append(grant_of(keys))
    builder.append(entries.Authority(name="Root", certificate=ROOT.der, intermediates=()))
    builder.append(entries.AuthorityEnd(authority=ROOT.anchor().digest, reason="superseded"))
    builder.grant(TAY_NINH)
    return builder, keys.signer.certificate


BUILDER, CERTIFICATE = _builder()


def _head(days: float = 0, position: int = NAMED) -> Head:
    """Return as much of a head as is looked at."""
    values: dict[str, Any] = dict.fromkeys(Head._fields)
    return Head(**(values | {"made_at": ms(days), "directory_position": position}))


def _material(*pieces: bytes) -> ValidationMaterial:
    return ValidationMaterial(read_piece(one) for one in pieces)


CLEAN = _material(ROOT.revocations())
NEWER = ROOT.revocations(number=2)


def _live(
    judging: Paths, *, days: float = 0, made: float = 0, position: int = NAMED, head: int | None = None
) -> Basis | None:
    snapshot = BUILDER.replay().snapshot(position)
    return _checked(judging, snapshot, days, _head(made, position if head is None else head))


def _checked(judging: Paths, snapshot: TrustSnapshot, days: float, head: Head) -> Basis | None:
    grant = snapshot.certificate(CERTIFICATE)
    assert grant is not None
    return judging.check_live(grant, head, snapshot, ms(days))


def test_before_its_authority_is_named_a_certificate_counts_as_self_made() -> None:
    """And so does one that an agency has made itself, whatever authorities there are."""
    snapshot = BUILDER.replay().snapshot()
    own = snapshot.agency(TAY_NINH)
    assert own is not None
    grant = snapshot.certificate(own.certificates[0])
    assert grant is not None

    assert None is _live(Paths(), position=GRANTED)
    assert None is Paths().check_live(grant, _head(position=ENDED), snapshot, ms(0))
    assert None is Paths().check_recorded(grant, _head(position=ENDED), snapshot, None)


def test_from_then_on_it_needs_a_path_and_the_authoritys_word() -> None:
    """Nothing known is indeterminate, and what passes says what it rests on."""
    with pytest.raises(IndeterminateError) as caught:
        _live(Paths())
    found = _live(Paths(lambda: CLEAN))

    assert ("C1.23", "revocation_unknown") == (caught.value.step, caught.value.code)
    assert found is not None
    assert (ms(0), tuple(CLEAN.pieces)) == (found.at_ms, found.rests_on)


def test_once_its_authority_is_ended_nothing_passes() -> None:
    """Not even with a clean list; for an auditor the entry of the statement decides."""
    snapshot = BUILDER.replay().snapshot()
    grant = snapshot.certificate(CERTIFICATE)
    assert grant is not None
    with pytest.raises(VerificationError) as caught:
        _live(Paths(lambda: CLEAN), position=ENDED, head=NAMED)

    assert ("C1.23", "path_invalid") == (caught.value.step, caught.value.code)
    assert None is not Paths(lambda: CLEAN).check_recorded(grant, _head(), snapshot, None)


def test_what_a_recipient_files_had_a_path_when_it_was_made() -> None:
    """A statement that claims to be older than its certificate is refused, as an auditor would refuse it."""
    with pytest.raises(VerificationError, match="X2 when it was made") as caught:
        _live(Paths(lambda: CLEAN), made=-11)

    assert "path_invalid" == caught.value.code


def test_a_forged_certificate_has_no_path() -> None:
    """Though the registrar should have granted it before it named the authority."""
    builder, certificate = _builder(forged=True)
    snapshot = builder.replay().snapshot(NAMED)
    grant = snapshot.certificate(certificate)
    assert grant is not None
    with pytest.raises(VerificationError) as caught:
        Paths(lambda: CLEAN).check_live(grant, _head(), snapshot, ms(0))

    assert "path_invalid" == caught.value.code


def test_a_revocation_reaches_who_judges_on() -> None:
    """New material is asked at once; what was remembered under the old one decides nothing."""
    known = CLEAN
    judging = Paths(lambda: known)
    _live(judging)
    known = _material(ROOT.revocations([(SERIAL, -1, SUPERSEDED)], number=2))
    with pytest.raises(VerificationError) as caught:
        _live(judging)

    assert "revoked_by_authority" == caught.value.code


def test_a_remembered_verdict_ends_with_the_list() -> None:
    """The same material, a week later, says nothing any more."""
    judging = Paths(lambda: CLEAN)
    _live(judging, days=6)
    with pytest.raises(IndeterminateError):
        _live(judging, days=6.001)


def test_a_verdict_is_remembered_as_long_as_it_holds(monkeypatch: pytest.MonkeyPatch) -> None:
    """A thousand statements under one certificate are judged once."""
    asked = []
    judge = paths.judge
    monkeypatch.setattr(paths, "judge", lambda *told, **more: asked.append(told) or judge(*told, **more))
    judging, snapshot = Paths(lambda: CLEAN), BUILDER.replay().snapshot(NAMED)
    for at in range(1000):
        _checked(judging, snapshot, at / 1000, _head())

    assert 1 == len(asked)


def test_a_no_is_not_remembered() -> None:
    """What could not be decided, or failed, is asked again."""
    known = NOTHING_KNOWN
    judging = Paths(lambda: known)
    with pytest.raises(IndeterminateError):
        _live(judging)
    known = CLEAN

    assert None is not _live(judging)


def test_remembered_verdicts_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """The oldest is forgotten, and judged again."""
    monkeypatch.setattr(paths, "MAX_REMEMBERED", 1)
    judging, snapshot = Paths(lambda: CLEAN), BUILDER.replay().snapshot()
    own = snapshot.agency(TAY_NINH)
    assert own is not None
    _live(judging)
    grant = snapshot.certificate(own.certificates[0])
    assert grant is not None
    judging.check_live(grant, _head(position=ENDED), snapshot, ms(0))

    assert [grant.digest] == list(judging._remembered)


def test_an_auditor_does_not_take_a_statements_word_for_its_time() -> None:
    """Revoked after it says it was made: undecided, unless something else shows that it was there before.

    That it was there after the revocation shows nothing, nor that it was there before it was made.
    """
    known = _material(ROOT.revocations(), ROOT.revocations([(SERIAL, 2, SUPERSEDED)], number=2, begins=2, ends=9))
    snapshot = BUILDER.replay().snapshot()
    grant = snapshot.certificate(CERTIFICATE)
    assert grant is not None
    judging = Paths(lambda: known)
    with pytest.raises(IndeterminateError) as later:
        judging.check_recorded(grant, _head(1), snapshot, None)
    assert "revoked_by_authority_later" == later.value.code
    for known_at in (2, 5000, 0.5):
        with pytest.raises(IndeterminateError) as no_help:
            judging.check_recorded(grant, _head(1), snapshot, ms(known_at))
        assert "revoked_by_authority_later" == no_help.value.code
    for known_at in (2.5, 0.5):
        with pytest.raises(VerificationError) as after:
            judging.check_recorded(grant, _head(3), snapshot, ms(known_at))
        assert "revoked_by_authority" == after.value.code
    found = judging.check_recorded(grant, _head(1), snapshot, ms(1.5))
    assert found is not None
    assert ms(1.5) == found.at_ms


def test_the_verdict_of_a_recipient_is_the_same_in_ten_years() -> None:
    """With nothing but the pieces that it rested on, and the time for which it was asked."""
    older = ROOT.revocations()
    live = _live(Paths(lambda: _material(older, NEWER)), days=1)
    assert live is not None
    assert (read_piece(NEWER).digest,) == live.rests_on
    snapshot = BUILDER.replay().snapshot()
    grant = snapshot.certificate(CERTIFICATE)
    assert grant is not None
    stored = _material(*(one for one in (older, NEWER) if read_piece(one).digest in live.rests_on))

    assert live == Paths(lambda: stored).check_recorded(grant, _head(), snapshot, live.at_ms)


def test_who_asked_live_is_answered_anew_as_an_auditor() -> None:
    """A list of tomorrow that knows of a revocation is passed by today, and is not when the past is asked about."""
    tomorrow = ROOT.revocations([(SERIAL, 0.5, SUPERSEDED)], number=2, begins=1, ends=9)
    known = _material(ROOT.revocations(), tomorrow)
    judging = Paths(lambda: known)
    snapshot = BUILDER.replay().snapshot(NAMED)
    grant = snapshot.certificate(CERTIFICATE)
    assert grant is not None
    assert None is not _live(judging)

    with pytest.raises(IndeterminateError, match="revoked by its authority later"):
        judging.check_recorded(grant, _head(), snapshot, None)
