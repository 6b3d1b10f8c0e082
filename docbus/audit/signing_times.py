"""On what the times of the statements in a replay rest, key by key."""

from __future__ import annotations

from typing import TYPE_CHECKING

from docbus.audit.report import EndedKey
from docbus.verification.signing_time import key_end

if TYPE_CHECKING:
    from docbus.audit.reducer import Reducer

MAX_ENDED_KEYS = 1000
"""Keys that are listed, about 300 bytes of a report each; the statements of all are counted."""


def ended_keys(reducer: Reducer) -> tuple[EndedKey, ...]:
    """Return the keys that have ended since they signed something valid, those with the most statements first."""
    found = []
    for digest, statements in reducer.signed_with.items():
        grant = reducer.snapshot.certificate(digest)
        end = None if grant is None else key_end(grant, reducer.snapshot, reducer.as_of_ms)
        if grant is not None and end is not None:
            found.append(
                EndedKey(
                    agency=grant.agency,
                    certificate=digest.hex(),
                    statements=statements,
                    why=end.why,
                    at=end.at_ms,
                    entry=end.entry,
                )
            )
    return tuple(sorted(found, key=lambda key: (-key.statements, key.agency, key.certificate)))


def signing_times(ended: tuple[EndedKey, ...], reducer: Reducer) -> dict[str, int]:
    """Return on what the times of valid statements rest, to the number of statements."""
    return {
        "claimed": reducer.signed_with.total(),
        "claimed_and_key_ended": sum(key.statements for key in ended),
    }
