-- For whom a document is sent, by a delegation in the directory; null for the agency itself.
ALTER TABLE outgoing ADD COLUMN on_behalf_of TEXT;
