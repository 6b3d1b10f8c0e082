"""The makers' libraries: found, loaded once in a process, and begun again after a token was away."""

from __future__ import annotations

import importlib.util
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from docbus.errors import KeyFileError, SignerAwayError

if TYPE_CHECKING:
    from docbus.tokens.beginning import Library
    from docbus.tokens.uri import TokenUri

FOLDERS = (
    "/usr/lib/pkcs11",
    "/usr/lib/x86_64-linux-gnu/pkcs11",
    "/usr/lib/aarch64-linux-gnu/pkcs11",
    "/usr/lib64/pkcs11",
    "/usr/local/lib/pkcs11",
    "/usr/lib/softhsm",
    "/usr/lib/x86_64-linux-gnu/softhsm",
    "/usr/lib/aarch64-linux-gnu/softhsm",
    "/usr/lib64/softhsm",
    "/usr/lib",
    "/usr/lib64",
    "/usr/local/lib",
)
"""Where distributions put libraries of PKCS #11; a ``module-name`` is looked for in this order."""
_CANNOT_BEGIN = "Put the token back, as some libraries begin only with one; else see the library's own settings."


def library_file(uri: TokenUri) -> Path:
    """Return the file of the library that a URI names.

    Raises:
        KeyFileError: It is nowhere, or python-pkcs11 is not installed.
    """
    if importlib.util.find_spec("pkcs11") is None:
        raise KeyFileError(
            "the key is on a token, and python-pkcs11 is not installed",
            hint="Install docbus with its extra: pip install 'docbus[pkcs11]'.",
        )
    if uri.module_path is not None:
        if not uri.module_path.is_file():
            raise KeyFileError(
                f"the PKCS #11 library {uri.module_path} is not there",
                hint="Install the software of the token's maker, and correct module-path in the key's URI.",
            )
        return uri.module_path
    name = uri.module_name or ""
    if "/" not in name:
        for folder in FOLDERS:
            for file in (f"lib{name}.so", f"{name}.so"):
                if (found := Path(folder, file)).is_file():
                    return found
    raise KeyFileError(
        f"there is no PKCS #11 library {name!r} in the usual folders",
        hint="Name its file with module-path in the key's URI.",
    )


def load(file: Path) -> Library:
    """Return a library, loaded and begun.

    Raises:
        KeyFileError: It is no library that this machine can load.
        SignerAwayError: It is loaded, and cannot begin now.
    """
    from pkcs11.exceptions import PKCS11Error

    from docbus.tokens.beginning import Library

    try:
        return Library(str(file))
    except PKCS11Error as error:
        if "exception while loading" in str(error):
            raise KeyFileError(
                f"{file} cannot be loaded as a PKCS #11 library",
                hint="Name the library of the token's maker for this machine's processor with module-path.",
            ) from error
        raise SignerAwayError(
            f"the PKCS #11 library {file} cannot begin ({type(error).__name__})", hint=_CANNOT_BEGIN
        ) from None


def begin_again(library: Library) -> None:
    """Let a library forget everything, and look for tokens anew: sessions, logins and keys of before are gone.

    No other thread is inside it, which PKCS #11 (section 5.4, ``C_Finalize``) leaves undefined.

    Raises:
        SignerAwayError: It cannot begin now.
    """
    from pkcs11.exceptions import PKCS11Error

    # Whatever it says: it counts as ended, and has to begin. One that has failed to begin says so here.
    with suppress(PKCS11Error):
        library.finalize()
    try:
        library.initialize()
    except PKCS11Error as error:
        raise SignerAwayError(
            f"the PKCS #11 library {library.so} cannot begin ({type(error).__name__})", hint=_CANNOT_BEGIN
        ) from None
