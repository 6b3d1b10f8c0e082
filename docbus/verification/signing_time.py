"""On what it rests when a statement was signed, and whether its key has ended since.

A statement says itself when it was made, and whoever has a key can write an earlier time and name an earlier entry of
the directory. So as long as nothing else shows when it was there, a statement of a key that has ended is valid by its
sender's word alone, and a reader has to be told.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Literal, Self

from docbus.clock import format_time

if TYPE_CHECKING:
    from docbus.identity.grants import CertificateGrant
    from docbus.identity.snapshot import TrustSnapshot
    from docbus.verification.verifier import Verified

Ended = Literal["retired", "overlap_ended", "expired", "agency_closed", "agency_suspended"]
RestsOn = Literal["claimed", "time_stamp", "given"]
_SAID: dict[Ended, str] = {
    "retired": "it was retired",
    "overlap_ended": "its overlap ended",
    "expired": "its certificate expired",
    "agency_closed": "its agency was closed",
    "agency_suspended": "its agency was suspended",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyEnd:
    """Since when a key may not sign any more.

    Attributes:
        why: What ended it.
        at_ms: When, milliseconds since 1970 UTC; for what an entry of the directory did, by the registrar's clock.
        entry: Position of that entry; None for the end of a certificate.
    """

    why: Ended
    at_ms: int
    entry: int | None

    @property
    def text(self) -> str:
        """The same in words."""
        by = "" if self.entry is None else f", by directory entry {self.entry}"
        return f"{format_time(self.at_ms)}, when {_SAID[self.why]}{by}"

    def to_json(self) -> dict[str, Any]:
        """Return the same for programs."""
        return {"why": self.why, "at": format_time(self.at_ms), "entry": self.entry}


def key_end(grant: CertificateGrant, snapshot: TrustSnapshot, now_ms: int) -> KeyEnd | None:
    """Return what ended a key first, as far as the directory is known; None if it may still sign.

    Revocations are not among it: what is under a key that was revoked later is not valid, but indeterminate.

    Args:
        grant: Of the key.
        snapshot: The directory.
        now_ms: Milliseconds since 1970 UTC; the time of the directory's last entry counts if that is later.
    """
    now = max(now_ms, snapshot.made_at)
    agency = snapshot.agency(grant.agency)
    suspended = None if agency is None else agency.suspended_at
    entries: tuple[tuple[Ended, int | None], ...] = (
        ("retired", grant.retired_at),
        ("agency_closed", grant.closed_at),
        ("agency_suspended", suspended),
    )
    found = [
        KeyEnd(why=why, at_ms=at_ms, entry=at)
        for why, at in entries
        if at is not None and (at_ms := snapshot.time_at(at)) is not None
    ]
    if grant.retires_at_ms is not None and grant.retires_at_ms < now:
        found.append(KeyEnd(why="overlap_ended", at_ms=grant.retires_at_ms, entry=grant.overlap_at))
    if grant.not_after_ms < now:
        found.append(KeyEnd(why="expired", at_ms=grant.not_after_ms, entry=None))
    return min(found, key=lambda end: end.at_ms, default=None)


@dataclass(frozen=True, slots=True, kw_only=True)
class SigningTime:
    """When a statement was signed, and on whose word.

    Attributes:
        rests_on: ``claimed`` is the sender's own word, ``time_stamp`` that of a time-stamping authority, ``given`` that
            of whoever asked for the verification.
        at_ms: When it was signed, as the sender says; by the others' word it was signed by then at latest.
        authority: Whose time stamp it is; None without one.
        key_ended: What has ended the key since; None if it may still sign.
    """

    rests_on: RestsOn
    at_ms: int
    authority: str | None = None
    key_ended: KeyEnd | None = None

    def by_time_stamp(self, at_ms: int, authority: str | None) -> Self:
        """Return the same with a time stamp that was verified, unless only the word that is there shows more."""
        stamped = replace(self, rests_on="time_stamp", at_ms=at_ms, authority=authority)
        return self if self.before_the_end and not stamped.before_the_end else stamped

    def by_word(self, at_ms: int) -> Self:
        """Return the same with a time that the reader believes."""
        return replace(self, rests_on="given", at_ms=at_ms)

    @property
    def before_the_end(self) -> bool | None:
        """Whether more than the sender's word shows that it was made before its key ended; None if that has not."""
        if self.key_ended is None:
            return None
        return self.rests_on != "claimed" and self.at_ms <= self.key_ended.at_ms

    @property
    def text(self) -> str:
        """The same in words."""
        at = format_time(self.at_ms)
        said = {
            "claimed": f"{at} by the sender's own word",
            "time_stamp": f"at latest {at} by the time stamp of {self.authority}",
            "given": f"at latest {at} as you say",
        }[self.rests_on]
        end = self.key_ended
        if end is None:
            return said
        if self.before_the_end:
            return f"{said}; the key ended later, at {end.text}"
        return (
            f"{said}; the key ended at {end.text}; that the statement was made before rests on the sender's word"
            f" alone; a time stamp from before that end would prove it"
        )

    def to_json(self) -> dict[str, Any]:
        """Return the same for programs."""
        return {
            "rests_on": self.rests_on,
            "at": format_time(self.at_ms),
            "authority": self.authority,
            "key_ended": None if self.key_ended is None else self.key_ended.to_json(),
            "proven_before_key_ended": self.before_the_end,
            "text": self.text,
        }


def claimed_time(verified: Verified, snapshot: TrustSnapshot, now_ms: int) -> SigningTime:
    """Return what is known of the time of a statement that passed, by the statement's own word."""
    end = key_end(verified.grant, snapshot, now_ms)
    return SigningTime(rests_on="claimed", at_ms=verified.statement.head.made_at, key_ended=end)
