"""Tools around training: ``data`` (datasets, samplers, DataLoader)."""
