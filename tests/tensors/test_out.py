"""``out=``: where results are written, what is refused. (Each function: ``ops/test_parity.py``.)"""

from __future__ import annotations

from typing import Any

import pytest

import weft
from weft.errors import DTypeError, GradientError, ShapeError


def test_it_is_written_where_it_belongs() -> None:
    whole = weft.zeros(2, 3)
    row = whole[1]
    assert weft.add(weft.ones(3), 1, out=row) is row
    assert whole.tolist() == [[0, 0, 0], [2, 2, 2]]
    alias = whole.detach()
    weft.mul(whole, 2, out=whole)
    assert alias.tolist() == [[0, 0, 0], [4, 4, 4]]
    weft.sum(whole, axis=0, out=row)
    assert whole[1].tolist() == [4, 4, 4]


def test_it_keeps_its_dtype() -> None:
    out = weft.zeros(2, dtype=weft.float64)
    assert weft.exp(weft.zeros(2), out=out) is out
    assert (out.dtype, out.tolist()) == (weft.float64, [1, 1])
    assert weft.arange(3, out=weft.empty(0)).dtype is weft.float32
    assert weft.randn(2, out=weft.empty(0, dtype=weft.float64)).dtype is weft.float64
    assert weft.ones(2, out=weft.empty(0), requires_grad=True).requires_grad
    with pytest.raises(DTypeError, match=r"exp: the result is weft.float32.* out= of weft.int64"):
        weft.exp(weft.zeros(2), out=weft.zeros(2, dtype=weft.int64))
    with pytest.raises(DTypeError, match=r"zeros: dtype=weft.int64, but out= is of weft.float32"):
        weft.zeros(2, out=weft.empty(0), dtype=weft.int64)


def test_only_what_is_empty_takes_another_shape() -> None:
    out = weft.empty(0)
    for n in (3, 3):
        weft.full((n,), 7, out=out)
        assert out.tolist() == [7] * n
    with pytest.raises(ShapeError, match=r"cat: .*shape \[4\], .* out= of shape \[3\].*weft.empty"):
        weft.cat([weft.ones(2), weft.ones(2)], out=out)
    with pytest.raises(ShapeError, match=r"add: .*\[2\], .*\[0\]"):
        weft.add(weft.ones(2), 1, out=weft.ones(3)[:0])
    with pytest.raises(ShapeError, match="expanded"):
        weft.add(weft.ones(2), 1, out=weft.ones(1).expand(2))
    assert out.tolist() == [7, 7, 7]


def test_several_results() -> None:
    x = weft.tensor([[1.0, 3.0], [4.0, 2.0]])
    values, indices = weft.zeros(2), weft.zeros(2, dtype=weft.int64)
    result = weft.max(x, 1, out=(values, indices))
    assert result.values is values
    assert result.indices is indices
    assert (values.tolist(), indices.tolist()) == ([3, 4], [1, 0])
    with pytest.raises(DTypeError, match=r"sort: .*weft.int64.* weft.bool"):
        weft.sort(x, out=(weft.empty(0), weft.empty(0, dtype=weft.bool)))
    with pytest.raises(ShapeError, match="min"):
        weft.min(x, 1, out=(values, indices[:1]))
    assert values.tolist() == [3, 4], "nothing is half done"
    with pytest.raises(TypeError, match="topk: out= takes a tuple of 2 Tensors"):
        weft.topk(x, 1, out=values)
    with pytest.raises(TypeError, match=r"exp: out= takes a Tensor, not numpy\.ndarray"):
        weft.exp(x, out=x.numpy())


def test_no_gradient_passes() -> None:
    w, out = weft.ones(2, requires_grad=True), weft.zeros(2)
    for given, to in ((w, out), (weft.ones(2), w), (weft.ones(2), w * 2)):
        with pytest.raises(GradientError, match=r"mul: no gradient passes through out=.*no_grad"):
            weft.mul(given, 3, out=to)
    with weft.no_grad():
        weft.mul(w, 3, out=out)
        weft.mul(w, 3, out=w)
    assert out.tolist() == w.tolist() == [3, 3]
    assert w.requires_grad
    assert not out.requires_grad


@pytest.mark.parametrize("name", ["mm", "matmul", "addmm"])
def test_autocast_leaves_it_alone(name: str) -> None:
    a, out = weft.ones(2, 2), weft.zeros(2, 2)
    given = (a, a, a) if name == "addmm" else (a, a)
    with weft.autocast("cpu", dtype=weft.bfloat16):
        assert getattr(weft, name)(*given).dtype is weft.bfloat16
        assert getattr(weft, name)(*given, out=out).dtype is weft.float32
    assert out.tolist() == [[2 + (name == "addmm")] * 2] * 2


def test_a_compiled_step_writes_to_it() -> None:
    total, row = weft.zeros(3), weft.empty(0)

    @weft.compile
    def step(x: Any) -> Any:
        weft.mul(x, 2, out=row)
        return weft.add(total, row, out=total)

    for _ in range(5):
        step(weft.ones(3))
    assert (total.tolist(), row.tolist()) == ([10] * 3, [2] * 3)
