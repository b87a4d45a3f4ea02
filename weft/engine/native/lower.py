"""From recorded nodes to steps: equal nodes made one, movement ops made views of buffers."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from math import prod
from typing import Any, NamedTuple

from ...dtypes import BY_NAME
from ...graph.liveness import Work
from ...graph.node import OPS, Node, Signature, TensorType, type_of
from . import operations
from .attention import Attention, attention
from .simplify import signature, simplify
from .views import MOVES, Shape, View, dense_strides
from .whole import whole

#: Ops whose value is that of their first input.
_IDENTITIES = ("same", "detach", "graft", "over", "to_device", "function_output")


#: Fewer values of a reduction than this are too few to be shared out among threads.
_FEW_VALUES = 16
_LARGE_REDUCTION = 32768
#: From so many elements on, columns are reduced in parts, of which there are at most so many.
_LONG_COLUMNS, _MOST_PARTS = 1 << 20, 16

#: Of more parts it is not asked whether they overlap (each is held against each).
_MOST_TILES = 256

#: Kinds of steps that can join in a loop.
IN_LOOPS = ("map", "random", "reduce", "take")


class Operand(NamedTuple):
    """A value as a step reads it."""

    value: int
    view: View


@dataclass
class Step:
    """One op: what it computes is a whole dense buffer.

    Attributes:
        kind: ``map`` (elementwise), ``random`` (its last operand is the key), ``reduce``,
            ``take``, ``assemble`` (parts copied to places in it, one after the other),
            ``scatter``, ``matmul``, ``conv``, ``pool``, ``whole`` (a kernel of its own), or
            ``host`` (the op's NumPy reference).
        operands: of a map, broadcast to its shape.
        targets: of an assembly, where each operand goes.
        tiled: do the targets fill the whole without overlapping?
    """

    value: int
    kind: str
    sig: Signature
    operands: tuple[Operand, ...]
    shape: Shape
    dtype: str
    targets: tuple[View, ...] = ()
    tiled: bool = False

    @property
    def name(self) -> str:
        return self.sig.op.name


def dense(shape: Shape) -> View:
    return View(shape, dense_strides(shape))


def _turned(operand: Operand) -> Operand:
    n = len(operand.view.shape)
    return Operand(operand.value, operand.view.permute((*range(n - 2), n - 1, n - 2)))


class Graph:
    """The steps of one recorded graph.

    Values are numbered: first the leaves, then what the steps compute.

    Attributes:
        steps: each after those that it reads.
        shapes, dtypes: of the values.
        results: for each stored node, the value that holds it and how.
    """

    def __init__(self, work: Work) -> None:
        leaves = [n.type for n in work.leaves]
        self.leaf_count = len(leaves)
        self.shapes = [t.shape for t in leaves]
        self.dtypes = [t.dtype.name for t in leaves]
        self.steps: list[Step] = []
        self._at = [Operand(k, dense(shape)) for k, shape in enumerate(self.shapes)]
        self._step_of: dict[int, Step] = {}
        self._known: dict[Any, Operand] = {}
        for node in work.order:
            self._at.append(self._lower(node))
        stored = [self._at[n.mark] for n in work.stored]
        # A stored value is an array of its own: a leaf, or part of one, is copied.
        shared = Counter(o.value for o in stored)
        self.results = [
            o if self._is_whole(o) and shared[o.value] == 1 else self.add_copy(o) for o in stored
        ]

        simplify(self)
        self._drop_unread()

    def step_of(self, value: int) -> Step:
        """The step that computes a value."""
        return self._step_of[value]

    def _drop_unread(self) -> None:
        needed = {o.value for o in self.results}
        for step in reversed(self.steps):
            if step.value in needed:
                needed.update(o.value for o in step.operands)
        self.steps = [s for s in self.steps if s.value in needed]

    def _turns_product(self, sig: Signature, operand: Operand) -> bool:
        step = self._step_of.get(operand.value)
        if step is None or step.kind != "matmul" or not operand.view.is_dense:
            return False
        n = len(step.shape)
        return operand.view.shape == step.shape and sig.attrs == (*range(n - 2), n - 1, n - 2)

    def _is_whole(self, operand: Operand) -> bool:
        shape, view = self.shapes[operand.value], operand.view
        return operand.value >= self.leaf_count and view.is_dense and view.size == prod(shape)

    def _lower(self, node: Node) -> Operand:
        sig = node.sig
        operands = tuple([self._at[i.mark] for i in node.inputs])
        if sig.op.name == "matmul" and sig.attrs is not None and _kind(sig) == "matmul":
            pairs = zip(operands, sig.attrs, strict=True)
            operands = tuple([_turned(o) if turn else o for o, turn in pairs])
        key = (sig, operands)
        known = self._known.get(key)
        if known is None:
            if (spec := attention(sig)) is not None:
                known = self._attended(spec, sig, operands)
            else:
                known = self._lowered(sig, operands)
            self._known[key] = known
        return known

    def _lowered(self, sig: Signature, operands: tuple[Operand, ...]) -> Operand:
        name, shape = sig.op.name, sig.type.shape
        if name in _IDENTITIES:
            return operands[0]
        if name == "permute" and self._turns_product(sig, operands[0]):
            # (a @ b)^T is b^T @ a^T: the product is written as it will be read
            a, b = self._step_of[operands[0].value].operands
            return self.add_step("matmul", sig, (_turned(b), _turned(a)))
        if name in MOVES:
            return self._moved(operands[0], name, sig.attrs)
        kind = _kind(sig)
        if kind == "map":
            operands = tuple([Operand(o.value, o.view.expand(shape)) for o in operands])
            if name == "cast" and sig.types[0].dtype is sig.type.dtype:
                return operands[0]
        if kind == "random":
            *points, key = operands
            operands = (*[Operand(o.value, o.view.expand(shape)) for o in points], key)
        if kind == "scatter":
            operands = self._scattered(operands)
        if kind in ("conv", "pool", "whole"):
            operands = tuple([self._contiguous(o) for o in operands])
        if kind == "reduce":
            return self._reduced(sig, operands[0])
        if kind == "assemble":
            return self.add_assembly(sig, operands)
        if _computes_in_single(kind, sig):
            return self._in_single(kind, sig, operands)
        return self.add_step(kind, sig, operands)

    def _reduced(self, sig: Signature, operand: Operand) -> Operand:
        """A large reduction to few values goes by way of one for each outermost part, so that
        these are shared out among the threads.
        """
        dims, _ = sig.attrs
        if not dims:
            return operand
        sizes = operand.view.shape
        few = sig.type.size < _FEW_VALUES and operand.view.size >= _LARGE_REDUCTION
        if few and 0 in dims and len(dims) > 1 and sizes[0] >= _FEW_VALUES and not is_half(sig):
            inner = tuple([d for d in dims if d != 0])
            first = signature(sig.op, (inner, True), sig.types)
            operand = self.add_step("reduce", first, (operand,))
            sig = signature(sig.op, sig.attrs, (first.type,))
        elif (parts := self._parts_of_columns(sig, operand)) > 1:
            return self._in_parts(sig, operand, parts)
        return self.add_step("reduce", sig, (operand,))

    def _parts_of_columns(self, sig: Signature, operand: Operand) -> int:
        """Into how many parts the rows are cut for a reduction of long columns."""
        dims, _ = sig.attrs
        made = self._step_of.get(operand.value)
        are_long = (
            operand.view.size >= _LONG_COLUMNS
            and dims == tuple(range(len(dims)))
            and len(dims) < sig.types[0].ndim
            and (made is None or made.kind not in ("map", "reduce"))
            and not is_half(sig)
        )
        rows = operand.view.shape[0] if are_long else 1
        return max([n for n in range(1, _MOST_PARTS + 1) if rows % n == 0])

    def _in_parts(self, sig: Signature, operand: Operand, parts: int) -> Operand:
        """Parts of all columns, then these together: a thread that has part of the rows reads them
        whole, page by page.
        """
        dims, keep = sig.attrs
        rows, *rest = operand.view.shape
        kind = type_of((parts, rows // parts, *rest), sig.type.dtype)
        inner = tuple([d + 1 for d in dims])
        first = signature(sig.op, (inner, True), (kind,))
        then = signature(sig.op, ((0,) if keep else (0, *inner), False), (first.type,))
        operand = self._moved(operand, "reshape", kind.shape)
        return self.add_step("reduce", then, (self.add_step("reduce", first, (operand,)),))

    def _attended(self, spec: Attention, sig: Signature, operands: tuple[Operand, ...]) -> Operand:
        """One result of attention's kernel, which computes all of them, one after the other."""
        half = is_half(sig)
        if half:
            operands = tuple([self._cast(o, "float32") for o in operands])
        operands = tuple([o if o.view.strides[-1] == 1 else self.add_copy(o) for o in operands])
        body, number = sig.attrs
        key = (body, operands)
        whole = self._known.get(key)
        if whole is None:
            whole = self._known[key] = self.add_step("whole", sig, operands, size=spec.size)
            self.dtypes[whole.value] = self._step_of[whole.value].dtype = spec.dtype
        found = Operand(whole.value, spec.results[number])
        return self._cast(found, sig.type.dtype.name) if half else found

    def _in_single(self, kind: str, sig: Signature, operands: tuple[Operand, ...]) -> Operand:
        """A step on 16-bit floats, as one on float32 between casts."""
        half = sig.type.dtype.name
        types = tuple([single(t) for t in sig.types])
        whole = signature(sig.op, sig.attrs, types)
        wide = [self._cast(o, "float32") if self.dtypes[o.value] == half else o for o in operands]
        return self._cast(self.add_step(kind, whole, tuple(wide)), half)

    def _cast(self, operand: Operand, dtype: str) -> Operand:
        to = BY_NAME[dtype]
        kind = type_of(operand.view.shape, BY_NAME[self.dtypes[operand.value]])
        sig = signature(OPS["cast"], to, (kind,))
        key = (sig, (operand,))
        known = self._known.get(key)
        if known is None:
            known = self._known[key] = self.add_step("map", sig, (operand,))
        return known

    def add_step(
        self,
        kind: str,
        sig: Signature,
        operands: tuple[Operand, ...],
        targets: tuple[View, ...] = (),
        tiled: bool = False,
        size: int | None = None,
    ) -> Operand:
        """``size``: elements that it computes, if they are not those of the signature."""
        value = len(self.shapes)
        shape, dtype = sig.type.shape if size is None else (size,), sig.type.dtype.name
        step = self._step_of[value] = Step(value, kind, sig, operands, shape, dtype, targets, tiled)
        self.steps.append(step)
        self.shapes.append(shape)
        self.dtypes.append(dtype)
        return Operand(value, dense(shape))

    def _moved(self, operand: Operand, name: str, attrs: Any) -> Operand:
        view = operand.view.apply(name, attrs)
        if view is None:
            return self._moved(self.add_copy(operand), name, attrs)
        return Operand(operand.value, view)

    def _scattered(self, operands: tuple[Operand, ...]) -> tuple[Operand, ...]:
        """The part dense, and each index as a vector, with one stride."""
        base, part, *indices = operands
        region = part.view.shape[: len(part.view.shape) - len(base.view.shape) + len(indices)]
        flat = []
        for index in indices:
            whole = Operand(index.value, index.view.expand(region))
            flat.append(self._moved(whole, "reshape", (prod(region),)))
        return (base, self._contiguous(part), *flat)

    def _contiguous(self, operand: Operand) -> Operand:
        view = operand.view._replace(offset=0)
        return operand if view.is_dense else self.add_copy(operand)

    def add_copy(self, operand: Operand) -> Operand:
        """The same in a dense buffer of its own."""
        kind = type_of(operand.view.shape, BY_NAME[self.dtypes[operand.value]])
        sig = signature(OPS["same"], None, (kind,))
        key = ("copy", operand)
        known = self._known.get(key)
        if known is None:
            how = "map" if kind.dtype.name in operations.DTYPES else "host"
            known = self._known[key] = self.add_step(how, sig, (operand,))
        return known

    def add_assembly(self, sig: Signature, operands: tuple[Operand, ...]) -> Operand:
        """A step that copies its operands to places in a new buffer."""
        whole = dense(sig.type.shape)
        if sig.op.name == "set_slice":
            return self._with_part(sig, operands)
        targets, start = [], 0
        dim = sig.attrs
        for part in sig.types:
            cuts = [(0, n, 1) for n in part.shape]
            cuts[dim] = (start, start + part.shape[dim], 1)
            targets.append(whole.slice(tuple(cuts)))
            start += part.shape[dim]
        return self.add_step("assemble", sig, operands, tuple(targets), tiled=True)

    def _with_part(self, sig: Signature, operands: tuple[Operand, ...]) -> Operand:
        """``set_slice``; where its base is assembled, too, as one step with that."""
        base, part = operands
        whole = dense(sig.type.shape)
        parts, targets = [base], [whole]
        under = self._step_of.get(base.value)
        if under is not None and under.kind == "assemble" and base.view == whole:
            parts, targets = list(under.operands), list(under.targets)
        parts.append(part)
        targets.append(whole.slice(sig.attrs))
        tiled = targets[0] == whole and _are_tiles(targets[1:], whole)
        if tiled:
            del parts[0], targets[0]
        return self.add_step("assemble", sig, tuple(parts), tuple(targets), tiled)


def _computes_in_single(kind: str, sig: Signature) -> bool:
    """Is it one of the kernels that compute in float32 and float64 only, on 16-bit floats?"""
    return is_half(sig) and (kind in ("matmul", "conv", "pool") or sig.op.name == "put_add")


def is_half(sig: Signature) -> bool:
    """Does it compute 16-bit floats?"""
    return sig.type.dtype.name in operations.HALVES


def single(kind: TensorType) -> TensorType:
    """The same with float32 in place of 16-bit floats."""
    return type_of(kind.shape, BY_NAME["float32"]) if kind.dtype.name in operations.HALVES else kind


def _are_tiles(targets: Sequence[View], whole: View) -> bool:
    """Are the parts boxes that fill the whole without overlapping?"""
    if len(targets) > _MOST_TILES or sum(t.size for t in targets) != whole.size:
        return False
    if not whole.size:
        return True
    if any(t.strides != whole.strides for t in targets):
        return False
    boxes = [_box(t, whole) for t in targets]
    return all(_are_apart(x, y) for k, x in enumerate(boxes) for y in boxes[:k])


Box = list[tuple[int, int]]


def _box(part: View, whole: View) -> Box:
    """First and last place in each dimension."""
    box, rest = [], part.offset
    for n, stride in zip(part.shape, whole.strides, strict=True):
        start, rest = divmod(rest, stride)
        box.append((start, start + n))
    return box


def _are_apart(a: Box, b: Box) -> bool:
    return any(x[1] <= y[0] or y[1] <= x[0] for x, y in zip(a, b, strict=True))


_KINDS = {
    "arange": "map",
    "cat": "assemble",
    "conv": "conv",
    "conv_input": "conv",
    "conv_weight": "conv",
    "matmul": "matmul",
    "max": "reduce",
    "max_pool": "pool",
    "max_pool_put": "pool",
    "max_pool_take": "pool",
    "min": "reduce",
    "dropout": "random",
    "random_bits": "random",
    "random_normal": "random",
    "random_uniform": "random",
    "put": "scatter",
    "put_add": "scatter",
    "set_slice": "assemble",
    "sum": "reduce",
    "take": "take",
}


def _kind(sig: Signature) -> str:
    """What kind of step computes the op."""
    name, to = sig.op.name, sig.type.dtype
    sources = tuple([t.dtype.name for t in sig.types])
    if not operations.DTYPES.issuperset((*sources, to.name)):
        return "host"
    kind = _KINDS.get(name)
    if kind is None and whole(sig) is not None:
        return "whole"
    if kind is None:
        return "map" if operations.is_native(name, sources, to.name) else "host"
    one_dtype = {*sources} == {to.name}
    possible = {
        "matmul": to.is_floating_point,
        "conv": to.is_floating_point,
        "pool": one_dtype and to.name != "bool" and 3 <= len(sig.types[0].shape) <= 5,
        "scatter": to.name != "bool",
    }
    return kind if possible.get(kind, True) else "host"
