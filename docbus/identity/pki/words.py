"""What a verdict rests on, for people: which list or response, when it was made, and until when it speaks."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from docbus.clock import format_time
from docbus.identity.pki.crl import RevocationList

if TYPE_CHECKING:
    from collections.abc import Iterable

    from docbus.identity.pki.material import Piece, ValidationMaterial


@dataclass(frozen=True, slots=True, kw_only=True)
class AuthorityWord:
    """A revocation list or an OCSP response on which a verdict rests.

    Attributes:
        digest: SHA-256 of it, in hex.
        what: Which it is, in words.
        number: Of a list; None for a response.
        made_at: When its authority made it, RFC 3339.
        speaks_until: Until when its authority promised a later one, RFC 3339.
        is_outdated: Whether that was before the verdict was asked for, so that a later one should exist already.
    """

    digest: str
    what: str
    number: int | None
    made_at: str
    speaks_until: str
    is_outdated: bool

    @property
    def text(self) -> str:
        """What there is to say of it."""
        return f"{self.what}, made {self.made_at}, which speaks until {self.speaks_until}"

    @property
    def warning(self) -> str | None:
        """What whoever believes the verdict should know; None if it is the last word that there can be."""
        if not self.is_outdated:
            return None
        return (
            f"{self.what} speaks until {self.speaks_until}, so a later one should exist already: what the authority has"
            " said since, such as a revocation, is not known here"
        )


def words_of(digests: Iterable[bytes], material: ValidationMaterial, asked_at_ms: int) -> tuple[AuthorityWord, ...]:
    """Return what is to be said of lists and responses, in the order of their digests.

    Args:
        digests: SHA-256 of each.
        material: In which they are.
        asked_at_ms: When the verdict was asked for, milliseconds since 1970 UTC.
    """
    return tuple(_word(material.pieces[digest], asked_at_ms) for digest in sorted(set(digests)))


def _word(piece: Piece, asked_at_ms: int) -> AuthorityWord:
    number: int | None = None
    if isinstance(piece, RevocationList):
        number = piece.number
        what = f"list {number} of {piece.parsed.issuer.rfc4514_string()}"
    else:
        what = f"the response about certificate {piece.serial:x}"
    return AuthorityWord(
        digest=piece.digest.hex(),
        what=what,
        number=number,
        made_at=format_time(piece.this_update_ms),
        speaks_until=format_time(piece.next_update_ms),
        is_outdated=piece.next_update_ms < asked_at_ms,
    )
