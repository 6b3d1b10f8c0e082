from __future__ import annotations

import socket
from dataclasses import replace
from typing import TYPE_CHECKING
from urllib.request import urlopen

import pytest
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.parser import text_string_to_metric_families

from docbus.client.directory_state import DirectoryState
from docbus.client.metrics import Exposition, figures
from docbus.consumers.overview import AsideCount, SinkState
from docbus.documents.deadlines import Stage
from docbus.errors import ConfigurationError, TransportError
from docbus.identity.freshness import Freshness
from docbus.identity.time_stamps.gap import Gap
from docbus.producers.batch_stamps import StampCounts
from docbus.producers.overdue import OverdueStage
from docbus.producers.signer_guard import SignerTrouble
from tests.support.outbox import NOW_MS, FakeClock
from tests.support.status import empty_status

if TYPE_CHECKING:
    from pathlib import Path

    from docbus.client.status import AgencyStatus

LIMIT, EXPIRES_AT = 1000, NOW_MS + 5000
Samples = dict[tuple[str, str], float]


def samples(exposition: Exposition) -> Samples:
    """Return value by name and label beside the agency, as a scraper reads them."""
    registry = CollectorRegistry(auto_describe=False)
    registry.register(exposition)
    return parse(generate_latest(registry).decode())


def parse(text: str) -> Samples:
    found: Samples = {}
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            labels = dict(sample.labels)
            assert "vn:H26" == labels.pop("agency")
            found[sample.name, "".join(labels.values())] = sample.value
    return found


def exposition(status: AgencyStatus | None, port: int = 0) -> Exposition:
    made = Exposition(("127.0.0.1", port), clock=FakeClock(ms=NOW_MS + 2000))
    made.latest = status
    return made


@pytest.mark.parametrize(("since", "seconds"), [(NOW_MS - 3000, 5.0), (None, 0.0)])
def test_signer_that_is_away_ages(tmp_path: Path, since: int | None, seconds: float) -> None:
    """For how long nothing could be signed goes on by the clock; 0 if that is not known."""
    trouble = SignerTrouble("the token is not there", None, since)

    away = samples(exposition(empty_status(tmp_path, signer_trouble=trouble)))
    well = samples(exposition(empty_status(tmp_path)))

    assert (seconds, 0.0) == tuple(found["docbus_signer_away_seconds", ""] for found in (away, well))


def test_nothing_is_said_before_the_first_look() -> None:
    """A scrape before anything was read gets no figures, rather than zeros that nobody has measured."""
    assert {} == samples(exposition(None))


def test_figures_say_what_status_says(tmp_path: Path) -> None:
    """What waits, is overdue, is missing and was set aside is there under the agency's id; ages go on by the clock."""
    empty = empty_status(tmp_path, outbox_limit_bytes=LIMIT, certificate_expires_at=EXPIRES_AT)
    status = replace(
        empty,
        outbox=replace(empty.outbox, accepted=3, sent=2, oldest_accepted_at=NOW_MS - 1000, used_bytes=900),
        overdue=(OverdueStage(stage=Stage.SENT, count=4, due_at=NOW_MS - 8000, first=()),),
        inbox=replace(
            empty.inbox,
            documents=7,
            missing=1,
            sink=SinkState(since=NOW_MS - 3000, attempts=2, error="away"),
            set_aside=(
                AsideCount(topic="quarantine", reason="signature_invalid", count=5, at=NOW_MS, settled=2),
                AsideCount(topic="dead-letter", reason="sink_rejected", count=1, at=NOW_MS),
            ),
        ),
        lag={0: 12, 1: 0},
        clock_ahead_ms=90_000.0,
    )

    found = samples(exposition(status))

    expected = {
        ("docbus_status_age_seconds", ""): 2.0,
        ("docbus_bus_reachable", ""): 1.0,
        ("docbus_outbox_copies", "accepted"): 3.0,
        ("docbus_outbox_copies", "sent"): 2.0,
        ("docbus_outbox_oldest_seconds", "accepted"): 3.0,
        ("docbus_overdue_copies", "sent"): 4.0,
        ("docbus_overdue_seconds", "sent"): 10.0,
        ("docbus_outbox_bytes", ""): 900.0,
        ("docbus_outbox_limit_bytes", ""): 1000.0,
        ("docbus_inbox_lag_records", "0"): 12.0,
        ("docbus_inbox_documents_total", ""): 7.0,
        ("docbus_inbox_statements_missing", ""): 1.0,
        ("docbus_sink_unavailable_seconds", ""): 5.0,
        ("docbus_quarantine_records", "signature_invalid"): 3.0,
        ("docbus_dead_letter_records", "sink_rejected"): 1.0,
        ("docbus_certificate_expiry_timestamp_seconds", ""): EXPIRES_AT / 1000,
        ("docbus_clock_ahead_seconds", ""): 90.0,
    }
    assert expected == {name: found.get(name) for name in expected}


def test_bus_that_does_not_answer_shows(tmp_path: Path) -> None:
    """Without the bus there is no lag, and not a lag of zero."""
    status = empty_status(tmp_path, trouble=TransportError("no broker answers"), lag=None)

    found = samples(exposition(status))

    assert 0.0 == found["docbus_bus_reachable", ""]
    assert not [name for name, _ in found if name == "docbus_inbox_lag_records"]


@pytest.mark.parametrize(
    ("freshness", "expected"),
    [(Freshness.NOT_JUDGED, None), (Freshness.FRESH, 7.0), (Freshness.OLD, 7.0), (Freshness.STALE, 7.0)],
)
def test_age_of_the_directory_goes_on_by_the_clock(
    tmp_path: Path, freshness: Freshness, expected: float | None
) -> None:
    """It is counted up to the scrape, and left out where the registrar never beats: nothing could be told from it."""
    directory = DirectoryState(position=3, head=bytes(32), made_at=NOW_MS - 5000, age_ms=5000, freshness=freshness)

    found = samples(exposition(empty_status(tmp_path, directory=directory)))

    assert expected == found.get(("docbus_directory_age_seconds", ""))
    assert 3 == found["docbus_directory_entry", ""]


def test_names_are_those_of_the_reference(tmp_path: Path) -> None:
    """Every figure stands in the reference, and nothing else does."""
    page = "docs/reference/metrics.md"
    with open(page, encoding="utf-8") as file:  # noqa: PTH123 - beside the tests' working folder
        documented = {line.split("`")[1].partition("{")[0] for line in file if line.startswith("| `docbus_")}
    nothing_waits = StampCounts(waiting=0, waiting_since=None, stamps=0, stamped_at=None, authority=None, gap=None)
    status = empty_status(tmp_path, time_stamps=nothing_waits)

    made = {f"docbus_{figure.name}" for figure in figures(status, now_ms=NOW_MS)}

    assert documented == made


@pytest.mark.loopback  # HTTP is what is tested
def test_prometheus_reads_them_over_http(tmp_path: Path) -> None:
    """The address answers while the block runs and is free again afterwards; a taken one is named."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    served = exposition(empty_status(tmp_path), port)

    with served.listening():
        with urlopen(f"http://127.0.0.1:{port}/metrics", timeout=10) as answer:
            found = parse(answer.read().decode())
        with pytest.raises(ConfigurationError, match=f"127.0.0.1:{port} cannot be listened on"), served.listening():
            pass
    with served.listening():
        pass

    assert 1.0 == found["docbus_bus_reachable", ""]


def test_time_stamps_are_counted_where_they_are_wished(tmp_path: Path) -> None:
    """What waits, for how long, and for how long nobody stamps; nothing where nobody wishes any."""
    gap = Gap(since=NOW_MS - 5000, attempts=2, tried_at=NOW_MS, code="time_stamp_refused", text="")
    stamps = StampCounts(waiting=3, waiting_since=NOW_MS - 7000, stamps=1, stamped_at=NOW_MS, authority="CN=A", gap=gap)
    directory = DirectoryState(
        position=7,
        head=bytes(32),
        made_at=NOW_MS,
        age_ms=0,
        freshness=Freshness.FRESH,
        stamped_entry=5,
        stamped_at=NOW_MS - 9000,
        stamped_by="CN=A",
    )

    found = samples(exposition(empty_status(tmp_path, time_stamps=stamps, directory=directory)))
    filled = samples(exposition(empty_status(tmp_path, time_stamps=replace(stamps, waiting_since=None, gap=None))))
    without = samples(exposition(empty_status(tmp_path)))

    expected = {"batches_waiting": 3.0, "waiting_seconds": 9.0, "gap_seconds": 7.0}
    assert expected == {name: found[f"docbus_time_stamp_{name}", ""] for name in expected}
    assert 11.0 == found["docbus_directory_time_stamp_age_seconds", ""]
    assert (0.0, 0.0) == tuple(filled[f"docbus_time_stamp_{name}_seconds", ""] for name in ("waiting", "gap"))
    assert [] == [name for name, _ in without if "time_stamp" in name]
