"""``gradcheck`` and ``gradgradcheck`` catch what is wrong, and say where."""

from __future__ import annotations

from typing import Any

import pytest

import weft
from weft.autograd import Function, GradcheckError, gradcheck, gradgradcheck


def double(*values: float) -> weft.Tensor:
    return weft.tensor(list(values), dtype=weft.float64, requires_grad=True)


class Square(Function):
    """``factor`` is 2 where the gradient is right."""

    @staticmethod
    def forward(ctx: Any, x: weft.Tensor, factor: float) -> weft.Tensor:
        ctx.save_for_backward(x)
        ctx.factor = factor
        return x * x

    @staticmethod
    def backward(ctx: Any, g: weft.Tensor) -> Any:
        (x,) = ctx.saved_tensors
        return g * x * ctx.factor, None


class SquareOnce(Square):
    """The first derivative is right, the second is lost."""

    @staticmethod
    def backward(ctx: Any, g: weft.Tensor) -> Any:
        (x,) = ctx.saved_tensors
        return g * x.detach() * ctx.factor, None


class TestGradcheck:
    @pytest.mark.parametrize(
        "function",
        [
            lambda x: x * x,
            lambda x: (x.sin(), x.exp()),
            lambda x: x.sum(),
            lambda x: Square.apply(x, 2.0),
            lambda x: x.reshape(1, -1) @ x.reshape(-1, 1),
        ],
    )
    def test_right(self, function: Any) -> None:
        x = double(0.5, -1.0, 2.0)
        assert gradcheck(function, x)
        assert gradgradcheck(function, x)
        assert x.grad is None

    @pytest.mark.parametrize("factor", [1.0, 2.01, -2.0])
    def test_wrong(self, factor: float) -> None:
        x = double(0.5, -1.0, 2.0)
        with pytest.raises(GradcheckError, match=r"output 0 with respect to input 0 is wrong"):
            gradcheck(Square.apply, (x, factor))
        assert gradcheck(Square.apply, (x, factor), raise_exception=False) is False

    def test_says_which(self) -> None:
        def function(a: weft.Tensor, b: weft.Tensor) -> Any:
            return a * b, a + Square.apply(b, 3.0)

        with pytest.raises(GradcheckError, match="output 1 with respect to input 1") as caught:
            gradcheck(function, [double(1.0), double(2.0)])
        text = str(caught.value)
        assert "numerical:" in text
        assert "analytical:" in text

    def test_a_lost_gradient(self) -> None:
        with pytest.raises(GradcheckError):
            gradcheck(lambda x: x * x.detach(), double(2.0))
        with pytest.raises(GradcheckError):
            gradcheck(lambda x: x.detach() * 2, double(2.0))

    def test_only_floating_results_count(self) -> None:
        assert gradcheck(lambda x: (x * 2, x > 0), double(1.0, -1.0))

    def test_inputs_that_do_not_require_grad(self) -> None:
        assert gradcheck(lambda x, y, n: x * y**n, [double(2.0), weft.ones(1).double(), 3])

    def test_an_empty_input(self) -> None:
        assert gradcheck(lambda x: x * 2, weft.zeros(0, dtype=weft.float64, requires_grad=True))

    def test_needs_something_to_check(self) -> None:
        with pytest.raises(ValueError, match="at least one input that requires grad"):
            gradcheck(lambda x: x, weft.ones(2).double())

    def test_needs_float64(self) -> None:
        with pytest.raises(ValueError, match=r"input 0 is .*float32.*x\.double\(\)"):
            gradcheck(lambda x: x, weft.ones(2, requires_grad=True))

    def test_tolerance(self) -> None:
        x = double(0.5)
        assert gradcheck(Square.apply, (x, 2.01), rtol=0.1)


class TestGradgradcheck:
    def test_a_lost_second_derivative(self) -> None:
        x = double(0.5, -1.0)
        assert gradcheck(SquareOnce.apply, (x, 2.0))
        with pytest.raises(GradcheckError):
            gradgradcheck(SquareOnce.apply, (x, 2.0))

    def test_a_wrong_first_derivative_may_have_a_right_second(self) -> None:
        """It checks the gradients of gradients, whatever those are."""
        assert gradgradcheck(Square.apply, (double(0.5), 3.0))

    def test_with_given_gradients(self) -> None:
        x = double(0.5, -1.0)
        assert gradgradcheck(lambda x: x.exp(), x, double(1.0, 2.0))

    def test_of_several_inputs_and_outputs(self) -> None:
        assert gradgradcheck(
            lambda a, b: (a * a * b, (a / b).sin()), [double(0.5, 1.0), double(2.0, 3.0)]
        )
