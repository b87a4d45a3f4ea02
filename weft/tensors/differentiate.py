"""Gradients as users see them: ``backward``, ``grad``, ``.grad``, hooks, ``requires_grad``."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from typing import TYPE_CHECKING, Any
from weakref import ref

from ..engine.realize import computed
from ..errors import DeviceError, GradientError, ShapeError, UnsupportedOp
from ..gradient import Anomaly, Found, add_hook, gradients, remove_hook
from ..graph.modes import grad_enabled, grad_mode
from ..graph.node import HISTORY, LEAF, OPS, RELEASED, Node, leaf
from ..graph.tracing import current
from ..hooks import Hooks, RemovableHandle, register
from ..ops import elementwise as ew
from ..ops.movement import full
from .core import DETACH, TensorCore, node_of, not_a_tensor, wrap
from .creation import require_grad
from .shape import stack

if TYPE_CHECKING:
    from .tensor import Tensor

_GRAFT = OPS["graft"]

# ---- backward and grad


class Walks:
    """How many backward() there have been."""

    count = 0


def _as_list(value: Any) -> list[Any]:
    return list(value) if isinstance(value, (tuple, list)) else [value]


def _seed(root: Tensor, given: Tensor | None) -> Node:
    node = node_of(root)
    if given is None:
        if node.type.size != 1:
            raise GradientError(
                f"backward() starts from one number, but this tensor has shape "
                f"{list(node.type.shape)}: reduce it first, for example loss.mean().backward(), "
                f"or pass gradient=, a tensor of shape {list(node.type.shape)}"
            )
        if node.type.dtype.is_complex:
            raise GradientError(
                "grad can be implicitly created only for real scalar outputs, not for "
                f"{node.type.dtype}: take y.abs(), y.real or the like, or pass gradient="
            )
        return full(node.type, 1)
    if not isinstance(given, TensorCore):
        raise not_a_tensor(given, "gradient= takes a Tensor")
    g = node_of(given)
    if g.type.shape != node.type.shape:
        raise ShapeError(
            f"the gradient given has shape {list(g.type.shape)}, but the output has shape "
            f"{list(node.type.shape)}"
        )
    return ew.cast(g, node.type.dtype)


def _roots(tensors: list[Any], given: Any) -> tuple[list[Node], list[Node]]:
    grads = [None] * len(tensors) if given is None else _as_list(given)
    if len(grads) != len(tensors):
        raise GradientError(f"{len(tensors)} outputs but {len(grads)} gradients for them")
    nodes = []
    for x in tensors:
        if not isinstance(x, TensorCore):
            raise not_a_tensor(x, "gradients are taken of Tensors")
        node = node_of(x)
        if not node.tracks:
            raise GradientError(
                f"this tensor of shape {list(node.type.shape)} has no history to differentiate: "
                "none of what it was computed from requires grad, or it was computed under "
                "no_grad() or detached"
            )
        nodes.append(node)
    return nodes, [_seed(x, g) for x, g in zip(tensors, grads, strict=True)]


def _look_for_anomalies(found: dict[Any, Node]) -> None:
    """Raises what computing the gradients meets, if it is to be known at once."""
    if Anomaly.on and current.get() is None:
        for g in found.values():
            computed(g)


def backward(
    tensors: Any,
    grad_tensors: Any = None,
    retain_graph: bool | None = None,
    create_graph: bool = False,
    inputs: Any = None,
) -> None:
    """Adds the gradients of ``tensors`` to the ``.grad`` of the leaves they were computed from.

    Args:
        grad_tensors: a factor for each output (1 for those of one element).
        retain_graph: keep the history for another backward(); by default as ``create_graph``.
        create_graph: record the gradients, to be differentiated again.
        inputs: only to these.

    Raises:
        GradientError: without history, after an earlier backward() let it go, or for an output of
            several elements without a gradient of its own.
    """
    roots, seeds = _roots(_as_list(tensors), grad_tensors)
    Walks.count += 1
    targets = None
    if inputs is not None:
        targets = [_target(x) for x in _as_list(inputs)]
    found = gradients(
        roots,
        seeds,
        targets,
        retain=create_graph if retain_graph is None else retain_graph,
        create=create_graph,
    )
    _look_for_anomalies(found)
    token = grad_mode.set(create_graph)
    try:
        if inputs is not None:
            for x, target in zip(_as_list(inputs), targets or (), strict=True):
                if target in found and x._retains_grad is None:  # (else it has been added)
                    _accumulate(x, found[target])
        else:
            for x, g in found.items():
                if node_of(x).tracks & LEAF:  # still, after requires_grad_(False) or detach_()
                    _accumulate(x, g)
    finally:
        grad_mode.reset(token)


def with_history(node: Node) -> Node:
    """The node that a tensor's gradient belongs to: changes under no_grad have left it in place."""
    while node.sig.op is _GRAFT and node.tracks & HISTORY:
        node = node.inputs[1]
    return node


def _target(x: Any) -> Any:
    if not isinstance(x, TensorCore):
        raise not_a_tensor(x, "gradients are taken with respect to Tensors")
    node = node_of(x)
    if not node.tracks:
        raise GradientError(
            f"a tensor of shape {list(node.type.shape)} among the inputs does not require grad: "
            "call x.requires_grad_() before it is used"
        )
    return x if node.tracks & LEAF and node.extra() is x else with_history(node)


def _run_hooks(x: TensorCore, g: Node) -> Node:
    hooks = x.__dict__.get("_hooks")
    if hooks:
        for hook in list(hooks.values()):
            g = _replaced(g, hook(wrap(g)))
    return g


def _replaced(g: Node, result: Any) -> Node:
    if result is None:
        return g
    if not isinstance(result, TensorCore):
        raise not_a_tensor(result, "a gradient hook returns a Tensor or None")
    new = node_of(result)
    if new.type.shape != g.type.shape:
        raise ShapeError(
            f"a gradient hook returned shape {list(new.type.shape)} in place of "
            f"{list(g.type.shape)}"
        )
    return ew.cast(new, g.type.dtype)


def _accumulate(x: Any, g: Node) -> None:
    g = _run_hooks(x, g)
    before = x.__dict__.get("_grad")
    if before is None:
        x._grad = wrap(g)
    elif grad_enabled():
        x._grad = wrap(ew.add(node_of(before), g))
    else:
        was_used = before._used_at == before._version
        before._rebind(ew.add(node_of(before), g))
        if was_used:
            before._added_at = before._version
    after = x.__dict__.get("_accumulate_hooks")
    if after:
        for hook in list(after.values()):
            hook(x)


def _batched(
    outputs: Any, inputs: Any, given: Any, retain: bool, create: bool, unused: bool, zeros: bool
) -> tuple[Any, ...]:
    """:func:`grad` for each place along the first dimension of what is given."""
    seeds = _as_list(given)
    counts = {node_of(x).type.shape[:1] for x in seeds}
    if len(counts) != 1 or counts & {(), (0,)}:
        raise GradientError(
            "grad(is_grads_batched=True) takes grad_outputs with a first dimension of one size"
        )
    ((count,),) = counts
    found = [
        grad(
            outputs,
            inputs,
            [x[k] for x in seeds],
            retain or k < count - 1,
            create,
            allow_unused=unused,
            materialize_grads=zeros,
        )
        for k in range(count)
    ]
    return tuple([None if g[0] is None else stack(g) for g in zip(*found, strict=True)])


def grad(
    outputs: Any,
    inputs: Any,
    grad_outputs: Any = None,
    retain_graph: bool | None = None,
    create_graph: bool = False,
    only_inputs: bool = True,
    allow_unused: bool | None = None,
    is_grads_batched: bool = False,
    materialize_grads: bool = False,
) -> tuple[Any, ...]:
    """Gradients of ``outputs`` with respect to ``inputs``; no ``.grad`` is touched.

    Args:
        only_inputs: always so; for the sake of programs that say it.
        allow_unused: give None for an input that the outputs do not depend on.
        is_grads_batched: each of ``grad_outputs`` has one dimension more, first; so have the
            gradients, one for each place along it.
        materialize_grads: give zeros for an input that the outputs do not depend on.

    Raises:
        GradientError: as :func:`backward`; and for an unused input, naming its place.
        UnsupportedOp: for ``only_inputs=False``.
    """
    if not only_inputs:
        raise UnsupportedOp("grad(only_inputs=False): for gradients of all leaves, call backward()")
    if is_grads_batched:
        kept = create_graph if retain_graph is None else retain_graph
        unused = bool(allow_unused)
        return _batched(
            outputs, inputs, grad_outputs, kept, create_graph, unused, materialize_grads
        )
    xs = _as_list(inputs)
    roots, seeds = _roots(_as_list(outputs), grad_outputs)
    targets = [_target(x) for x in xs]
    found = gradients(
        roots,
        seeds,
        targets,
        retain=create_graph if retain_graph is None else retain_graph,
        create=create_graph,
    )
    _look_for_anomalies(found)
    out: list[Any] = []
    token = grad_mode.set(create_graph)
    try:
        for k, (x, target) in enumerate(zip(xs, targets, strict=True)):
            g = found.get(target)
            if g is not None:
                out.append(wrap(_run_hooks(x, g) if target is x else g))
            elif materialize_grads:
                out.append(wrap(full(node_of(x).type, 0)))
            elif allow_unused:
                out.append(None)
            else:
                raise GradientError(
                    f"input {k} of shape {list(node_of(x).type.shape)} was not used to compute "
                    "the outputs: pass allow_unused=True to get None for it, or "
                    "materialize_grads=True to get zeros"
                )
    finally:
        grad_mode.reset(token)
    return tuple(out)


# ---- methods and properties


def backward_method(
    self: Tensor,
    gradient: Tensor | None = None,
    retain_graph: bool | None = None,
    create_graph: bool = False,
    inputs: Any = None,
) -> None:
    """See :func:`weft.autograd.backward`."""
    grads = None if gradient is None else [gradient]
    backward([self], grads, retain_graph, create_graph, inputs)


def get_grad(self: TensorCore) -> Any:
    return self.__dict__.get("_grad")


def set_grad(self: TensorCore, value: Any) -> None:
    if value is not None:
        if not isinstance(value, TensorCore):
            raise not_a_tensor(value, ".grad takes a Tensor or None")
        mine, new = node_of(self).type, node_of(value).type
        if new.device is not mine.device and None not in (new.device, mine.device):
            raise DeviceError(
                f".grad of a tensor on {mine.device} cannot be on {new.device}: write "
                f"grad.to('{mine.device}')"
            )
        if new.shape != mine.shape or new.dtype is not mine.dtype:
            raise ShapeError(
                f".grad of a tensor of {mine.dtype} and shape {list(mine.shape)} cannot be "
                f"{new.dtype} and shape {list(new.shape)}"
            )
    self._grad = value


def get_requires_grad(self: TensorCore) -> bool:
    return node_of(self).tracks != 0


def set_requires_grad(self: Any, value: bool) -> None:
    requires_grad_(self, value)


def requires_grad_(self: Tensor, requires_grad: bool = True) -> Tensor:
    """Makes this a leaf whose gradient is kept (or no longer kept).

    Raises:
        GradientError: for integers, or to stop the gradient of a tensor with a history.
    """
    node = node_of(self)
    if requires_grad:
        require_grad(self)
    elif node.tracks & LEAF:
        self._node = ew.detach(node) if node.value is None else _plain_leaf(node)
    elif node.tracks:
        raise GradientError(
            "only a leaf can stop requiring grad; use x.detach() for a tensor without history"
        )
    return self


def _plain_leaf(node: Node) -> Node:
    return leaf(node.value, node.type)


def is_leaf(self: TensorCore) -> bool:
    return not node_of(self).tracks & (HISTORY | RELEASED)


class GradFn:
    """What ``x.grad_fn`` shows: the op that a tensor came from, and where it was recorded."""

    __slots__ = ("_node",)

    def __init__(self, node: Node) -> None:
        self._node = node

    def name(self) -> str:
        """``AddBackward``, for example."""
        words = self._node.sig.op.name.split("_")
        return "".join(w.capitalize() for w in words) + "Backward"

    @property
    def next_functions(self) -> tuple[tuple[GradFn | None, int], ...]:
        """The same for the inputs."""
        return tuple(
            [(GradFn(i) if i is not None and i.tracks else None, 0) for i in self._node.inputs]
        )

    def __repr__(self) -> str:
        return f"<{self.name()}>"


def grad_fn(self: TensorCore) -> GradFn | None:
    node = node_of(self)
    return GradFn(node) if node.tracks & (HISTORY | RELEASED) else None


def detach(self: Tensor) -> Tensor:
    """The same values without history. They stay shared: a change in place is seen by both."""
    return self._view(DETACH, None)


def detach_(self: Tensor) -> Tensor:
    """Cuts this tensor's own history.

    Raises:
        GradientError: for a view, whose history is its base's.
    """
    if self._base is not None and not self._is_alias() and not self._reshaped:
        raise GradientError(
            "detach_() of a view: its history is that of the tensor it was cut from. Write "
            "x = x.detach()"
        )
    if node_of(self).tracks:
        owner = self if self._base is None or self._is_alias() else self._base
        owner._node = ew.detach(owner._node)
        if owner is not self:
            owner._version += 1  # so that this tensor is cut again
        self._retains_grad = None
    return self


def register_hook(self: Tensor, hook: Callable[[Tensor], Tensor | None]) -> RemovableHandle:
    """Calls ``hook(grad)`` when this tensor's gradient is known; what it returns replaces it.

    Raises:
        GradientError: for a tensor that does not require grad.
    """
    node = node_of(self)
    if not node.tracks:
        raise GradientError("a gradient hook needs a tensor that requires grad")
    if node.tracks & LEAF:
        hooks = self.__dict__.get("_hooks")
        if hooks is None:
            hooks = self._hooks = OrderedDict()
        return register(hooks, hook)
    registry: Hooks = OrderedDict()

    def run(n: Node, found: Found) -> None:
        if n in found:
            for each in list(registry.values()):
                found[n] = _replaced(found[n], each(wrap(found[n])))

    add_hook(with_history(node), run)
    return register(registry, hook)


def register_post_accumulate_grad_hook(
    self: Tensor, hook: Callable[[Tensor], None]
) -> RemovableHandle:
    """Calls ``hook(tensor)`` after backward() has added to this leaf's ``.grad``.

    Raises:
        GradientError: for anything but a leaf that requires grad.
    """
    if not node_of(self).tracks & LEAF:
        raise GradientError("a post-accumulate hook needs a leaf tensor that requires grad")
    hooks = self.__dict__.get("_accumulate_hooks")
    if hooks is None:
        hooks = self.__dict__["_accumulate_hooks"] = OrderedDict()
    return register(hooks, hook)


class KeepGrad:
    """The hook behind :func:`retain_grad`. It follows its tensor through changes in place."""

    is_last = True  # what is kept is what the other hooks have made of the gradient

    def __init__(self, x: TensorCore) -> None:
        self._tensor = ref(x)

    def __call__(self, node: Node, found: Found) -> None:
        x = self._tensor()
        if x is not None and node in found:
            before = x.__dict__.get("_grad")
            g = found[node]
            x._grad = wrap(g if before is None else ew.add(node_of(before), g))

    def move(self, old: Node, new: Node) -> None:
        """From the tensor's node before a change in place to that after it."""
        remove_hook(with_history(old), self)
        if new.tracks & HISTORY:
            add_hook(new, self)


def retain_grad(self: Tensor) -> None:
    """Keeps the gradient of a tensor with a history in its ``.grad``, as leaves do.

    Raises:
        GradientError: for a tensor that does not require grad.
    """
    node = node_of(self)
    if not node.tracks:
        raise GradientError("retain_grad() needs a tensor that requires grad")
    if node.tracks & LEAF or self._retains_grad is not None:
        return
    self._retains_grad = KeepGrad(self)
    add_hook(with_history(node), self._retains_grad)


def retains_grad(self: TensorCore) -> bool:
    return self._retains_grad is not None
