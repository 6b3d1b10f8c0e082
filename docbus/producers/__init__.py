"""The sending half of the journey: accept and encrypt (P1, P2), sign (P3), send (P4), and what comes back.

The outbox (``outbox``, ``epochs``, ``sealing``, ``unsent``) is functions on a connection, so that others can put a
statement into it in their own transaction. ``publisher`` fills it, ``drain`` empties it, ``receipts`` and ``statuses``
take in what the recipients answer, ``journey`` tells how far everything has come.
"""
