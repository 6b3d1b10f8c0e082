-- The outbox: what an agency has accepted for sending, and how far each copy of it has come.
--
-- Large values stand last in their rows, so that reading the small ones does not touch them. Times are milliseconds
-- since 1970-01-01T00:00:00Z. Agency ids are canonical, scheme:value.

-- One row for everything that is signed once for all its recipients: a document, a receipt or a status. No plaintext:
-- the body is what every broker may see, the package is ciphertext. Metadata stay; body, package and content_key go
-- when every copy is settled and its keep time is over.
CREATE TABLE outgoing (
    outgoing     INTEGER PRIMARY KEY,
    form         TEXT    NOT NULL,           -- 'document', 'receipt' or 'status'
    document_id  TEXT,                       -- of a document; NULL for the others
    revision     INTEGER,
    kind         TEXT,
    urgency      INTEGER,
    accepted_at  INTEGER NOT NULL,
    package_size INTEGER NOT NULL,           -- bytes of ciphertext, 0 without a package
    fingerprint  BLOB,                       -- 32 bytes over what the user gave; tells same content from other
    content_key  BLOB,
    body         BLOB,
    package      BLOB
);
CREATE UNIQUE INDEX outgoing_document ON outgoing (document_id, revision) WHERE document_id IS NOT NULL;

-- An epoch is one lane of this outbox (design D5). The current one of a lane is the one not closed.
CREATE TABLE epoch (
    epoch      INTEGER PRIMARY KEY,
    lane       INTEGER NOT NULL,             -- 0 documents, 1 urgent, 2 receipts
    identifier BLOB    NOT NULL UNIQUE,      -- 16 random bytes, as on the wire
    made_at    INTEGER NOT NULL,
    reason     TEXT    NOT NULL,             -- why it was begun
    closed_at  INTEGER
);
CREATE UNIQUE INDEX epoch_current ON epoch (lane) WHERE closed_at IS NULL;

-- A stream is an epoch and a recipient. Statements 1 to sequence are sealed, 1 to sent are acknowledged by the brokers.
CREATE TABLE stream (
    stream    INTEGER PRIMARY KEY,
    epoch     INTEGER NOT NULL REFERENCES epoch,
    recipient TEXT    NOT NULL,
    sequence  INTEGER NOT NULL,
    previous  BLOB    NOT NULL,              -- statement digest at sequence, 32 zero bytes for none
    sent      INTEGER NOT NULL,
    failures  INTEGER NOT NULL DEFAULT 0,    -- attempts to send in vain since the last success
    failed_at INTEGER,                       -- time of the last of them
    error     TEXT,                          -- and what it said
    UNIQUE (epoch, recipient)
);
CREATE INDEX stream_unsent ON stream (stream) WHERE sent < sequence;

-- Exact bytes around the shared package: the envelope is front, package, back. Rows are appended in sealing order.
CREATE TABLE envelope (
    envelope INTEGER PRIMARY KEY,
    front    BLOB NOT NULL,
    back     BLOB NOT NULL
);

-- One row per copy: a recipient of something outgoing. A copy that has to go out again in a new epoch is superseded
-- and gets a further row, so that a late receipt for the old position still finds its digest.
CREATE TABLE copy (
    outgoing    INTEGER NOT NULL REFERENCES outgoing,
    ordinal     INTEGER NOT NULL,
    state       INTEGER NOT NULL,            -- see producers/states.py
    lane        INTEGER NOT NULL,
    recipient   TEXT    NOT NULL,
    stream      INTEGER,                     -- row of stream; not declared, the check costs a fifth of sealing
    sequence    INTEGER,
    envelope    INTEGER,                     -- row of envelope; NULL again once its bytes are dropped
    sealed_at   INTEGER,
    sent_at     INTEGER,
    settled_at  INTEGER,                     -- received, refused, failed, or sent where nothing comes back
    reason      TEXT,                        -- of a refusal or a failure
    digest      BLOB,
    envelope_id BLOB,
    PRIMARY KEY (outgoing, ordinal)
) WITHOUT ROWID;
CREATE INDEX copy_waiting ON copy (lane, outgoing, ordinal) WHERE state = 0;
CREATE UNIQUE INDEX copy_position ON copy (stream, sequence) WHERE sequence IS NOT NULL;
CREATE INDEX copy_settled ON copy (settled_at) WHERE settled_at IS NOT NULL AND envelope IS NOT NULL;

-- Business statuses (design section 4), those that came and those this agency reported, in the order they were known.
CREATE TABLE status (
    status      INTEGER PRIMARY KEY,
    sender      TEXT    NOT NULL,            -- of the document
    document_id TEXT    NOT NULL,
    revision    INTEGER NOT NULL,
    recipient   TEXT    NOT NULL,            -- of the document
    issuer      TEXT    NOT NULL,            -- who says so
    code        INTEGER NOT NULL,
    at          INTEGER NOT NULL,            -- by the issuer's clock
    recorded_at INTEGER NOT NULL,
    flagged     INTEGER NOT NULL,            -- 1: not possible after those before it
    note        TEXT,                        -- free text, such as the reason of a refusal
    statement   BLOB    NOT NULL UNIQUE      -- digest of the statement or of its body: recorded once
);
CREATE INDEX status_document ON status (document_id, sender, recipient);

-- Single values: which file this is, and the like.
CREATE TABLE outbox (
    name  TEXT PRIMARY KEY,
    value NOT NULL
) WITHOUT ROWID;
