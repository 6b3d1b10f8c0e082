"""Time stamps in the directory log: which entry is a token about, and when did an entry exist at latest?"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING

from docbus.errors import MalformedError
from docbus.identity.time_stamps.token import read_token
from docbus.identity.time_stamps.verdict import Outcome, Reason, Verdict, judge_stamp

if TYPE_CHECKING:
    from collections.abc import Iterator

    from docbus.identity.snapshot import TrustSnapshot
    from docbus.identity.time_stamps.anchors import Anchors
    from docbus.identity.time_stamps.token import TimeStamp


MAX_NEWEST_TOKENS = 16
"""Tokens that are looked at for the newest; more are about nothing only if the registrar wants it so."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CarriedStamp:
    """A token in the log, unverified.

    Attributes:
        carrier: Position of the heartbeat that carries it.
        token: Its bytes.
        stamp: What it says; None where it cannot be read.
        position: The entry that it is about, before the carrier; None where it is about none of this log.
    """

    carrier: int
    token: bytes
    stamp: TimeStamp | None
    position: int | None


def carried_stamps(snapshot: TrustSnapshot) -> Iterator[CarriedStamp]:
    """Yield the tokens in the log up to a snapshot, the newest first; each is read when its turn comes."""
    for carrier, token in snapshot.time_stamps():
        try:
            stamp = read_token(token)
        except MalformedError:
            yield CarriedStamp(carrier=carrier, token=token, stamp=None, position=None)
            continue
        position = position_of(snapshot, stamp.imprint, carrier) if stamp.algorithm == "sha256" else None
        yield CarriedStamp(carrier=carrier, token=token, stamp=stamp, position=position)


def judge_carried(carried: CarriedStamp, anchors: Anchors | None, *, policy: str | None = None) -> Verdict:
    """Return whether a token in the log proves that the entry it is about existed at its time.

    Args:
        carried: The token.
        anchors: Whom the reader believes; None if nobody was named.
        policy: The only policy to accept; None for any.
    """
    if carried.stamp is None:
        text = f"the token in entry {carried.carrier} cannot be read"
        return Verdict(outcome=Outcome.FAILED, reason=Reason.MALFORMED, text=text, stamp=None)
    about = None
    if carried.position is None:
        about = Reason.IMPRINT, f"the token in entry {carried.carrier} is about no entry before it"
    return judge_stamp(carried.stamp, about, anchors, policy=policy)


def position_of(snapshot: TrustSnapshot, entry_hash: bytes, before: int) -> int | None:
    """Return the position of the entry with this hash before another one; near it, it is found at once."""
    return next((at for at in range(before - 1, -1, -1) if snapshot.hash_at(at) == entry_hash), None)


def newest_stamp(snapshot: TrustSnapshot) -> CarriedStamp | None:
    """Return the newest token that is about an entry of the log, unverified."""
    newest = islice(carried_stamps(snapshot), MAX_NEWEST_TOKENS)
    return next((one for one in newest if one.position is not None), None)
