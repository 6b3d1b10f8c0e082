"""Names of topics, their inverse, and their configuration."""

from __future__ import annotations

import re

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from docbus.errors import AgencyCodeError, TransportError
from docbus.limits import MAX_ENVELOPE_BYTES
from docbus.transport import topics

AGENCY = "vn:H37.02.02"


def test_names() -> None:
    """The names are those of the design."""
    assert (
        "docbus.inbox.vn.H37.02.02",
        "docbus.content.vn.H37.02.02",
        "docbus.quarantine.vn.H37.02.02",
        "docbus.dead-letter.vn.H37.02.02",
        "docbus.ledger.vn.H37.02.02",
    ) == topics.agency_topics(AGENCY)
    assert topics.agency_topics(AGENCY) == tuple(
        name(AGENCY) for name in (topics.inbox, topics.content, topics.quarantine, topics.dead_letter, topics.ledger)
    )
    assert "docbus.directory" == topics.DIRECTORY


@pytest.mark.parametrize(
    ("agency_id", "expected"),
    [
        ("vnlegacy:28.22.H17", "docbus.inbox.vnlegacy.28.22.H17"),
        ("iso6523:0088:123_4-5", "docbus.inbox.iso6523.0088-3a123-5f4-2d5"),
        ("xroad:EE/GOV/Bộ", "docbus.inbox.xroad.EE-2fGOV-2fB-e1-bb-99"),
    ],
)
def test_other_bytes_are_escaped(agency_id: str, expected: str) -> None:
    """Every byte outside letters, digits and dots is a hyphen and two hex digits."""
    assert expected == topics.inbox(agency_id)
    assert agency_id == topics.owner_of(expected)


@given(scheme=st.text(min_size=1, max_size=8), value=st.text(min_size=1, max_size=30))
def test_owner_is_the_inverse(scheme: str, value: str) -> None:
    """Any id survives the way to a name and back, and the name is one that Kafka takes."""
    assume(not set(scheme) & {":", "."})
    agency_id = f"{scheme}:{value}"
    try:
        names = topics.agency_topics(agency_id)
    except AgencyCodeError as error:
        assert "too long" in error.text  # noqa: PT017 - only this reason is left
        return
    for name, kind in zip(names, topics.KINDS, strict=True):
        assert re.fullmatch(r"[A-Za-z0-9.-]{1,249}", name)
        assert (agency_id, kind) == (topics.owner_of(name), topics.kind_of(name))


@pytest.mark.parametrize(
    "name",
    [
        "docbus.directory",
        "docbus.inbox",
        "docbus.inbox.vn",
        "docbus.inbox.vn.",
        "docbus.inbox..H37",
        "docbus.outbox.vn.H37",
        "other.inbox.vn.H37",
        "docbus.inbox.vn.H37-2E",
        "docbus.inbox.vn.H37-2e",
        "docbus.inbox.vn.H37-41",
        "docbus.inbox.vn.H37-4",
        "docbus.inbox.vn.H37-ff",
        "docbus.inbox.vn.H_37",
        "",
    ],
)
def test_other_names_have_no_owner(name: str) -> None:
    """A name that this module would not have made belongs to nobody; one spelling per agency."""
    assert topics.owner_of(name) is None


@pytest.mark.parametrize("agency_id", ["", "H37", ":H37", "vn:", "v.n:H37", "vn:" + "x" * 300])
def test_ids_that_are_none(agency_id: str) -> None:
    """Text that is no canonical id, or too long, makes no name."""
    with pytest.raises(AgencyCodeError, match=re.escape(repr(agency_id))):
        topics.inbox(agency_id)


@pytest.mark.parametrize(
    ("name", "max_bytes", "retention_days"),
    [
        (topics.inbox(AGENCY), 1_310_720, 90),
        (topics.content(AGENCY), 1_310_720, 97),
        (topics.quarantine(AGENCY), 1_572_864, 365),
        (topics.dead_letter(AGENCY), 1_310_720, None),
        (topics.ledger(AGENCY), 1_310_720, None),
        (topics.DIRECTORY, 1_310_720, None),
    ],
)
def test_intended_configuration(name: str, max_bytes: int, retention_days: int | None) -> None:
    """Stored uncompressed, stamped by the broker, never compacted, with the limits of the design."""
    spec = topics.spec_of(name)
    assert {
        "cleanup.policy": "delete",
        "compression.type": "uncompressed",
        "max.message.bytes": str(max_bytes),
        "message.timestamp.type": "LogAppendTime",
        "min.insync.replicas": "2",
        "retention.bytes": "-1",
        "retention.ms": "-1" if retention_days is None else str(retention_days * 86_400_000),
        "unclean.leader.election.enable": "false",
    } == dict(spec.configuration)
    assert (name, 1) == (spec.name, spec.partitions)
    assert max_bytes > MAX_ENVELOPE_BYTES


def test_partitions_of_logs_whose_order_counts() -> None:
    """An inbox has as many partitions as asked; the directory and a ledger always one."""
    assert (4, 1, 1) == tuple(
        topics.spec_of(name, partitions=4).partitions
        for name in (topics.inbox(AGENCY), topics.DIRECTORY, topics.ledger(AGENCY))
    )


def test_no_specification_for_other_topics() -> None:
    """A topic that is not docbus's has no specification."""
    with pytest.raises(TransportError, match="orders"):
        topics.spec_of("orders")
    assert topics.kind_of("orders") is None
    assert topics.DIRECTORY == topics.kind_of(topics.DIRECTORY)
