"""What is exchanged: document, files, kinds and urgency, business statuses and their state machine.

Values that exist are valid: :class:`Document`, :class:`File` and :class:`DocumentReference` check themselves when
they are made and raise :class:`~docbus.errors.DocumentError`, whose text begins with the name of the field.
"""
