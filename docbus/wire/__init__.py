"""Bytes without meaning: Avro with a guard, pre-authentication encoding, batch tree, profiles, ids.

Nothing here knows what an agency or a document is, and nothing here does I/O but read the schemas once.
"""
