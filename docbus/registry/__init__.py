"""The directory log over the transport: read and followed, published to, and turned into topics (design D7).

Deciding what an entry may say is :mod:`docbus.identity`'s; here it only travels.
"""
