-- Time stamps over the batches that this agency signs (ADR 0022). Times are milliseconds since 1970-01-01T00:00:00Z.

-- Signed batches that wait for one, in the order of sealing; none where the settings wish no time stamps.
CREATE TABLE unstamped_batch (
    batch INTEGER PRIMARY KEY,
    digest BLOB NOT NULL,  -- docs/specification/time-stamps.md, 32 bytes
    sealed_at INTEGER NOT NULL
);

-- One token over the RFC 9162 root of the batches that waited, kept for ever: it is evidence.
CREATE TABLE time_stamp (
    time_stamp INTEGER PRIMARY KEY,
    first_at INTEGER NOT NULL,  -- when the first and the last of its batches were sealed
    last_at INTEGER NOT NULL,
    stamped_at INTEGER NOT NULL,  -- what the token says
    authority TEXT NOT NULL,
    leaves BLOB NOT NULL,  -- the digests, 32 bytes each
    token BLOB NOT NULL
);
CREATE INDEX time_stamp_sealed ON time_stamp (last_at);

-- Since when no authority has stamped; no row while there is nothing to complain about.
CREATE TABLE time_stamp_gap (
    one INTEGER PRIMARY KEY CHECK (one = 1),
    since INTEGER NOT NULL,
    attempts INTEGER NOT NULL,
    tried_at INTEGER NOT NULL,
    code TEXT NOT NULL,
    text TEXT NOT NULL
);
