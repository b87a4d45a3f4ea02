"""The Tensor: ``core.py`` (handles, views, in-place), ``tensor.py`` (the table of methods), and a
file for each family of functions.
"""
