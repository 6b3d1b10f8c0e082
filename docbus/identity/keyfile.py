"""Private keys are named by URI and read late; ``file:`` is the only scheme of this version (design D10)."""

from __future__ import annotations

import os
import re
import stat
from pathlib import Path

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from docbus.errors import KeyFileError

MAX_KEY_FILE_BYTES = 64 * 1024
"""Bytes of a key file; an RSA key of 8192 bits has 6,400."""
_WIDER_THAN_OWNER = stat.S_IRWXG | stat.S_IRWXO
_BLOCK = re.compile(rb"-----BEGIN [A-Z ]+-----.+?-----END [A-Z ]+-----\n?", re.DOTALL)
_SCHEME = "file:"
PUBLIC_SUFFIX = ".pub.pem"
"""How the name of a file ends that docbus has made for a public key."""


def path_of(uri: str) -> Path:
    """Return the path that a ``file:`` URI names: everything behind the scheme, taken literally.

    Raises:
        KeyFileError: Another scheme, or no path.
    """
    if uri.lower().startswith("pkcs11:"):
        # Not repeated: it may have a PIN in it.
        raise KeyFileError(
            "a pkcs11: URI stands where only a file can be",
            hint="Signing keys and the registrar's keys may be on a token; decryption keys and PINs are in files.",
        )
    if not uri.startswith(_SCHEME):
        raise KeyFileError(
            f"the key {uri!r} has a scheme that this version does not read",
            hint="Name a PEM file as file:/path/to/key.pem.",
        )
    rest = uri[len(_SCHEME) :]
    path = rest[2:] if rest.startswith("///") else rest
    if not path or "\0" in path:
        raise KeyFileError(f"the key {uri!r} names no file", hint="Name a PEM file as file:/path/to/key.pem.")
    return Path(path)


def read_private_keys(uri: str) -> list[object]:
    """Return the private keys in a PEM file, in the order in which they stand.

    Raises:
        KeyFileError: The file is missing, unreadable, open to others, or holds something else.
    """
    path = path_of(uri)
    if path.name.endswith(PUBLIC_SUFFIX):
        raise KeyFileError(
            f"the key file {path} holds a public key", hint="Name the private one, which was made beside it."
        )
    blocks = _BLOCK.findall(_read(path))
    if not blocks:
        raise KeyFileError(f"the key file {path} has no PEM block", hint="A private key in PKCS#8, PEM, is expected.")
    try:
        return [load_pem_private_key(block, password=None) for block in blocks]
    except TypeError as error:
        raise KeyFileError(
            f"the key file {path} is protected by a passphrase, which this version cannot ask for",
            hint="Store the key without a passphrase, readable by its owner alone.",
        ) from error
    except (ValueError, UnsupportedAlgorithm) as error:
        raise KeyFileError(
            f"the key file {path} holds no private key that can be read",
            hint="A private key in PKCS#8, PEM, is expected.",
        ) from error


def _read(path: Path) -> bytes:
    try:
        with open(path, "rb", opener=_open_at_once) as opened:
            # The open file is asked, not the name, so that nothing can be put in its place in between.
            found = os.fstat(opened.fileno())
            if not stat.S_ISREG(found.st_mode):
                raise KeyFileError(f"the key file {path} is not a plain file", hint="Name the PEM file itself.")
            if found.st_mode & _WIDER_THAN_OWNER:
                mode = stat.S_IMODE(found.st_mode)
                raise KeyFileError(
                    f"the key file {path} can be used by others than its owner (mode {mode:04o})",
                    hint=f"chmod 600 {path}",
                )
            content = opened.read(MAX_KEY_FILE_BYTES + 1)
    except FileNotFoundError as error:
        raise KeyFileError(f"the key file {path} does not exist", hint="Check the key's URI.") from error
    except IsADirectoryError as error:
        raise KeyFileError(f"the key file {path} is a directory", hint="Name the PEM file itself.") from error
    except OSError as error:
        raise KeyFileError(
            f"the key file {path} cannot be read: {error.strerror}", hint="Check who owns the file."
        ) from error
    if len(content) > MAX_KEY_FILE_BYTES:
        raise KeyFileError(f"the key file {path} is larger than {MAX_KEY_FILE_BYTES} bytes", hint="Name the PEM file.")
    return content


def _open_at_once(path: str, flags: int) -> int:
    """Open without waiting for somebody to write, should it be a pipe."""
    return os.open(path, flags | os.O_NONBLOCK)
