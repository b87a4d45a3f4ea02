"""``backward`` and ``grad``: what they give, what they leave behind, what they refuse."""

from __future__ import annotations

import gc
import weakref
from typing import Any

import numpy as np
import pytest

import weft
from weft.errors import GradientError, ShapeError


def leaf(*values: float) -> weft.Tensor:
    return weft.tensor(list(values), requires_grad=True)


class TestAccumulation:
    def test_adds_to_what_is_there(self) -> None:
        x = leaf(1.0, 2.0)
        (x * 3).sum().backward()
        (x * x).sum().backward()
        assert x.grad.tolist() == [5.0, 7.0]

    def test_adds_in_place(self) -> None:
        x = leaf(1.0, 2.0)
        (x * 3).sum().backward()
        grad = x.grad
        (x * 3).sum().backward()
        assert x.grad is grad
        assert grad.tolist() == [6.0, 6.0]

    def test_several_uses_add_up(self) -> None:
        x = leaf(2.0)
        (x * x + x * 3 + x.exp() * 0).sum().backward()
        assert x.grad.tolist() == [7.0]

    def test_gradients_of_two_leaves_are_apart(self) -> None:
        """In PyTorch 2.13 these two share their memory, so that b's becomes 2 as well."""
        a, b = weft.tensor(1.0, requires_grad=True), weft.tensor(1.0, requires_grad=True)
        weft.stack([a, b]).sum().backward()
        a.sum().backward()
        assert (a.grad.item(), b.grad.item()) == (2.0, 1.0)

    def test_zeroed_gradient(self) -> None:
        x = leaf(1.0)
        (x * 3).sum().backward()
        x.grad.zero_()
        (x * 4).sum().backward()
        assert x.grad.tolist() == [4.0]
        x.grad = None
        (x * 5).sum().backward()
        assert x.grad.tolist() == [5.0]

    def test_several_outputs(self) -> None:
        x = leaf(1.0, 2.0)
        weft.autograd.backward([(x * 2).sum(), x * x], [None, weft.tensor([1.0, 10.0])])
        assert x.grad.tolist() == [4.0, 42.0]

    def test_an_update_under_no_grad_keeps_the_leaf(self) -> None:
        x = leaf(1.0)
        before = (x * x).sum()
        with weft.no_grad():
            x.add_(1)
        ((x * x).sum() + before).backward()  # 2 * 2 of the new value, 2 * 1 of the old
        assert x.is_leaf
        assert x.grad.tolist() == [6.0]

    @pytest.mark.parametrize("read", [False, True])
    def test_broadcasting_is_undone(self, read: bool) -> None:
        a = weft.ones(3, 1, requires_grad=True)
        b = weft.ones(4, requires_grad=True)
        y = a * b * weft.ones(2, 3, 4)
        if read:
            y.sum().item()
        y.sum().backward()
        assert (a.grad.shape, b.grad.shape) == ((3, 1), (4,))
        assert (a.grad.flatten().tolist(), b.grad.tolist()) == ([8.0] * 3, [6.0] * 4)

    def test_a_dropped_leaf_is_no_trouble(self) -> None:
        x, other = leaf(1.0), leaf(2.0)
        y = (x * other).sum()
        gone = weakref.ref(x)
        del x
        gc.collect()
        assert gone() is None
        y.backward()
        assert other.grad.tolist() == [1.0]


class TestRetainGraph:
    def test_second_backward(self) -> None:
        x = leaf(2.0)
        y = (x * x * x).sum()
        y.backward(retain_graph=True)
        y.backward()
        assert x.grad.tolist() == [24.0]

    def test_second_backward_without(self) -> None:
        x = leaf(2.0)
        y = (x * x).sum()
        y.backward()
        with pytest.raises(GradientError, match=r"retain_graph=True.*At the result of 'sum'"):
            y.backward()
        assert x.grad.tolist() == [4.0]

    def test_the_shared_part_is_named(self) -> None:
        x = weft.ones(2, 3, requires_grad=True)
        shared = x.exp()
        (shared * 2).sum().backward()
        with pytest.raises(GradientError, match=r"At the result of 'exp', shape \[2, 3\]"):
            (shared * 3).sum().backward()

    def test_grad_too(self) -> None:
        x = leaf(2.0)
        y = (x * x).sum()
        weft.autograd.grad(y, x)
        with pytest.raises(GradientError, match="retain_graph=True"):
            weft.autograd.grad(y, x)

    def test_values_stay(self) -> None:
        x = leaf(2.0)
        middle = x * x
        middle.sum().backward()
        assert middle.tolist() == [4.0]
        assert middle.requires_grad


class TestGradientArgument:
    def test_weights_the_elements(self) -> None:
        x = leaf(1.0, 2.0, 3.0)
        (x * x).backward(gradient=weft.tensor([1.0, 0.0, -1.0]))
        assert x.grad.tolist() == [2.0, 0.0, -6.0]

    def test_needed_for_several_elements(self) -> None:
        x = leaf(1.0, 2.0)
        with pytest.raises(GradientError, match=r"shape \[2\].*loss\.mean\(\)\.backward"):
            (x * x).backward()

    def test_one_element_of_any_shape(self) -> None:
        x = weft.ones(1, 1, requires_grad=True)
        (x * 3).backward()
        assert x.grad.tolist() == [[3.0]]

    def test_wrong_shape(self) -> None:
        x = leaf(1.0, 2.0)
        with pytest.raises(ShapeError, match=r"shape \[3\].*shape \[2\]"):
            (x * x).backward(gradient=weft.ones(3))

    def test_no_tensor(self) -> None:
        x = leaf(1.0)
        with pytest.raises(TypeError, match="gradient= takes a Tensor"):
            x.sum().backward(gradient=1.0)

    def test_number_of_gradients(self) -> None:
        x = leaf(1.0)
        with pytest.raises(GradientError, match="2 outputs but 1 gradients"):
            weft.autograd.backward([x.sum(), x.sum()], [weft.tensor(1.0)])

    def test_is_converted(self) -> None:
        x = leaf(1.0)
        (x * 2).backward(gradient=weft.tensor([3], dtype=weft.int64))
        assert x.grad.dtype is weft.float32
        assert x.grad.tolist() == [6.0]


class TestGrad:
    def test_touches_no_grad(self) -> None:
        x = leaf(1.0, 2.0)
        (g,) = weft.autograd.grad((x * x).sum(), [x])
        assert g.tolist() == [2.0, 4.0]
        assert x.grad is None
        assert not g.requires_grad

    def test_of_values_in_between(self) -> None:
        x = leaf(1.0, 2.0)
        middle = x * 3
        y = (middle * middle).sum()
        assert weft.autograd.grad(y, middle, retain_graph=True)[0].tolist() == [6.0, 12.0]
        both = weft.autograd.grad(y, [x, middle])
        assert [g.tolist() for g in both] == [[18.0, 36.0], [6.0, 12.0]]

    def test_of_the_output_itself(self) -> None:
        x = leaf(2.0)
        y = (x * x).sum()
        assert weft.autograd.grad(y, y)[0].item() == 1.0

    @pytest.mark.parametrize("changed", [False, True])
    def test_of_a_value_in_between_after_an_update(self, changed: bool) -> None:
        """A change under no_grad is none of its history."""
        middle = leaf(1.0, 2.0) * 3
        y = (middle * middle).sum()
        with weft.no_grad():
            if changed:
                middle.mul_(10)
        assert weft.autograd.grad(y, middle)[0].tolist() == [6.0, 12.0]

    def test_unused(self) -> None:
        x, other = leaf(1.0), weft.ones(2, 3, requires_grad=True)
        y = (x * 2).sum()
        with pytest.raises(GradientError, match=r"input 1 of shape \[2, 3\].*allow_unused=True"):
            weft.autograd.grad(y, [x, other], retain_graph=True)
        g, none = weft.autograd.grad(y, [x, other], retain_graph=True, allow_unused=True)
        assert (g.tolist(), none) == ([2.0], None)
        g, zeros = weft.autograd.grad(y, [x, other], materialize_grads=True)
        assert (g.tolist(), zeros.tolist()) == ([2.0], [[0.0] * 3] * 2)

    def test_without_requires_grad(self) -> None:
        x = leaf(1.0)
        with pytest.raises(GradientError, match=r"shape \[2\] among the inputs does not require"):
            weft.autograd.grad(x.sum(), [weft.ones(2)])

    def test_nothing_is_recorded_for_others(self) -> None:
        """Only what leads to an input is differentiated."""

        class Never(weft.autograd.Function):
            @staticmethod
            def forward(_: Any, x: weft.Tensor) -> weft.Tensor:
                return x.clone()

            @staticmethod
            def backward(*_: Any) -> weft.Tensor:
                raise AssertionError("not needed")

        x, other = leaf(1.0), leaf(2.0)
        (g,) = weft.autograd.grad((x * Never.apply(other)).sum(), [x])
        assert g.tolist() == [2.0]


class TestCreateGraph:
    def test_second_and_third_derivative(self) -> None:
        x = weft.tensor([2.0], dtype=weft.float64, requires_grad=True)
        (first,) = weft.autograd.grad((x**4).sum(), x, create_graph=True)
        (second,) = weft.autograd.grad(first.sum(), x, create_graph=True)
        (third,) = weft.autograd.grad(second.sum(), x)
        assert (first.item(), second.item(), third.item()) == (32.0, 48.0, 48.0)

    def test_backward_of_a_gradient(self) -> None:
        """A gradient penalty."""
        x, w = leaf(3.0), leaf(2.0)
        (g,) = weft.autograd.grad((w * w * x).sum(), x, create_graph=True)
        (g * g).sum().backward()  # (w ** 4)' = 4 w ** 3
        assert w.grad.tolist() == [32.0]

    def test_backward_with_create_graph(self) -> None:
        x = leaf(3.0)
        (x * x).sum().backward(create_graph=True)
        assert x.grad.requires_grad
        first = x.grad
        x.grad = None
        first.sum().backward()
        assert x.grad.tolist() == [2.0]

    def test_accumulation_makes_a_new_tensor(self) -> None:
        x = leaf(3.0)
        (x * x).sum().backward(create_graph=True)
        first = x.grad
        (x * x).sum().backward(create_graph=True)
        assert (first.tolist(), x.grad.tolist()) == ([6.0], [12.0])


class TestInputs:
    def test_only_these(self) -> None:
        a, b = leaf(2.0), leaf(3.0)
        (a * b).sum().backward(inputs=[a])
        assert a.grad.tolist() == [3.0]
        assert b.grad is None

    def test_one_tensor(self) -> None:
        a = leaf(2.0)
        (a * a).sum().backward(inputs=a)
        assert a.grad.tolist() == [4.0]

    @pytest.mark.parametrize("retained", [False, True])
    def test_a_value_in_between(self, retained: bool) -> None:
        a = leaf(2.0)
        middle = a * 3
        if retained:
            middle.retain_grad()
        (middle * middle).sum().backward(inputs=[middle])
        assert middle.grad.tolist() == [12.0]
        assert a.grad is None

    def test_unreached(self) -> None:
        a, b = leaf(2.0), leaf(3.0)
        (a * 2).sum().backward(inputs=[a, b])
        assert b.grad is None


class TestLeaves:
    def test_is_leaf(self) -> None:
        x = leaf(1.0)
        assert x.is_leaf
        assert weft.ones(2).is_leaf
        assert not (x * 2).is_leaf
        assert (weft.ones(2) * 2).is_leaf
        assert (x * 2).detach().is_leaf

    def test_requires_grad_of_results(self) -> None:
        x = leaf(1.0)
        assert (x * 2).requires_grad
        assert not (x > 0).requires_grad
        assert not x.long().requires_grad
        assert not (weft.ones(1) * 2).requires_grad

    def test_setting_it(self) -> None:
        x = weft.ones(2)
        x.requires_grad = True
        assert x.requires_grad_() is x
        (x * 2).sum().backward()
        assert x.grad.tolist() == [2.0, 2.0]
        x.requires_grad = False
        assert not (x * 2).requires_grad

    def test_of_integers(self) -> None:
        with pytest.raises(GradientError, match=r"int64.*x\.float\(\)\.requires_grad_\(\)"):
            weft.tensor([1]).requires_grad_()

    def test_not_of_results(self) -> None:
        y = leaf(1.0) * 2
        with pytest.raises(GradientError, match=r"x\.detach\(\)"):
            y.requires_grad_(False)
        assert y.requires_grad_() is y

    def test_frozen_after_the_forward_pass(self) -> None:
        a, b = leaf(2.0), leaf(3.0)
        y = (a * b).sum()
        a.requires_grad_(False)
        y.backward()
        assert a.grad is None
        assert b.grad.tolist() == [2.0]

    def test_no_history(self) -> None:
        for y in (weft.ones(()), leaf(1.0).sum().detach()):
            with pytest.raises(GradientError, match="no history to differentiate"):
                y.backward()
        with weft.no_grad():
            z = leaf(1.0).sum()
        with pytest.raises(GradientError, match=r"no_grad\(\)"):
            z.backward()

    def test_no_tensors(self) -> None:
        with pytest.raises(TypeError, match="gradients are taken of Tensors"):
            weft.autograd.backward([1.0])
        with pytest.raises(TypeError, match="with respect to Tensors"):
            weft.autograd.grad(leaf(1.0).sum(), [1.0])

    def test_grad_fn(self) -> None:
        x = leaf(1.0)
        y = x + 1
        assert x.grad_fn is None
        assert y.grad_fn.name() == "AddBackward"
        assert [f.name() for f, _ in (y * y).grad_fn.next_functions] == ["AddBackward"] * 2


class TestGradSetter:
    def test_takes_a_tensor_of_its_kind(self) -> None:
        x = weft.ones(2, 3, requires_grad=True)
        x.grad = weft.full((2, 3), 5.0)
        x.sum().backward()
        assert x.grad.tolist() == [[6.0] * 3] * 2

    def test_wrong_shape(self) -> None:
        x = weft.ones(2, 3, requires_grad=True)
        with pytest.raises(ShapeError, match=r"shape \[2, 3\] cannot be .* shape \[3\]"):
            x.grad = weft.ones(3)

    def test_wrong_dtype(self) -> None:
        x = weft.ones(2, requires_grad=True)
        with pytest.raises(ShapeError, match=r"float32 .*cannot be .*float64"):
            x.grad = weft.ones(2, dtype=weft.float64)

    def test_no_tensor(self) -> None:
        x = weft.ones(2, requires_grad=True)
        with pytest.raises(TypeError, match=r"\.grad takes a Tensor or None"):
            x.grad = 1.0


class TestInPlace:
    """A change in place can never spoil what backward needs."""

    def test_of_an_input_that_a_rule_reads(self) -> None:
        x = leaf(2.0, 3.0)
        middle = x * 1
        y = (middle * middle).sum()
        middle.mul_(100)
        y.backward()
        assert x.grad.tolist() == [4.0, 6.0]

    def test_of_an_output_that_a_rule_reads(self) -> None:
        x = leaf(0.0)
        y = x.exp()
        z = y.sum()
        y.zero_()
        z.backward()
        assert x.grad.tolist() == [1.0]

    def test_through_a_view(self) -> None:
        x = leaf(1.0, 2.0, 3.0)
        middle = x * 1
        y = (middle * middle).sum()
        middle[0] = 50.0
        middle[1:].mul_(50)
        y.backward()
        assert x.grad.tolist() == [2.0, 4.0, 6.0]

    def test_under_no_grad(self) -> None:
        x = leaf(1.0, 2.0)
        y = (x * x).sum()
        with weft.no_grad():
            x.mul_(100)
        y.backward()
        assert x.grad.tolist() == [2.0, 4.0]

    @pytest.mark.parametrize("read", [False, True])
    def test_is_differentiated(self, read: bool) -> None:
        x = leaf(1.0, 2.0, 3.0)
        y = x * 1
        y[0].mul_(10)
        y[1:] = x[:2] * 5
        y.add_(x)
        if read:
            y.tolist()
        y.sum().backward()
        assert x.grad.tolist() == [16.0, 6.0, 1.0]

    def test_overwritten_values_get_zero(self) -> None:
        x = leaf(1.0, 2.0)
        y = x * 2
        y.copy_(weft.ones(2))
        y.sum().backward()
        assert x.grad.tolist() == [0.0, 0.0]

    def test_what_was_cut_from_a_changed_view(self) -> None:
        """A view that was written to belongs to its base's new value."""
        base = leaf(1.0, 2.0) * 1
        view = base[0]
        view.mul_(2)
        assert weft.autograd.grad(view.sum(), base)[0].tolist() == [1.0, 0.0]

    def test_of_a_leaf(self) -> None:
        x = leaf(1.0, 2.0)
        for change in (lambda: x.add_(1), lambda: x[0].add_(1), lambda: x.zero_()):
            with pytest.raises(GradientError, match=r"no_grad\(\), or work on a copy"):
                change()
        assert x.tolist() == [1.0, 2.0]

    def test_of_a_view_made_under_no_grad(self) -> None:
        base = leaf(1.0, 2.0) * 1
        with weft.no_grad():
            view = base[0]
        with pytest.raises(GradientError, match="made under no_grad"):
            view.mul_(2)
        assert base.tolist() == [1.0, 2.0]


class TestDetach:
    def test_shares_values_both_ways(self) -> None:
        x = leaf(1.0, 2.0)
        alias = x.detach()
        assert not alias.requires_grad
        alias[0] = 7.0
        assert x.tolist() == [7.0, 2.0]
        with weft.no_grad():
            x.mul_(2)
        assert alias.tolist() == [14.0, 4.0]
        assert x.requires_grad
        assert x.is_leaf

    def test_stops_gradients(self) -> None:
        x = leaf(3.0)
        (x * x.detach()).sum().backward()
        assert x.grad.tolist() == [3.0]

    def test_leaf_of_its_own(self) -> None:
        x = leaf(3.0)
        alias = x.detach().requires_grad_()
        (alias * 2).sum().backward()
        assert alias.grad.tolist() == [2.0]
        assert x.grad is None
        with weft.no_grad():
            x.fill_(5.0)
        (alias * alias).sum().backward()
        assert alias.grad.tolist() == [12.0]

    def test_views_of_it(self) -> None:
        x = leaf(1.0, 2.0, 3.0)
        view = x.detach()[1:]
        view.zero_()
        assert x.tolist() == [1.0, 0.0, 0.0]

    def test_keeps_the_origin_s_history(self) -> None:
        x = leaf(2.0)
        y = x * x
        y.detach().zero_()
        y.sum().backward()
        assert y.tolist() == [0.0]
        assert x.grad.tolist() == [4.0]

    def test_data(self) -> None:
        x = leaf(1.0, 2.0)
        x.data.mul_(3)
        assert x.tolist() == [3.0, 6.0]
        x.data = weft.ones(3)
        assert x.tolist() == [1.0] * 3
        assert x.requires_grad
        (x * 2).sum().backward()
        assert x.grad.tolist() == [2.0] * 3

    def test_in_place(self) -> None:
        y = leaf(1.0) * 2
        assert y.detach_() is y
        assert y.is_leaf
        assert not y.requires_grad

    def test_in_place_of_a_view(self) -> None:
        y = leaf(1.0, 2.0) * 2
        with pytest.raises(GradientError, match=r"x = x\.detach\(\)"):
            y[0].detach_()


class TestDtypes:
    @pytest.mark.parametrize("dtype", [weft.float16, weft.bfloat16, weft.float32, weft.float64])
    def test_gradient_has_the_leaf_s(self, dtype: weft.dtype) -> None:
        x = weft.ones(3, dtype=dtype, requires_grad=True)
        (x.float() * weft.ones(3, dtype=weft.float64)).sum().backward()
        assert x.grad.dtype is dtype

    def test_through_integers_there_is_none(self) -> None:
        x = leaf(1.5)
        y = x.long().float() * x
        y.sum().backward()
        assert x.grad.tolist() == [1.0]

    def test_nan_and_inf_pass(self) -> None:
        x = leaf(0.0, 1.0)
        (1 / x).sum().backward()
        np.testing.assert_array_equal(x.grad.numpy(), [-np.inf, -1.0])


@pytest.mark.parity
def test_gradients_of_a_batch_of_gradients() -> None:
    torch = pytest.importorskip("torch", reason="compares with PyTorch: pip install 'weft[parity]'")
    results = []
    for lib in (weft, torch):
        x, w, u = (lib.tensor(v, requires_grad=True) for v in ([1.0, 2.0, 3.0], [2.0], [2.0]))
        y = x**2 * w
        found = lib.autograd.grad(
            y, (x, w, u), lib.eye(3), create_graph=True, allow_unused=True, is_grads_batched=True
        )
        (again,) = lib.autograd.grad(found[0].sum(), x, only_inputs=True)
        results.append([None if g is None else g.tolist() for g in (*found, again)])
    assert results[0] == results[1]
    x = weft.ones(2, requires_grad=True)
    with pytest.raises(weft.errors.GradientError, match="first dimension"):
        weft.autograd.grad(x.sum(), x, weft.tensor(1.0), is_grads_batched=True)
    with pytest.raises(weft.errors.UnsupportedOp, match=r"call backward\(\)"):
        weft.autograd.grad(x.sum(), x, only_inputs=False)
