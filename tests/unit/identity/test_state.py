"""What the directory holds."""

from __future__ import annotations

from docbus.identity.registrar_terms import RegistrarTerms
from docbus.identity.state import DirectoryState


def test_hashes_are_found_by_position() -> None:
    """Every position has its own 32 bytes, and none beyond the ends."""
    state = DirectoryState()
    state.hashes += b"a" * 32 + b"b" * 32

    assert [None, b"a" * 32, b"b" * 32, None] == [state.hash_at(position) for position in range(-1, 3)]


def test_copy_of_a_state_is_apart() -> None:
    """Whatever the copy is told, the original does not know."""
    state = DirectoryState()

    copy = state.copy()
    copy.first_heartbeat = 3
    copy.hashes += b"a" * 32
    copy.order.append("vn:H26")
    copy.aliases["vn:H27"] = "vn:H26"
    copy.signing_keys[b"k"] = "vn:H26"
    copy.revoked_signing_keys.add(b"k")
    copy.encryption_keys.add(b"e")
    copy.registrar.append((1, RegistrarTerms({}, 1, {})))
    copy.retired_registrar_keys.add(b"r")
    copy.delegations.put("vn:H26 vn:H27", 1, object())  # type: ignore[arg-type] # any value

    assert None is state.first_heartbeat
    assert None is state.delegations.newest("vn:H26 vn:H27")
    assert (b"", [], {}, {}, set(), set(), [], set()) == (
        bytes(state.hashes),
        state.order,
        state.aliases,
        state.signing_keys,
        state.revoked_signing_keys,
        state.encryption_keys,
        state.registrar,
        state.retired_registrar_keys,
    )
