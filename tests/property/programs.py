"""Random programs of Tensor operations, run at the same time by one or two libraries.

A program is made up while it runs, since what can come next depends on the tensors that there are.
All its decisions come from one :class:`Choices`, so that it can be made again: from a seed, from a
record of another run, or by hypothesis. Libraries are ``weft`` and ``torch``: their names and
semantics agree, so one function serves both, written with ``L`` for the library.
"""

from __future__ import annotations

import random
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any

import numpy as np

import weft

SHAPES = [(4,), (3, 4), (4, 3), (3, 3), (2, 3, 4), (1, 4), (3, 1), ()]
DTYPES = ["float64", "float64", "float64", "float32", "int64", "bool"]
LARGE = 100.0  # values beyond are not used further: differences of rounding would grow
ERRORS = (RuntimeError, IndexError, TypeError, ValueError)


class Stop(Exception):
    """The two libraries differ from here on for a reason that is known."""


class Difference(Exception):
    """The two libraries differ."""


# ---- where decisions come from


class Choices:
    """A source of decisions. ``log`` records them."""

    def __init__(self) -> None:
        self.log: list[int] = []

    def _draw(self, count: int) -> int:
        raise NotImplementedError

    def below(self, count: int) -> int:
        """One of ``0 ... count - 1``."""
        choice = self._draw(count)
        self.log.append(choice)
        return choice

    def chance(self, percent: int) -> bool:
        return self.below(100) >= 100 - percent  # the simplest choice is False

    def pick(self, items: Sequence[Any]) -> Any:
        return items[self.below(len(items))]

    def shuffled(self, count: int) -> tuple[int, ...]:
        rest = list(range(count))
        return tuple([rest.pop(self.below(len(rest))) for _ in range(count)])


class Seeded(Choices):
    def __init__(self, seed: int) -> None:
        super().__init__()
        self._random = random.Random(seed)

    def _draw(self, count: int) -> int:
        return self._random.randrange(count)


class Replayed(Choices):
    def __init__(self, log: Sequence[int]) -> None:
        super().__init__()
        self._next = iter(log)

    def _draw(self, count: int) -> int:
        return next(self._next)


class Drawn(Choices):
    """Decisions of hypothesis, which then finds the smallest program that fails."""

    def __init__(self, draw: Callable[[int], int]) -> None:
        super().__init__()
        self._draw_below = draw

    def _draw(self, count: int) -> int:
        return self._draw_below(count)


@contextmanager
def pending_limit(nodes: int | None) -> Iterator[None]:
    """Lets the pending graph run when it holds more than ``nodes``, so at places nobody chose."""
    name = "MAX_PENDING_NODES"
    holders = [m for k, m in sys.modules.items() if k.startswith("weft.") and name in vars(m)]
    before = [getattr(m, name) for m in holders]
    try:
        for m in holders:
            if nodes is not None:
                setattr(m, name, nodes)
        yield
    finally:
        for m, value in zip(holders, before, strict=True):
            setattr(m, name, value)


# ---- what a program may do

Function = Callable[..., Any]

FLOATING: dict[str, Function] = {
    "exp": lambda L, x: (x * 0.1).exp(),
    "tanh": lambda L, x: x.tanh(),
    "div": lambda L, x: x / 3,
    "mean": lambda L, x: x.mean(),
    "sigmoid": lambda L, x: x.sigmoid(),
}
ANY: dict[str, Function] = {
    "add": lambda L, x: x + 1.5,
    "add int": lambda L, x: x + 1,
    "mul": lambda L, x: x * 0.7,
    "mul int": lambda L, x: 2 * x,
    "rsub": lambda L, x: 2 - x,
    "clone": lambda L, x: x.clone(),
    "square": lambda L, x: x * x * 0.5,
    "float": lambda L, x: x.float(),
    "double": lambda L, x: x.double(),
    "long": lambda L, x: (x + 0.0173).long(),  # off the places where rounding decides
    "neg": lambda L, x: -x,
    "clamp": lambda L, x: x.clamp(min=0.0173),
    "gt": lambda L, x: x > 0.0173,
    "where": lambda L, x: L.where(x > 0.0173, x, x * 0.1),
    "not": lambda L, x: ~x,
}
BINARY: dict[str, Function] = {
    "add": lambda L, x, y: x + y,
    "sub": lambda L, x, y: 1 * x - 1 * y,  # 1 *: PyTorch subtracts no bools
    "mul": lambda L, x, y: x * y * 0.5,
    # (Not x / ...: what a gradient of second order is with respect to a value in between depends on
    # whether a rule reads inputs or the output, and for this one the libraries differ.)
    "div": lambda L, x, y: x * (1 / (y * y + 1)),
    "lt": lambda L, x, y: x < y + 0.0173,
    "and": lambda L, x, y: x & y,
    "maximum": lambda L, x, y: L.maximum(x, y * 1.0173 + 0.0173),
    "where": lambda L, x, y: L.where(x > 0.0173, x, y),
}
IN_PLACE: dict[str, Function] = {
    "add_ number": lambda L, x: x.add_(0.5),
    "mul_ number": lambda L, x: x.mul_(0.9),
    "+= int": lambda L, x: x.__iadd__(1),
    "zero_": lambda L, x: x.zero_(),
    "fill_": lambda L, x: x.fill_(0.25),
    "clamp_": lambda L, x: x.clamp_(min=0.0173),
    "exp_": lambda L, x: x.mul_(0.1).exp_(),
    "neg_": lambda L, x: x.neg_(),
    "tanh_": lambda L, x: x.tanh_(),
    "masked_fill_": lambda L, x: x.masked_fill_(x > 0.5173, 0.125),
    "[mask] =": lambda L, x: x.__setitem__(x > 0.5173, 0.125),
}
IN_PLACE_BINARY: dict[str, Function] = {
    "add_": lambda L, x, y: x.add_(y),
    "sub_": lambda L, x, y: x.sub_(1 * y),
    "mul_": lambda L, x, y: x.mul_(y),
    "copy_": lambda L, x, y: x.copy_(y),
    "[...] =": lambda L, x, y: x.__setitem__(Ellipsis, y),
}


def broadcast(a: Sequence[int], b: Sequence[int]) -> tuple[int, ...] | None:
    try:
        return np.broadcast_shapes(tuple(a), tuple(b))
    except ValueError:
        return None


def dtype_name(x: Any) -> str:
    return str(x.dtype).split(".")[-1]


def array_of(x: Any) -> Any:
    return np.asarray(x.detach().numpy())


Value = tuple[Any, ...]  # the same tensor in each library


class Machine:
    """Makes up a program and runs it in all of ``libraries``; the last one guides it.

    Subclasses say what is done with what the libraries give.
    """

    def __init__(self, choices: Choices, *libraries: Any) -> None:
        self.choices = choices
        self.libraries = libraries
        self.pool: list[Value] = []
        self.leaves: list[Value] = []  # and others that keep their gradient
        self.kept: list[Value] = []
        self.modes = ExitStack()
        self.depth = 0  # of grad modes
        self.grad_enabled = True
        self.steps: list[str] = []
        self.only_float64 = choices.chance(50)
        self.limit = choices.pick([None, None, None, 2, 7, 30])

    # ---- for subclasses

    def attempt(self, name: str, function: Function, *values: Value) -> Value | None:
        """``function(library, *tensors)`` in each library; None if it raises in all."""
        raise NotImplementedError

    def observe(self, value: Value, what: str, *, gradient: bool = False) -> None:
        """Compares or notes a value."""
        raise NotImplementedError

    def after_step(self) -> None:
        """Whatever is to be done between two steps."""

    def storage(self, x: Any) -> Any:
        """What is equal for two tensors that share memory."""
        raise NotImplementedError

    # ---- the program

    def run(self) -> None:
        with pending_limit(self.limit), self.modes:
            for _ in range(2 + self.choices.below(3)):
                self._new_leaf()
            for _ in range(5 + self.choices.below(35)):
                self._step()
                self.after_step()
                if len(self.pool) > 9:
                    self.pool.pop(self.choices.below(len(self.pool)))
        for k, value in enumerate(self.pool):
            self.observe(value, f"value {k} at the end")
        self.compare_gradients("at the end")

    def compare_gradients(self, when: str) -> None:
        for k, leaf in enumerate(self.leaves):
            grads = tuple([x.grad for x in leaf])
            if len({g is None for g in grads}) > 1:
                raise Difference(f"gradient of leaf {k} {when}: {grads}")
            if grads[0] is not None:
                self.observe(grads, f"gradient of leaf {k} {when}", gradient=True)

    def _new_leaf(self) -> None:
        kind = "float64" if self.only_float64 else self.choices.pick(DTYPES)
        shape = self.choices.pick(SHAPES)
        wanted = kind.startswith("float") and self.choices.chance(60)
        drawn = np.random.default_rng(self.choices.below(1 << 16)).uniform(-1, 1, shape)
        data = (drawn * 4 if kind == "int64" else drawn > 0 if kind == "bool" else drawn).astype(
            kind
        )
        dtype = lambda L: getattr(L, kind)
        value = tuple(
            [L.tensor(data, dtype=dtype(L), requires_grad=wanted) for L in self.libraries]
        )
        self.pool.append(value)
        if wanted:
            self.leaves.append(value)

    def _step(self) -> None:
        if self.depth == 0 and self.choices.chance(6):
            self._enter(self.choices.pick(["no_grad", "no_grad", "enable_grad"]))
        elif self.depth and self.choices.chance(8):
            self._enter("enable_grad" if not self.grad_enabled else "no_grad")
        elif self.depth and self.choices.chance(40):
            self.modes.close()
            self.depth, self.grad_enabled = 0, True
            self.steps.append("grad mode back")
        if self.choices.chance(1):
            self._new_leaf()
        value = self.choices.pick(self.pool)
        place = self.choices.below(sum(weight for weight, _ in STEPS))
        for weight, step in STEPS:
            if place < weight:
                step(self, value)
                return
            place -= weight

    def _enter(self, mode: str) -> None:
        for L in self.libraries:
            self.modes.enter_context(getattr(L, mode)())
        self.depth += 1
        self.grad_enabled = mode == "enable_grad"
        self.steps.append(mode)

    def _note(self, name: str, *values: Value | None) -> None:
        places = [
            next((f"#{k}" for k, p in enumerate(self.pool) if p is v), "?")
            for v in values
            if v is not None
        ]
        self.steps.append(f"{name}({', '.join(places)})")

    def _add(self, name: str, function: Function, *values: Value) -> None:
        self._note(name, *values)
        new = self.attempt(name, function, *values)
        if new is None:
            return
        x = new[-1]
        self.steps[-1] += f" -> {dtype_name(x)}{list(x.shape)}"
        if self._is_small(x):
            self.pool.append(new)

    @staticmethod
    def _is_small(x: Any) -> bool:
        array = array_of(x)
        return array.dtype == bool or not array.size or bool(np.abs(array).max() < LARGE)

    def _other(self, suits: Callable[[Any], bool]) -> Value | None:
        found = [v for v in self.pool if suits(v[-1])]
        return self.choices.pick(found) if found else None

    # ---- steps: new values

    def _unary(self, value: Value) -> None:
        table = dict(ANY)
        if self.only_float64:
            del table["float"]
        if self.only_float64 or self.choices.chance(30):
            table |= FLOATING
        name = self.choices.pick(list(table))
        self._add(name, plain(table[name]), value)

    def _binary(self, value: Value) -> None:
        shape = value[-1].shape
        other = self._other(lambda y: broadcast(y.shape, shape) is not None)
        if other is not None:
            name = self.choices.pick(list(BINARY))
            self._add(name, plain(BINARY[name]), value, other)

    def _matmul(self, value: Value) -> None:
        x = value[-1]
        other = self._other(
            lambda y: (
                x.ndim > 0
                and y.ndim > 0
                and y.dtype == x.dtype
                and y.shape[-2 if y.ndim > 1 else 0] == x.shape[-1]
            )
        )
        if other is not None and x.dtype.is_floating_point:
            self._add("matmul", plain(lambda L, x, y: x @ y * 0.5), value, other)

    def _reduce(self, value: Value) -> None:
        x = value[-1]
        kind = self.choices.pick(["sum", "mean", "cumsum", "var"])
        if kind != "sum" and not (x.dtype.is_floating_point and x.ndim):
            return
        dim = self.choices.below(x.ndim) if x.ndim and self.choices.chance(60) else None
        if kind == "cumsum" or (kind == "var" and dim is not None and x.shape[dim] > 1):
            at = dim or 0
            self._add(f"{kind} {at}", plain(lambda L, x: getattr(x, kind)(at)), value)
        elif kind != "var":
            keep = dim is not None and self.choices.chance(50)
            options = {} if dim is None else {"dim": dim, "keepdim": keep}
            self._add(f"{kind} {options}", plain(lambda L, x: getattr(x, kind)(**options)), value)

    def _join(self, value: Value) -> None:
        x = value[-1]
        other = self._other(lambda y: y.shape == x.shape)
        if other is None:
            return
        name = self.choices.pick(["cat", "stack"])
        if name == "stack" or x.ndim:
            self._add(name, plain(lambda L, x, y: getattr(L, name)([x, y])), value, other)

    def _index(self, value: Value) -> None:
        x = value[-1]
        if not x.ndim or 0 in x.shape:
            return
        kind = self.choices.pick(["ints", "mask", "pair"])
        at = [self.choices.below(x.shape[0]) - self.choices.below(2) for _ in range(3)]
        if kind == "ints":
            self._add(f"[{at}]", lambda L, x: x[L.tensor(at)], value)
        elif kind == "mask":
            self._add("[mask]", lambda L, x: x[x > 0.0173], value)
        elif x.ndim > 1:
            to = [self.choices.below(x.shape[1]) for _ in range(3)]
            self._add(f"[{at}, {to}]", lambda L, x: x[L.tensor(at), L.tensor(to)], value)

    # ---- steps: views

    def _view(self, value: Value) -> None:
        x = value[-1]
        kind = self.choices.pick([*VIEWS])
        if not self.grad_enabled and x.requires_grad and kind != "detach":
            return  # in PyTorch such a view says requires_grad, but no gradient flows through it
        made = VIEWS[kind](self, x)
        if made is not None:
            arguments, function = made
            self._add(f"{kind}{arguments}", function, value)

    def _permute(self, x: Any) -> Any:
        order = self.choices.shuffled(x.ndim)
        return order, lambda L, x: x.permute(order)

    def _transpose(self, x: Any) -> Any:
        return None if x.ndim < 2 else ("", lambda L, x: x.transpose(-1, 0))

    def _reshape(self, x: Any) -> Any:
        shape = self.choices.pick([(-1,), tuple(reversed(x.shape)), (*x.shape, 1), (1, *x.shape)])
        if -1 in shape and not x.numel():
            return None
        name = self.choices.pick(["reshape", "reshape", "view"])
        return (name, shape), lambda L, x: getattr(x, name)(shape)

    def _slice(self, x: Any) -> Any:
        if not x.ndim or 0 in x.shape:
            return None
        count = 1 + self.choices.below(x.ndim)
        cuts = tuple(
            [
                slice(self.choices.below(n), None, self.choices.pick([1, 1, 2]))
                for n in x.shape[:count]
            ]
        )
        return [(c.start, c.step) for c in cuts], lambda L, x: x[cuts]

    def _mixed(self, x: Any) -> Any:
        if not x.ndim or 0 in x.shape:
            return None
        index = self.choices.pick([(..., -1), (None, 0), (..., slice(0, 2)), (slice(-2, None),)])
        return index, lambda L, x: x[index]

    def _int(self, x: Any) -> Any:
        if not x.ndim or 0 in x.shape:
            return None
        place = self.choices.below(x.shape[0]) - self.choices.below(2)
        return place, lambda L, x: x[place]

    def _expand(self, x: Any) -> Any:
        if 1 not in x.shape:
            return None
        shape = tuple([3 if n == 1 else n for n in x.shape])
        return shape, lambda L, x: x.expand(shape)

    def _squeeze(self, x: Any) -> Any:
        name = self.choices.pick(["squeeze", "unsqueeze"])
        return name, lambda L, x: getattr(x, name)(0) if x.ndim or name[0] == "u" else x.squeeze()

    def _unbind(self, x: Any) -> Any:
        if not x.ndim or not x.shape[0]:
            return None
        name = self.choices.pick(["unbind", "split", "chunk"])
        size = {"unbind": (), "split": (2,), "chunk": (2,)}[name]
        return name, lambda L, x: getattr(x, name)(*size)[0]

    def _detach(self, x: Any) -> Any:
        leaf = x.dtype.is_floating_point and self.choices.chance(20)
        return "", lambda L, x: x.detach().requires_grad_() if leaf else x.detach()

    # ---- steps: in place

    def _in_place(self, value: Value) -> None:
        name = self.choices.pick(list(IN_PLACE))
        self._change(name, IN_PLACE[name], value)

    def _in_place_binary(self, value: Value) -> None:
        x = value[-1]
        other = self._other(
            lambda y: (
                broadcast(x.shape, y.shape) == tuple(x.shape)
                and (y is x or self.storage(y) != self.storage(x))  # PyTorch: overlap is undefined
            )
        )
        if other is not None:
            name = self.choices.pick(list(IN_PLACE_BINARY))
            self._change(name, IN_PLACE_BINARY[name], value, other)

    def _assign(self, value: Value) -> None:
        x = value[-1]
        if not x.ndim or x.shape[0] < 2:
            return
        i = self.choices.below(x.shape[0] - 1)
        place = self.choices.pick([slice(i, i + 2), i, [i, i + 1]])
        region = x.shape[1:] if place == i else (2, *x.shape[1:])
        other = self._other(
            lambda y: (
                broadcast(region, y.shape) == tuple(region) and self.storage(y) != self.storage(x)
            )
        )
        if other is None:
            return
        index = (lambda L: L.tensor(place)) if isinstance(place, list) else (lambda L: place)
        kind = (lambda x, y: y.to(x.dtype)) if isinstance(place, list) else (lambda x, y: y)
        self._change(
            f"[{place}] =", lambda L, x, y: x.__setitem__(index(L), kind(x, y)), value, other
        )

    def _change(self, name: str, function: Function, *values: Value) -> None:
        self._note(name, *values)

        def change(L: Any, x: Any, *others: Any) -> Any:
            function(L, x, *others)
            return x

        if self.attempt(name, change, *values) and not self._is_small(values[0][-1]):
            raise Stop("large")

    def _detach_in_place(self, value: Value) -> None:
        x = value[-1]
        if sum(self.storage(y[-1]) == self.storage(x) for y in self.pool) > 1:
            return  # PyTorch: views of it keep the old history, or say that they have one
        self._change("detach_", lambda L, x: x.detach_(), value)

    # ---- steps: reads and handles

    def _read(self, value: Value) -> None:
        self._note("read", value)
        self.observe(value, f"read in step {len(self.steps)}")

    def _forget(self, value: Value) -> None:
        if len(self.pool) > 3:
            self._note("forget", value)
            self.pool = [v for v in self.pool if v is not value]
            if self.choices.chance(20):
                self.leaves = [v for v in self.leaves if v is not value]

    # ---- steps: gradients

    def _differentiable(self) -> Value | None:
        return self._other(lambda y: y.requires_grad and y.dtype.is_floating_point)

    def _backward(self, _: Value) -> None:
        value = self._differentiable()
        if value is None:
            return
        retain = self.choices.chance(70)
        kind = self.choices.pick(["sum", "sum", "gradient", "two", "inputs", "create"])
        function, others = self._backward_of(kind, retain)
        if function is None:
            return
        self._note(f"backward {kind}{' retain' if retain else ''}", value, *others)
        if self.attempt("backward", function, value, *others) is not None:
            self._after_backward()

    def _backward_of(self, kind: str, retain: bool) -> tuple[Any, tuple[Value, ...]]:
        if kind == "sum":
            return (lambda L, x: x.sum().backward(retain_graph=retain) or x), ()
        if kind == "create":
            return (lambda L, x: (x * x).sum().backward(create_graph=True) or x), ()
        if kind == "gradient":
            return (
                lambda L, x: x.backward(gradient=L.ones_like(x) * 0.5, retain_graph=retain) or x
            ), ()
        if kind == "two":
            other = self._differentiable()
            assert other is not None
            return (
                lambda L, x, y: (
                    L.autograd.backward([x.sum(), (y * 2).sum()], retain_graph=retain) or x
                )
            ), (other,)
        leaf = self.choices.pick(self.leaves) if self.leaves else None
        if leaf is None:
            return None, ()
        return (lambda L, x, p: x.sum().backward(inputs=[p], retain_graph=retain) or x), (leaf,)

    def _after_backward(self) -> None:
        if self.choices.chance(30):
            self.compare_gradients("after backward")
        if self.leaves and self.choices.chance(25):
            leaf = self.choices.pick(self.leaves)
            if leaf[-1].grad is None:
                return
            kind = self.choices.pick(["drop", "zero", "use", "use clone"])
            self._note(f"gradient: {kind}", leaf)
            if kind == "drop":
                for x in leaf:
                    x.grad = None
            elif kind == "zero":
                self.attempt("grad.zero_", lambda L, x: x.grad.zero_(), leaf)
            else:
                self.kept.append(leaf)  # PyTorch adds to .grad also when its leaf is gone
                self._use_gradient(tuple([x.grad for x in leaf]), clone=kind == "use clone")

    def _use_gradient(self, grads: Value, *, clone: bool) -> None:
        if not self._is_small(grads[-1]) or len({g.requires_grad for g in grads}) > 1:
            return  # (they may differ where a second derivative is zero everywhere)
        self.pool.append(tuple([g.clone() for g in grads]) if clone else grads)

    def _grad(self, _: Value) -> None:
        value = self._differentiable()
        to = self.choices.pick(self.leaves) if self.leaves else None
        if self.choices.chance(30):
            to = self._differentiable()
        if value is None or to is None:
            return
        create = self.choices.chance(80)

        def first(L: Any, x: Any, p: Any) -> Any:
            y = (x * x).sum()
            options = {"create_graph": create, "allow_unused": True, "retain_graph": True}
            return L.autograd.grad(y, [p], **options)[0]

        self._note("grad create_graph" if create else "grad", value, to)
        new = self.attempt("grad", first, value, to)
        if new is None:
            return
        if len({g is None for g in new}) > 1:
            raise Difference(f"gradient or None: {new}")
        if new[-1] is not None:
            self.observe(new, "grad()", gradient=True)
            self._use_gradient(tuple([g.contiguous() for g in new]), clone=True)

    def _hook(self, _: Value) -> None:
        value = self._differentiable()
        if value is not None and not is_view(value[-1]):  # writing to a view drops its hooks
            factor = self.choices.pick([0.5, -1.0])
            self._note(f"hook {factor}", value)
            self.attempt("hook", lambda L, x: x.register_hook(lambda g: g * factor) and x, value)

    def _retain(self, _: Value) -> None:
        value = self._differentiable()
        if value is not None and not value[-1].is_leaf and not is_view(value[-1]):
            self._note("retain_grad", value)
            self.attempt("retain_grad", lambda L, x: x.retain_grad() or x, value)
            self.leaves.append(value)


def is_view(x: Any) -> bool:
    """Is it a view whose history is that of its base?"""
    view = x._is_view
    return bool(view() if callable(view) else view)


def plain(function: Function) -> Function:
    """Results of ops are contiguous: PyTorch often keeps the order of the operand's dimensions."""

    def call(L: Any, *tensors: Any) -> Any:
        return function(L, *tensors).contiguous()

    return call


VIEWS: dict[str, Callable[[Machine, Any], Any]] = {
    "permute": Machine._permute,
    "transpose": Machine._transpose,
    "reshape": Machine._reshape,
    "slice": Machine._slice,
    "mixed": Machine._mixed,
    "int": Machine._int,
    "expand": Machine._expand,
    "squeeze": Machine._squeeze,
    "unbind": Machine._unbind,
    "detach": Machine._detach,
}
STEPS: list[tuple[int, Callable[[Machine, Value], None]]] = [
    (10, Machine._unary),
    (14, Machine._binary),
    (4, Machine._matmul),
    (5, Machine._reduce),
    (2, Machine._join),
    (4, Machine._index),
    (20, Machine._view),
    (9, Machine._in_place),
    (8, Machine._in_place_binary),
    (4, Machine._assign),
    (1, Machine._detach_in_place),
    (7, Machine._read),
    (4, Machine._forget),
    (8, Machine._backward),
    (5, Machine._grad),
    (2, Machine._hook),
    (1, Machine._retain),
]


class Lonely(Machine):
    """A program in weft alone, noting what it gives; ``eager`` runs each op at once."""

    def __init__(self, choices: Choices, *, eager: bool) -> None:
        super().__init__(choices, weft)
        self.eager = eager
        self.seen: list[tuple[str, Any]] = []

    def attempt(self, name: str, function: Function, *values: Value) -> Value | None:
        try:
            new = function(weft, *[x for (x,) in values])
        except ERRORS as error:
            self.seen.append((f"{name} raises", str(error)))
            return None
        return (new,)

    def observe(self, value: Value, what: str, *, gradient: bool = False) -> None:
        (x,) = value
        self.seen.append((what, array_of(x)))
        self.seen.append((f"{what}: requires_grad", x.requires_grad))

    def after_step(self) -> None:
        if self.eager:
            weft.realize()

    def storage(self, x: Any) -> Any:
        while x._base is not None:
            x = x._base
        return id(x)
