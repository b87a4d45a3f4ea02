"""What PyTorch's programs take from ``torch.distributions.utils``."""

from __future__ import annotations

from .discrete import clamp_probs, logits_to_probs, probs_to_logits
from .distribution import lazy_property, together as broadcast_all

__all__ = ["broadcast_all", "clamp_probs", "lazy_property", "logits_to_probs", "probs_to_logits"]
