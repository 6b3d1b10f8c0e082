"""Names and intended configuration of every topic (design D2): the only place that knows either.

A topic is ``docbus.<what>.<scheme>.<value>`` for an agency, and ``docbus.directory``. Scheme and value have every byte
outside ``A-Z a-z 0-9 .`` written as ``-`` and two lower-case hex digits, so that a name has one spelling only, no
name needs quoting, and none collides with another in Kafka's metrics, where ``.`` and ``_`` are the same.
"""

from __future__ import annotations

import re
from types import MappingProxyType
from typing import TYPE_CHECKING, Final

from docbus.errors import AgencyCodeError, TransportError
from docbus.limits import KIB, MAX_ENVELOPE_BYTES
from docbus.transport.port import TopicSpec

if TYPE_CHECKING:
    from collections.abc import Mapping

PREFIX: Final = "docbus"
DIRECTORY: Final = "docbus.directory"
"""The log of grants, rotations and revocations (design D7)."""

INBOX: Final = "inbox"
CONTENT: Final = "content"
QUARANTINE: Final = "quarantine"
DEAD_LETTER: Final = "dead-letter"
LEDGER: Final = "ledger"
KINDS: Final = (INBOX, CONTENT, QUARANTINE, DEAD_LETTER, LEDGER)
"""What an agency has; ``content`` is written by the agency and read by all, ``inbox`` the other way round."""

CONTENT_PARTITION: Final = 0
"""The partition of a content topic in which all parts lie: whoever looks for one reads on from where another lay."""

MAX_TOPIC_BYTES: Final = 249
"""Bytes of a topic's name; Kafka's own limit."""

MAX_RECORD_BYTES: Final = MAX_ENVELOPE_BYTES + 256 * KIB
"""Bytes of a stored batch, 1.25 MiB: the largest envelope, key and headers, with room, so that it is docbus that
refuses what is too large, not the broker."""
MAX_QUARANTINED_BYTES: Final = MAX_RECORD_BYTES + 256 * KIB
"""Bytes of a stored batch in a quarantine, 1.5 MiB: whatever fits an inbox, and what was wrong with it."""
DAY_MS: Final = 24 * 60 * 60 * 1000
INBOX_RETENTION_MS: Final = 90 * DAY_MS
"""Ninety days: longer than any outage of a recipient, and than the month in which paper would be asked for again. What
is older is in the DMS of the recipient and in archives, not on the broker."""
CONTENT_RETENTION_MS: Final = 97 * DAY_MS
"""A week longer than inboxes, so that large content is there as long as an envelope that refers to it."""
QUARANTINE_RETENTION_MS: Final = 365 * DAY_MS
"""One year: evidence of what could not be verified, for somebody to look into."""
FOREVER: Final = -1
"""Kafka's value for no limit. The directory and the ledgers are replayed from their first record, and a dead letter is
a document that somebody has yet to file."""
MIN_IN_SYNC: Final = 2
"""Replicas that must have a record before it counts as stored: survives the loss of one broker, with three replicas
also while one is down. An adapter with fewer replicas lowers it."""

_RETENTION_MS: Final[Mapping[str, int]] = MappingProxyType(
    {
        INBOX: INBOX_RETENTION_MS,
        CONTENT: CONTENT_RETENTION_MS,
        QUARANTINE: QUARANTINE_RETENTION_MS,
        DEAD_LETTER: FOREVER,
        LEDGER: FOREVER,
        DIRECTORY: FOREVER,
    }
)
_MAX_BYTES: Final[Mapping[str, int]] = MappingProxyType(
    dict.fromkeys((INBOX, CONTENT, DEAD_LETTER, LEDGER, DIRECTORY), MAX_RECORD_BYTES)
    | {QUARANTINE: MAX_QUARANTINED_BYTES}
)

_UNSAFE = re.compile(rb"[^A-Za-z0-9.]")
_ESCAPE = re.compile(rb"-([0-9a-f]{2})")
_ESCAPED = re.compile(rb"(?:[A-Za-z0-9.]|-[0-9a-f]{2})+")


def inbox(agency_id: str) -> str:
    """Return the topic that holds what was sent to an agency."""
    return _name(INBOX, agency_id)


def content(agency_id: str) -> str:
    """Return the topic that holds large content, as ciphertext, which an agency sent."""
    return _name(CONTENT, agency_id)


def quarantine(agency_id: str) -> str:
    """Return the topic that holds what came to an agency and could not be verified."""
    return _name(QUARANTINE, agency_id)


def dead_letter(agency_id: str) -> str:
    """Return the topic that holds what was verified, but the agency's DMS would not take."""
    return _name(DEAD_LETTER, agency_id)


def ledger(agency_id: str) -> str:
    """Return the topic that holds an agency's checkpoints."""
    return _name(LEDGER, agency_id)


def agency_topics(agency_id: str) -> tuple[str, ...]:
    """Return all topics of an agency."""
    return tuple(_name(kind, agency_id) for kind in KINDS)


def kind_of(topic: str) -> str | None:
    """Return what a topic is for, one of :data:`KINDS` or :data:`DIRECTORY`; ``None`` if it is no topic of docbus."""
    if topic == DIRECTORY:
        return DIRECTORY
    kind = topic.removeprefix(f"{PREFIX}.").partition(".")[0]
    return kind if kind in KINDS and owner_of(topic) is not None else None


def owner_of(topic: str) -> str | None:
    """Return the canonical id of the agency that a topic belongs to; ``None`` for the directory and for other topics.

    The inverse of :func:`inbox` and its like: a name that they would not have made has no owner.
    """
    prefix, _, rest = topic.partition(".")
    kind, _, rest = rest.partition(".")
    scheme, _, value = rest.partition(".")
    if prefix != PREFIX or kind not in KINDS or not scheme or not value:
        return None
    try:
        agency_id = f"{unescape(scheme)}:{unescape(value)}"
        return agency_id if _name(kind, agency_id) == topic else None
    except (TransportError, AgencyCodeError):
        return None


def escape(text: str) -> str:
    """Return text with every byte outside ``A-Z a-z 0-9 .`` as ``-`` and two hex digits."""
    return _UNSAFE.sub(lambda found: b"-%02x" % found[0][0], text.encode()).decode("ascii")


def unescape(text: str) -> str:
    """Return what :func:`escape` was given.

    Raises:
        TransportError: The text is nothing that :func:`escape` returns.
    """
    encoded = text.encode()
    if _ESCAPED.fullmatch(encoded):
        try:
            plain = _ESCAPE.sub(lambda found: bytes.fromhex(found[1].decode()), encoded).decode()
        except UnicodeDecodeError:
            plain = ""
        if escape(plain) == text:
            return plain
    raise TransportError(f"{text!r} is not an escaped part of a topic's name")


def spec_of(topic: str, *, partitions: int = 1, content_retention_ms: int = CONTENT_RETENTION_MS) -> TopicSpec:
    """Return a topic as it is meant to be.

    Args:
        topic: A name made by this module.
        partitions: How many; the directory always has one, because its order is the authority.
        content_retention_ms: For how long a content topic keeps its parts; no other topic asks for it.

    Raises:
        TransportError: It is no topic of docbus.
    """
    kind = kind_of(topic)
    if kind is None:
        raise TransportError(f"{topic!r} is not the name of a topic of docbus")
    return TopicSpec(
        name=topic,
        partitions=1 if kind in {DIRECTORY, LEDGER} else partitions,
        configuration=configuration_of(kind)
        if kind != CONTENT
        else MappingProxyType(configuration_of(kind) | {"retention.ms": str(content_retention_ms)}),
    )


def configuration_of(kind: str) -> MappingProxyType[str, str]:
    """Return the intended configuration of a kind of topic, in Kafka's names.

    - ``compression.type``: what is stored is what was sent, so the broker unpacks a compressed batch and refuses a bomb
      (design D12); what docbus sends is encrypted and does not compress.
    - ``message.timestamp.type``: the broker's clock, because a sender's is the sender's word.
    - ``cleanup.policy``: compaction would remove statements of the same sender, as the key is the sender.
    - ``unclean.leader.election.enable``: rather no leader than one that has lost acknowledged records.
    """
    return MappingProxyType(
        {
            "cleanup.policy": "delete",
            "compression.type": "uncompressed",
            "max.message.bytes": str(_MAX_BYTES[kind]),
            "message.timestamp.type": "LogAppendTime",
            "min.insync.replicas": str(MIN_IN_SYNC),
            "retention.bytes": str(FOREVER),
            "retention.ms": str(_RETENTION_MS[kind]),
            "unclean.leader.election.enable": "false",
        }
    )


def _name(kind: str, agency_id: str) -> str:
    scheme, separator, value = agency_id.partition(":")
    if not separator or not scheme or not value or "." in scheme:
        raise AgencyCodeError(
            f"{agency_id!r} is not a canonical agency id",
            hint="Give the id as in the directory, such as vn:H37.02.02.",
        )
    name = f"{PREFIX}.{kind}.{escape(scheme)}.{escape(value)}"
    if len(name) > MAX_TOPIC_BYTES:
        raise AgencyCodeError(
            f"{agency_id!r} is too long for the name of a topic: {len(name)} bytes, Kafka allows {MAX_TOPIC_BYTES}"
        )
    return name
