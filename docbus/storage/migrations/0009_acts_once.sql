-- Acts that were read from the ledger topic, each by the first offset it was read at: whoever can write there may store
-- a copy of an old one again, and it must not take effect a second time.
CREATE TABLE act_read (
    digest    BLOB PRIMARY KEY,
    at_offset INTEGER NOT NULL
) WITHOUT ROWID;
INSERT OR IGNORE INTO act_read (digest, at_offset) SELECT digest, at_offset FROM act;
