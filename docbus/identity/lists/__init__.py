"""Lists of agencies that somebody else keeps, and the register of expected agencies made of one (ADR 0018).

1. :mod:`~docbus.identity.lists.reading`: bytes, CSV or JSON, become rows; what is no list is refused.
2. :mod:`~docbus.identity.lists.checks`: each row is looked at by itself and beside all others; nothing is corrected.
3. :mod:`~docbus.identity.lists.register`: the sound rows are compared with the register, and later a join request is.

A list grants nothing: only an agency has its keys, and proves it with a join request.
"""
