"""What `docbus status` says about time stamps."""

from __future__ import annotations

from typing import TYPE_CHECKING

from docbus.cli.output import when

if TYPE_CHECKING:
    from docbus.client.directory_state import DirectoryState
    from docbus.identity.time_stamps.gap import Gap
    from docbus.producers.batch_stamps import StampCounts


def directory_stamp(directory: DirectoryState | None, age: str | None) -> str | None:
    """Say up to where the directory is time-stamped, as it claims itself; ``age`` is since when, in words."""
    if directory is None or directory.stamped_entry is None or directory.stamped_at is None:
        return None
    return f"to entry {directory.stamped_entry}, at {when(directory.stamped_at)} by {directory.stamped_by}, {age} ago"


def batches(stamps: StampCounts | None) -> str | None:
    """Say what waits, and what the last time stamp was."""
    if stamps is None:
        return None
    waits = "1 batch waits" if stamps.waiting == 1 else f"{stamps.waiting:,} batches wait"
    if stamps.waiting_since is not None:
        waits += f", the first since {when(stamps.waiting_since)}"
    if stamps.stamped_at is None:
        return f"{waits}; none yet"
    return f"{waits}; {stamps.stamps:,} so far, the last at {when(stamps.stamped_at)} by {stamps.authority}"


def missing(gap: Gap | None, age: str | None) -> str | None:
    """Say since when no authority has stamped, how often it was asked, and what it said last."""
    if gap is None:
        return None
    attempts = "1 attempt" if gap.attempts == 1 else f"{gap.attempts:,} attempts"
    return f"for {age}, since {when(gap.since)}, {attempts}: {gap.text}"
