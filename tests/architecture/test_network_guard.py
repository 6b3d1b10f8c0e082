"""Tests do not reach the network, even if the code under test hides that it tried."""

from __future__ import annotations

import contextlib
import socket

import pytest

from tests.support import network


@pytest.mark.parametrize("address", [("127.0.0.1", 9), ("::1", 9)])
def test_nothing_is_reached_without_leave(address: tuple[str, int]) -> None:
    """Where nothing may be reached, this machine itself is refused as well, and the refusal is remembered."""
    with network.reach("none") as refused, contextlib.suppress(Exception):
        socket.create_connection(address)

    assert refused


@pytest.mark.parametrize("host", ["192.0.2.1", "2001:db8::1", "docbus.example", "0.0.0.0"])  # noqa: S104 - not bound to
def test_only_loopback_is_reached_with_leave(host: str) -> None:
    """Where this machine may be reached, no other host, no name that must be looked up, and not every interface may."""
    with network.reach("loopback"), pytest.raises(network.NetworkUsedError):
        socket.create_connection((host, 9))


@pytest.mark.loopback
def test_loopback_is_reached_with_leave() -> None:
    """A test of that kind can talk to a server of its own."""
    with socket.create_server(("127.0.0.1", 0)) as server, socket.create_connection(server.getsockname()) as client:
        assert client.getpeername() == server.getsockname()
