-- What recipients have refused and what failed, the newest first: few, and what an operator asks for by themselves.
CREATE INDEX copy_refused ON copy (settled_at) WHERE state IN (4, 5);
