"""Verification as a numbered checklist (steps C1 and C2, design D8).

``checks`` lists every check with number, code and title; specification, code, errors and tests use the same numbers.
``verifier`` runs C1 on bytes, a trust snapshot and one "now"; ``opening`` runs C2 with the recipient's keys. Nothing
here does I/O, and there is no argument, setting or environment variable that turns a check off.
"""
