"""The receiving half of the journey: verify and open (C1, C2), deliver (C3), receipt (C4), commit (C5).

``streams`` and ``ranges`` are pure. ``inspection`` verifies whole fetches in a thread, ``sorting`` says what each
record is, ``sinks`` file documents, ``aside`` writes quarantine and dead letters, ``settling`` stores outcomes and
receipts in one transaction, ``filing`` puts these together for one batch. ``ledger`` and ``parking`` read what is
stored, ``starting`` says where the inbox begins, ``subscriber`` is the loop.
"""
