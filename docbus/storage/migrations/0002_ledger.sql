-- The ledger: what an agency has received, and what became of it (design D5). Its own durable state; if it is lost, the
-- inbox is read again from its first record and everything goes through the sink again.
--
-- Times are milliseconds since 1970-01-01T00:00:00Z. Agency ids are canonical, scheme:value.

-- How far each partition of the inbox is decided. The offsets committed at the broker are never taken for it. The
-- anchor is the last record decided: if another one lies there now, the topic was made anew, and reading starts over.
CREATE TABLE inbox_partition (
    partition     INTEGER PRIMARY KEY,
    begun_at      INTEGER NOT NULL,          -- first offset ever read; only from 0 on is a first statement not a start
    next_offset   INTEGER NOT NULL,          -- everything below is decided
    anchor_offset INTEGER,
    anchor_digest BLOB                       -- SHA-256 of that record's value
);

-- A stream is (sender, epoch); only proven senders have any. An idle one may be closed to make room for another.
CREATE TABLE incoming_stream (
    stream    INTEGER PRIMARY KEY,
    sender    TEXT    NOT NULL,
    epoch     BLOB    NOT NULL,              -- 16 bytes, as on the wire
    lane      TEXT    NOT NULL,
    sequence  INTEGER NOT NULL,              -- highest position taken
    digest    BLOB    NOT NULL,              -- its statement digest
    starts    INTEGER NOT NULL,              -- 1: the next statement may lie anywhere beyond
    opened_at INTEGER NOT NULL,
    used_at   INTEGER NOT NULL,
    closed_at INTEGER,
    UNIQUE (sender, epoch)
);

-- Positions of a stream that are not taken; not missed are those from before the first statement seen.
CREATE TABLE incoming_hole (
    stream INTEGER NOT NULL REFERENCES incoming_stream,
    first  INTEGER NOT NULL,
    last   INTEGER NOT NULL,
    missed INTEGER NOT NULL,
    PRIMARY KEY (stream, first)
) WITHOUT ROWID;

-- One row per statement that took its position: its outcome, for the receipt and for every duplicate's receipt.
CREATE TABLE incoming (
    stream     INTEGER NOT NULL,
    sequence   INTEGER NOT NULL,
    reason     TEXT,                         -- NULL: filed; otherwise the code it was refused with
    decided_at INTEGER NOT NULL,
    digest     BLOB    NOT NULL,
    previous   BLOB,                         -- only while the position before it is not taken
    PRIMARY KEY (stream, sequence)
) WITHOUT ROWID;

-- One row per document: the same again gets the same answer, another body under the same id is equivocation.
CREATE TABLE incoming_document (
    sender      TEXT    NOT NULL,
    document_id TEXT    NOT NULL,
    revision    INTEGER NOT NULL,
    body_digest BLOB    NOT NULL,            -- SHA-256 over all fields of the body
    stream      INTEGER NOT NULL,            -- where it was decided first
    sequence    INTEGER NOT NULL,
    reference   TEXT,                        -- the sink's own name for it
    PRIMARY KEY (sender, document_id, revision)
) WITHOUT ROWID;

-- Records that wait, in their order: the first of a stream for a reason, the others behind it.
CREATE TABLE parked (
    parked    INTEGER PRIMARY KEY,
    sender    TEXT    NOT NULL,
    epoch     BLOB    NOT NULL,
    partition INTEGER NOT NULL,
    at_offset INTEGER NOT NULL,
    stored_at INTEGER NOT NULL,              -- by the broker's clock
    size      INTEGER NOT NULL,
    parked_at INTEGER NOT NULL,
    since     INTEGER,                       -- first time it was itself undecided, not only behind another
    due_at    INTEGER,                       -- next attempt; NULL: as soon as it is the first
    attempts  INTEGER NOT NULL,
    cause     TEXT    NOT NULL,              -- 'indeterminate', 'retry' or 'behind'
    code      TEXT    NOT NULL,
    step      TEXT,
    detail    TEXT    NOT NULL,
    outcome   TEXT,                          -- JSON: the sink decided it before one in front of it
    mark      BLOB    NOT NULL,              -- SHA-256 of the value: the same record is parked once
    key       BLOB,
    headers   BLOB    NOT NULL,              -- JSON
    value     BLOB    NOT NULL,
    UNIQUE (partition, at_offset, mark)
);
CREATE INDEX parked_stream ON parked (sender, epoch, parked);

-- What somebody should look at; the newest are kept.
CREATE TABLE finding (
    finding   INTEGER PRIMARY KEY,
    at        INTEGER NOT NULL,
    code      TEXT    NOT NULL,
    sender    TEXT    NOT NULL,              -- proven
    detail    TEXT    NOT NULL,
    partition INTEGER,
    at_offset INTEGER
);

-- How many records went to quarantine or dead letters, by reason; the records themselves are in those topics.
CREATE TABLE set_aside (
    topic  TEXT    NOT NULL,                 -- 'quarantine' or 'dead-letter'
    reason TEXT    NOT NULL,
    count  INTEGER NOT NULL,
    at     INTEGER NOT NULL,                 -- the last time
    PRIMARY KEY (topic, reason)
) WITHOUT ROWID;

-- Single values in JSON, such as since when the sink is unavailable.
CREATE TABLE ledger_state (
    name  TEXT PRIMARY KEY,
    value TEXT NOT NULL
) WITHOUT ROWID;
