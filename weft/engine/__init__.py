"""Running recorded graphs. ``realize.py`` is the only door; ``reference.py`` the interpreter."""
