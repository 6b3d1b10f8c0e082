"""SQLite on disk: opening, migrations, group commit, and the locks that keep two processes apart.

One file per agency, ``state.db``, holds outbox and ledger together, because an outcome and its receipt must become
durable in one transaction. Nothing here knows what a document is.
"""
