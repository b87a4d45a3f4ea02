"""Steps replaced by fewer: sums of products, and weights that many products read turned."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from ...dtypes import BY_NAME
from ...graph.node import OPS, Op, Signature, TensorType, sign, type_of
from .views import View

if TYPE_CHECKING:
    from .lower import Graph, Operand, Step

#: A product of fewer rows reads its right operand too seldom to turn it each time.
_FEW_ROWS = 48
_MANY_READERS = 4


def simplify(graph: Graph) -> None:
    """Changes the graph's steps; what they compute for others stays, but for rounding."""
    _sums_of_products(graph)
    _turned_operands(graph)


def _uses(graph: Graph) -> Counter[int]:
    counted = Counter(o.value for o in graph.results)
    counted.update(o.value for s in graph.steps for o in s.operands)
    return counted


def signature(op: Op, attrs: Any, types: tuple[TensorType, ...]) -> Signature:
    """The signature of an op that was not recorded."""
    key = ("not recorded", attrs, types)
    found: Signature | None = op.signatures.get(key)
    return found or sign(op, attrs, types, key)


def _signature(name: str, attrs: Any, shapes: Sequence[tuple[int, ...]], dtype: str) -> Signature:
    types = tuple([type_of(tuple(shape), BY_NAME[dtype]) for shape in shapes])
    return signature(OPS[name], attrs, types)


# ---- a @ b + c @ d + ...  ->  [a c] @ [b d]


def _sums_of_products(graph: Graph) -> None:
    """Gradients of a weight that is used at each step of a sequence are one product."""
    uses = _uses(graph)
    step_of = {s.value: s for s in graph.steps}
    wholes = _wholes(graph)
    inner = {
        o.value
        for s in graph.steps
        if _is_sum(s)
        for o in s.operands
        if uses[o.value] == 1 and _is_sum(step_of.get(o.value)) and _is_whole(o, s, step_of)
    }
    steps: list[Step] = []
    there = set(range(graph.leaf_count))
    for step in graph.steps:
        if step.value in there:
            continue
        new = [step]
        terms = _terms(step, step_of, inner) if _is_sum(step) and step.value not in inner else []
        products = [step_of[t.value] for t in terms if _may_join(t, step, step_of, uses)]
        if len(products) > 1:
            for whole, _ in wholes.values():  # they are read now: they must be there
                if whole.value not in there and all(o.value in there for o in whole.operands):
                    there.add(whole.value)
                    steps.append(whole)
            known = {value: at for value, at in wholes.items() if at[0].value in there}
            values = {p.value for p in products}
            rest = [t for t in terms if t.value not in values]
            new = _joined(graph, step, products, rest, known)
        steps += new
        there.update([s.value for s in new])
    graph.steps = steps


#: For a matrix: what is assembled of it and others, one below the other, and at which row it is.
Wholes = dict[int, tuple["Step", int]]


def _wholes(graph: Graph) -> Wholes:
    found: Wholes = {}
    for step in graph.steps:
        if not step.tiled or len(step.shape) != 2:
            continue
        columns = step.shape[1]
        for operand, target in zip(step.operands, step.targets, strict=True):
            is_rows = target.strides == (columns, 1) and target.shape[1] == columns
            if is_rows and operand.view.is_dense and operand.view.shape == target.shape:
                found[operand.value] = step, target.offset // columns
    return found


def _is_whole(operand: Operand, reader: Step, step_of: dict[int, Step]) -> bool:
    """Is it read as it was computed, not in another shape?"""
    return operand.view.is_dense and step_of[operand.value].shape == reader.shape


def _is_sum(step: Step | None) -> bool:
    return step is not None and step.kind == "map" and step.name == "add"


def _terms(step: Step, step_of: dict[int, Step], inner: set[int]) -> list[Operand]:
    terms: list[Operand] = []
    waiting = list(reversed(step.operands))
    while waiting:
        operand = waiting.pop()
        if operand.value in inner:
            waiting += reversed(step_of[operand.value].operands)
        else:
            terms.append(operand)
    return terms


def _may_join(term: Operand, step: Step, step_of: dict[int, Step], uses: Counter[int]) -> bool:
    """Is it a product of its own, and the copies of its operands less than its result?"""
    product = step_of.get(term.value)
    if product is None or product.kind != "matmul" or uses[term.value] != 1:
        return False
    if len(step.shape) != 2 or product.shape != step.shape or not term.view.is_dense:
        return False
    if any(len(o.view.shape) != 2 for o in product.operands):
        return False
    m, n = step.shape
    k = product.operands[0].view.shape[-1]
    return product.dtype == step.dtype and k * (m + n) < 2 * m * n


Pair = tuple["Operand", "Operand"]


def _joined(
    graph: Graph, step: Step, products: list[Step], rest: list[Operand], wholes: Wholes
) -> list[Step]:
    """The steps that replace the last addition; the others are not read any more."""
    start = len(graph.steps)
    pairs = [(_located(p.operands[0], wholes), _located(p.operands[1], wholes)) for p in products]
    runs = _runs(sorted(pairs, key=lambda pair: (pair[1].value, pair[1].view.offset)))
    single = [run[0] for run in runs if len(run) == 1]
    terms = list(rest)
    for run in [run for run in runs if len(run) > 1] + ([single] if single else []):
        a = _side_by_side(graph, [a for a, _ in run], 1, step.dtype)
        b = _side_by_side(graph, [b for _, b in run], 0, step.dtype)
        sig = _signature("matmul", None, (a.view.shape, b.view.shape), step.dtype)
        terms.append(graph.add_step("matmul", sig, (a, b)))
    total = terms.pop()
    for term in terms:
        total = graph.add_step("map", step.sig, (term, total))
    made = graph.steps[start:]
    del graph.steps[start:]
    made[-1].value = step.value
    return made


def _located(operand: Operand, wholes: Wholes) -> Operand:
    """The operand as a part of the whole that it lies in, if there is one."""
    whole, row = wholes.get(operand.value, (None, 0))
    if whole is None:
        return operand
    offset = operand.view.offset + row * whole.shape[1]
    return operand._replace(value=whole.value, view=operand.view._replace(offset=offset))


def _runs(pairs: list[Pair]) -> list[list[Pair]]:
    """Together those whose left operands, and right ones, lie one after the other already."""
    runs: list[list[Pair]] = []
    for pair in pairs:
        last = runs[-1][-1] if runs else None
        if last is not None and all(
            x.value == y.value and _as_view([x.view, y.view], axis) is not None
            for x, y, axis in zip(last, pair, (1, 0), strict=True)
        ):
            runs[-1].append(pair)
        else:
            runs.append([pair])
    return runs


def _side_by_side(graph: Graph, parts: list[Operand], axis: int, dtype: str) -> Operand:
    """Matrices one after the other along an axis: a view, or else a copy."""
    view = _as_view([p.view for p in parts], axis)
    if view is not None and len({p.value for p in parts}) == 1:
        return parts[0]._replace(view=view)
    turned = all(p.view.strides[0] == 1 != p.view.strides[1] for p in parts)
    if turned:
        parts = [p._replace(view=p.view.permute((1, 0))) for p in parts]
        axis = 1 - axis
    sig = _signature("cat", axis, [p.view.shape for p in parts], dtype)
    whole = graph.add_assembly(sig, tuple(parts))
    return whole._replace(view=whole.view.permute((1, 0))) if turned else whole


def _as_view(parts: list[View], axis: int) -> View | None:
    first = parts[0]
    size, offset = 0, first.offset
    for part in parts:
        if part.strides != first.strides or part.offset != offset:
            return None
        size += part.shape[axis]
        offset += part.shape[axis] * part.strides[axis]
    shape = (size, first.shape[1]) if axis == 0 else (first.shape[0], size)
    return View(shape, first.strides, first.offset)


# ---- weights


def _turned_operands(graph: Graph) -> None:
    """A right operand of which many small products read the columns is turned once."""

    def is_turned(step: Step) -> bool:
        if step.kind != "matmul" or step.shape[-2] > _FEW_ROWS:
            return False
        view = step.operands[1].view
        return len(view.shape) == 2 and view.strides[0] == 1 != view.strides[1]

    readers = Counter(s.operands[1] for s in graph.steps if is_turned(s))
    before = list(graph.steps)
    steps: dict[int, Step] = {}
    for step in before:
        if is_turned(step) and readers[step.operands[1]] >= _MANY_READERS:
            a, b = step.operands
            copy = graph.add_copy(b)  # (there may be one, but later: a result)
            steps.setdefault(copy.value, graph.step_of(copy.value))
            step.operands = (a, copy)
        steps.setdefault(step.value, step)
    graph.steps = list(steps.values())
