"""Memory for time: what a function computes on the way is computed again in backward().

The call is recorded as one op with the function's gradient. For that, the function is called a
second time in ``backward()`` with the tensors of the first call and the same random numbers, and
the gradient goes back through what that records.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any

from ..autograd.function import Function
from ..autograd.modes import enable_grad
from ..errors import GradientError, did_you_mean
from ..func.tree import flatten, mapped
from ..gradient import gradients
from ..graph.modes import grad_enabled, module_path, on_behalf_of
from ..graph.node import HISTORY, LEAF, Node, number
from ..nn.containers import Sequential
from ..tensors.autocasting import autocast_mode
from ..tensors.core import TensorCore, node_of, wrap
from ..tensors.random import get_rng_state, set_rng_state
from ..tensors.tensor import Tensor

_Contexts = Callable[[], tuple[AbstractContextManager[Any], AbstractContextManager[Any]]]


class CheckpointError(GradientError):
    """The second call of a checkpointed function was not like the first."""


def get_device_states(*args: Any) -> tuple[list[int], list[Tensor]]:
    """No states: all devices draw from the one stream that ``weft.get_rng_state()`` tells."""
    return [], []


def set_device_states(
    devices: Sequence[int], states: Sequence[Tensor], *, device_type: str | None = None
) -> None:
    """Takes what :func:`get_device_states` gave; ``weft.set_rng_state`` restores the stream."""


def noop_context_fn() -> tuple[AbstractContextManager[Any], AbstractContextManager[Any]]:
    """_Contexts that do nothing, for the two calls."""
    return nullcontext(), nullcontext()


def checkpoint(
    function: Callable[..., Any],
    *args: Any,
    use_reentrant: bool | None = None,
    context_fn: _Contexts = noop_context_fn,
    determinism_check: str = "default",
    debug: bool = False,
    early_stop: bool = True,
    preserve_rng_state: bool = True,
    **kwargs: Any,
) -> Any:
    """``function(*args, **kwargs)``, whose intermediate values are not kept for ``backward()``.

    Gradients reach everything that the function reads: its arguments, and parameters of modules
    that it calls. They may be differentiated again.

    Args:
        use_reentrant, debug, early_stop: taken for PyTorch's sake. There is one way here, which
            behaves as PyTorch's with ``use_reentrant=False``, and nothing is computed twice that
            the gradient does not read.
        context_fn: gives two context managers, around the first call and around the second.
        determinism_check: "none": do not compare what the two calls give.
        preserve_rng_state: the second call draws the random numbers of the first.

    Raises:
        CheckpointError: in ``backward()``, if the function now reads other tensors, or gives other
            shapes or dtypes.

    Example:
        >>> x = weft.tensor([1.0, 2.0], requires_grad=True)
        >>> checkpoint = weft.utils.checkpoint.checkpoint
        >>> checkpoint(lambda x: x.exp().sin().sum(), x, use_reentrant=False).backward()
        >>> x.grad
        tensor([-2.4784,  3.3129])
    """
    if determinism_check not in ("default", "none"):
        raise ValueError(
            f"determinism_check should be 'default' or 'none', not {determinism_check!r}"
        )
    if use_reentrant and kwargs:
        raise ValueError(f"Unexpected keyword arguments: {','.join(kwargs)}")
    if use_reentrant and (debug or context_fn is not noop_context_fn):
        raise ValueError(
            "Passing `context_fn` or `debug` is only supported when use_reentrant=False."
        )
    if not grad_enabled():
        return function(*args, **kwargs)
    first, second = context_fn()
    call = _Call(function, args, kwargs, second)
    call.restores_random = preserve_rng_state
    call.checks = determinism_check == "default"
    with first:
        result = function(*args, **kwargs)
    outputs, build = flatten(result)
    entries = _entries(outputs, call.start)
    if not entries:
        return result
    call.types = [node_of(y).type if isinstance(y, TensorCore) else None for y in outputs]
    return build(_Checkpointed.apply(call, entries, outputs, *map(wrap, entries)))


class _Call:
    """The first call of a function, and how it is made again."""

    restores_random: bool
    checks: bool
    types: list[Any]  # of what it gave, None for what is no Tensor

    def __init__(
        self,
        function: Callable[..., Any],
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
        context: AbstractContextManager[Any],
    ) -> None:
        self.function = function
        self.context = context
        self.given = (args, kwargs)
        self.nodes = mapped(node_of, self.given)  # what the arguments are now
        self.random = get_rng_state()
        self.path = module_path.get()
        self.autocast = autocast_mode.get()
        self.start = number(0.0).order  # what is recorded from here on is the function's

    def again(self) -> list[Any]:
        """What the function gives when it is called as it was."""
        given, build = flatten(self.given)
        nodes, _ = flatten(self.nodes)
        args, kwargs = build(
            [
                wrap(node) if isinstance(x, TensorCore) and node_of(x) is not node else x
                for x, node in zip(given, nodes, strict=True)
            ]
        )
        path = module_path.set(self.path)
        autocast = autocast_mode.set(self.autocast)
        where = on_behalf_of.set(None)
        try:
            with enable_grad(), self.context, self._random_numbers():
                return flatten(self.function(*args, **kwargs))[0]
        finally:
            on_behalf_of.reset(where)
            autocast_mode.reset(autocast)
            module_path.reset(path)

    @contextmanager
    def _random_numbers(self) -> Any:
        now = get_rng_state()
        if self.restores_random:
            set_rng_state(self.random)
        try:
            yield
        finally:
            if self.restores_random:
                set_rng_state(now)

    def check(self, outputs: Sequence[Any], entries: Iterable[Node], before: list[Node]) -> None:
        """Raises CheckpointError unless the second call was like the first."""
        types = [node_of(y).type if isinstance(y, TensorCore) else None for y in outputs]
        if len(types) != len(self.types) or (self.checks and types != self.types):
            raise CheckpointError(
                f"checkpoint: the function gave {_listed(self.types)} when it was called, but "
                f"{_listed(types)} when it was called again in backward(). What it does must "
                "depend on its arguments alone"
            )
        lost = set(before) - set(entries)
        if lost:
            kind = next(iter(lost)).type
            raise CheckpointError(
                f"checkpoint: a tensor of shape {list(kind.shape)} that the function read when it "
                "was called is not what it read again in backward(): it has been changed in "
                "between (by an optimiser's step?), or the function took another way"
            )


def _listed(types: Iterable[Any]) -> str:
    return ", ".join("no Tensor" if t is None else repr(t) for t in types)


def _entries(outputs: Iterable[Any], start: int) -> list[Node]:
    """The nodes recorded before ``start``, and the leaves, from which gradients of outputs lead."""
    stack = [node_of(y) for y in outputs if isinstance(y, TensorCore)]
    seen = set(stack)
    found = []
    while stack:
        node = stack.pop()
        if node.tracks & LEAF:
            if node.extra() is not None:
                found.append(node)
        elif node.order < start:
            if node.tracks & HISTORY:
                found.append(node)
        elif node.tracks & HISTORY:
            for source in node.inputs:
                if source is not None and source.tracks and source not in seen:
                    seen.add(source)
                    stack.append(source)
    return found


class _Checkpointed(Function):
    """The op as which a call is recorded; its tensors are those from which gradients lead."""

    @staticmethod
    def forward(ctx: Any, call: _Call, entries: list[Node], outputs: list[Any], *_: Any) -> Any:
        ctx.call = call
        ctx.entries = entries
        ctx.set_materialize_grads(False)
        tensors = [y for y in outputs if isinstance(y, TensorCore)]
        ctx.mark_non_differentiable(*[y for y in tensors if not node_of(y).tracks])
        return tuple(outputs)

    @staticmethod
    def backward(ctx: Any, *grads: Any) -> Any:
        start = number(0.0).order
        outputs = ctx.call.again()
        ctx.call.check(outputs, _entries(outputs, start), ctx.entries)
        pairs = [
            (node_of(y), node_of(g)) for y, g in zip(outputs, grads, strict=True) if g is not None
        ]
        found = gradients(
            [y for y, _ in pairs],
            [g for _, g in pairs],
            ctx.entries,
            retain=True,
            create=grad_enabled(),
            since=start,
        )
        out = [found.get(entry) for entry in ctx.entries]
        return (None, None, None, *[None if g is None else wrap(g) for g in out])


def checkpoint_sequential(
    functions: Any,
    segments: int,
    input: Any,
    use_reentrant: bool | None = None,
    preserve_rng_state: bool = True,
) -> Any:
    """Calls functions one after the other, in segments that are checkpointed, but for the last.

    Args:
        functions: an ``nn.Sequential``, or a list of functions.
        segments: how many.

    Raises:
        ValueError: unless there are as many functions as segments, or more.
    """
    steps = list(functions.children() if isinstance(functions, Sequential) else functions)
    if not 1 <= segments <= len(steps):
        raise ValueError(
            f"checkpoint_sequential: {len(steps)} functions cannot be divided into {segments} "
            "segments"
        )
    size = len(steps) // segments
    starts = [k * size for k in range(segments)]
    for start in starts[:-1]:
        input = checkpoint(
            _in_turn(steps[start : start + size]),
            input,
            use_reentrant=use_reentrant,
            preserve_rng_state=preserve_rng_state,
        )
    return _in_turn(steps[starts[-1] :])(input)


def _in_turn(steps: Sequence[Callable[[Any], Any]]) -> Callable[[Any], Any]:
    def run(x: Any) -> Any:
        for step in steps:
            x = step(x)
        return x

    return run


__all__ = [
    "CheckpointError",
    "checkpoint",
    "checkpoint_sequential",
    "get_device_states",
    "noop_context_fn",
    "set_device_states",
]


def __getattr__(name: str) -> Any:
    raise AttributeError(
        f"module 'weft.utils.checkpoint' has no attribute '{name}'.{did_you_mean(name, __all__)}"
    )
