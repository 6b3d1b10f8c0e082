-- Statements that came more than once. Times are milliseconds since 1970-01-01T00:00:00Z.

-- How far a partition was ever decided; next_offset goes back if somebody lets it be read again.
ALTER TABLE inbox_partition ADD COLUMN highest INTEGER NOT NULL DEFAULT 0;
UPDATE inbox_partition SET highest = next_offset;

-- Records beyond that which are decided already, because only their streams could go on: if they are read again after a
-- crash, they are no duplicates. A few, and only as long as others before them are undecided.
CREATE TABLE decided_ahead (
    partition INTEGER NOT NULL,
    at_offset INTEGER NOT NULL,
    PRIMARY KEY (partition, at_offset)
) WITHOUT ROWID;

-- How many records had a statement whose place was taken already by the same, byte for byte.
CREATE TABLE duplicate (
    sender    TEXT    NOT NULL,              -- proven, of the statement; whoever stored it again is not known
    partition INTEGER NOT NULL,
    count     INTEGER NOT NULL,
    at        INTEGER NOT NULL,              -- the last time
    PRIMARY KEY (sender, partition)
) WITHOUT ROWID;
