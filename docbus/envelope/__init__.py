"""Envelopes: what is signed, what is encrypted, and how a batch becomes bytes (steps P2 and P3, design D3, D4, D9).

``statement`` and ``envelope`` are the two encodings, ``package`` the encrypted manifest and contents, ``keys`` the two
levels of key wrapping, ``batch`` puts them together: positions, tree, one signature.
"""
