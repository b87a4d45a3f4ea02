"""What programs ask ``torch.distributed`` before they use it: weft runs in one process."""

from __future__ import annotations

from typing import Any


def is_available() -> bool:
    """False: as PyTorch says where it was built without it."""
    return False


def is_initialized() -> bool:
    """False."""
    return False


def is_torchelastic_launched() -> bool:
    """False."""
    return False


def __getattr__(name: str) -> Any:
    raise AttributeError(
        f"module 'weft.distributed' has no attribute '{name}': weft runs in one process, and "
        "weft.distributed.is_available() is False. A sampler takes num_replicas= and rank= "
        "(weft.utils.data.distributed.DistributedSampler)"
    )
