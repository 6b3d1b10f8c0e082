"""The vectors' keys and directory, for tests that write letters of their own; see ``tests/vectors/README.md``."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from docbus.envelope.envelope import Envelope, encode_envelope
from docbus.identity.replay import DirectoryReplay
from docbus.verification.verifier import Verified, Verifier
from tests.vectors.building.drawn import Drawn
from tests.vectors.building.letters import Letter, seal_batch
from tests.vectors.building.world import ALL_OPEN, NOW, World

if TYPE_CHECKING:
    from docbus.identity.snapshot import TrustSnapshot

_FOLDER = Path(__file__).parent.parent / "vectors"


@cache
def world() -> World:
    """Return the vectors' agencies; what encryption draws for a test is kept in memory only."""
    return World(_FOLDER / "trust", Drawn(_FOLDER / "drawn.json", may_draw=True), may_draw=False)


@cache
def snapshot(position: int = ALL_OPEN) -> TrustSnapshot:
    """Return the directory read up to a position."""
    replay = DirectoryReplay(world().genesis)
    for record in world().records[: position + 1]:
        replay.apply(record)
    return replay.snapshot()


def seal(*letters: Letter) -> list[Envelope]:
    """Return the envelopes of one batch, signed by the first letter's sender."""
    return seal_batch(world(), world().parties[letters[0].head.sender].signer, letters)


def verify(envelope: Envelope | bytes | None, *, recipient: str, verifier: Verifier | None = None) -> Verified:
    """Verify as the recipient, with a new verifier unless one is given."""
    value = encode_envelope(envelope) if isinstance(envelope, Envelope) else envelope
    return (verifier or Verifier()).verify(value, key=None, recipient=recipient, snapshot=snapshot(), now_ms=NOW)
