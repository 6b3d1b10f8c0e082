"""Authorities in the directory, at each position, and what the registrar asks of certificates that they have issued."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from cryptography.hazmat.primitives.serialization import Encoding

from docbus.errors import DirectoryError, IdentityError
from docbus.identity import authorities, entries
from docbus.identity.authorities import check_issuer
from docbus.identity.pki.authorities import NO_AUTHORITIES
from tests.support.directory import NOW_MS, DirectoryBuilder
from tests.support.pki import AGENCY, TestAuthority, authorities_of

if TYPE_CHECKING:
    from cryptography import x509

ROOT = TestAuthority()
BELOW = TestAuthority(name="Issuing", above=ROOT, serial=2)
OTHER = TestAuthority(name="Other")


def _named(authority: TestAuthority, *below: TestAuthority) -> entries.Authority:
    return entries.Authority(
        name=authority.name, certificate=authority.der, intermediates=tuple(one.der for one in below)
    )


def _der(certificate: x509.Certificate) -> bytes:
    return certificate.public_bytes(Encoding.DER)


def test_authorities_are_in_force_from_their_entry_to_their_end() -> None:
    """Each position has its own, and the names of those that were ended are remembered."""
    builder = DirectoryBuilder()
    builder.append(_named(ROOT))
    builder.append(_named(OTHER))
    builder.append(_named(ROOT, BELOW))
    builder.append(entries.AuthorityEnd(authority=ROOT.anchor().digest, reason="superseded"))
    snapshot = builder.snapshot()
    found = [snapshot.authorities(position) for position in range(5)]

    assert [[], ["Root"], ["Root", "Other"], ["Other", "Root"], ["Other"]] == [
        [one.name for one in each.anchors] for each in found
    ]
    assert [0, 0, 0, 1, 0] == [len(each.intermediates) for each in found]
    assert [0, 1, 2, 3, 3] == [len(each.names) for each in found]
    assert found[-1] is snapshot.authorities()
    assert [1, 2] == [one.named_at for one in found[2].anchors]


def test_authorities_in_force_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """One too many is refused; one that is named again is none too many."""
    monkeypatch.setattr(authorities, "MAX_AUTHORITIES", 1)
    builder = DirectoryBuilder()
    builder.append(_named(ROOT))
    builder.append(_named(ROOT, BELOW))
    replay = builder.replay()
    with pytest.raises(DirectoryError, match="authority_fit: there would be more than 1 authorities"):
        replay.apply(builder.value(_named(OTHER)))


def test_a_certificate_of_an_authority_needs_a_path_to_be_granted() -> None:
    """A genuine one has it; one with the authority's name and another signature has none."""
    known = authorities_of(ROOT.anchor(BELOW))
    genuine, forged = BELOW.issue(), TestAuthority(name="Issuing").issue()

    assert None is check_issuer(_der(genuine), AGENCY, known, at_ms=NOW_MS, unnamed_issuer=False)
    with pytest.raises(IdentityError, match="fails X2 path_invalid"):
        check_issuer(_der(forged), AGENCY, known, at_ms=NOW_MS, unnamed_issuer=False)


def test_a_certificate_of_nobody_whom_the_directory_names_is_granted_only_if_that_is_meant() -> None:
    """As one that the agency has made itself; an authority below a named one, which was left out, is the trap."""
    anchor = authorities_of(ROOT.anchor())
    for issuer in (OTHER, BELOW):
        with pytest.raises(IdentityError, match=f"CN={issuer.name}, which issued .* is no authority of the directory"):
            check_issuer(_der(issuer.issue()), AGENCY, anchor, at_ms=NOW_MS, unnamed_issuer=False)
    said = check_issuer(_der(OTHER.issue()), AGENCY, anchor, at_ms=NOW_MS, unnamed_issuer=True)

    assert "CN=Other, which issued the certificate, is no authority of the directory: it counts as self-made" == said


def test_a_self_made_certificate_asks_for_nothing() -> None:
    """Keys that are granted by their digest go on working, whatever authorities there are."""
    builder = DirectoryBuilder()
    keys = builder.grant(AGENCY)

    assert None is check_issuer(keys.certificate, AGENCY, NO_AUTHORITIES, at_ms=NOW_MS, unnamed_issuer=False)
    assert None is check_issuer(
        keys.certificate, AGENCY, authorities_of(ROOT.anchor()), at_ms=NOW_MS, unnamed_issuer=False
    )
