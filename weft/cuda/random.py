"""The names of ``torch.cuda.random``: the random numbers of all devices are one stream."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from ..tensors.random import default_generator, initial_seed, seed
from ..tensors.tensor import Tensor


def manual_seed(seed: int) -> None:
    """Seeds weft's random numbers."""
    default_generator.manual_seed(seed)


manual_seed_all = manual_seed
seed_all = seed


def get_rng_state(device: Any = "cuda") -> Tensor:
    """The state of weft's random numbers."""
    return default_generator.get_state()


def set_rng_state(new_state: Tensor, device: Any = "cuda") -> None:
    """Goes back to a state that :func:`get_rng_state` gave."""
    default_generator.set_state(new_state)


def get_rng_state_all() -> list[Tensor]:
    """The state, once: there is one stream for all devices."""
    return [get_rng_state()]


def set_rng_state_all(new_states: Iterable[Tensor]) -> None:
    """Goes back to the state that :func:`get_rng_state_all` gave."""
    for state in new_states:
        set_rng_state(state)


__all__ = [
    "get_rng_state",
    "get_rng_state_all",
    "initial_seed",
    "manual_seed",
    "manual_seed_all",
    "seed",
    "seed_all",
    "set_rng_state",
    "set_rng_state_all",
]
