"""Figures for Prometheus, over HTTP (format: Prometheus text exposition 0.0.4, OpenMetrics 1.0 if asked for).

A scrape reads nothing but what the last look has found: it takes no lock, no connection and no time of whoever sends.
"""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from prometheus_client import CollectorRegistry, start_http_server
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.registry import Collector
from typing_extensions import override

from docbus.errors import ConfigurationError
from docbus.identity.freshness import Freshness

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from prometheus_client.core import Metric

    from docbus.client.status import AgencyStatus
    from docbus.clock import Clock

_MS = 1000.0
CLOSE_SECONDS = 5.0
"""Seconds that closing waits for the thread that serves; it looks twice a second whether it should end."""


@dataclass(frozen=True, slots=True)
class Figure:
    """One metric of an agency: name without ``docbus_``, help, label beside ``agency`` if any, values by label.

    A name that ends in ``_total`` is a counter, any other a gauge.
    """

    name: str
    text: str
    values: Mapping[str, float]
    label: str | None = None


def _one(name: str, text: str, value: float | None) -> Figure:
    return Figure(name, text, {} if value is None else {"": value})


def figures(status: AgencyStatus, *, now_ms: int) -> Iterator[Figure]:
    """Return an agency's figures.

    Args:
        status: Its state, as last read.
        now_ms: Milliseconds since 1970; ages are counted up to now, also if nothing could be read for long.
    """

    def age(at: int | None) -> float:
        return 0.0 if at is None else max(0, now_ms - at) / _MS

    outbox, inbox = status.outbox, status.inbox
    yield _one("status_age_seconds", "Seconds since these figures were read.", age(status.at))
    yield _one("bus_reachable", "1 if the bus answered when they were read.", float(status.trouble is None))
    states = ("accepted", "sent", "received", "refused", "failed")
    yield Figure(
        "outbox_copies",
        "Copies of documents and statuses, one for each recipient, by how far they have come.",
        {state: getattr(outbox, state) for state in states},
        "state",
    )
    yield Figure(
        "outbox_oldest_seconds",
        "Age of the oldest copy that is accepted and not sent, or sent and not answered.",
        {"accepted": age(outbox.oldest_accepted_at), "sent": age(outbox.oldest_sent_at if outbox.sent else None)},
        "state",
    )
    yield Figure(
        "overdue_copies",
        "Copies of documents that should have been sent, received or processed by now.",
        {one.stage.value: one.count for one in status.overdue},
        "stage",
    )
    yield Figure(
        "overdue_seconds",
        "Seconds since the first of them was due.",
        {one.stage.value: age(one.due_at) for one in status.overdue},
        "stage",
    )
    yield _one("outbox_receipts", "Receipts that wait to be sent.", outbox.receipts_waiting)
    yield _one("outbox_streams_blocked", "Streams whose last attempt to send was in vain.", len(outbox.blocked))
    yield _one("outbox_bytes", "Bytes that count against the limit.", outbox.used_bytes + outbox.content.kept_bytes)
    yield _one("outbox_limit_bytes", "Bytes at which it refuses documents.", status.outbox_limit_bytes)
    yield _one("outbox_content_bytes", "Bytes of these that are large content.", outbox.content.kept_bytes)
    yield Figure(
        "inbox_lag_records",
        "Records stored in the inbox and not decided yet; none if the bus did not answer.",
        {str(partition): lag for partition, lag in (status.lag or {}).items()},
        "partition",
    )
    yield _one("inbox_documents_total", "Documents decided, ever.", inbox.documents)
    yield _one("inbox_refused_total", "Statements refused for good, ever.", inbox.refused)
    yield _one("inbox_duplicates_total", "Records whose statement had come before, ever.", inbox.duplicates)
    yield _one("inbox_findings", "Findings that are kept.", inbox.findings)
    yield _one("inbox_statements_missing", "Statements that have not come, though later ones have.", inbox.missing)
    yield _one("inbox_records_waiting", "Records that wait for something before they can be filed.", inbox.parked)
    missing = inbox.content.size - inbox.content.have
    yield _one("inbox_content_bytes", "Bytes of large content still to be fetched.", missing)
    yield _one(
        "sink_unavailable_seconds",
        "Seconds since the system for documents stopped taking any; 0 while it does.",
        age(None if inbox.sink is None else inbox.sink.since),
    )
    for topic, name in (("quarantine", "quarantine_records"), ("dead-letter", "dead_letter_records")):
        counts = {one.reason: one.count - one.settled for one in inbox.set_aside if one.topic == topic}
        yield Figure(name, "Records set aside that nobody has decided about yet.", counts, "reason")
    # Of a record that is not decided nobody knows yet whether it has large content at all.
    known = status.expiry is not None and status.expiry.document_id is not None
    expiry = status.expiry.expires_at if status.expiry is not None and known else None
    yield _one(
        "content_expiry_timestamp_seconds",
        "When large content begins to expire that was not fetched, since 1970; none if nothing waits.",
        None if expiry is None else expiry / _MS,
    )
    followed = float(status.directory_trouble is None)
    yield _one(
        "directory_followed", "0 if the directory cannot be followed, so that revocations go unnoticed.", followed
    )
    directory = status.directory
    yield _one("directory_entry", "Last entry of the directory.", None if directory is None else directory.position)
    judged = directory is not None and directory.freshness is not Freshness.NOT_JUDGED
    yield _one(
        "directory_age_seconds",
        "Seconds since the last entry of the directory was made; none before the registrar's first heartbeat.",
        age(directory.made_at) if directory is not None and judged else None,
    )
    stamped_at = None if directory is None else directory.stamped_at
    yield _one(
        "directory_time_stamp_age_seconds",
        "Seconds since the directory was last time-stamped, as it says itself; none if it never was.",
        None if stamped_at is None else age(stamped_at),
    )
    yield from _time_stamps(status, age)
    yield _one(
        "clock_ahead_seconds",
        "By how much the clock is ahead of the brokers'; from 300 on nothing is signed.",
        None if status.clock_ahead_ms is None else status.clock_ahead_ms / _MS,
    )
    yield _one(
        "signer_away_seconds",
        "Seconds for which the token with the signing key has been away; 0 while it signs.",
        age(None if status.signer_trouble is None else status.signer_trouble.since),
    )
    yield _one(
        "certificate_expiry_timestamp_seconds",
        "When the certificate ends under which this agency signs, since 1970.",
        None if status.certificate_expires_at is None else status.certificate_expires_at / _MS,
    )


def _time_stamps(status: AgencyStatus, age: Callable[[int | None], float]) -> Iterator[Figure]:
    stamps = status.time_stamps
    if stamps is None:
        return
    gap = stamps.gap
    yield _one("time_stamp_batches_waiting", "Signed batches that wait for a time stamp.", stamps.waiting)
    yield _one("time_stamp_waiting_seconds", "Seconds for which the first of them waits.", age(stamps.waiting_since))
    yield _one(
        "time_stamp_gap_seconds",
        "Seconds for which the time-stamping authority has given nothing; 0 while it does.",
        age(None if gap is None else gap.since),
    )


class Exposition(Collector):
    """Serves the figures of the last look.

    Args:
        address: Host and port to listen on.
        clock: For ages.
    """

    def __init__(self, address: tuple[str, int], *, clock: Clock) -> None:
        self._address = address
        self._clock = clock
        self.latest: AgencyStatus | None = None
        """What was found last; replaced as a whole, as another thread reads it."""

    @override
    def collect(self) -> Iterator[Metric]:
        """Yield the metrics; none before the first look."""
        status = self.latest
        if status is None:
            return
        for figure in figures(status, now_ms=self._clock.now_ms()):
            labels = ["agency"] if figure.label is None else ["agency", figure.label]
            kind = CounterMetricFamily if figure.name.endswith("_total") else GaugeMetricFamily
            family = kind(f"docbus_{figure.name}", figure.text, labels=labels)
            for label, value in figure.values.items():
                family.add_metric([status.agency] if figure.label is None else [status.agency, label], value)
            yield family

    @contextmanager
    def listening(self) -> Iterator[None]:
        """Serve as long as the block runs, in a thread of its own.

        Raises:
            ConfigurationError: The address is taken, or not this machine's.
        """
        registry = CollectorRegistry(auto_describe=False)
        registry.register(self)
        host, port = self._address
        try:
            server, thread = start_http_server(port, host, registry)
        except OSError as error:
            raise ConfigurationError(
                f"metrics.listen: {host}:{port} cannot be listened on: {error.strerror or error}",
                hint="Another process may listen there; give each folder a port of its own.",
            ) from error
        try:
            yield
        finally:
            server.shutdown()
            server.server_close()
            thread.join(CLOSE_SECONDS)
