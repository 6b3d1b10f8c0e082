-- The directory log as this agency has read it, so that it can start, and accept documents, while the brokers are away.
-- Every record is verified again when it is used: this is a copy, and proves nothing by lying here.
CREATE TABLE directory (
    position  INTEGER PRIMARY KEY,           -- of the entry, from 0
    at_offset INTEGER NOT NULL,              -- of the record in the topic
    record    BLOB    NOT NULL
);
