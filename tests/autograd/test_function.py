"""``Function``: ops with a gradient written by the user."""

from __future__ import annotations

import gc
import weakref
from typing import Any, ClassVar

import pytest

import weft
from weft.autograd import Function, gradcheck, gradgradcheck, once_differentiable
from weft.errors import GradientError


def double(*values: float) -> weft.Tensor:
    return weft.tensor(list(values), dtype=weft.float64, requires_grad=True)


class Cube(Function):
    @staticmethod
    def forward(ctx: Any, x: weft.Tensor) -> weft.Tensor:
        assert not weft.is_grad_enabled()
        ctx.save_for_backward(x)
        return x * x * x

    @staticmethod
    def backward(ctx: Any, g: weft.Tensor) -> weft.Tensor:
        (x,) = ctx.saved_tensors
        return 3 * x * x * g


class Exp(Function):
    """Saves its result."""

    @staticmethod
    def forward(ctx: Any, x: weft.Tensor) -> weft.Tensor:
        y = x.exp()
        ctx.save_for_backward(y)
        return y

    @staticmethod
    def backward(ctx: Any, g: weft.Tensor) -> weft.Tensor:
        (y,) = ctx.saved_tensors
        return y * g


class Scale(Function):
    """With ``setup_context``, and an argument that is no tensor."""

    @staticmethod
    def forward(x: weft.Tensor, factor: float) -> weft.Tensor:
        return x * factor

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: weft.Tensor) -> None:
        ctx.factor = inputs[1]

    @staticmethod
    def backward(ctx: Any, g: weft.Tensor) -> tuple[weft.Tensor, None]:
        return g * ctx.factor, None


class SumAndProduct(Function):
    """Two results of two arguments; notes what ``backward`` is given."""

    seen: ClassVar[list[Any]] = []
    materialize = True

    @classmethod
    def forward(cls, ctx: Any, a: weft.Tensor, b: weft.Tensor) -> tuple[weft.Tensor, weft.Tensor]:
        ctx.save_for_backward(a, b)
        ctx.set_materialize_grads(cls.materialize)
        return a + b, a * b

    @classmethod
    def backward(cls, ctx: Any, g_sum: Any, g_product: Any) -> tuple[Any, Any]:
        cls.seen.append((g_sum, g_product))
        a, b = ctx.saved_tensors
        zero = weft.zeros_like(a)
        g_sum = zero if g_sum is None else g_sum
        g_product = zero if g_product is None else g_product
        return g_sum + g_product * b, g_sum + g_product * a


class TestForms:
    @pytest.mark.parametrize("function", [Cube.apply, Exp.apply, lambda x: Scale.apply(x, 2.5)])
    def test_first_and_second_order(self, function: Any) -> None:
        x = double(0.5, -1.25, 2.0)
        assert gradcheck(function, [x])
        assert gradgradcheck(function, [x])

    def test_results_are_as_of_any_op(self) -> None:
        x = double(2.0)
        y = Cube.apply(x)
        assert (y.item(), y.requires_grad, y.is_leaf) == (8.0, True, False)
        y.backward()
        assert x.grad.tolist() == [12.0]

    def test_without_gradients(self) -> None:
        assert not Cube.apply(weft.ones(2)).requires_grad
        with weft.no_grad():
            assert not Cube.apply(double(1.0)).requires_grad

    def test_third_derivative(self) -> None:
        x = double(2.0)
        g = Cube.apply(x).sum()
        for expected in (12.0, 12.0, 6.0):
            (g,) = weft.autograd.grad(g.sum(), x, create_graph=True)
            assert g.item() == expected

    def test_a_saved_result_in_a_second_derivative(self) -> None:
        """The result that is saved and the one that is used are the same value."""
        x = double(0.5)
        y = Exp.apply(x)
        (g,) = weft.autograd.grad(y.sum(), x, create_graph=True)
        (h,) = weft.autograd.grad((g * y).sum(), x)  # (e ** 2x)'
        assert h.item() == pytest.approx(2 * 2.718281828459045)

    def test_composition(self) -> None:
        x = double(0.3)
        assert gradcheck(lambda x: Exp.apply(Cube.apply(x) * 2), [x])
        assert gradgradcheck(lambda x: Exp.apply(Cube.apply(x) * 2), [x])

    def test_needs_input_grad(self) -> None:
        seen = []

        class Multiply(Function):
            @staticmethod
            def forward(ctx: Any, a: Any, b: Any, c: float) -> weft.Tensor:
                ctx.save_for_backward(a, b)
                return a * b * c

            @staticmethod
            def backward(ctx: Any, g: weft.Tensor) -> Any:
                seen.append(ctx.needs_input_grad)
                a, b = ctx.saved_tensors
                return (g * b if ctx.needs_input_grad[0] else None), g * a, None

        a, b = weft.ones(2), double(3.0, 4.0)
        Multiply.apply(a, b, 1.0).sum().backward()
        assert seen == [(False, True, False)]
        assert (a.grad, b.grad.tolist()) == (None, [1.0, 1.0])

    def test_one_gradient_for_many_is_summed(self) -> None:
        class Add(Function):
            @staticmethod
            def forward(ctx: Any, a: weft.Tensor, b: weft.Tensor) -> weft.Tensor:
                return a + b

            @staticmethod
            def backward(ctx: Any, g: weft.Tensor) -> Any:
                return g, g

        a = weft.ones(2, 3, requires_grad=True)
        b = weft.ones(3, requires_grad=True)
        Add.apply(a, b).sum().backward()
        assert b.grad.tolist() == [2.0, 2.0, 2.0]

    def test_the_same_argument_twice(self) -> None:
        x = double(3.0)
        SumAndProduct.apply(x, x)[1].sum().backward()
        assert x.grad.tolist() == [6.0]

    def test_keeps_nothing_alive(self) -> None:
        """A result that is saved makes no cycle: it goes without the garbage collector."""
        gc.disable()
        try:
            x = double(1.0)
            y = Exp.apply(x)
            y.sum().item()
            gone = weakref.ref(y.grad_fn._node.inputs[1].extra)  # the context
            del y
            assert gone() is None
        finally:
            gc.enable()


class TestSaving:
    def test_a_change_in_place_cannot_spoil_it(self) -> None:
        x = double(2.0)
        y = Cube.apply(x)
        with weft.no_grad():
            x.mul_(100)
        y.sum().backward()
        assert x.grad.tolist() == [12.0]

    def test_nor_one_of_a_result(self) -> None:
        x = double(0.0)
        y = Exp.apply(x)
        z = y.sum()
        y.mul_(100)
        z.backward()
        assert x.grad.tolist() == [1.0]

    def test_none_may_be_saved(self) -> None:
        class Identity(Function):
            @staticmethod
            def forward(ctx: Any, x: weft.Tensor) -> weft.Tensor:
                ctx.save_for_backward(None, x)
                return x * 1

            @staticmethod
            def backward(ctx: Any, g: weft.Tensor) -> weft.Tensor:
                assert ctx.saved_tensors[0] is None
                return g

        x = double(1.0)
        Identity.apply(x).backward()
        assert x.grad.tolist() == [1.0]

    def test_is_let_go_after_backward(self) -> None:
        class Holds(Cube):
            @staticmethod
            def forward(ctx: Any, x: weft.Tensor) -> weft.Tensor:
                contexts.append(weakref.ref(ctx))
                return Cube.forward(ctx, x)

        contexts: list[Any] = []
        y = Holds.apply(double(1.0)).sum()
        y.backward()
        gc.collect()
        assert contexts[0]() is None


class TestSeveralResults:
    def test_both_used(self) -> None:
        a, b = double(2.0), double(3.0)
        s, p = SumAndProduct.apply(a, b)
        (s + 10 * p).sum().backward()
        assert (a.grad.item(), b.grad.item()) == (31.0, 21.0)

    def test_called_once(self) -> None:
        SumAndProduct.seen.clear()
        s, p = SumAndProduct.apply(double(2.0), double(3.0))
        (s * p + s).sum().backward()
        assert len(SumAndProduct.seen) == 1

    def test_derivatives(self) -> None:
        a, b = double(2.0, 0.5), double(3.0, -1.0)
        assert gradcheck(SumAndProduct.apply, [a, b])
        assert gradgradcheck(SumAndProduct.apply, [a, b])

    def test_unused_results_have_zeros(self) -> None:
        SumAndProduct.seen.clear()
        a, b = double(2.0), double(3.0)
        SumAndProduct.apply(a, b)[1].sum().backward()
        ((unused, used),) = SumAndProduct.seen
        assert (unused.tolist(), used.tolist()) == ([0.0], [1.0])

    def test_or_none(self) -> None:
        class Sparing(SumAndProduct):
            seen: ClassVar[list[Any]] = []
            materialize = False

        a, b = double(2.0), double(3.0)
        Sparing.apply(a, b)[1].sum().backward()
        assert Sparing.seen[0][0] is None
        assert (a.grad.item(), b.grad.item()) == (3.0, 2.0)

    def test_nothing_is_left_from_a_walk_that_failed(self) -> None:
        def broken(g: weft.Tensor) -> None:
            raise KeyError

        a, b = double(2.0), double(3.0)
        s, p = SumAndProduct.apply(a, b)
        handle = s.register_hook(broken)
        with pytest.raises(KeyError):
            (s + p).sum().backward(retain_graph=True)
        handle.remove()
        s.sum().backward()
        assert (a.grad.item(), b.grad.item()) == (1.0, 1.0)

    def test_hooks_on_results(self) -> None:
        a, b = double(2.0), double(3.0)
        s, p = SumAndProduct.apply(a, b)
        p.register_hook(lambda g: g * 10)
        (s + p).sum().backward()
        assert (a.grad.item(), b.grad.item()) == (31.0, 21.0)

    def test_other_results(self) -> None:
        class WithCount(Function):
            @staticmethod
            def forward(ctx: Any, x: weft.Tensor) -> Any:
                return x * 2, "text", (x > 0)

            @staticmethod
            def backward(ctx: Any, g: weft.Tensor, *others: Any) -> weft.Tensor:
                return g * 2

        x = double(1.0, -1.0)
        y, text, mask = WithCount.apply(x)
        assert text == "text"
        assert (mask.tolist(), mask.requires_grad) == ([True, False], False)
        y.sum().backward()
        assert x.grad.tolist() == [2.0, 2.0]


class TestMarks:
    def test_non_differentiable(self) -> None:
        class WithRounded(Function):
            @staticmethod
            def forward(ctx: Any, x: weft.Tensor) -> Any:
                rounded = x.round()
                ctx.mark_non_differentiable(rounded)
                return x * 2, rounded

            @staticmethod
            def backward(ctx: Any, g: weft.Tensor, g_rounded: weft.Tensor) -> weft.Tensor:
                assert g_rounded.tolist() == [0.0]
                return g * 2

        x = double(1.2)
        y, rounded = WithRounded.apply(x)
        assert (y.requires_grad, rounded.requires_grad, rounded.tolist()) == (True, False, [1.0])
        (y * rounded).sum().backward()
        assert x.grad.tolist() == [2.0]

    def test_dirty(self) -> None:
        class Double(Function):
            @staticmethod
            def forward(ctx: Any, x: weft.Tensor) -> weft.Tensor:
                ctx.mark_dirty(x)
                return x.mul_(2)

            @staticmethod
            def backward(ctx: Any, g: weft.Tensor) -> weft.Tensor:
                return g * 2

        x = double(3.0)
        y = x * 1
        out = Double.apply(y)
        assert out is y
        assert y.tolist() == [6.0]
        (y * y).sum().backward()
        assert x.grad.tolist() == [24.0]

    def test_once_differentiable(self) -> None:
        class Once(Cube):
            @staticmethod
            @once_differentiable
            def backward(ctx: Any, g: weft.Tensor) -> weft.Tensor:
                return Cube.backward(ctx, g)

        x = double(2.0)
        Once.apply(x).sum().backward()
        assert x.grad.tolist() == [12.0]
        (g,) = weft.autograd.grad(Once.apply(x).sum(), x, create_graph=True)
        with pytest.raises(GradientError):
            weft.autograd.grad(g.sum(), x)


def returning(*grads: Any) -> type[Function]:
    class Wrong(Function):
        @staticmethod
        def forward(ctx: Any, a: weft.Tensor, b: weft.Tensor) -> weft.Tensor:
            return a * b

        @staticmethod
        def backward(ctx: Any, g: weft.Tensor) -> Any:
            return grads

    return Wrong


class TestMistakes:
    def run(self, *grads: Any) -> None:
        a, b = double(1.0, 2.0), double(3.0, 4.0)
        returning(*grads).apply(a, b).sum().backward()

    def test_too_few_gradients(self) -> None:
        with pytest.raises(GradientError, match=r"Wrong\.backward returned 1 .* takes 2 arguments"):
            self.run(weft.ones(2))

    def test_too_many_gradients(self) -> None:
        with pytest.raises(GradientError, match=r"Wrong\.backward returned 3 .* takes 2 arguments"):
            self.run(weft.ones(2), weft.ones(2), weft.ones(2))

    def test_none_beyond_the_arguments(self) -> None:
        self.run(weft.ones(2), weft.ones(2), None)

    def test_wrong_shape(self) -> None:
        with pytest.raises(
            GradientError, match=r"Wrong\.backward: gradient 1 has shape \[3\].*shape \[2\]"
        ):
            self.run(weft.ones(2), weft.ones(3))

    def test_no_tensor(self) -> None:
        with pytest.raises(GradientError, match=r"Wrong\.backward: gradient 0 is float"):
            self.run(1.0, weft.ones(2))

    def test_calling_the_class(self) -> None:
        with pytest.raises(TypeError, match=r"call Cube\.apply\(\.\.\.\)"):
            Cube(double(1.0))

    def test_nothing_defined(self) -> None:
        class Empty(Function):
            pass

        with pytest.raises(NotImplementedError, match="defines forward"):
            Empty.apply(double(1.0))

        class ForwardOnly(Function):
            @staticmethod
            def forward(ctx: Any, x: weft.Tensor) -> weft.Tensor:
                return x * 2

        with pytest.raises(NotImplementedError, match="defines backward"):
            ForwardOnly.apply(double(1.0)).backward()

    def test_error_in_forward_leaves_grad_mode(self) -> None:
        class Broken(Function):
            @staticmethod
            def forward(ctx: Any, x: weft.Tensor) -> weft.Tensor:
                raise KeyError

        with pytest.raises(KeyError):
            Broken.apply(double(1.0))
        assert weft.is_grad_enabled()
