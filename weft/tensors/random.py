"""Random tensors, and the generator that numbers their draws.

A draw depends on the generator's seed and on how many draws came before: see ``ops/random.py``.
"""

from __future__ import annotations

import math
import os
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any

import numpy as np

from ..dtypes import as_dtype, dtype, float32, get_default_dtype, int64
from ..engine.devices import NO_VALUES, resolve
from ..errors import DTypeError, OptionError, ShapeError
from ..graph.device import CPU, META, device
from ..graph.node import Node, leaf, number, type_of
from ..graph.tracing import current
from ..ops import elementwise as ew, random as rnd
from ..ops.base import broadcast
from ..ops.complex import of_pairs
from ..ops.loss import in_range
from ..ops.reduce import argsort, sum_
from .complex import view_as_real
from .core import TensorCore, node_of, wrap
from .creation import finished
from .indexing import copy_into
from .memory import layout, strided
from .out import made_in, with_out
from .shape import sizes_of

if TYPE_CHECKING:
    from .tensor import Tensor

_key_type = type_of((2,), int64)
_MASK = (1 << 63) - 1


def _entropy() -> int:
    return int.from_bytes(os.urandom(8), "little") & _MASK


class Generator:
    """A stream of random numbers: a seed, and the number of draws so far."""

    def __init__(self, device: Any = "cpu") -> None:
        self.device = resolve(device)
        self._seed = _entropy()
        self._draws = 0

    def manual_seed(self, seed: int) -> Generator:
        """Starts the stream of ``seed`` from its beginning."""
        self._seed = int(seed) & _MASK
        self._draws = 0
        return self

    def seed(self) -> int:
        """Starts a stream that nobody has seen, and returns its seed."""
        self.manual_seed(_entropy())
        return self._seed

    def initial_seed(self) -> int:
        """The seed of this stream."""
        return self._seed

    def get_state(self) -> Tensor:
        """Seed and position, as an int64 tensor."""
        state = np.array([self._seed, self._draws], np.int64)
        return wrap(leaf(state, type_of((2,), int64, CPU)))

    def set_state(self, state: Tensor) -> Generator:
        """Goes to the position that :meth:`get_state` gave.

        Raises:
            OptionError: for anything else.
        """
        values = state.tolist()
        if not isinstance(values, list) or len(values) != 2:
            raise OptionError(f"a generator's state is two int64 numbers, not {values!r}")
        self._seed, self._draws = values
        return self

    def next_pair(self) -> tuple[int, int]:
        """Seed and number of the next draw."""
        self._draws += 1
        return self._seed, self._draws - 1

    def take_back(self) -> None:
        """The last draw has not taken place."""
        self._draws -= 1

    def next_key(self, device: device | None = None) -> Node:
        """The key of the next draw. What is drawn with it is on ``device``, if one is given.

        On "meta", nothing is drawn.
        """
        if device is META:
            return leaf(NO_VALUES, type_of((2,), int64, META))
        key = np.array(self.next_pair(), np.int64)
        node = leaf(key, _key_type if device is None else type_of((2,), int64, device))
        if (trace := current.get()) is not None:
            trace.keys.append((node, self))
        return node


default_generator = Generator()
_scoped: ContextVar[Generator | None] = ContextVar("generator", default=None)


def current_generator() -> Generator:
    """Where numbers come from when no generator is named."""
    return _scoped.get() or default_generator


@contextmanager
def scoped_generator(generator: Generator) -> Iterator[None]:
    """Inside, in this thread, ``generator`` stands for weft's own."""
    token = _scoped.set(generator)
    try:
        yield
    finally:
        _scoped.reset(token)


def key_for(generator: Generator | None, device: device | None = None) -> Node:
    return (generator or current_generator()).next_key(device)


def manual_seed(seed: int) -> Generator:
    """Seeds all random numbers of weft: the same seed gives the same numbers."""
    return current_generator().manual_seed(seed)


def seed() -> int:
    """Seeds from the system's entropy and returns the seed."""
    return current_generator().seed()


def initial_seed() -> int:
    """The seed in use."""
    return current_generator().initial_seed()


def get_rng_state() -> Tensor:
    """The default generator's state."""
    return current_generator().get_state()


def set_rng_state(new_state: Tensor) -> None:
    """Restores what :func:`get_rng_state` gave."""
    current_generator().set_state(new_state)


def _inexact(name: str, d: Any) -> dtype:
    to = get_default_dtype() if d is None else as_dtype(d)
    return to if to.is_complex else _floating(name, d)


def _floating(name: str, d: Any) -> dtype:
    to = get_default_dtype() if d is None else as_dtype(d)
    if not to.is_floating_point:
        raise DTypeError(f"{name} makes floating numbers, not {to}; use weft.randint for integers")
    return to


def rand(
    *sizes: Any,
    size: Any = None,
    generator: Generator | None = None,
    out: Tensor | None = None,
    dtype: Any = None,
    device: Any = None,
    requires_grad: bool = False,
    pin_memory: bool = False,
    layout: layout = strided,
) -> Tensor:
    """Uniform in [0, 1); both parts of complex numbers are."""
    if out is not None:
        kind = {"dtype": dtype, "device": device, "requires_grad": requires_grad}
        return made_in(out, rand, *sizes, size=size, generator=generator, **kind)
    place = resolve(device)
    shape = _checked("rand", sizes_of("rand", sizes, size))
    key, to = key_for(generator, place), _inexact("rand", dtype)
    if to.is_complex:
        pairs = rnd.random_uniform(key, (*shape, 2), to.to_real())
        return finished(of_pairs(pairs), requires_grad)
    return finished(rnd.random_uniform(key, shape, to), requires_grad)


def randn(
    *sizes: Any,
    size: Any = None,
    generator: Generator | None = None,
    out: Tensor | None = None,
    dtype: Any = None,
    device: Any = None,
    requires_grad: bool = False,
    pin_memory: bool = False,
    layout: layout = strided,
) -> Tensor:
    """Normal with mean 0 and variance 1, of which complex numbers have half in each part."""
    if out is not None:
        kind = {"dtype": dtype, "device": device, "requires_grad": requires_grad}
        return made_in(out, randn, *sizes, size=size, generator=generator, **kind)
    place = resolve(device)
    shape = _checked("randn", sizes_of("randn", sizes, size))
    key, to = key_for(generator, place), _inexact("randn", dtype)
    if to.is_complex:  # half of the variance in each part
        pairs = rnd.random_normal(key, (*shape, 2), to.to_real())
        return finished(of_pairs(ew.mul(pairs, math.sqrt(0.5))), requires_grad)
    return finished(rnd.random_normal(key, shape, to), requires_grad)


def _checked(name: str, shape: tuple[int, ...]) -> tuple[int, ...]:
    if any(n < 0 for n in shape):
        raise ShapeError(f"{name}: a tensor cannot have a negative size: {list(shape)}")
    return shape


def _integers(key: Node, shape: tuple[int, ...], low: int, high: int) -> Node:
    span = high - low
    bits = rnd.random_bits(key, shape)
    return ew.add(ew.remainder(bits, span), low)


def randint(
    low: int,
    high: Any = None,
    size: Any = None,
    *,
    generator: Generator | None = None,
    out: Tensor | None = None,
    dtype: Any = None,
    device: Any = None,
    requires_grad: bool = False,
    pin_memory: bool = False,
    layout: layout = strided,
) -> Tensor:
    """Integers from ``low`` (0 if left out) up to but without ``high``.

    Raises:
        OptionError: if there are none.
    """
    if out is not None:
        kind = {"dtype": dtype, "device": device, "requires_grad": requires_grad}
        return made_in(out, randint, low, high, size, generator=generator, **kind)
    place = resolve(device)
    if size is None or isinstance(high, (tuple, list)):
        low, high, size = 0, low, high
    if high <= low:
        raise OptionError(f"randint: there is no integer from {low} up to but without {high}")
    shape = _checked("randint", sizes_of("randint", (size,)))
    to = int64 if dtype is None else as_dtype(dtype)
    drawn = _integers(key_for(generator, place), shape, low, high)
    return finished(ew.cast(drawn, to), requires_grad)


def randperm(
    n: int,
    *,
    generator: Generator | None = None,
    out: Tensor | None = None,
    dtype: Any = None,
    device: Any = None,
    requires_grad: bool = False,
    pin_memory: bool = False,
    layout: layout = strided,
) -> Tensor:
    """``0, ..., n-1`` in random order."""
    if out is not None:
        kind = {"dtype": dtype, "device": device, "requires_grad": requires_grad}
        return made_in(out, randperm, n, generator=generator, **kind)
    shape = _checked("randperm", sizes_of("randperm", (n,)))
    order = argsort(rnd.random_bits(key_for(generator, resolve(device)), shape), 0)
    return finished(ew.cast(order, int64 if dtype is None else as_dtype(dtype)), requires_grad)


def rand_like(
    input: Tensor, *, dtype: Any = None, device: Any = None, requires_grad: bool = False
) -> Tensor:
    """Uniform in [0, 1), in the shape and dtype of ``input``."""
    kind = node_of(input).type
    to = kind.dtype if dtype is None else dtype
    return rand(kind.shape, dtype=to, device=device or kind.device, requires_grad=requires_grad)


def randn_like(
    input: Tensor, *, dtype: Any = None, device: Any = None, requires_grad: bool = False
) -> Tensor:
    """Normal, in the shape and dtype of ``input``."""
    kind = node_of(input).type
    to = kind.dtype if dtype is None else dtype
    return randn(kind.shape, dtype=to, device=device or kind.device, requires_grad=requires_grad)


def randint_like(
    input: Tensor, low: int, high: int | None = None, *, dtype: Any = None, device: Any = None
) -> Tensor:
    """Integers, in the shape and dtype of ``input``."""
    kind = node_of(input).type
    if high is None:
        low, high = 0, low
    to = kind.dtype if dtype is None else dtype
    return randint(low, high, kind.shape, dtype=to, device=device or kind.device)


@with_out
def normal(
    mean: Any,
    std: Any = 1.0,
    size: Any = None,
    *,
    generator: Generator | None = None,
    dtype: Any = None,
    device: Any = None,
    requires_grad: bool = False,
    pin_memory: bool = False,
    layout: layout = strided,
) -> Tensor:
    """Normal numbers of the given mean and standard deviation (numbers or tensors).

    Raises:
        OptionError: for a negative ``std``; DataError, when run, for a tensor that has one.
    """
    if isinstance(std, TensorCore):
        std = wrap(in_range(node_of(std), "normal: std must not be negative", 0.0))
    else:
        _check_deviation("normal", std)
    given = [node_of(x).type for x in (mean, std) if isinstance(x, TensorCore)]
    if size is None:
        size = broadcast("normal", *[kind.shape for kind in given])
    floating = [kind.dtype for kind in given if kind.dtype.is_floating_point]
    dtype = floating[0] if floating else dtype
    device = given[0].device if given else device
    z = randn(tuple(size), generator=generator, dtype=dtype, device=device)
    return finished(node_of(z * std + mean), requires_grad)


@with_out
def bernoulli(
    input: Tensor, p: float | None = None, *, generator: Generator | None = None
) -> Tensor:
    """1 with the probability that ``input`` (or ``p``) gives, else 0.

    Raises:
        OptionError: for a number that is no probability; DataError, when run, for a tensor's.
    """
    x = node_of(input)
    u = rnd.random_uniform(key_for(generator, x.type.device), x.type.shape, float32)
    chance = _chance("bernoulli", input if p is None else p)
    return wrap(ew.cast(ew.lt(u, chance), x.type.dtype))


@with_out
def multinomial(
    input: Tensor,
    num_samples: int,
    replacement: bool = False,
    *,
    generator: Generator | None = None,
) -> Tensor:
    """Places drawn with probabilities in proportion to the weights of each row.

    Without replacement: the largest of weight-scaled exponential races (Efraimidis and Spirakis,
    2006). With: by the running sum of the weights.

    Raises:
        ShapeError: for more draws without replacement than there are places, or another rank.
        DTypeError: for weights that are no floats.
        DataError: when run, for weights that are negative, not finite, or all zero.
    """
    weights = _probabilities("multinomial", input)
    n = weights.shape[-1]
    if num_samples < 1:
        raise OptionError(f"multinomial: num_samples must be positive, not {num_samples}")
    if replacement:
        total = weights.cumsum(-1)
        shape = (*input.shape[:-1], num_samples)
        u = rand(shape, generator=generator, dtype=weights.dtype, device=weights.device)
        level = (u * total[..., -1:]).unsqueeze(-1)
        passed: Tensor = total.unsqueeze(-2) <= level
        return passed.sum(-1).clamp(max=n - 1)
    if num_samples > n:
        raise ShapeError(
            f"multinomial: {num_samples} draws without replacement from {n} places; pass "
            "replacement=True to draw a place more than once"
        )
    drawn = rand(input.shape, generator=generator, dtype=weights.dtype, device=weights.device)
    race = (1 - drawn).log() / weights
    return race.nan_to_num(nan=-float("inf"), neginf=-float("inf")).topk(num_samples, -1)[1]


def _probabilities(name: str, input: Tensor) -> Tensor:
    """Weights over the sum of their row; running finds out those that are none."""
    x = node_of(input)
    if x.type.ndim not in (1, 2) or x.type.size == 0:
        raise ShapeError(
            f"{name} takes one row of weights or several, [n] or [rows, n], not shape "
            f"{list(x.type.shape)}"
        )
    kind = x.type.dtype
    if not kind.is_floating_point:
        raise DTypeError(f"{name} takes floating weights, not {kind}: convert with .float()")
    import ml_dtypes  # knows bfloat16's range too

    known = ml_dtypes.finfo(kind.numpy)  # type: ignore[no-untyped-call]
    least, most = float(known.smallest_subnormal), float(known.max)
    x = in_range(x, f"{name}: weights must be finite and not negative", 0.0, most)
    x = ew.cast(x, float32) if kind.is_reduced else x
    total = sum_(x, (x.type.ndim - 1,), True)
    return wrap(ew.div(x, in_range(total, f"{name}: a row must have a positive sum", least)))


def _check_deviation(name: str, std: float) -> None:
    if std < 0:
        raise OptionError(f"{name}: std must not be negative, but is {std}")


def _chance(name: str, p: Any) -> Node:
    """A probability, or a tensor of them."""
    if isinstance(p, TensorCore):
        return in_range(ew.cast(node_of(p), float32), f"{name} takes probabilities", 0.0, 1.0)
    if not 0 <= p <= 1:
        raise OptionError(f"{name}: p must be between 0 and 1, not {p}")
    return number(p, float32)


# ---- in place, as methods


def uniform_(
    self: Tensor, low: float = 0.0, high: float = 1.0, *, generator: Generator | None = None
) -> Tensor:
    """Fills with numbers uniform in [low, high); both parts of complex numbers.

    Raises:
        OptionError: for a ``low`` above ``high``.
    """
    if low > high:
        raise OptionError(f"uniform_: there is no number from {low} up to {high}")
    kind = node_of(self).type
    if kind.dtype.is_complex:
        uniform_(view_as_real(self), low, high, generator=generator)
        return self
    u = rnd.random_uniform(
        key_for(generator, kind.device), kind.shape, _floating("uniform_", kind.dtype)
    )
    return copy_into(self, ew.add(ew.mul(u, high - low), low))


def normal_(
    self: Tensor, mean: float = 0.0, std: float = 1.0, *, generator: Generator | None = None
) -> Tensor:
    """Fills with normal numbers; complex ones have half of the variance in each part.

    Raises:
        OptionError: for a negative ``std``.
    """
    _check_deviation("normal_", std)
    kind = node_of(self).type
    if kind.dtype.is_complex:
        normal_(view_as_real(self), mean, std * math.sqrt(0.5), generator=generator)
        return self
    z = rnd.random_normal(
        key_for(generator, kind.device), kind.shape, _floating("normal_", kind.dtype)
    )
    return copy_into(self, ew.add(ew.mul(z, std), mean))


def bernoulli_(self: Tensor, p: Any = 0.5, *, generator: Generator | None = None) -> Tensor:
    """Fills with 1 with probability ``p``, else 0.

    Raises:
        OptionError: for a number that is no probability; DataError, when run, for a tensor's.
    """
    kind = node_of(self).type
    u = rnd.random_uniform(key_for(generator, kind.device), kind.shape, float32)
    chance = _chance("bernoulli_", p)
    return copy_into(self, ew.cast(ew.lt(u, chance), kind.dtype))


def random_(
    self: Tensor, low: int = 0, high: int | None = None, *, generator: Generator | None = None
) -> Tensor:
    """Fills with integers from ``low`` up to but without ``high``."""
    kind = node_of(self).type
    if high is None:
        low, high = (0, low) if low else (0, _limit(kind.dtype))
    return copy_into(
        self, ew.cast(_integers(key_for(generator, kind.device), kind.shape, low, high), kind.dtype)
    )


def _limit(d: dtype) -> int:
    """One more than the largest integer up to which ``d`` is exact."""
    if d.is_floating_point:
        return 1 << {"float16": 11, "bfloat16": 8, "float32": 24, "float64": 53}[d.name]
    return 2 if d.name == "bool" else int(np.iinfo(d.numpy).max)


def exponential_(self: Tensor, lambd: float = 1.0, *, generator: Generator | None = None) -> Tensor:
    """Fills with exponentially distributed numbers of rate ``lambd``.

    Raises:
        OptionError: unless it is positive.
    """
    if lambd <= 0:
        raise OptionError(f"exponential_: lambd must be positive, not {lambd}")
    kind = node_of(self).type
    u = rnd.random_uniform(
        key_for(generator, kind.device), kind.shape, _floating("exponential_", kind.dtype)
    )
    return copy_into(self, ew.mul(ew.log1p(ew.neg(u)), -1 / lambd))
