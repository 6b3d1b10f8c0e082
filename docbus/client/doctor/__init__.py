"""Whether an installation has all it needs: settings, keys, disk, brokers, directory, topics, rights, time.

``diagnosis`` is one line of the answer, and ``examination`` asks for all of them; each of the other modules is about
one thing that can be missing. What they judge is passed in, so that most of them do no I/O. Nothing is changed.
"""
