"""Products and convolutions: what they compute, and which loops they are put into."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .conv import Conv
from .fused import Fused, fused
from .groups import Group
from .loop_spec import anywhere
from .lower import Step
from .matmul import Matmul
from .operations import memory_type
from .views import dense_strides

if TYPE_CHECKING:
    from .plan import Plan


def product_of(step: Step) -> Matmul:
    """What a step multiplies, and how its operands lie."""
    a, b = step.operands
    *batch, m, n = step.shape
    k = a.view.shape[-1]
    x, y = a.view.expand((*batch, m, k)), b.view.expand((*batch, k, n))
    kind = memory_type(step.dtype)
    return Matmul(tuple(batch), m, k, n, x.strides, y.strides, dense_strides(step.shape), kind)


def conv_of(step: Step) -> Conv:
    """The convolution that a step computes, or of which it computes a gradient."""
    (a, b), attrs = [o.view.shape for o in step.operands], step.sig.attrs
    if step.name == "conv":
        window, x, weight = attrs, a, b
    elif step.name == "conv_input":
        window, x, weight = attrs[0], step.shape, b
    else:
        window, x, weight = attrs[0], a, step.shape
    return Conv(x, weight, window, memory_type(step.dtype))


def fuse_products(plan: Plan, results: set[int]) -> None:
    """Puts each product into the loop that alone reads it, if that goes through its elements as
    they come. Of a loop that also reduces, into the part before the reductions.
    """
    readers: dict[int, list[Group]] = {}
    for group in plan.groups:
        for value in {v for step in group.steps for v in plan.reads(step)}:
            readers.setdefault(value, []).append(group)
    for group in list(plan.groups):
        step = group.steps[0]
        if group.kind != "matmul" and (group.kind != "conv" or step.name != "conv"):
            continue
        if step.value in results or step.value in plan.within:
            continue
        reader, *others = readers.get(step.value, [group])
        if others or reader.kind != "loop" or reader.fused:
            continue
        if _fuse(plan, reader, step):
            plan.groups.remove(group)


def _fuse(plan: Plan, reader: Group, step: Step) -> bool:
    """Puts a product into a loop. False if that cannot be."""
    steps, reduced = reader.steps, reader.reduced
    first = steps if reduced is None else _before_reductions(plan, reader, step)
    if not first:
        return False
    reader.steps, reader.reduced = first, None
    reader.fused = _fused(plan, reader, step)
    if reader.fused is None:
        reader.steps, reader.reduced = steps, reduced
        return False
    reader.steps = [step, *first]
    plan.group_of[step.value] = reader
    plan.kept.discard(step.value)
    rest = [s for s in steps if s not in first]
    if rest:
        at = plan.groups.index(reader)
        later = Group(reader.number, "loop", rest, reader.shape, reduced, reader.after)
        plan.groups.insert(at + 1, later)
        for each in rest:
            plan.group_of[each.value] = later
    return True


def _before_reductions(plan: Plan, loop: Group, product: Step) -> list[Step]:
    """The elementwise steps of a loop that a product goes through; none if the others need more of
    them than lies in memory anyway.
    """
    steps = {step.value: step for step in loop.steps}
    behind = {product.value}
    for step in loop.steps:
        reads_it = not behind.isdisjoint([o.value for o in step.operands])
        if reads_it and step.kind == "map" and step.shape == loop.shape:
            behind.add(step.value)
    wanted = behind & plan.kept - {product.value}
    waiting = list(wanted)
    while waiting:
        for operand in steps[waiting.pop()].operands:
            if operand.value in steps and operand.value not in wanted:
                wanted.add(operand.value)
                waiting.append(operand.value)
    first = [step for step in loop.steps if step.value in wanted]
    rest = [step for step in loop.steps if step.value not in wanted]
    shared = {v for step in rest for v in plan.reads(step) if v in wanted or v == product.value}
    in_memory = shared <= plan.kept - plan.homes.keys() - {product.value}
    elementwise = all(step.kind == "map" and step.shape == loop.shape for step in first)
    return first if in_memory and elementwise else []


def _fused(plan: Plan, group: Group, step: Step) -> tuple[Fused, list[tuple[int, int]]] | None:
    """The kernel of a loop together with a product that it reads, and where its buffers begin."""
    loop, buffers = plan.loop(group)
    loop, places = anywhere(loop, len(buffers))
    product = product_of(step) if step.kind == "matmul" else conv_of(step)
    spec = fused(product, loop, buffers.index(step.value))
    return None if spec is None else (spec, [(buffers[b], k) for b, k in places])
