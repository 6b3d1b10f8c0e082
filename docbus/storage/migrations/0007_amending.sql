-- What an update asks for ends nothing: whoever agrees to it goes on working on the document, and it may be changed again.
ALTER TABLE status ADD COLUMN amends INTEGER NOT NULL DEFAULT 0; -- 1: a 13 that an update asks for
