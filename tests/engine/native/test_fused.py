"""Products whose sums go through elementwise ops in registers, held against the reference."""

from __future__ import annotations

from collections.abc import Callable

import pytest

import weft
import weft.nn.functional as F
from weft import nn

Apply = Callable[[weft.Tensor, weft.Tensor], weft.Tensor]

#: Of a product and something of its shape: results read by the loop that takes the product in.
LOOPS: dict[str, Apply] = {
    "relu": lambda y, r: y.relu(),
    "gelu and a residual": lambda y, r: F.gelu(y) + r,
    "a mask": lambda y, r: weft.where(y > 0, y * 2, r),
    "a number": lambda y, r: (y + r).tanh() * 3,
    "two results": lambda y, r: weft.stack([y.sigmoid(), (y * r).exp()]),
}


@pytest.fixture(autouse=True)
def seeded(native: None) -> None:
    weft.manual_seed(0)


def check(layer: nn.Module, x: weft.Tensor, apply: Apply) -> None:
    """Values alone, and with gradients; a difference from the reference raises InternalError."""
    with weft.no_grad():
        r = weft.randn(*layer(x).shape, dtype=x.dtype)
        weft.realize(apply(layer(x), r))
    x.requires_grad_()
    apply(layer(x), r).sum().backward()
    weft.realize(x.grad, *[p.grad for p in layer.parameters()])


@pytest.mark.parametrize("name", LOOPS)
@pytest.mark.parametrize("dtype", [weft.float32, weft.float64])
@pytest.mark.parametrize("bias", [True, False])
def test_linear(name: str, dtype: weft.dtype, bias: bool) -> None:
    shapes = [((16, 70), 33), ((3, 5, 7), 40), ((1, 10), 1), ((17,), 40), ((2, 1500), 64)]
    for shape, outputs in shapes:
        layer = nn.Linear(shape[-1], outputs, bias).to(dtype)
        check(layer, weft.randn(*shape, dtype=dtype), LOOPS[name])


@pytest.mark.parametrize("name", LOOPS)
@pytest.mark.parametrize("bias", [True, False])
def test_convolutions(name: str, bias: bool) -> None:
    cases = [(2, 3, 6, 12, 5, 1, 2), (1, 16, 32, 9, 3, 2, 1), (3, 8, 8, 7, 1, 1, 0)]
    for images, inputs, outputs, size, kernel, stride, padding in cases:
        layer = nn.Conv2d(inputs, outputs, kernel, stride, padding, bias=bias)
        check(layer, weft.randn(images, inputs, size, size), LOOPS[name])
    check(nn.Conv2d(4, 8, 3, groups=2, bias=bias), weft.randn(2, 4, 6, 6), LOOPS[name])
    check(nn.Conv1d(4, 8, 3, bias=bias), weft.randn(2, 4, 9), LOOPS[name])
    check(nn.Conv3d(2, 3, 2, bias=bias), weft.randn(2, 2, 4, 4, 4), LOOPS[name])


def kernels(text: str) -> list[str]:
    return [line.strip().rsplit("  [", 1)[0] for line in text.splitlines()[1:]]


def test_what_fuses() -> None:
    x, linear = weft.randn(8, 16), nn.Linear(16, 24)
    images, conv, norm = weft.randn(2, 3, 8, 8), nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4).eval()
    with weft.no_grad():
        weft.realize(*linear.parameters(), *conv.parameters(), x, images)
        text = weft.explain(lambda: linear(x).relu())
        assert kernels(text) == ["matmul     8x16 @ 16x24, then add, relu"]
        text = weft.explain(lambda: norm(conv(images)).relu())
        last = kernels(text)[-1]
        assert last.startswith("conv       [2, 3, 8, 8] with [4, 3, 3, 3], then add")
        assert last.endswith("relu")


def test_what_is_read_elsewhere_is_written() -> None:
    x, w = weft.randn(8, 16), weft.randn(16, 24)
    weft.realize(x, w)

    def both() -> tuple[weft.Tensor, weft.Tensor]:
        y = x @ w
        return y, y.relu()

    y, z = both()
    weft.realize(y, z)
    assert (y.relu() == z).all().item()
    assert kernels(weft.explain(both))[0] == "matmul     8x16 @ 16x24"


def test_columns_and_turned_products_stay_apart() -> None:
    x, w, c = weft.randn(8, 16), weft.randn(16, 24), weft.randn(8, 1)
    for f in (
        lambda: (x @ w)[:, :8].relu(),
        lambda: (x @ w).T.exp() + 1,
        lambda: (x @ w + c).sin(),
    ):
        weft.realize(f())


def test_what_comes_before_a_reduction() -> None:
    """The part that lies in memory anyway is computed with the product."""
    x, w, r = weft.randn(8, 16), weft.randn(16, 24), weft.randn(8, 24)

    def both() -> tuple[weft.Tensor, weft.Tensor]:
        y = x @ w + r
        return y, (y * r).sum(0)

    def scaled() -> weft.Tensor:
        y = x @ w + r
        return y / y.sum(1, keepdim=True)  # y itself is not kept

    weft.realize(*both(), scaled())
    first, second = kernels(weft.explain(both))
    assert first == "matmul     8x16 @ 16x24, then add"
    assert second == "loop       [24] over [8]: mul, sum"
    assert kernels(weft.explain(scaled))[0] == "matmul     8x16 @ 16x24"


def test_slopes_are_computed_on_the_way_forward() -> None:
    """One value is kept for the gradient of GELU, and the product that it meets takes it in."""
    model = nn.Sequential(nn.Linear(16, 24), nn.GELU(), nn.Linear(24, 8))
    x = weft.randn(4, 16)

    def gradients() -> tuple[weft.Tensor, ...]:
        y = model(x)
        return weft.autograd.grad((y * y).sum(), [*model.parameters()])

    weft.realize(*gradients())
    found = kernels(weft.explain(gradients))
    assert [line for line in found if "erf" in line] == [found[0]]
    assert "matmul     4x8 @ 8x24, then mul" in found
