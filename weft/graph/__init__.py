"""The recorded graph. See ``node.py`` (what is recorded) and ``modes.py`` (where and how)."""
