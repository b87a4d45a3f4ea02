"""``Function``: an op with a gradient written by the user.

A call records one node (``function``) whose inputs are the tensors given, and for each result one
node (``function_output``) that has the result's value and the call for its history. In the walk the
outputs come first and leave their gradients with the context; then the call hands all of them to
the user's ``backward`` once.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from ..dtypes import float32
from ..errors import GradientError
from ..gradient import current_walk
from ..graph.modes import grad_enabled, grad_mode
from ..graph.node import HISTORY, Grads, Node, Op, TensorType, number, record, type_of
from ..ops import elementwise as ew
from ..ops.movement import full
from ..tensors.core import TensorCore, node_of, wrap
from ..tensors.tensor import Tensor


class FunctionCtx:
    """What ``forward`` leaves for ``backward``, in any attributes."""

    if TYPE_CHECKING:

        def __getattr__(self, name: str) -> Any: ...
        def __setattr__(self, name: str, value: Any) -> None: ...

    def __init__(self) -> None:
        self._saved: tuple[Any, ...] = ()
        self._results: dict[Node, int] = {}  # where among the results a saved value is
        self._needs: tuple[bool, ...] = ()
        self._not_differentiable: tuple[Any, ...] = ()
        self._dirty: tuple[Any, ...] = ()
        self._materialize = True
        self._function: type[Function] | None = None
        self._argument_of: list[int] = []  # for each input node, the place of its argument
        self._types: list[TensorType | None] = []  # of the results, None for what is no tensor
        self._grads: dict[object, dict[int, Node]] = {}  # by walk, then by result
        self._call: Node | None = None  # while backward runs

    def save_for_backward(self, *tensors: Any) -> None:
        """Keeps tensors (inputs or results, or None) for ``backward``, with the values of now."""
        self._saved = tuple([wrap(node_of(x)) if isinstance(x, TensorCore) else x for x in tensors])

    @property
    def saved_tensors(self) -> tuple[Any, ...]:
        """What :meth:`save_for_backward` was given."""
        if self._call is None or not grad_enabled():
            return self._saved
        return tuple([self._with_history(x) for x in self._saved])

    def _with_history(self, saved: Any) -> Any:
        """A result that was saved is computed by the call, which it cannot have held itself."""
        k = self._results.get(saved._node) if isinstance(saved, TensorCore) else None
        if k is None:
            return saved
        assert self._call is not None
        return wrap(record(_output, (ew.detach(saved._node), self._call), k))

    @property
    def needs_input_grad(self) -> tuple[bool, ...]:
        """For each argument of ``forward``: is its gradient needed?"""
        return self._needs

    def mark_non_differentiable(self, *tensors: Any) -> None:
        """These results take no part in gradients."""
        self._not_differentiable = tensors

    def mark_dirty(self, *tensors: Any) -> None:
        """These arguments were changed in place and are returned."""
        self._dirty = tensors

    def set_materialize_grads(self, value: bool) -> None:
        """False: ``backward`` gets None, not zeros, for results without a gradient."""
        self._materialize = value


def _collect(node: Node, g: Node, want: Sequence[bool]) -> Grads:
    """A result's gradient goes to the context; the call only has to know that there is one."""
    ctx: FunctionCtx = node.inputs[1].extra
    grads = ctx._grads.setdefault(current_walk.get(), {})
    k = node.sig.attrs
    grads[k] = ew.add(grads[k], g) if k in grads else g
    return None, number(0.0, float32)


_output = Op(
    "function_output",
    lambda k, value, call: value,
    lambda k, value, call: value,
    _collect,
    analytic=False,  # (a user's rule is called with what the walk has)
)
_call = Op(
    "function",
    lambda attrs, *types: type_of((), float32),
    lambda *values: np.float32(0),
    lambda node, g, want: _call_backward(node, want),
    device=lambda name, attrs, types: None,  # a user's function may take, and give, several
)


def _call_backward(node: Node, want: Sequence[bool]) -> Grads:
    ctx: FunctionCtx = node.extra
    function = ctx._function
    assert function is not None
    found = ctx._grads.pop(current_walk.get())
    grads: list[Tensor | None] = []
    for k, kind in enumerate(ctx._types):
        g = found.get(k)
        if g is None and kind is not None and ctx._materialize:
            g = full(kind, 0)
        grads.append(None if g is None else wrap(g))
    ctx._call = node
    try:
        result = function.backward(ctx, *grads)
    finally:
        ctx._call = None
    results = result if isinstance(result, tuple) else (result,)
    expected = len(ctx._needs)
    if len(results) < expected or any(r is not None for r in results[expected:]):
        raise GradientError(
            f"{function.__name__}.backward returned {len(results)} gradients, but "
            f"{function.__name__}.forward takes {expected} arguments: return one for each, None "
            "where there is none"
        )
    return [
        checked_gradient(function, k, results[k], kind) if w else None
        for k, w, kind in zip(ctx._argument_of, want, node.sig.types, strict=True)
    ]


def checked_gradient(function: type[Function], k: int, g: Any, kind: TensorType) -> Node | None:
    """What ``backward`` gave for argument ``k``, or an error that names it."""
    if g is None:
        return None
    name = f"{function.__name__}.backward"
    if not isinstance(g, TensorCore):
        raise GradientError(f"{name}: gradient {k} is {type(g).__name__}, not a Tensor or None")
    node = node_of(g)
    shape = node.type.shape
    extra = len(shape) - kind.ndim
    fits = extra >= 0 and all(n in (shape[extra + d], 1) for d, n in enumerate(kind.shape))
    if not fits:
        raise GradientError(
            f"{name}: gradient {k} has shape {list(shape)}, but the argument that it is for has "
            f"shape {list(kind.shape)}"
        )
    return ew.cast(node, kind.dtype)


class _FunctionMeta(type):
    def __call__(cls, *args: Any, **kwargs: Any) -> Any:
        raise TypeError(
            f"{cls.__name__} is not made into an object: call {cls.__name__}.apply(...)"
        )


class Function(metaclass=_FunctionMeta):
    """Base of ops with a gradient of their own: define ``forward``, ``backward``; call ``apply``.

    ``forward(ctx, *args)`` computes with grad mode off; ``backward(ctx, *grads)`` gets a gradient
    for each result and returns one for each argument. Alternatively ``forward(*args)`` with
    ``setup_context(ctx, inputs, output)``.

    Example:
        >>> class Cube(weft.autograd.Function):
        ...     @staticmethod
        ...     def forward(ctx, x):
        ...         ctx.save_for_backward(x)
        ...         return x * x * x
        ...
        ...     @staticmethod
        ...     def backward(ctx, g):
        ...         (x,) = ctx.saved_tensors
        ...         return 3 * x * x * g
        >>> x = weft.tensor(2.0, requires_grad=True)
        >>> Cube.apply(x).backward()
        >>> x.grad
        tensor(12.)
    """

    setup_context: Callable[..., None] | None = None

    @staticmethod
    def forward(*args: Any, **kwargs: Any) -> Any:
        """To be defined by the subclass."""
        raise NotImplementedError("a subclass of Function defines forward(ctx, *args)")

    @staticmethod
    def backward(ctx: FunctionCtx, *grads: Any) -> Any:
        """To be defined by the subclass."""
        raise NotImplementedError("a subclass of Function defines backward(ctx, *grads)")

    @classmethod
    def apply(cls, *args: Any) -> Any:
        """Runs ``forward`` and records the call."""
        ctx = FunctionCtx()
        ctx._function = cls
        tensors = [(k, a) for k, a in enumerate(args) if isinstance(a, TensorCore)]
        nodes = tuple([node_of(a) for _, a in tensors])
        ctx._argument_of = [k for k, _ in tensors]
        recording = grad_enabled()
        ctx._needs = tuple(
            [recording and isinstance(a, TensorCore) and node_of(a).tracks != 0 for a in args]
        )
        result = cls._run_forward(ctx, args)
        results = result if isinstance(result, tuple) else (result,)
        if any(ctx._needs):
            results = cls._with_history(ctx, nodes, results)
        return results if isinstance(result, tuple) else results[0]

    @classmethod
    def _run_forward(cls, ctx: FunctionCtx, args: tuple[Any, ...]) -> Any:
        token = grad_mode.set(False)
        try:
            if cls.setup_context is None:
                return cls.forward(ctx, *args)
            output = cls.forward(*args)
            cls.setup_context(ctx, args, output)
            return output
        finally:
            grad_mode.reset(token)

    @classmethod
    def _with_history(
        cls, ctx: FunctionCtx, nodes: tuple[Node, ...], results: tuple[Any, ...]
    ) -> tuple[Any, ...]:
        call = record(_call, nodes)
        if not call.tracks & HISTORY:
            return results
        call.extra = ctx
        plain = [id(t) for t in ctx._not_differentiable]
        dirty = [id(t) for t in ctx._dirty]
        saved = {x._node for x in ctx._saved if isinstance(x, TensorCore)}
        out: list[Any] = []
        for k, value in enumerate(results):
            if not isinstance(value, TensorCore):
                ctx._types.append(None)
                out.append(value)
                continue
            made = node_of(value)
            ctx._types.append(made.type)
            if id(value) in plain:
                out.append(value)
                continue
            if made in saved:
                ctx._results[made] = k
            node = record(_output, (ew.detach(made), call), k)
            out.append(value._rebind(node) if id(value) in dirty else wrap(node))
        return tuple(out)


def once_differentiable(backward: Callable[..., Any]) -> Callable[..., Any]:
    """Decorator for a ``backward`` that cannot be differentiated: its results have no history."""

    def wrapped(ctx: FunctionCtx, *grads: Any) -> Any:
        token = grad_mode.set(False)
        try:
            return backward(ctx, *grads)
        finally:
            grad_mode.reset(token)

    return wrapped
