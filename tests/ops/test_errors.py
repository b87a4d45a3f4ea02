"""Mistakes: the right exception, a message that says what was wrong, and nothing changed."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from loss_samples import LET_PASS
from samples import OPS
from sampling import Bad, In, Op, build

import weft

pytestmark = LET_PASS

CASES = [
    pytest.param(op, bad, id=f"{op.name}-{k}") for op in OPS for k, bad in enumerate(op.errors)
]


def tensors_in(part: Any) -> Iterator[weft.Tensor]:
    if isinstance(part, weft.Tensor):
        yield part
    elif isinstance(part, (list, tuple)):
        for p in part:
            yield from tensors_in(p)


def call_and_run(op: Op, args: Any, kwargs: Any) -> None:
    """Some mistakes are in the values, and are found when these are computed."""
    result = op.call(weft)(*args, **kwargs)
    weft.realize(*tensors_in(result))


@pytest.mark.parametrize(("op", "bad"), CASES)
def test_error(op: Op, bad: Bad) -> None:
    args, kwargs = build((bad.args, bad.kwargs), weft, bad.dtype)
    given = list(tensors_in(args))
    before = [x.tolist() for x in given]
    with pytest.raises(bad.error, match=bad.match):
        call_and_run(op, args, kwargs)
    assert [x.tolist() for x in given] == before


IN_PLACE = [
    pytest.param(op, bad, id=f"{op.name}_-{k}")
    for op in OPS
    if hasattr(weft.Tensor, f"{op.name}_")
    for k, bad in enumerate(op.errors)
    if bad.args and isinstance(bad.args[0], In)
]


@pytest.mark.parametrize(("op", "bad"), IN_PLACE)
def test_error_in_place(op: Op, bad: Bad) -> None:
    """The tensor keeps its value, also where the mistake is found only when it is computed."""
    args, kwargs = build((bad.args, bad.kwargs), weft, bad.dtype)
    x, *rest = args
    before = x.tolist()
    with pytest.raises(bad.error, match=bad.match):
        weft.realize(getattr(x, f"{op.name}_")(*rest, **kwargs))
    assert x.tolist() == before
