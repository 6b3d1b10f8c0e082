-- What checking the certificates of a directory entry came to, so that it need not be done at every start (ADR 0025).
ALTER TABLE directory ADD COLUMN checked BLOB NOT NULL DEFAULT x'';
