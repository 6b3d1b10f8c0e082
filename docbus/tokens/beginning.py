"""How a library is begun: with locking if it takes that, so that several threads may call it.

python-pkcs11 begins libraries without arguments, by which PKCS #11 (version 2.40, section 5.4, ``C_Initialize``) allows
calls from one thread at a time, and releases Python's lock during them.
"""

from __future__ import annotations

import ctypes

from pkcs11._pkcs11 import lib
from pkcs11.exceptions import PKCS11Error
from typing_extensions import override

_OK = 0x0
_ALREADY_BEGUN = 0x191
"""CKR_CRYPTOKI_ALREADY_INITIALIZED."""
_OS_LOCKING = 0x2
"""CKF_OS_LOCKING_OK: the library uses the locks of the operating system."""
_Function = ctypes.CFUNCTYPE(ctypes.c_ulong, ctypes.c_void_p)


class _Arguments(ctypes.Structure):
    """CK_C_INITIALIZE_ARGS; no functions for locks, so that the library takes the system's."""

    _fields_ = (
        ("functions", ctypes.c_void_p * 4),
        ("flags", ctypes.c_ulong),
        ("reserved", ctypes.c_void_p),
    )


class _Functions(ctypes.Structure):
    """The beginning of CK_FUNCTION_LIST; outside of Windows its members are aligned as usual."""

    _fields_ = (
        ("version", ctypes.c_ubyte * 2),
        ("initialize", _Function),
        ("finalize", _Function),
    )


class Library(lib):
    """A library of python-pkcs11, begun with locking if it takes that.

    Attributes:
        locking: Several threads may call it at the same time. False where it has refused, and where other code in this
            process has begun it, nobody knows how.
    """

    def __init__(self, so: str) -> None:
        """Load a library and begin it.

        Args:
            so: Its file.

        Raises:
            pkcs11.exceptions.PKCS11Error: It cannot be loaded, or cannot begin.
        """
        self.locking = False
        functions = ctypes.POINTER(_Functions)()
        answer = ctypes.CDLL(so).C_GetFunctionList(ctypes.byref(functions))
        if answer != _OK:
            raise PKCS11Error(f"C_GetFunctionList has failed ({answer:#x})")
        self._functions = functions.contents
        super().__init__(so)

    @override
    def initialize(self) -> None:
        """Begin it; python-pkcs11 calls this as well, when it loads it."""
        arguments = _Arguments(flags=_OS_LOCKING)
        answer = self._functions.initialize(ctypes.byref(arguments))
        # One that would not end is still begun as it was.
        self.locking = answer == _OK or (answer == _ALREADY_BEGUN and self.locking)
        if answer not in (_OK, _ALREADY_BEGUN):
            # Some libraries refuse the locks, and some any argument; whatever else is wrong comes again, with its name.
            super().initialize()

    @override
    def finalize(self) -> None:
        """End it: sessions, logins and objects are gone."""
        if self.initialized:
            super().finalize()
        elif (answer := self._functions.finalize(None)) != _OK:
            raise PKCS11Error(f"C_Finalize has failed ({answer:#x})")
