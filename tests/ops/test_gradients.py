"""Gradients, and gradients of gradients, against differences: no other library is needed."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from samples import OPS
from sampling import In, Op, Sample, build

import weft
from weft.autograd import gradcheck, gradgradcheck


def inputs_of(part: Any) -> Iterator[In]:
    if isinstance(part, In):
        yield part
    elif isinstance(part, (list, tuple)):
        for p in part:
            yield from inputs_of(p)


def is_smooth(sample: Sample) -> bool:
    """Values that are given are there for what is special in them: kinks, ties, infinities."""
    inputs = list(inputs_of(sample.args))
    special = any(i.values is not None and i.is_differentiated("float64") for i in inputs)
    differentiated = [i for i in inputs if i.is_differentiated(i.dtype or "float64")]
    return sample.grad and sample.smooth and not special and bool(differentiated)


def as_function(op: Op, sample: Sample) -> tuple[Callable[..., Any], list[Any]]:
    """The op as a function of the tensors that are differentiated, and these tensors."""
    leaves: list[Any] = []
    build((sample.args, sample.kwargs), weft, "float64", leaves)

    def function(*values: Any) -> Any:
        args, kwargs = build(
            (sample.args, sample.kwargs), weft, "float64", given=iter(values), copied=op.mutates
        )
        return op.call(weft)(*args, **kwargs)

    return function, leaves


CASES = [
    (op, sample, f"{op.name}-{k}")
    for op in OPS
    if op.grad and "f" in op.dtypes and not op.random
    for k, sample in enumerate(s for s in op.samples_for("float64") if is_smooth(s))
]
ALL = [pytest.param(op, sample, id=name) for op, sample, name in CASES]


@pytest.mark.parametrize(("op", "sample"), ALL)
def test_first_derivative(op: Op, sample: Sample) -> None:
    function, inputs = as_function(op, sample)
    assert gradcheck(function, inputs)


@pytest.mark.parametrize(("op", "sample"), ALL)
def test_second_derivative(op: Op, sample: Sample) -> None:
    function, inputs = as_function(op, sample)
    assert gradgradcheck(function, inputs)
