"""SoftHSM as another maker's library would be: slower, without locking, with few sessions, or hanging."""

from __future__ import annotations

import ctypes
import shutil
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

from tests.support.softhsm import SoftHSMMissingError

if TYPE_CHECKING:
    from tests.support.softhsm import SoftHSM

SOURCE = Path(__file__).with_suffix(".c")
COMPILER = "cc"
COMPILER_SECONDS = 60


class AlteredSoftHSM:
    """A library that passes everything on to a SoftHSM of its own; ``altered_softhsm.c`` lists what can be changed.

    Args:
        softhsm: What it has the configuration and the tokens of.
        folder: In which it is built.

    Raises:
        SoftHSMMissingError: This machine has no C compiler.
    """

    def __init__(self, softhsm: SoftHSM, folder: Path) -> None:
        if shutil.which(COMPILER) is None:
            raise SoftHSMMissingError(f"there is no {COMPILER}, a C compiler")
        # A copy is another library for the loader, so that each can be begun by itself.
        inner = folder / "inner.so"
        shutil.copyfile(softhsm.library, inner)
        self.library = folder / "altered.so"
        command = [COMPILER, "-shared", "-fPIC", f'-DINNER="{inner}"', "-o", str(self.library), str(SOURCE), "-ldl"]
        subprocess.run(command, check=True, capture_output=True, timeout=COMPILER_SECONDS)
        self._loaded = ctypes.CDLL(str(self.library))
        self._softhsm = softhsm

    def uri(self, key: str = "docbus", label: str = "H26") -> str:
        """Return the URI of a key, by this library."""
        return self._softhsm.uri(label, key, module_path=str(self.library))

    def set(self, name: str, value: int) -> None:
        """Set a variable of the library."""
        ctypes.c_int.in_dll(self._loaded, name).value = value

    def get(self, name: str) -> int:
        """Return a variable of the library."""
        return ctypes.c_int.in_dll(self._loaded, name).value
