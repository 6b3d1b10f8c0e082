-- Large content is fetched in the order of the stream that waits for it, whichever document was wanted first: what
-- stands behind must never take the room of what everything waits for.
ALTER TABLE wanted ADD COLUMN sequence INTEGER NOT NULL DEFAULT 0;
