"""weft beside its peers: ``python -m benchmarks``. See ``__main__.py``."""
