"""Which certificate this outbox seals with, and what goes out again when one has ended (ADR 0008, ADR 0023).

With another certificate every lane begins a new epoch. What was sealed before goes out again at once if the old
certificate may not sign any more, and otherwise at its end, by then mostly receipted.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from docbus.envelope.statement import LANES
from docbus.producers.epochs import REKEYED, begin_epoch, requeue

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Callable, Iterable

_LEAVING = "leaving:"
"""Before the hex digits of a certificate that still may sign, in the table of single values."""


def ensure_certificate(
    connection: sqlite3.Connection, certificate: bytes, *, at_ms: int, lasts: Callable[[bytes], bool] | None = None
) -> int | None:
    """Begin new epochs if what is sealed was sealed under another certificate, and let it wait again.

    Args:
        connection: Inside a transaction.
        certificate: Under which will be sealed from now on.
        at_ms: Now.
        lasts: Tells whether the certificate of before may still sign, so that what it signed need not go out again yet.

    Returns:
        How many copies wait again; None if the certificate is the one of before.
    """
    known = connection.execute("SELECT value FROM outbox WHERE name = 'certificate'").fetchone()
    connection.execute("INSERT OR REPLACE INTO outbox (name, value) VALUES ('certificate', ?)", (certificate,))
    if known is None or known[0] == certificate:
        return None
    before: bytes = known[0]
    for lane in LANES:
        begin_epoch(connection, lane, REKEYED, at_ms=at_ms)
    if lasts is not None and lasts(before):
        connection.execute(
            "INSERT OR REPLACE INTO outbox (name, value) SELECT ?, max(epoch) FROM epoch WHERE closed_at IS NOT NULL",
            (_LEAVING + before.hex(),),
        )
        return 0
    connection.execute("DELETE FROM outbox WHERE name GLOB ?", (_LEAVING + "*",))
    return _send_again(connection, None, at_ms)


def leaving(connection: sqlite3.Connection) -> list[bytes]:
    """Return the certificates of which something may have to go out again when they end."""
    found = connection.execute("SELECT name FROM outbox WHERE name GLOB ?", (_LEAVING + "*",))
    return [bytes.fromhex(name.removeprefix(_LEAVING)) for (name,) in found]


def end_certificates(connection: sqlite3.Connection, ended: Iterable[bytes], *, at_ms: int) -> int:
    """Let everything wait again that certificates have sealed which may not sign any more.

    Returns:
        How many copies.
    """
    count = 0
    for certificate in ended:
        name = _LEAVING + certificate.hex()
        row = connection.execute("DELETE FROM outbox WHERE name = ? RETURNING value", (name,)).fetchone()
        if row is not None:
            count += _send_again(connection, int(row[0]), at_ms)
    return count


def last_sealed(connection: sqlite3.Connection) -> dict[bytes, int]:
    """Return when each certificate was sealed under last, as far as is known: that in use, and those that are left.

    Looks at the head of each stream, and not at all that was ever sealed.
    """
    found = {}
    for certificate, last_epoch in connection.execute(
        "SELECT name, value FROM outbox WHERE name GLOB ?", (_LEAVING + "*",)
    ).fetchall():
        (sealed_at,) = connection.execute(
            "SELECT max(c.sealed_at) FROM stream s JOIN copy c ON c.stream = s.stream AND c.sequence = s.sequence"
            " WHERE s.epoch <= ?",
            (last_epoch,),
        ).fetchone()
        if sealed_at is not None:
            found[bytes.fromhex(certificate.removeprefix(_LEAVING))] = int(sealed_at)
    known = connection.execute("SELECT value FROM outbox WHERE name = 'certificate'").fetchone()
    row = connection.execute(
        "SELECT max(c.sealed_at) FROM epoch e JOIN stream s ON s.epoch = e.epoch"
        " JOIN copy c ON c.stream = s.stream AND c.sequence = s.sequence WHERE e.closed_at IS NULL"
    ).fetchone()
    if known is not None and row[0] is not None:
        found[bytes(known[0])] = int(row[0])
    return found


def _send_again(connection: sqlite3.Connection, last_epoch: int | None, at_ms: int) -> int:
    """Let what is not receipted wait again, up to an epoch, or whatever its epoch."""
    streams = connection.execute(
        "SELECT DISTINCT c.stream FROM copy c JOIN stream s ON s.stream = c.stream"
        " WHERE c.envelope IS NOT NULL AND c.state IN (1 /* sealed */, 2 /* sent */)"
        " AND s.epoch <= coalesce(?, s.epoch)",
        (last_epoch,),
    ).fetchall()
    return sum(requeue(connection, stream, at_ms=at_ms, with_receipts=True) for (stream,) in streams)
