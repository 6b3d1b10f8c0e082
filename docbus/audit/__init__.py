"""The auditor: anyone with read access replays the streams and says what they prove (step "audit", design D13).

``replay`` reads the directory and the inboxes and verifies every record; ``reducer`` keeps what the records say and
makes the report; ``evidence`` takes single envelopes and the directory out, and verifies them without a broker.

The report is a function of the set of records and not of the order in which they are read, because receipts lie in
another inbox than the statements they cover, and nobody orders one inbox against another. What the reducer keeps:

======================  =====================================================================================
grows with              bytes
======================  =====================================================================================
statements              41 for each position of a stream, in blocks of 64 (digest, place, flags)
receipts                32 for each range that was recomputed and found right; about 500 while statements are awaited
documents               about 160 for each document id and revision, however many recipients it has
statuses                about 200 for each
certificates            about 100 for each one that signed
holes, forks, failures  one entry for each; findings are counted exactly, and kept up to a limit
======================  =====================================================================================

Nothing is kept of envelopes, packages or bodies.
"""
