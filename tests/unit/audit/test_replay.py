"""A replay over the embedded transport, with real envelopes, and one thing wrong in each."""

from __future__ import annotations

import asyncio
import sqlite3
from contextlib import asynccontextmanager, closing
from typing import TYPE_CHECKING, Any

import pytest

from docbus.audit.bounds import AtOffset, AtTime, Bounding
from docbus.audit.rendering import tables, verdict_line
from docbus.audit.replay import Progress, Replay
from docbus.audit.report import EndedKey
from docbus.documents.document import DocumentReference
from docbus.envelope.batch import StreamHead
from docbus.envelope.envelope import decode_envelope, encode_envelope
from docbus.errors import AuditError, BrokerUnavailableError, DirectoryError, TransportError, UnknownAgencyError
from docbus.identity import entries
from docbus.identity.pki.material import ValidationMaterial, read_piece
from docbus.transport import topics
from docbus.transport.port import NewRecord
from docbus.transport.sqlite import SqliteTransport
from tests.support.audit_exchange import AGENCIES, CITY, COMMUNE, PROVINCE, Exchange, Posted, append
from tests.support.directory import NOW_MS, DirectoryBuilder, make_keys
from tests.support.pki import TestAuthority, ms

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from docbus.audit.report import ReplayReport
    from docbus.transport.port import Record


class StillClock:
    """A clock that the test moves."""

    def __init__(self) -> None:
        self.now = NOW_MS

    def now_ms(self) -> int:
        return self.now

    def monotonic(self) -> float:
        return 0.0


class Host:
    """A bus, and an exchange on it."""

    def __init__(self, transport: SqliteTransport, exchange: Exchange, clock: StillClock) -> None:
        self.transport = transport
        self.exchange = exchange
        self.clock = clock

    async def post(self, *posted: Posted) -> None:
        await append(self.transport, posted)

    async def replay(self, *, transport: Any = None, genesis: bytes | None = None, **asked: Any) -> ReplayReport:
        genesis = genesis or self.exchange.directory.genesis
        return await Replay(transport or self.transport, genesis, self.clock, read_seconds=0.0, **asked).run()

    def move(self, topic: str, offset: int, to: int) -> None:
        """Give a record another offset, and let the topic end behind it."""
        with closing(sqlite3.connect(self.transport.path)) as connection, connection:
            (partition,) = connection.execute(
                "SELECT p.id FROM partitions AS p JOIN topics AS t ON p.topic = t.id WHERE t.name = ?", (topic,)
            ).fetchone()
            connection.execute(
                'UPDATE records SET "offset" = ? WHERE "offset" = ? AND partition_id = ?', (to, offset, partition)
            )
            connection.execute("UPDATE partitions SET next_offset = ? WHERE id = ?", (to + 1, partition))

    def delete(self, topic: str, offset: int) -> None:
        """Take a record out of the file behind the transport's back."""
        connection = sqlite3.connect(self.transport.path)
        try:
            with connection:
                deleted = connection.execute(
                    'DELETE FROM records WHERE "offset" = ? AND partition_id IN '
                    "(SELECT p.id FROM partitions AS p JOIN topics AS t ON p.topic = t.id WHERE t.name = ?)",
                    (offset, topic),
                )
                assert deleted.rowcount == 1
        finally:
            connection.close()


@asynccontextmanager
async def host(path: Path, exchange: Exchange | None = None) -> AsyncIterator[Host]:
    """Start a bus with the directory and inboxes of three agencies."""
    clock = StillClock()
    transport = SqliteTransport(path / "bus.db", clock)
    await transport.start()
    try:
        exchange = exchange or Exchange()
        await exchange.found(transport)
        yield Host(transport, exchange, clock)
    finally:
        await transport.aclose()


def codes(report: ReplayReport) -> list[tuple[str, str | None]]:
    """Return kind and accused of every finding."""
    return [(found.code, found.against) for found in report.audit.findings]


async def test_a_clean_run_is_valid(tmp_path: Path) -> None:
    """One document to two, several to one, receipts for all, a status and a recall: nothing is wrong."""
    async with host(tmp_path) as bus:
        exchange = bus.exchange
        to_both = exchange.seal(CITY, exchange.drafts(CITY, [PROVINCE, COMMUNE], document_id="both"))
        to_city = exchange.documents(COMMUNE, CITY, 600)
        recall = exchange.recall(CITY, COMMUNE, DocumentReference(sender=CITY, document_id="both"))
        await bus.post(*to_both, *to_city, recall)
        statuses = [exchange.status(PROVINCE, CITY, "both", code) for code in (1, 3)]
        await bus.post(exchange.receipt(to_city), *statuses)
        await bus.post(
            exchange.receipt([to_both[0]]), exchange.receipt([to_both[1], recall]), exchange.receipt(statuses)
        )

        report = await bus.replay()

    assert (report.verdict, report.exit_code) == ("valid", 0)
    assert report.audit.findings == ()
    assert (report.audit.records, report.audit.valid, report.audit.documents) == (609, 609, 602)
    assert sum(stream.outstanding for stream in report.audit.streams) == 0
    assert report.audit.statuses == {"01": 1, "03": 1}
    assert report.directory_position == len(AGENCIES)


async def test_an_empty_exchange_is_valid(tmp_path: Path) -> None:
    """Inboxes without records have nothing wrong."""
    async with host(tmp_path) as bus:
        report = await bus.replay()

    assert (report.verdict, report.audit.records, len(report.audit.inboxes)) == ("valid", 0, 3)


async def test_a_tampered_record_is_invalid(tmp_path: Path) -> None:
    """One byte of the package is changed in flight; the statement's position shows as a hole too."""
    async with host(tmp_path) as bus:
        posted = bus.exchange.documents(CITY, PROVINCE, 3)
        envelope = decode_envelope(posted[1].value)
        assert envelope.package is not None
        package = bytes((envelope.package[0] ^ 1,)) + envelope.package[1:]
        value = encode_envelope(envelope._replace(package=package))
        await bus.post(posted[0], Posted(sender=CITY, sealed=posted[1].sealed, value=value), posted[2])

        report = await bus.replay()

    assert (report.verdict, report.exit_code) == ("invalid", 1)
    assert report.audit.failed == {"package_mismatch": 1}
    assert [(r.topic, r.offset) for r in report.audit.rejected] == [(topics.inbox(PROVINCE), 1)]
    assert [stream.holes for stream in report.audit.streams] == [((2, 2),)]


@pytest.mark.parametrize(
    ("key", "value", "code"),
    [
        pytest.param(CITY.encode(), b"\x00random", "envelope_malformed", id="random bytes"),
        pytest.param(PROVINCE.encode(), None, "record_key_mismatch", id="another key"),
        pytest.param(None, None, "record_key_mismatch", id="no key"),
    ],
)
async def test_a_foreign_record_is_invalid(tmp_path: Path, key: bytes | None, value: bytes | None, code: str) -> None:
    """Bytes that are no envelope, and a genuine envelope under another key or none."""
    async with host(tmp_path) as bus:
        (posted,) = bus.exchange.documents(CITY, PROVINCE, 1)
        record = NewRecord(topic=topics.inbox(PROVINCE), key=key, value=posted.value if value is None else value)
        await bus.transport.append([record])

        report = await bus.replay()

    assert (report.verdict, report.audit.failed) == ("invalid", {code: 1})


async def test_a_deleted_record_is_a_hole(tmp_path: Path) -> None:
    """Whoever runs the bus takes one record out of the middle."""
    async with host(tmp_path) as bus:
        await bus.post(*bus.exchange.documents(CITY, PROVINCE, 5))
        bus.delete(topics.inbox(PROVINCE), 2)

        report = await bus.replay()

    assert (report.verdict, report.exit_code) == ("incomplete", 3)
    assert [(stream.holes, stream.missing) for stream in report.audit.streams] == [(((3, 3),), 1)]
    assert codes(report) == [("offset_gap", None)]


@pytest.mark.parametrize("count", [1, 5])
async def test_beginning_that_is_gone_makes_it_incomplete(tmp_path: Path, count: int) -> None:
    """Taking away the first record, or all of them, leaves nothing that would be a hole, and is found all the same."""
    async with host(tmp_path) as bus:
        await bus.post(*bus.exchange.documents(CITY, PROVINCE, 5))
        for offset in range(count):
            bus.delete(topics.inbox(PROVINCE), offset)

        report = await bus.replay()
        # Somebody who asks for a part of it knows that it is one.
        part = await bus.replay(start=AtOffset(count))

    assert ("incomplete", [("beginning_gone", None)]) == (report.verdict, codes(report))
    assert "beginning_gone" not in {code for code, _ in codes(part)}


async def test_beginning_that_retention_took_is_nobodys_fault(tmp_path: Path) -> None:
    """Where the oldest record that is left is as old as retention allows, nothing is said of what lay before it."""
    async with host(tmp_path) as bus:
        await bus.post(*bus.exchange.documents(CITY, PROVINCE, 5))
        bus.delete(topics.inbox(PROVINCE), 0)
        bus.clock.now += topics.INBOX_RETENTION_MS - topics.DAY_MS

        report = await bus.replay()

    assert "beginning_gone" not in {code for code, _ in codes(report)}


async def test_an_offset_that_no_log_reaches_costs_its_partition_alone(tmp_path: Path) -> None:
    """A broker that gives a record such an offset makes what follows unreadable, and everything else is reported."""
    async with host(tmp_path) as bus:
        await bus.post(*bus.exchange.documents(CITY, PROVINCE, 3))
        bus.move(topics.inbox(PROVINCE), 2, 1 << 50)

        report = await bus.replay()

    assert 2 == report.audit.records
    assert [(topics.inbox(PROVINCE), "offset_impossible")] == [(one.topic, one.code) for one in report.unreadable]


async def test_a_stream_that_does_not_begin_at_one_has_a_hole(tmp_path: Path) -> None:
    """The inbox was read from its first record, and the first statement was never stored."""
    async with host(tmp_path) as bus:
        await bus.post(*bus.exchange.documents(CITY, PROVINCE, 3)[1:])

        report = await bus.replay()

    assert (report.verdict, [stream.holes for stream in report.audit.streams]) == ("incomplete", [((1, 1),)])


async def test_a_deleted_tail_is_found_by_the_bounds(tmp_path: Path) -> None:
    """The last record is taken out, and the bus still says that it is there."""
    async with host(tmp_path) as bus:
        await bus.post(*bus.exchange.documents(CITY, PROVINCE, 3))
        bus.delete(topics.inbox(PROVINCE), 2)

        report = await bus.replay()

    assert report.verdict == "incomplete"
    assert [(u.agency, u.offset, u.code) for u in report.unreadable] == [(PROVINCE, 2, "records_missing")]


async def test_a_receipt_for_what_is_not_there_is_found(tmp_path: Path) -> None:
    """A document was receipted and is not in the inbox, which was read to its end."""
    async with host(tmp_path) as bus:
        posted = bus.exchange.documents(CITY, PROVINCE, 3)
        await bus.post(*posted[:2], bus.exchange.receipt(posted))

        report = await bus.replay()

    assert (report.verdict, codes(report)) == ("incomplete", [("receipted_missing", None)])


async def test_duplicates_are_harmless(tmp_path: Path) -> None:
    """The same bytes sent again are counted."""
    async with host(tmp_path) as bus:
        posted = bus.exchange.documents(CITY, PROVINCE, 2)
        await bus.post(*posted, *posted)

        report = await bus.replay()

    assert (report.verdict, [stream.duplicates for stream in report.audit.streams]) == ("valid", [2])


async def test_a_fork_is_invalid(tmp_path: Path) -> None:
    """The sender signs two statements for one position."""
    async with host(tmp_path) as bus:
        posted = bus.exchange.documents(CITY, PROVINCE, 2)
        behind = {(PROVINCE, "documents"): StreamHead(1, posted[0].sealed.digest)}
        (other,) = bus.exchange.seal(CITY, bus.exchange.drafts(CITY, [PROVINCE]), heads=behind)
        await bus.post(*posted, other)

        report = await bus.replay()

    assert (report.verdict, codes(report)) == ("invalid", [("fork", CITY)])
    assert [w.offset for w in report.audit.findings[0].witnesses] == [1, 2]


async def test_a_broken_chain_is_invalid(tmp_path: Path) -> None:
    """The sender's second statement follows another than its first."""
    async with host(tmp_path) as bus:
        posted = bus.exchange.documents(CITY, PROVINCE, 1)
        behind = {(PROVINCE, "documents"): StreamHead(1, bytes(31) + b"x")}
        (other,) = bus.exchange.seal(CITY, bus.exchange.drafts(CITY, [PROVINCE]), heads=behind)
        await bus.post(*posted, other)

        report = await bus.replay()

    assert (report.verdict, codes(report)) == ("invalid", [("chain_break", CITY)])


async def test_equivocation_is_invalid(tmp_path: Path) -> None:
    """Two recipients get different contents under one document id."""
    async with host(tmp_path) as bus:
        exchange = bus.exchange
        await bus.post(*exchange.documents(CITY, PROVINCE, 1, document_id="same"))
        await bus.post(*exchange.documents(CITY, COMMUNE, 1, document_id="same", content=b"other"))

        report = await bus.replay()

    assert (report.verdict, codes(report)) == ("invalid", [("equivocation", CITY)])


async def test_a_receipt_with_a_wrong_root_is_invalid(tmp_path: Path) -> None:
    """The recipient acknowledges other statements than lie in its inbox."""
    async with host(tmp_path) as bus:
        posted = bus.exchange.documents(CITY, PROVINCE, 2)
        await bus.post(*posted, bus.exchange.receipt(posted, root=bytes(32)))

        report = await bus.replay()

    assert (report.verdict, codes(report)) == ("invalid", [("wrong_root", PROVINCE)])


async def test_outstanding_receipts_make_it_incomplete_after_a_day(tmp_path: Path) -> None:
    """Young ones are only counted."""
    async with host(tmp_path) as bus:
        await bus.post(*bus.exchange.documents(CITY, PROVINCE, 2))
        young = await bus.replay()
        bus.clock.now += 24 * 60 * 60 * 1000 + 1
        old = await bus.replay()

    assert (young.verdict, [stream.outstanding for stream in young.audit.streams]) == ("valid", [2])
    assert (old.verdict, codes(old)) == ("incomplete", [("receipt_overdue", None)])


async def test_a_key_revoked_later_makes_it_indeterminate(tmp_path: Path) -> None:
    """Nothing anchors the statements before the revocation; their positions are known all the same."""
    async with host(tmp_path) as bus:
        posted = bus.exchange.documents(CITY, PROVINCE, 2)
        await bus.post(*posted, bus.exchange.receipt(posted))
        certificate = bus.exchange.keys[CITY].signer.certificate
        revocation = entries.Revocation(agency=CITY, certificate=certificate, reason="stolen", suspected_since=None)
        value = bus.exchange.directory.append(revocation)
        await bus.transport.append([NewRecord(topic=topics.DIRECTORY, key=None, value=value)])

        report = await bus.replay()

    assert (report.verdict, report.audit.indeterminate) == ("incomplete", {"revoked_later": 2})
    assert [(s.sender, s.undecided, s.missing) for s in report.audit.streams] == [(CITY, 2, 0), (PROVINCE, 0, 0)]
    assert report.audit.findings == ()


async def test_a_directory_that_ends_too_early_is_told_apart(tmp_path: Path) -> None:
    """An agency that was granted behind the end of the directory is neither proven nor invalid, and in no stream."""
    async with host(tmp_path) as bus:
        exchange, directory = bus.exchange, bus.exchange.directory
        known = exchange.documents(COMMUNE, PROVINCE, 1)
        keys = exchange.keys[CITY]
        new = make_keys(CITY)
        rotation = entries.KeyRotation(
            agency=CITY,
            signing=new.signing,
            encryption=None,
            retire_signing=(keys.signer.certificate,),
            retire_encryption=(),
        )
        value = directory.append(rotation)
        later = exchange.seal(CITY, exchange.drafts(CITY, [PROVINCE]), snapshot=directory.snapshot(), keys=new)
        await bus.post(*known, *later)

        before = await bus.replay()
        await bus.transport.append([NewRecord(topic=topics.DIRECTORY, key=None, value=value)])
        after = await bus.replay()

    assert (before.verdict, before.exit_code) == ("incomplete", 3)
    assert before.audit.indeterminate == {"certificate_not_known_yet": 1}
    assert (before.audit.not_known_yet, [s.sender for s in before.audit.streams]) == (1, [COMMUNE])
    assert "1 records that name an entry behind the end of the directory, 3," in verdict_line(before)
    assert (after.verdict, after.audit.not_known_yet) == ("valid", 0)
    assert [s.sender for s in after.audit.streams] == [CITY, COMMUNE]


async def test_a_forged_statement_is_invalid_once_the_directory_reaches_the_entry(tmp_path: Path) -> None:
    """Whoever has no grant, and names an entry to come, is found out by the directory that has that entry."""
    async with host(tmp_path) as bus:
        exchange = bus.exchange
        longer = DirectoryBuilder(signers=exchange.directory.signers)
        longer.records[:], longer.hashes[:] = exchange.directory.records[:], exchange.directory.hashes[:]
        beat = longer.append(entries.Heartbeat())
        await bus.post(
            *exchange.seal(CITY, exchange.drafts(CITY, [PROVINCE]), snapshot=longer.snapshot(), keys=make_keys(CITY))
        )

        before = await bus.replay()
        await bus.transport.append([NewRecord(topic=topics.DIRECTORY, key=None, value=beat)])
        after = await bus.replay()

    assert (before.verdict, before.audit.not_known_yet) == ("incomplete", 1)
    assert (after.verdict, after.audit.failed) == ("invalid", {"certificate_unknown": 1})


async def test_statements_of_keys_that_have_ended_are_counted_and_listed(tmp_path: Path) -> None:
    """They stay valid by their senders' word for their time, and the report says so."""
    async with host(tmp_path) as bus:
        old = bus.exchange.keys[CITY].signer.certificate
        posted = bus.exchange.documents(CITY, PROVINCE, 2)
        await bus.post(*posted, posted[0], bus.exchange.receipt(posted))
        none = await bus.replay()
        rotation = entries.KeyRotation(
            agency=CITY,
            signing=make_keys(CITY).signing,
            encryption=None,
            retire_signing=(old,),
            retire_encryption=(),
        )
        value = bus.exchange.directory.append(rotation)
        await bus.transport.append([NewRecord(topic=topics.DIRECTORY, key=None, value=value)])

        report = await bus.replay()

    assert (none.audit.signing_times, none.audit.ended_keys) == ({"claimed": 3, "claimed_and_key_ended": 0}, ())
    assert report.verdict == "valid"
    assert report.audit.signing_times == {"claimed": 3, "claimed_and_key_ended": 2}
    assert report.audit.ended_keys == (
        EndedKey(agency=CITY, certificate=old.hex(), statements=2, why="retired", at=NOW_MS + 4, entry=4),
    )
    titles = [table.title for table in tables(report)]
    assert any("rests on the sender's word alone" in title for title in titles)
    assert "valid; 2 statements made before the end of their keys by" in verdict_line(report)
    assert report.to_json()["ended_keys"][0]["why"] == "retired"


async def test_keys_that_have_ended_are_listed_up_to_a_limit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The one with the most statements is listed, and the statements of both are counted."""
    monkeypatch.setattr("docbus.audit.assembly.MAX_ENDED_KEYS", 1)
    async with host(tmp_path) as bus:
        await bus.post(*bus.exchange.documents(CITY, PROVINCE, 1), *bus.exchange.documents(COMMUNE, PROVINCE, 2))
        for agency in (CITY, COMMUNE):
            closure = bus.exchange.directory.append(entries.Closure(agency=agency, successor=PROVINCE, reason="merged"))
            await bus.transport.append([NewRecord(topic=topics.DIRECTORY, key=None, value=closure)])

        report = await bus.replay()

    assert report.audit.signing_times == {"claimed": 3, "claimed_and_key_ended": 3}
    assert [(key.agency, key.statements) for key in report.audit.ended_keys] == [(COMMUNE, 2)]


async def test_a_statement_of_another_directory_is_a_finding(tmp_path: Path) -> None:
    """The sender was shown a directory with another entry at the same position."""
    async with host(tmp_path) as bus:
        exchange = bus.exchange
        fork = DirectoryBuilder(signers=exchange.directory.signers)
        fork.records[:] = exchange.directory.records[:-1]
        fork.hashes[:] = exchange.directory.hashes[:-1]
        fork.grant("vn:H99")
        await bus.post(*exchange.seal(CITY, exchange.drafts(CITY, [PROVINCE]), snapshot=fork.snapshot()))

        report = await bus.replay()

    assert (report.verdict, codes(report)) == ("invalid", [("directory_hash_mismatch", CITY)])


async def test_a_recall_of_anothers_document_is_invalid(tmp_path: Path) -> None:
    """Only the original's sender may recall."""
    async with host(tmp_path) as bus:
        document = DocumentReference(sender=CITY, document_id="x")
        await bus.post(bus.exchange.recall(PROVINCE, COMMUNE, document))

        report = await bus.replay()

    assert (report.verdict, codes(report)) == ("invalid", [("foreign_recall", PROVINCE)])


async def test_a_start_leaves_out_what_is_before_it(tmp_path: Path) -> None:
    """With --from, the first statement read is a start and not a hole; --to stops before it."""
    async with host(tmp_path) as bus:
        await bus.post(*bus.exchange.documents(CITY, PROVINCE, 6))

        report = await bus.replay(start=AtOffset(2), end=AtOffset(5))

    (stream,) = report.audit.streams
    assert (report.verdict, stream.first, stream.last, stream.missing) == ("valid", 3, 5, 0)


async def test_times_bound_a_replay(tmp_path: Path) -> None:
    """From and to may be times of the broker's clock; the age of receipts is measured at the end."""
    async with host(tmp_path) as bus:
        for _ in range(3):
            await bus.post(*bus.exchange.documents(CITY, PROVINCE, 2))
            bus.clock.now += 1000
        bus.clock.now += 48 * 60 * 60 * 1000

        report = await bus.replay(start=AtTime(NOW_MS + 1000), end=AtTime(NOW_MS + 2000))

    (stream,) = report.audit.streams
    assert (stream.first, stream.last, stream.overdue, report.as_of) == (3, 4, 0, NOW_MS + 2000)


async def test_a_live_stream_ends_where_it_ended_at_the_beginning(tmp_path: Path) -> None:
    """What is appended while the replay runs is left for the next one."""
    async with host(tmp_path) as bus:
        await bus.post(*bus.exchange.documents(CITY, PROVINCE, 2))
        more = bus.exchange.documents(CITY, PROVINCE, 1)

        class Live:
            """Appends a record before every read of an inbox."""

            def __getattr__(self, name: str) -> Any:
                return getattr(bus.transport, name)

            async def read(self, topic: str, partition: int, offset: int, **bounds: Any) -> list[Record]:
                if topic != topics.DIRECTORY:
                    await bus.post(*more)
                return await bus.transport.read(topic, partition, offset, **bounds)

        report = await bus.replay(transport=Live())

    assert (report.verdict, report.audit.records) == ("valid", 2)


class Failing:
    """Raises an error where one inbox is asked for."""

    def __init__(self, transport: SqliteTransport, method: str, error: Exception) -> None:
        self._transport = transport
        self._method = method
        self._error = error
        self.calls = 0

    def __getattr__(self, name: str) -> Any:
        if name != self._method:
            return getattr(self._transport, name)

        async def call(topic: str, *arguments: Any, **named: Any) -> Any:
            if topic == topics.inbox(PROVINCE):
                self.calls += 1
                raise self._error
            return await getattr(self._transport, name)(topic, *arguments, **named)

        return call


@pytest.mark.parametrize(
    ("method", "error", "calls"),
    [
        ("bounds", TransportError("not authorised to read"), 1),
        ("read", TransportError("not authorised to read"), 1),
        ("read", BrokerUnavailableError("no broker answers"), 2),
    ],
)
async def test_an_inbox_that_cannot_be_read_is_named(
    tmp_path: Path, method: str, error: TransportError, calls: int
) -> None:
    """The others are read, the verdict is incomplete, and what only it could show is no finding."""
    async with host(tmp_path) as bus:
        posted = bus.exchange.documents(CITY, PROVINCE, 2)
        await bus.post(*posted, bus.exchange.receipt(posted))
        failing = Failing(bus.transport, method, error)

        report = await bus.replay(transport=failing)

    assert (report.verdict, report.audit.records, failing.calls) == ("incomplete", 1, calls)
    assert [(u.agency, u.code, u.text) for u in report.unreadable] == [(PROVINCE, error.code, error.text)]
    assert report.audit.findings == ()


async def test_a_missing_topic_is_named(tmp_path: Path) -> None:
    """An agency of the directory without an inbox makes it incomplete."""
    async with host(tmp_path) as bus:
        value = bus.exchange.directory.append(entries.AgencyGrant(**_grant("vn:H99")))
        await bus.transport.append([NewRecord(topic=topics.DIRECTORY, key=None, value=value)])

        report = await bus.replay()
        chosen = await bus.replay(agencies=["H26", "H53"])

    assert (report.verdict, [u.code for u in report.unreadable]) == ("incomplete", ["topic_missing"])
    assert (chosen.verdict, [i.agency for i in chosen.audit.inboxes]) == ("valid", [CITY, PROVINCE])


def _grant(agency: str) -> dict[str, Any]:
    keys = make_keys(agency)
    return {
        "agency": agency,
        "name": agency,
        "aliases": (),
        "signing": keys.signing,
        "encryption": keys.encryption,
        "roles": (),
        "partitions": 1,
    }


async def test_an_unknown_agency_is_refused(tmp_path: Path) -> None:
    """Asking for an agency that the directory does not have is an error, not an empty report."""
    async with host(tmp_path) as bus:
        with pytest.raises(UnknownAgencyError):
            await bus.replay(agencies=["H77"])


async def test_without_the_directory_nothing_can_be_said(tmp_path: Path) -> None:
    """A missing directory topic ends the replay before it begins."""
    transport = SqliteTransport(tmp_path / "bus.db")
    await transport.start()
    try:
        with pytest.raises(AuditError, match="directory"):
            await Replay(transport, bytes(32), StillClock(), read_seconds=0.0).run()
    finally:
        await transport.aclose()


async def test_another_genesis_is_refused(tmp_path: Path) -> None:
    """The log must begin with the pinned entry."""
    async with host(tmp_path) as bus:
        with pytest.raises(DirectoryError, match="genesis"):
            await bus.replay(genesis=bytes(32))


async def test_a_broken_directory_is_used_up_to_the_break(tmp_path: Path) -> None:
    """A registrar's entry that breaks a rule makes the audit incomplete; what was made before it is verified."""
    async with host(tmp_path) as bus:
        await bus.post(*bus.exchange.documents(CITY, PROVINCE, 2))
        too_far = bus.exchange.directory.value(entries.Heartbeat(), position=99)
        await bus.transport.append([NewRecord(topic=topics.DIRECTORY, key=None, value=too_far)])

        report = await bus.replay()

    assert (report.verdict, report.audit.valid, codes(report)) == ("incomplete", 2, [("directory_broken", None)])


async def test_a_record_of_somebody_else_in_the_directory_is_passed_by(tmp_path: Path) -> None:
    """What the registrar did not sign is noticed, and what the registrar publishes behind it is in force."""
    async with host(tmp_path) as bus:
        await bus.transport.append([NewRecord(topic=topics.DIRECTORY, key=None, value=b"not an entry")])
        later = bus.exchange.directory.value(entries.Heartbeat())
        await bus.transport.append([NewRecord(topic=topics.DIRECTORY, key=None, value=later)])

        report = await bus.replay()

    assert (report.verdict, codes(report)) == ("valid", [("directory_record_foreign", None)])
    assert len(bus.exchange.directory.records) == report.directory_position


async def test_progress_is_told_after_every_batch(tmp_path: Path) -> None:
    """Records and bytes grow to the total."""
    told: list[Progress] = []
    async with host(tmp_path) as bus:
        posted = bus.exchange.documents(CITY, PROVINCE, 600)
        await bus.post(*posted)

        await bus.replay(progress=told.append)

    assert [(one.records, one.total) for one in told] == [(512, 600), (600, 600)]
    assert told[-1].bytes == sum(len(one.value) for one in posted)
    assert Progress(records=600, bytes=0, total=600, seconds=2.0).rate == 300.0


@pytest.mark.parametrize(("bound", "value"), [("BATCH_RECORDS", 2), ("BATCH_BYTES", 1)])
async def test_what_is_read_in_one_go_is_bounded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, bound: str, value: int
) -> None:
    """However much lies in an inbox, so many records or bytes are in memory at a time, one record at least."""
    monkeypatch.setattr(f"docbus.audit.replay.{bound}", value)
    told: list[Progress] = []
    async with host(tmp_path) as bus:
        await bus.post(*bus.exchange.documents(CITY, PROVINCE, 4))

        await bus.replay(progress=told.append)

    assert [*range(value, 5, value)] == [one.records for one in told]


async def test_topics_asked_about_at_once_are_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """However many agencies there are, brokers are asked about so many of their topics at a time."""
    monkeypatch.setattr("docbus.audit.bounds.TOPICS_AT_ONCE", 2)
    asked, most = 0, 0

    async def ask(_agency: str) -> int:
        nonlocal asked, most
        asked += 1
        most = max(most, asked)
        await asyncio.sleep(0)
        asked -= 1
        return 1

    async with host(tmp_path) as bus:
        found = await Bounding(bus.transport, None, None)._for_all([str(number) for number in range(7)], ask)

    assert (7, 2) == (len(found), most)


async def test_a_replay_says_on_whose_word_it_rests(tmp_path: Path) -> None:
    """Of the lists that valid records needed, and no others; and which of them should have a later one."""
    root = TestAuthority()
    used, unused = root.revocations(number=3, ends=6), TestAuthority(name="Other").revocations()
    material = ValidationMaterial(read_piece(one) for one in (used, unused))
    async with host(tmp_path, Exchange(authority=root, certified=(CITY,))) as bus:
        await bus.post(*bus.exchange.documents(CITY, PROVINCE, 2))
        await bus.post(*bus.exchange.documents(PROVINCE, COMMUNE, 1))
        found = await bus.replay(material=material)
        bus.clock.now = ms(6) + 1
        later = await bus.replay(material=material)
        without = await bus.replay()

    assert (3, 3, 1) == (found.audit.valid, later.audit.valid, without.audit.valid)
    assert [(3, False)] == [(word.number, word.is_outdated) for word in found.words]
    assert [(3, True)] == [(word.number, word.is_outdated) for word in later.words]
    assert () == without.words
