-- What an operator has to see before somebody asks: what is sent and not received, what is received and not processed.
-- Times are milliseconds since 1970-01-01T00:00:00Z.

-- 1: a document that its recipient has filed without a word yet of what becomes of it (statuses 02 to 06). Never 1 for
-- recalls and updates, which are answered with 15 or 16, and for statuses.
ALTER TABLE copy ADD COLUMN unprocessed INTEGER NOT NULL DEFAULT 0;
UPDATE copy SET unprocessed = 1 WHERE state = 3 AND EXISTS (
    SELECT 1 FROM outgoing o WHERE o.outgoing = copy.outgoing AND o.kind IN ('document', 'replacement') AND NOT EXISTS (
        SELECT 1 FROM status s WHERE s.document_id = o.document_id AND s.revision = o.revision
            AND s.recipient = copy.recipient AND s.code BETWEEN 2 AND 6
    )
);

-- By time, so that counting what has waited since before a time reads nothing else.
CREATE INDEX copy_unanswered ON copy (lane, sent_at) WHERE state = 2;
CREATE INDEX copy_unprocessed ON copy (lane, settled_at) WHERE unprocessed = 1;
