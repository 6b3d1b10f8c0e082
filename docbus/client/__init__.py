"""The client library: what an agency's developer works with, and what the command line only wraps.

``agency`` is the one object; ``founding`` makes folders, ``connect`` goes from settings to transport, keys and
directory, ``running`` is what runs while an agency is open.
"""
