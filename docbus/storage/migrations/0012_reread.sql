-- A record that was decided before it had to wait, and is only read again: it is no duplicate.
ALTER TABLE parked ADD COLUMN reread INTEGER NOT NULL DEFAULT 0;
