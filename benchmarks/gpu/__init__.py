"""Training steps on a GPU: weft beside PyTorch (eager and compiled) and JAX."""
