"""Who is who: agency codes, certificates, signers and decrypters, directory entries, the trust snapshot.

Nothing here talks to a broker, a database or a clock; the one thing read from disk is a key file, named by URI.
The directory log decides (design D7): :class:`~docbus.identity.replay.DirectoryReplay` takes its entries one by one,
:class:`~docbus.identity.snapshot.TrustSnapshot` answers what was in force after any of them.
"""
