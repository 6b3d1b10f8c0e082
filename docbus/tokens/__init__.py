"""Signing keys on tokens: smart cards and hardware security modules, by PKCS #11 (OASIS, version 2.40 and later).

A key is named by a ``pkcs11:`` URI (RFC 7512) and never leaves its token. The maker's library, which the URI names as
well, runs in this process; every call into it is made in a thread of docbus's own and is waited for only so long.
"""
