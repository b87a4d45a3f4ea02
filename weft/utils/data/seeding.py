"""Random numbers for samples: each sample has a seed of its own.

At the start of a pass a number is drawn from the loader's generator. It and the place of a sample
in the pass, and nothing else, decide what ``random``, ``numpy.random`` and weft give while the
sample is loaded: not the number of workers, their kind, or which one has the sample.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from hashlib import blake2b
from struct import Struct
from typing import Any, NamedTuple

import numpy as np

from ...tensors.creation import tensor
from ...tensors.random import Generator, current_generator, scoped_generator

Seed = Callable[[int], None]

_MASK = (1 << 63) - 1
_words = Struct("<3Q").pack


def _mixed(a: int, b: int, c: int) -> int:
    """A number of 63 bits that depends on all three."""
    return int.from_bytes(blake2b(_words(a, b, c), digest_size=8).digest(), "little") & _MASK


def draw_seed(generator: Generator | None) -> int:
    """One draw from the generator (weft's own if there is none), as a seed."""
    key: Any = (generator or current_generator()).next_key().value
    seed, draws = key.tolist()
    return _mixed(seed, 2, draws)


def position_of(generator: Generator) -> list[int]:
    """Seed and number of draws."""
    state: list[int] = generator.get_state().tolist()
    return state


def go_to(generator: Generator, position: Sequence[int]) -> None:
    """Undoes what was drawn since :func:`position_of`."""
    generator.set_state(tensor([int(n) for n in position]))


def of_sample(base: int, position: int) -> int:
    """The seed of the sample at a place of the pass."""
    return _mixed(base, 0, position)


def of_batch(base: int, first: int) -> int:
    """The seed of joining the batch whose first sample stands at ``first``."""
    return _mixed(base, 1, first)


# ---- the generators of a process


class _Source(NamedTuple):
    """A generator that all code of a process shares."""

    state: Callable[[], Any]
    seed: Callable[[int], Any]


#: What is seeded in a worker process.
SOURCES: dict[str, _Source] = {
    "random": _Source(random.getstate, random.seed),
    "numpy": _Source(
        lambda: [np.asarray(part).tolist() for part in np.random.get_state()],  # noqa: NPY002 (the shared one)
        lambda seed: np.random.seed(seed & 0xFFFFFFFF),  # noqa: NPY002 (likewise)
    ),
    "weft": _Source(
        lambda: current_generator().initial_seed(),
        lambda seed: current_generator().manual_seed(seed),
    ),
}


def seed_all(seed: int) -> None:
    """Seeds ``random``, ``numpy.random`` and weft."""
    random.seed(seed)
    np.random.seed(seed & 0xFFFFFFFF)  # noqa: NPY002 (the shared one)
    current_generator().manual_seed(seed)


def seeder_after(prepare: Callable[[], None]) -> Seed:
    """Runs ``prepare`` and returns what seeds the generators that it has not seeded itself.

    A ``worker_init_fn`` that seeds ``numpy.random`` takes charge of it.
    """
    before = {name: source.state() for name, source in SOURCES.items()}
    prepare()
    seeds = [source.seed for name, source in SOURCES.items() if source.state() == before[name]]
    if len(seeds) == len(SOURCES):
        return seed_all

    def seed(number: int) -> None:
        for each in seeds:
            each(number)

    return seed


class Apart:
    """Random numbers drawn inside leave the process's generators as they were.

    Args:
        seed: of what is drawn inside.
        continuing: the numbers of one ``with`` go on where the ``with`` before ended.
    """

    def __init__(self, seed: int, continuing: bool) -> None:
        self._generator = Generator().manual_seed(seed)
        self._seed = seed
        self._continuing = continuing
        self._inside: Any = None

    def __enter__(self) -> None:
        self._outside = _shared_state()
        self._scope = scoped_generator(self._generator)
        self._scope.__enter__()
        if self._inside is not None:
            _set_shared_state(self._inside)
        elif self._continuing:
            seed_all(self._seed)

    def __exit__(self, *error: object) -> None:
        self._scope.__exit__(None, None, None)
        if self._continuing:
            self._inside = _shared_state()
        _set_shared_state(self._outside)


def _shared_state() -> Any:
    return random.getstate(), np.random.get_state()  # noqa: NPY002 (the shared one)


def _set_shared_state(state: Any) -> None:
    random.setstate(state[0])
    np.random.set_state(state[1])  # noqa: NPY002 (the shared one)


# ---- the generators of a thread


class SampleRNG:
    """Generators for code that runs in worker threads, seeded for each sample.

    ``random`` and ``numpy.random`` belong to all threads of the process, so their numbers depend on
    which thread comes first. These do not, and neither do weft's own random functions.

    Attributes:
        random_generator: a ``random.Random``.
        numpy_generator: a ``numpy.random.Generator``.
        weft_generator: a ``weft.Generator``, which weft's functions use by themselves.
    """

    def __init__(self) -> None:
        self.weft_generator = Generator()
        self.seed(0)

    def seed(self, number: int) -> None:
        """Starts all of them anew."""
        self._number = number
        self._random: random.Random | None = None
        self._numpy: np.random.Generator | None = None
        self.weft_generator.manual_seed(number)

    @property
    def random_generator(self) -> random.Random:
        """Made when first asked for: few samples need it."""
        if self._random is None:
            self._random = random.Random(self._number)
        return self._random

    @property
    def numpy_generator(self) -> np.random.Generator:
        """Likewise."""
        if self._numpy is None:
            self._numpy = np.random.default_rng(self._number)
        return self._numpy
