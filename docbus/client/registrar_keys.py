"""Files of the registrar's keys: made, and read."""

from __future__ import annotations

from hashlib import sha256
from typing import TYPE_CHECKING, NamedTuple

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_public_key

from docbus.client.new_files import PRIVATE_MODE, PUBLIC_MODE, write_new
from docbus.errors import ConfigurationError, IdentityError, KeyFileError
from docbus.identity.keyfile import MAX_KEY_FILE_BYTES, PUBLIC_SUFFIX
from docbus.identity.signing import (
    generate_signing_key,
    load_public_key,
    private_key_pem,
    public_key_bytes,
    registrar_signer_of,
)
from docbus.tokens.making import make_token_key
from docbus.wire.profiles import Profile

if TYPE_CHECKING:
    from pathlib import Path


class MadeKey(NamedTuple):
    """A new key: its digest, 32 bytes, and the file of its public half."""

    key: bytes
    public: Path


def make_registrar_key(file: Path, *, profile: int = Profile.ES256) -> MadeKey:
    """Make a key; the private half goes to ``file``, the public one beside it.

    Raises:
        ConfigurationError: One of the files is there already, or cannot be written.
    """
    private = generate_signing_key(profile)
    public = file.with_suffix(PUBLIC_SUFFIX)
    encoded = private.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    made: list[Path] = []
    try:
        for path, content, mode in (
            (file, private_key_pem(private), PRIVATE_MODE),
            (public, encoded, PUBLIC_MODE),
        ):
            write_new(made, path, content, mode)
    except OSError as error:
        for path in made:
            path.unlink(missing_ok=True)
        raise ConfigurationError(
            f"{error.filename} cannot be made: {error.strerror}", hint="Choose another file; nothing is overwritten."
        ) from error
    return MadeKey(registrar_signer_of(private).key, public)


def make_registrar_token_key(uri: str, public: Path) -> MadeKey:
    """Make a key on a token; its public half goes to a file.

    Raises:
        ConfigurationError: The file is there already, or cannot be written.
        KeyFileError: The token has such a key already.
        PinError: The token's PIN is missing, wrong or locked.
        SignerAwayError: The token is not there, or does not answer.
    """
    if public.exists():
        raise ConfigurationError(f"{public} exists already", hint="Choose another file; nothing is overwritten.")
    key = make_token_key(uri, Profile.ES256).public_key
    encoded = key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    try:
        write_new([], public, encoded, PUBLIC_MODE)
    except OSError as error:
        raise ConfigurationError(f"{public} cannot be made: {error.strerror}", hint="Choose another file.") from error
    return MadeKey(sha256(public_key_bytes(key)).digest(), public)


def read_registrar_key(file: Path) -> bytes:
    """Return the SubjectPublicKeyInfo, DER, of a public key in PEM.

    Raises:
        KeyFileError: The file cannot be read, or holds no public key that may sign.
    """
    try:
        with file.open("rb") as opened:
            key = load_pem_public_key(opened.read(MAX_KEY_FILE_BYTES))
        encoded = public_key_bytes(key)
        load_public_key(encoded)
    except OSError as error:
        raise KeyFileError(f"the public key {file} cannot be read: {error.strerror}", hint="Check its path.") from error
    except (ValueError, UnsupportedAlgorithm) as error:
        raise KeyFileError(
            f"{file} is not a public key in PEM",
            hint="Give the .pub.pem file that `docbus registrar keys new` has made; a private key stays where it is.",
        ) from error
    except IdentityError as error:
        raise KeyFileError(f"{file} holds {error.text}") from error
    return encoded
