"""Tokens in software: SoftHSM 2, as Debian's package ``softhsm2`` has it."""

from __future__ import annotations

import shutil
import subprocess
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote

import pytest

from docbus.tokens import module as modules

if TYPE_CHECKING:
    from collections.abc import Iterator

PIN, SO_PIN = "24681357", "87654321"
LIBRARIES = (
    "/usr/lib/softhsm/libsofthsm2.so",
    "/usr/lib/x86_64-linux-gnu/softhsm/libsofthsm2.so",
    "/usr/lib/aarch64-linux-gnu/softhsm/libsofthsm2.so",
    "/usr/lib64/softhsm/libsofthsm2.so",
    "/usr/lib64/libsofthsm2.so",
    "/usr/local/lib/softhsm/libsofthsm2.so",
)
TOOL_SECONDS = 20


class SoftHSMMissingError(Exception):
    """This machine has no SoftHSM."""


@dataclass(frozen=True)
class SoftHSM:
    """Tokens in a folder; pulled by moving the folder away.

    Attributes:
        library: What ``module-path`` names.
        folder: In which tokens and the configuration lie.
    """

    library: Path
    folder: Path

    @property
    def configuration(self) -> Path:
        """What the variable ``SOFTHSM2_CONF`` names."""
        return self.folder / "softhsm2.conf"

    @property
    def tokens(self) -> Path:
        """Where the tokens are."""
        return self.folder / "tokens"

    def initialise(self, label: str, pin: str = PIN) -> None:
        """Make a token."""
        tool("--init-token", "--free", "--label", label, "--pin", pin, "--so-pin", SO_PIN)

    def import_key(self, label: str, pem: Path, *, key: str, key_id: str) -> None:
        """Put a key from a file onto a token."""
        tool("--import", str(pem), "--token", label, "--label", key, "--id", key_id, "--pin", PIN)

    def uri(self, label: str, key: str = "docbus", **more: str) -> str:
        """Return the URI of a key; further attributes stand in the query."""
        query = {"module-path": str(self.library)} | {name.replace("_", "-"): value for name, value in more.items()}
        asked = "&".join(f"{name}={quote(value, safe='/:')}" for name, value in query.items())
        return f"pkcs11:token={quote(label)};object={quote(key)}?{asked}"

    def pin_file(self, pin: str = PIN, name: str = "pin") -> Path:
        """Write a file with a PIN, for its owner alone."""
        path = self.folder / name
        path.touch(mode=0o600)
        path.write_text(f"{pin}\n", "utf-8")
        return path

    def pull(self) -> None:
        """Take all tokens away."""
        self.tokens.rename(self.folder / "pulled")

    def put_back(self) -> None:
        """Bring them back."""
        (self.folder / "pulled").rename(self.tokens)


def tool(*arguments: str) -> str:
    """Run ``softhsm2-util``, and return what it prints."""
    return subprocess.run(
        ["softhsm2-util", *arguments],  # noqa: S607 - the developer's own
        capture_output=True,
        text=True,
        check=True,
        timeout=TOOL_SECONDS,
    ).stdout


@contextmanager
def running_softhsm(folder: Path) -> Iterator[SoftHSM]:
    """Let SoftHSM, here and in processes that are started, have its tokens in a folder, as long as the block runs.

    Raises:
        SoftHSMMissingError: It is not installed.
    """
    library = next((Path(path) for path in LIBRARIES if Path(path).is_file()), None)
    if library is None or shutil.which("softhsm2-util") is None:
        raise SoftHSMMissingError("softhsm2-util and libsofthsm2.so are not both there; Debian has softhsm2")
    found = SoftHSM(library, folder)
    found.tokens.mkdir(parents=True)
    found.configuration.write_text(
        f"directories.tokendir = {found.tokens}\nobjectstore.backend = file\nlog.level = ERROR\n", "utf-8"
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SOFTHSM2_CONF", str(found.configuration))
        try:
            yield found
        finally:
            # What comes next has other tokens, and other PINs.
            for module in modules._modules.values():
                module.close()
