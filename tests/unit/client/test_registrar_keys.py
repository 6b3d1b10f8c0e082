"""Files of the registrar's keys."""

from __future__ import annotations

import stat
from typing import TYPE_CHECKING

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from docbus.client.registrar_keys import make_registrar_key, read_registrar_key
from docbus.errors import ConfigurationError, KeyFileError
from docbus.identity.signing import open_registrar_signer

if TYPE_CHECKING:
    from pathlib import Path


def test_key_is_made_in_two_files(tmp_path: Path) -> None:
    """The private half is its owner's alone, and signs; the public one is the same key."""
    made = make_registrar_key(tmp_path / "second.pem")

    signer = open_registrar_signer(f"file:{tmp_path / 'second.pem'}")
    assert 0o600 == stat.S_IMODE((tmp_path / "second.pem").stat().st_mode)
    assert (signer.key, signer.public_key) == (made.key, read_registrar_key(made.public))


@pytest.mark.parametrize("there", ["second.pem", "second.pub.pem"])
def test_no_file_is_overwritten(tmp_path: Path, there: str) -> None:
    """What is there stays, and no half of a new key is left beside it."""
    (tmp_path / there).write_text("precious")

    with pytest.raises(ConfigurationError, match=f"{there} cannot be made"):
        make_registrar_key(tmp_path / "second.pem")

    assert [there] == [path.name for path in tmp_path.iterdir()]
    assert "precious" == (tmp_path / there).read_text()


def test_only_public_keys_that_may_sign_are_read(tmp_path: Path) -> None:
    """A private key, another curve, no PEM and no file each have their reason."""
    made = make_registrar_key(tmp_path / "second.pem")
    other = ec.generate_private_key(ec.SECP521R1()).public_key()
    (tmp_path / "p521.pem").write_bytes(other.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo))
    (tmp_path / "text.pem").write_text("no key")

    assert 91 == len(read_registrar_key(made.public))
    for name, reason in {
        "second.pem": "is not a public key",
        "p521.pem": "only P-256",
        "text.pem": "is not a public key",
        "none.pem": "cannot be read",
    }.items():
        with pytest.raises(KeyFileError, match=reason):
            read_registrar_key(tmp_path / name)
