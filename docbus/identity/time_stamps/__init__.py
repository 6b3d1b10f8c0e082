"""Time stamps: what a third party with a clock has signed about bytes of this exchange (RFC 3161, design D13).

The core of it: bytes in, verdict out. Who asks an authority is in :mod:`docbus.transport.time_stamps`.
"""
