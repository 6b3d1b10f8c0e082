"""Keys of the hybrid profile on the command line: certified by an authority, granted, used, and rotated to."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable

HYBRID = "es256-ml-dsa-65"
BEGIN = "-----BEGIN CERTIFICATE-----"


@pytest.fixture
def authority(exchange: Path, docbus: Callable[..., Any]) -> Callable[..., Any]:
    """Return the command line where the directory names an authority."""
    assert 0 == docbus("-C", "ca", "cert", "ca", "init", "--name", "Authority").code
    assert 0 == docbus("-C", "registrar", "registrar", "authority", "add", "ca/authority.crt.pem").code
    return docbus


def issue_both(docbus: Callable[..., Any], folder: str, request: str) -> None:
    """Have certificates issued for two keys, with the list that says that they are not revoked, and use them."""
    issued = docbus("-C", "ca", "cert", "issue", request, "--days", "30", "-o", "both.crt")
    assert (0, 2) == (issued.code, issued.err.count("serial number"))
    # In the other order, and with the authority's own among them, as some hand them out.
    ca, both = Path("ca/authority.crt.pem").read_text("ascii"), Path("both.crt").read_text("ascii").split(BEGIN)
    Path("chain.pem").write_text(BEGIN + both[2] + ca, "ascii")
    Path("first.pem").write_text(BEGIN + both[1], "ascii")
    assert 2 == docbus("-C", folder, "cert", "use", "first.pem").code
    assert 0 == docbus("-C", folder, "cert", "use", "chain.pem", "first.pem").code
    assert 0 == docbus("-C", "ca", "cert", "crl", "-o", "crl").code


def test_a_new_agency_has_both_keys_certified(authority: Callable[..., Any]) -> None:
    """Two requests, two certificates, one join request; what both keys sign is received."""
    docbus = authority
    genesis = docbus("-C", "registrar", "registrar", "show", "--output", "json").json["genesis"]
    docbus(
        *("-C", "new", "init", "--code", "H30", "--name", "Hà Tĩnh", "--environment", "test", "--genesis", genesis),
        *("--bus", "bus.db", "--profile", HYBRID),
    )
    assert 0 == docbus("-C", "new", "cert", "request", "-o", "csr").code
    issue_both(docbus, "new", "csr")

    (request,) = Path("new").glob("H30-*.join")
    granted = docbus("-C", "registrar", "registrar", "grant", str(request))
    assert 0 == docbus("-C", "registrar", "provision").code
    assert 0 == docbus("-C", "new", "cert", "import", "crl").code
    assert 0 == docbus("-C", "new", "publish", "letter.txt", "--to", "H26", "--wait", "sent").code

    assert 0 == granted.code
    (key, _) = docbus("-C", "new", "keys", "show", "--output", "json").json["keys"]
    assert ("ES256+ML-DSA-65", "in force") == (key["profile"], key["state"])
    revoked = docbus("-C", "registrar", "registrar", "revoke", "new/keys/certificate.pem", "--reason", "lost")
    assert 0 == revoked.code
    assert "revoked" in docbus("-C", "new", "keys", "show").out


def test_an_agency_rotates_to_both_keys(authority: Callable[..., Any]) -> None:
    """From one self-made key to two that an authority certifies, by the steps of any rotation."""
    docbus = authority
    begun = docbus("-C", "H26", "keys", "rotate", "--profile", HYBRID, "--authority", "--output", "json").json
    assert "certifying" == begun["step"]
    assert 2 == Path(begun["certification"]).read_text("ascii").count("BEGIN CERTIFICATE REQUEST")
    assert [] == docbus("-C", "H26", "keys", "rotate", "--output", "json").json["done"]
    issue_both(docbus, "H26", begun["certification"])

    asked = docbus("-C", "H26", "keys", "rotate", "--status", "--output", "json").json
    assert "requested" == asked["step"]
    assert 0 == docbus("-C", "registrar", "registrar", "rotate", asked["request"], "--overlap", "10d").code
    assert 0 == docbus("-C", "H26", "cert", "import", "crl").code
    assert 0 == docbus("-C", "H26", "publish", "letter.txt", "--to", "H37.02.02", "--wait", "sent").code
    assert "overlapping" == docbus("-C", "H26", "keys", "rotate", "--output", "json").json["step"]
    shown = docbus("-C", "H26", "keys", "show", "--output", "json").json["keys"]
    assert ("signing", "ES256+ML-DSA-65", True) == (
        shown[0]["use"],
        shown[0]["profile"],
        shown[0]["last_used_at"] is not None,
    )
