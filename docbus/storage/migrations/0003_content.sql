-- Large content: what this agency sends in parts, and what it fetches in parts.
--
-- Bytes lie in files below the content folder, never in this database. Times are milliseconds since
-- 1970-01-01T00:00:00Z. Agency ids are canonical, scheme:value.

-- One row per large attachment of a document that this outbox sends. Its ciphertext lies in a file until every copy is
-- settled; a recipient who found it expired can have it again, the same bytes, because encrypting anew would give others.
CREATE TABLE content (
    content    INTEGER PRIMARY KEY,
    outgoing   INTEGER NOT NULL REFERENCES outgoing,
    attachment INTEGER NOT NULL,             -- index in the statement
    size       INTEGER NOT NULL,             -- bytes of ciphertext of all parts
    parts      INTEGER NOT NULL,
    sent       INTEGER NOT NULL DEFAULT 0,   -- parts acknowledged, from the first on
    digest     BLOB    NOT NULL,             -- root over the parts, as in the statement
    file       TEXT,                         -- below the content folder; NULL once dropped
    leaves     BLOB,                         -- hashes of the parts, 32 bytes each; NULL once dropped
    UNIQUE (outgoing, attachment)
);
CREATE INDEX content_unsent ON content (content) WHERE sent < parts AND file IS NOT NULL;

-- Where parts lie in the content topic: one row per run of consecutive offsets.
CREATE TABLE content_run (
    content   INTEGER NOT NULL REFERENCES content,
    first     INTEGER NOT NULL,              -- the first part of the run
    parts     INTEGER NOT NULL,
    at_offset INTEGER NOT NULL,
    PRIMARY KEY (content, first)
) WITHOUT ROWID;

-- Copies that wait for content to be uploaded, their own or that of one before them to the same recipient; state 7.
CREATE INDEX copy_held ON copy (lane, recipient, outgoing) WHERE state = 7;

-- One row per large attachment that this agency wants to have before it files the document.
CREATE TABLE wanted (
    wanted      INTEGER PRIMARY KEY AUTOINCREMENT, -- names a file, so it is never given again
    sender      TEXT    NOT NULL,
    epoch       BLOB    NOT NULL,            -- the stream that waits for it
    document_id TEXT    NOT NULL,
    revision    INTEGER NOT NULL,
    body        BLOB    NOT NULL,            -- as in incoming_document: another body is another document
    attachment  INTEGER NOT NULL,            -- index in the statement
    urgent      INTEGER NOT NULL,
    sealed_size INTEGER NOT NULL,            -- bytes of ciphertext
    size        INTEGER NOT NULL,            -- bytes of plaintext
    root        BLOB    NOT NULL,
    digest      BLOB    NOT NULL,            -- SHA-256 of the plaintext
    key         BLOB    NOT NULL,
    hints       TEXT    NOT NULL,            -- JSON: offsets in the sender's content topic at which runs of parts begin
    made_at     INTEGER NOT NULL,            -- by the sender's clock
    stored_at   INTEGER NOT NULL,            -- when the broker stored the envelope
    since       INTEGER NOT NULL,            -- when it was first wanted
    state       INTEGER NOT NULL DEFAULT 0,  -- 0 wanted, 1 complete, 2 failed
    have        INTEGER NOT NULL DEFAULT 0,  -- bytes of plaintext fetched, as last noted
    attempts    INTEGER NOT NULL DEFAULT 0,
    due_at      INTEGER NOT NULL DEFAULT 0,
    missing_at  INTEGER,                     -- since when parts were looked for in vain
    code        TEXT,                        -- why it failed, or why the last attempt was in vain
    detail      TEXT,
    UNIQUE (sender, document_id, revision, body, attachment)
);
CREATE INDEX wanted_open ON wanted (urgent DESC, wanted) WHERE state = 0;

-- With its size in it, the index alone tells how much of each stream is parked: behind a large document there is a lot.
DROP INDEX parked_stream;
CREATE INDEX parked_stream ON parked (sender, epoch, parked, size);
