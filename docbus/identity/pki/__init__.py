"""Certificates that an authority has issued: its path, and whether the authority has taken it back (ADR 0021).

Pure: authorities come from the directory, revocation lists and responses are handed in, and the time is an argument.
"""
