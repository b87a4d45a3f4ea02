"""Helpers for modules: ``rnn`` for sequences of various lengths."""

from . import rnn

__all__ = ["rnn"]
