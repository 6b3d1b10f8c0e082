"""Private keys by URI."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import BestAvailableEncryption, Encoding, PrivateFormat

from docbus.errors import KeyFileError
from docbus.identity.keyfile import MAX_KEY_FILE_BYTES, path_of, read_private_keys
from docbus.identity.signing import generate_signing_key, private_key_pem
from docbus.wire.profiles import Profile

if TYPE_CHECKING:
    from pathlib import Path


def write_key(path: Path, content: bytes, mode: int = 0o600) -> str:
    """Store a key file and return its URI."""
    path.write_bytes(content)
    path.chmod(mode)
    return f"file:{path}"


@pytest.mark.parametrize(
    ("uri", "path"),
    [
        ("file:key.pem", "key.pem"),
        ("file:/a/k.pem", "/a/k.pem"),
        ("file:///a/k.pem", "/a/k.pem"),
        ("file:a%20b", "a%20b"),
    ],
)
def test_path_is_what_follows_the_scheme(uri: str, path: str) -> None:
    """A path is taken literally, relative or absolute."""
    assert path == str(path_of(uri))


@pytest.mark.parametrize("uri", ["", "file:", "key.pem", "http://host/key", "file:a\x00b"])
def test_other_uri_is_refused(uri: str) -> None:
    """Another scheme, or none, is not read as a path."""
    with pytest.raises(KeyFileError) as caught:
        path_of(uri)

    assert "Name a PEM file as file:/path/to/key.pem." == caught.value.hint


def test_a_token_where_a_file_has_to_be_is_refused_and_not_repeated() -> None:
    """A decryption key is none of a token's, and a PIN that somebody put into its URI is not shown."""
    with pytest.raises(KeyFileError, match="where only a file can be") as caught:
        path_of("pkcs11:token=a;object=b?pin-value=1357")

    assert "1357" not in caught.value.text


def test_keys_are_read_in_order(tmp_path: Path) -> None:
    """All keys of a file come in the order in which they stand."""
    keys = [generate_signing_key(Profile.ES256) for _ in range(2)]
    uri = write_key(tmp_path / "k", b"".join(private_key_pem(key) for key in keys))

    found = read_private_keys(uri)

    assert [private_key_pem(key) for key in keys] == [private_key_pem(key) for key in found]  # type: ignore[arg-type] # signing keys


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o660, 0o601, 0o644])
def test_key_open_to_others_is_refused(tmp_path: Path, mode: int) -> None:
    """A key that others can use is refused with the command that mends it."""
    path = tmp_path / "k"
    uri = write_key(path, private_key_pem(generate_signing_key(Profile.ES256)), mode)

    with pytest.raises(KeyFileError, match=f"mode 0{mode:o}") as caught:
        read_private_keys(uri)

    assert f"chmod 600 {path}" == caught.value.hint


@pytest.mark.parametrize("mode", [0o600, 0o400])
def test_key_for_its_owner_alone_is_read(tmp_path: Path, mode: int) -> None:
    """Read-only is as good as read and write."""
    uri = write_key(tmp_path / "k", private_key_pem(generate_signing_key(Profile.ES256)), mode)

    assert 1 == len(read_private_keys(uri))


def test_missing_file_is_named(tmp_path: Path) -> None:
    """The error says which file is missing."""
    with pytest.raises(KeyFileError, match=f"{tmp_path}/none does not exist"):
        read_private_keys(f"file:{tmp_path}/none")


def test_unreadable_file_is_named(tmp_path: Path) -> None:
    """What the system says against reading is repeated."""
    (tmp_path / "file").write_bytes(b"")

    with pytest.raises(KeyFileError, match="cannot be read: Not a directory"):
        read_private_keys(f"file:{tmp_path}/file/key.pem")


def test_pipe_is_refused_at_once(tmp_path: Path) -> None:
    """A pipe in place of a key file neither blocks nor is read."""
    os.mkfifo(tmp_path / "pipe", 0o600)

    with pytest.raises(KeyFileError, match="is not a plain file"):
        read_private_keys(f"file:{tmp_path}/pipe")


def test_directory_is_named(tmp_path: Path) -> None:
    """A directory is not a key file."""
    with pytest.raises(KeyFileError, match="is a directory"):
        read_private_keys(f"file:{tmp_path}")


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "has no PEM block"),
        (b"\x00" * 200, "has no PEM block"),
        (b"-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n", "holds no private key that can be read"),
        (b"x" * (MAX_KEY_FILE_BYTES + 1), "is larger than 65536 bytes"),
    ],
)
def test_other_content_is_refused(tmp_path: Path, content: bytes, reason: str) -> None:
    """What is no private key is refused by a sentence, not by a parser's error."""
    with pytest.raises(KeyFileError, match=reason):
        read_private_keys(write_key(tmp_path / "k", content))


def test_passphrase_is_refused(tmp_path: Path) -> None:
    """A protected key says that it is protected."""
    pem = ec.generate_private_key(ec.SECP256R1()).private_bytes(
        Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(b"secret")
    )

    with pytest.raises(KeyFileError, match="protected by a passphrase"):
        read_private_keys(write_key(tmp_path / "k", pem))
