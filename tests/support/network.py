"""Keeps tests off the network, below whatever library they use: an audit hook of the interpreter (PEP 578).

It sees this process only; what a test starts as a process of its own it does not.
"""

from __future__ import annotations

import ipaddress
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from collections.abc import Iterator

Reach = Literal["none", "loopback"]
_ADDRESSED = frozenset({"socket.bind", "socket.connect", "socket.sendmsg", "socket.sendto"})
_NAMED = frozenset({"socket.getaddrinfo", "socket.gethostbyname"})


class NetworkUsedError(RuntimeError):
    """A test reached for a host that it has no business with."""


class _Guard:
    def __init__(self) -> None:
        self.reach: Reach = "loopback"
        self.used: list[str] = []

    def __call__(self, event: str, arguments: tuple[object, ...]) -> None:
        if event in _ADDRESSED:
            address = arguments[1]
            if isinstance(address, tuple) and isinstance(address[0], str):  # Not AF_UNIX, AF_NETLINK and the like.
                self._check(event, address[0])
        elif event in _NAMED:
            host = arguments[0]
            self._check(event, host.decode() if isinstance(host, bytes) else str(host or "localhost"))

    def _check(self, event: str, host: str) -> None:
        if self.reach == "loopback" and _is_loopback(host):
            return
        self.used.append(f"{event} {host!r}")
        raise NetworkUsedError(f"{event} {host!r}: this test may reach {self.reach} only (tests/support/network.py)")


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


_guard = _Guard()


def install() -> None:
    """Begin to watch; from here on this process reaches loopback addresses only. There is no way back."""
    sys.addaudithook(_guard)


@contextmanager
def reach(allowed: Reach) -> Iterator[list[str]]:
    """Narrow for the block what may be reached; yields what was refused, even if the code under test hid it."""
    before = _guard.reach
    _guard.reach, _guard.used = allowed, []
    try:
        yield _guard.used
    finally:
        _guard.reach = before
