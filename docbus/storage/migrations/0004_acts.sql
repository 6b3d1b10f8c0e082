-- Acts: what operators decided about records that were set aside, as read from the agency's ledger topic, and what came
-- of each. The topic has them for ever and signed; these rows can be made again from it.
--
-- Times are milliseconds since 1970-01-01T00:00:00Z.

-- One row per record that somebody decided about: the act in force.
CREATE TABLE act (
    topic       TEXT    NOT NULL,            -- 'quarantine' or 'dead-letter'
    number      INTEGER NOT NULL,            -- the record's offset there
    mark        BLOB    NOT NULL,            -- SHA-256 of its value: another record may lie there if the topic is made anew
    action      TEXT    NOT NULL,            -- 'release', 'redeliver' or 'reject'
    operator    TEXT    NOT NULL,
    reason      TEXT    NOT NULL,            -- the operator's
    refused_for TEXT    NOT NULL,            -- the code for which the record was set aside
    sender      TEXT,                        -- proven
    document_id TEXT,
    revision    INTEGER,
    made_at     INTEGER NOT NULL,            -- of the act
    digest      BLOB    NOT NULL,            -- of the act
    at_offset   INTEGER NOT NULL,            -- of the act in the ledger topic
    state       INTEGER NOT NULL DEFAULT 0,  -- 0 requested, 1 waiting for large content, 2 done, 3 in vain
    code        TEXT,                        -- what came of it, or why it waits
    detail      TEXT,
    attempts    INTEGER NOT NULL DEFAULT 0,
    due_at      INTEGER NOT NULL DEFAULT 0,
    begun       INTEGER NOT NULL DEFAULT 0,  -- times it was taken up and nothing came of it: the process died meanwhile
    settled_at  INTEGER,
    PRIMARY KEY (topic, number, mark)
) WITHOUT ROWID;
-- Acts that this folder has made, from before they are appended until they are read back. What is read and is not here was
-- decided in another folder of the agency, or before this database was made.
CREATE TABLE own_act (
    digest BLOB PRIMARY KEY
) WITHOUT ROWID;
CREATE INDEX act_requested ON act (due_at) WHERE state = 0;
CREATE INDEX act_waiting ON act (mark) WHERE state = 1;
