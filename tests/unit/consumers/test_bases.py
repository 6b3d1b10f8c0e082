"""What is kept of a verdict, beside the position of its statement."""

from __future__ import annotations

import pytest

from docbus.consumers.bases import decode_basis, digest_of, encode_basis
from docbus.errors import MalformedError
from docbus.verification.paths import Basis


@pytest.mark.parametrize("count", [0, 1, 3])
def test_a_basis_reads_back(count: int) -> None:
    """The time and each digest; a self-made certificate has none, and costs nothing."""
    basis = Basis(1_795_424_400_000, tuple(bytes([at]) * 32 for at in range(count)))
    kept = encode_basis(basis)

    assert kept is not None
    assert (basis, 8 + 32 * count) == (decode_basis(kept), len(kept))
    assert None is encode_basis(None)


@pytest.mark.parametrize("kept", [b"", b"1234567", b"12345678" + bytes(31)])
def test_other_bytes_are_no_basis(kept: bytes) -> None:
    """A database that was changed by hand is noticed."""
    with pytest.raises(MalformedError):
        decode_basis(kept)


def test_bytes_that_are_no_envelope_have_no_digest() -> None:
    """Whoever asks is told so."""
    with pytest.raises(MalformedError):
        digest_of(b"no envelope")
