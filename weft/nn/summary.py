"""``model.summary(x)``: what a model is made of, from a call that is recorded and never run."""

from __future__ import annotations

from collections.abc import Iterable
from math import prod
from typing import TYPE_CHECKING, Any, NamedTuple

from ..engine.realize import Hold, Stats
from ..graph.node import HISTORY, PENDING, Node, number
from ..tensors.core import TensorCore, node_of
from ..tensors.random import get_rng_state, set_rng_state

if TYPE_CHECKING:
    from .base import ModuleBase
    from .module import Module

# ---- operations of an op: a multiplication and an addition count as two

_FREE = {
    *("reshape", "permute", "expand", "slice", "set_slice", "cat", "take", "put", "leaf", "arange"),
    *("same", "detach", "graft", "over", "to_device", "cast", "function", "function_output"),
}


def _flops(node: Node) -> int:
    name, types, size = node.sig.op.name, node.sig.types, node.type.size
    if name == "matmul":
        return 2 * size * types[0].shape[-1]
    if name == "conv":
        return 2 * size * prod(types[1].shape[1:])
    if name == "conv_input":
        return 2 * types[0].size * prod(types[1].shape[1:])
    if name.startswith("max_pool"):
        return int(size * prod(node.sig.attrs.kernel))
    if name in _FREE or name.startswith("random"):
        return 0
    return max(size, *[t.size for t in types]) if types else size


_MOVED = {"reshape", "permute", "expand", "same", "detach"}


def _kept_for_backward(nodes: Iterable[Node], start: int) -> int:
    """Bytes of the values that gradient rules read, and that are made in this call."""
    kept: dict[Node, int] = {}
    for node in nodes:
        if not node.tracks & HISTORY:
            continue
        read = [node.inputs[k] for k in node.sig.needs]
        for value in [*read, node] if node.sig.op.needs_output else read:
            while value.sig.op.name in _MOVED and value.inputs:  # another view of the same values
                value = value.inputs[0]
            if value.order >= start and value.inputs:
                kept[value] = value.type.size * value.type.dtype.itemsize
    return sum(kept.values())


# ---- what is found


class Row(NamedTuple):
    """One module of a summary.

    Attributes:
        path: its place in the model, "" for the model itself.
        kind: its class.
        output: shapes of what it gave when it was called last; None if it was not called.
        parameters: elements of parameters in it and below it, each parameter once.
        flops: operations in it and below it, in all its calls; None if unknown.
        calls: how often it was called.
    """

    path: str
    kind: str
    output: str | None
    parameters: int
    flops: int | None
    calls: int


class Summary:
    """What :meth:`weft.nn.Module.summary` gives; prints as a table.

    Attributes:
        rows: a :class:`Row` for each module, the model first.
        parameters, trainable: elements of all parameters, and of those that require grad.
        parameter_bytes, buffer_bytes: what these take.
        backward_bytes: values that a forward pass keeps for ``backward()``; None if unknown.
        flops: operations of a forward pass, multiplication and addition counted apart; None if
            unknown, because ``forward`` asked for a value and so had a part of it run.
    """

    def __init__(self, rows: list[Row], model: Module, backward_bytes: int | None) -> None:
        parameters = list(model.parameters())
        self.rows = rows
        self.parameters = rows[0].parameters
        self.trainable = sum(p.numel() for p in parameters if p.requires_grad)
        self.parameter_bytes = sum(p.nbytes for p in parameters)
        self.buffer_bytes = sum(b.nbytes for b in model.buffers())
        self.backward_bytes = backward_bytes
        self.flops = rows[0].flops

    def __str__(self) -> str:
        table = [("module", "output", "parameters", "FLOPs")]
        for row, stem in zip(self.rows, _stems([r.path for r in self.rows]), strict=True):
            name = row.path.rpartition(".")[2]
            times = f" ({row.calls} calls)" if row.calls > 1 else ""
            table.append(
                (
                    f"{stem}{name + ': ' if name else ''}{row.kind}{times}",
                    "not called" if row.output is None else row.output,
                    f"{row.parameters:,}",
                    "?" if row.flops is None else f"{row.flops:,}",
                )
            )
        widths = [max(len(line[k]) for line in table) for k in range(4)]
        lines = [
            f"{a:<{widths[0]}}  {b:<{widths[1]}}  {c:>{widths[2]}}  {d:>{widths[3]}}"
            for a, b, c, d in table
        ]
        fixed = self.parameters - self.trainable
        kept = "?" if self.backward_bytes is None else _size(self.backward_bytes)
        return "\n".join(
            [
                *lines,
                f"parameters: {self.parameters:,} ({_size(self.parameter_bytes)})"
                + (f", of them not trained: {fixed:,}" if fixed else ""),
                f"buffers: {_size(self.buffer_bytes)}",
                f"kept for backward(): {kept}",
            ]
        )

    __repr__ = __str__


def _size(count: int) -> str:
    size, unit = float(count), "B"
    for larger in ("KiB", "MiB", "GiB"):
        if size < 1024:
            break
        size, unit = size / 1024, larger
    return f"{count} B" if unit == "B" else f"{size:.1f} {unit}"


def _stems(paths: list[str]) -> list[str]:
    """The lines of the tree in front of each name."""
    out = []
    for k, path in enumerate(paths):
        stem = ""
        parts = path.split(".") if path else []
        for depth in range(1, len(parts) + 1):
            parent = ".".join(parts[: depth - 1])
            own = ".".join(parts[:depth])
            more = any(
                p.rpartition(".")[0] == parent and p != own and not p.startswith(f"{own}.")
                for p in paths[k + 1 :]
                if p
            )
            last = depth == len(parts)
            stem += ("├── " if more else "└── ") if last else ("│   " if more else "    ")
        out.append(stem)
    return out


# ---- the call


def summary(self: Module, *args: Any, **kwargs: Any) -> Summary:
    """What the model is made of and what a call of it takes, as a table.

    The model is called with these arguments as it is, in its mode; the call is recorded and nothing
    of it is computed. Buffers, and the random numbers drawn later, stay as they are. (Layers that
    learn their sizes at the first call do learn them.)

    Example:
        >>> model = nn.Sequential(nn.Linear(784, 100), nn.ReLU(), nn.Linear(100, 10))
        >>> print(model.summary(weft.zeros(32, 784)))
        module         output     parameters      FLOPs
        Sequential     [32, 10]       79,510  5,088,320
        ├── 0: Linear  [32, 100]      78,500  5,020,800
        ├── 1: ReLU    [32, 100]           0      3,200
        └── 2: Linear  [32, 10]        1,010     64,320
        parameters: 79,510 (310.6 KiB)
        buffers: 0 B
        kept for backward(): 12.5 KiB
    """
    random, runs = get_rng_state(), Stats.runs
    start = number(0.0).order
    calls = _Calls(self)
    with Hold():
        try:
            calls.watch(args, kwargs)
        finally:
            set_rng_state(random)
    complete = Stats.runs == runs
    nodes = [n for n in PENDING if n.order >= start]
    flops: dict[str, int] = {}
    for node in nodes:
        path = str(node.where[0]) if node.where is not None else ""
        flops[path] = flops.get(path, 0) + _flops(node)
    rows = [calls.row(path, module, flops if complete else None) for path, module in calls.modules]
    return Summary(rows, self, _kept_for_backward(nodes, start) if complete else None)


class _Calls:
    """The calls of all modules of a model within one call of it."""

    def __init__(self, model: Module) -> None:
        self.model = model
        self.modules: list[tuple[str, Module]] = []
        self.outputs: dict[ModuleBase, list[str]] = {}

    def watch(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        """Calls the model. Its buffers are replaced by copies as long as that lasts."""
        handles = [m.register_forward_hook(self._note) for m in self.model.modules()]
        before = [(m._buffers, dict(m._buffers)) for m in self.model.modules()]
        try:
            for buffers, kept in before:
                buffers.update({k: b if b is None else b.clone() for k, b in kept.items()})
            self.model(*args, **kwargs)
        finally:
            for buffers, kept in before:
                buffers.update(kept)
            for handle in handles:
                handle.remove()
        self.modules = list(self.model.named_modules())

    def _note(self, module: Module, args: Any, output: Any) -> None:
        self.outputs.setdefault(module, []).append(_shapes(output))

    def row(self, path: str, module: Module, flops: dict[str, int] | None) -> Row:
        outputs = self.outputs.get(module, [])
        inside = [p for p in flops or () if not path or p == path or p.startswith(f"{path}.")]
        return Row(
            path,
            type(module).__name__,
            outputs[-1] if outputs else None,
            sum(p.numel() for p in module.parameters()),
            None if flops is None else sum(flops[p] for p in inside),
            len(outputs),
        )


def _shapes(value: Any) -> str:
    if isinstance(value, TensorCore):
        return str(list(node_of(value).type.shape))
    if isinstance(value, dict):
        return "{" + ", ".join(f"{k}: {_shapes(v)}" for k, v in value.items()) + "}"
    if isinstance(value, (tuple, list)):
        return "(" + ", ".join(map(_shapes, value)) + ")"
    return type(value).__name__
