"""The states of all random numbers that a training run may draw."""

from __future__ import annotations

import random
from typing import Any

import numpy as np

from ..errors import CheckpointError
from ..tensors.random import get_rng_state, set_rng_state


def generators_of(data: Any) -> list[Any]:
    """The generators of a loader and its samplers."""
    sampler, batches = getattr(data, "sampler", None), getattr(data, "batch_sampler", None)
    owners = (data, sampler, batches, getattr(batches, "sampler", None))
    found = [getattr(owner, "generator", None) for owner in owners]
    return list({id(g): g for g in found if hasattr(g, "get_state")}.values())


def capture(data: Any) -> dict[str, Any]:
    """weft's, Python's and NumPy's states, and those of a loader's own generators."""
    kind, keys, at, has_gauss, gauss = np.random.get_state()  # noqa: NPY002 (the state that users' code draws from)
    return {
        "weft": get_rng_state(),
        "python": random.getstate(),
        "numpy": (kind, np.asarray(keys).tolist(), at, has_gauss, gauss),
        "loader": [g.get_state() for g in generators_of(data)],
    }


def restore(state: dict[str, Any], data: Any) -> None:
    """Undoes :func:`capture`.

    Raises:
        CheckpointError: if the data have other generators.
    """
    set_rng_state(state["weft"])
    random.setstate(state["python"])
    kind, keys, *rest = state["numpy"]
    np.random.set_state((kind, np.array(keys, np.uint32), *rest))  # noqa: NPY002 (as above)
    generators = generators_of(data)
    if len(generators) != len(state["loader"]):
        raise CheckpointError(
            f"the checkpoint has the states of {len(state['loader'])} generators of the data, but "
            f"the data have {len(generators)}: make them in the same way"
        )
    for generator, each in zip(generators, state["loader"], strict=True):
        generator.set_state(each)
