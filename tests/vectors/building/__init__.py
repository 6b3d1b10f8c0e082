"""How the golden vectors are made; ``build_vectors.py`` is the command, README.md says what it promises."""
