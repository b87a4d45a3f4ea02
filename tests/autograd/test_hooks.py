"""Hooks of tensors: on gradients, on leaves after accumulation; and gradients that are kept."""

from __future__ import annotations

import gc
import weakref
from typing import Any

import pytest

import weft
from weft.errors import GradientError, ShapeError


def leaf(*values: float) -> weft.Tensor:
    return weft.tensor(list(values), requires_grad=True)


class TestTensorHooks:
    @pytest.mark.parametrize("kind", ["leaf", "between", "output"])
    def test_is_given_the_gradient(self, kind: str) -> None:
        x = leaf(1.0, 2.0)
        middle = x * 3
        y = (middle * middle).sum()
        seen: list[Any] = []
        hooked = {"leaf": x, "between": middle, "output": y}[kind]
        hooked.register_hook(lambda g: seen.append(g.tolist()))
        y.backward()
        expected = {"leaf": [18.0, 36.0], "between": [6.0, 12.0], "output": 1.0}[kind]
        assert seen == [expected]
        assert x.grad.tolist() == [18.0, 36.0]

    @pytest.mark.parametrize("kind", ["leaf", "between"])
    def test_replaces_it(self, kind: str) -> None:
        x = leaf(1.0, 2.0)
        middle = x * 3
        (x if kind == "leaf" else middle).register_hook(lambda g: g * 10)
        middle.sum().backward()
        assert x.grad.tolist() == [30.0, 30.0]

    @pytest.mark.parametrize("kind", ["leaf", "between"])
    def test_order_and_chaining(self, kind: str) -> None:
        x = leaf(1.0)
        middle = x * 1
        hooked = x if kind == "leaf" else middle
        hooked.register_hook(lambda g: g + 1)
        hooked.register_hook(lambda g: g * 10)
        middle.sum().backward()
        assert x.grad.tolist() == [20.0]

    @pytest.mark.parametrize("kind", ["leaf", "between"])
    def test_removal(self, kind: str) -> None:
        x = leaf(1.0)
        middle = x * 1
        hooked = x if kind == "leaf" else middle
        first = hooked.register_hook(lambda g: g + 1)
        hooked.register_hook(lambda g: g * 10)
        first.remove()
        first.remove()  # harmless
        middle.sum().backward()
        assert x.grad.tolist() == [10.0]

    def test_handle_as_a_context(self) -> None:
        x = leaf(1.0)
        with x.register_hook(lambda g: g * 10):
            (x * 1).sum().backward()
        (x * 1).sum().backward()
        assert x.grad.tolist() == [11.0]

    def test_removing_itself(self) -> None:
        x = leaf(1.0)
        y = (x * 1).sum()

        def once(g: weft.Tensor) -> weft.Tensor:
            handle.remove()
            return g * 10

        handle = x.register_hook(once)
        y.backward(retain_graph=True)
        y.backward()
        assert x.grad.tolist() == [11.0]

    def test_sees_the_whole_gradient(self) -> None:
        """Called once, when all uses have added their part."""
        x = leaf(1.0)
        middle = x * 1
        seen: list[Any] = []
        middle.register_hook(lambda g: seen.append(g.item()))
        (middle * 2 + middle * 3 + middle).sum().backward()
        assert seen == [6.0]

    def test_of_a_gradient_taken_by_grad(self) -> None:
        x = leaf(1.0)
        middle = x * 2
        x.register_hook(lambda g: g * 10)
        middle.register_hook(lambda g: g + 1)
        y = (middle * 3).sum()
        to_x, to_middle = weft.autograd.grad(y, [x, middle])
        assert (to_x.item(), to_middle.item()) == (80.0, 4.0)

    def test_not_reached(self) -> None:
        x, other = leaf(1.0), leaf(1.0)
        seen: list[Any] = []
        other.register_hook(seen.append)
        (x * 2).sum().backward()
        assert seen == []

    def test_may_record(self) -> None:
        x = leaf(2.0)
        x.register_hook(lambda g: g * x)
        (x * x).sum().backward(create_graph=True)
        assert x.grad.requires_grad
        assert x.grad.tolist() == [8.0]

    def test_stays_with_the_value_before_a_change_in_place(self) -> None:
        x = leaf(1.0)
        middle = x * 1
        middle.register_hook(lambda g: g * 10)
        middle.mul_(3)
        middle.sum().backward()
        assert x.grad.tolist() == [30.0]

    def test_after_an_update_of_a_leaf(self) -> None:
        x = leaf(1.0)
        x.register_hook(lambda g: g * 10)
        with weft.no_grad():
            x.add_(1)
        (x * 1).sum().backward()
        assert x.grad.tolist() == [10.0]

    def test_after_an_update_of_a_value_in_between(self) -> None:
        x = leaf(1.0)
        middle = x * 1
        with weft.no_grad():
            middle.add_(1)
        middle.register_hook(lambda g: g * 10)
        middle.sum().backward()
        assert x.grad.tolist() == [10.0]

    def test_is_freed(self) -> None:
        class Hook:
            def __call__(self, g: weft.Tensor) -> None:
                return None

        hook = Hook()
        gone = weakref.ref(hook)
        x = leaf(1.0)
        y = (x * 2).exp()
        y.register_hook(hook)
        y.sum().backward()
        del hook, y
        gc.collect()
        assert gone() is None

    def test_needs_requires_grad(self) -> None:
        with pytest.raises(GradientError, match="requires grad"):
            weft.ones(2).register_hook(lambda g: None)

    @pytest.mark.parametrize("kind", ["leaf", "between"])
    def test_wrong_results(self, kind: str) -> None:
        for result, error, text in (
            (weft.ones(3), ShapeError, r"shape \[3\] in place of \[2\]"),
            (1.0, TypeError, "returns a Tensor or None"),
        ):
            x = leaf(1.0, 2.0)
            middle = x * 1
            hooked = x if kind == "leaf" else middle
            hooked.register_hook(lambda g, result=result: result)
            with pytest.raises(error, match=text):
                middle.sum().backward()

    def test_result_is_converted(self) -> None:
        x = leaf(1.0)
        x.register_hook(lambda g: g.double() * 2)
        x.sum().backward()
        assert x.grad.dtype is weft.float32

    def test_error_leaves_all_usable(self) -> None:
        x = leaf(1.0)
        y = (x * 2).sum()

        def broken(g: weft.Tensor) -> None:
            raise KeyError("mine")

        handle = x.register_hook(broken)
        with pytest.raises(KeyError, match="mine"):
            y.backward(retain_graph=True)
        handle.remove()
        assert weft.is_grad_enabled()
        x.grad = None
        y.backward()
        assert x.grad.tolist() == [2.0]


class TestRetainGrad:
    def test_keeps_the_gradient(self) -> None:
        x = leaf(1.0, 2.0)
        middle = x * 3
        assert not middle.retains_grad
        middle.retain_grad()
        assert middle.retains_grad
        (middle * middle).sum().backward(retain_graph=True)
        assert middle.grad.tolist() == [6.0, 12.0]
        (middle * middle).sum().backward()
        assert middle.grad.tolist() == [12.0, 24.0]

    def test_otherwise_there_is_none(self) -> None:
        middle = leaf(1.0) * 3
        middle.sum().backward()
        assert middle.grad is None

    def test_twice(self) -> None:
        middle = leaf(1.0) * 3
        middle.retain_grad()
        middle.retain_grad()
        middle.sum().backward()
        assert middle.grad.tolist() == [1.0]

    def test_of_a_leaf(self) -> None:
        x = leaf(1.0)
        x.retain_grad()
        (x * 2).sum().backward()
        assert x.grad.tolist() == [2.0]

    def test_after_all_hooks(self) -> None:
        """What is kept is what hooks have made of it, whenever they were registered."""
        middle = leaf(1.0) * 3
        middle.register_hook(lambda g: g + 1)
        middle.retain_grad()
        middle.register_hook(lambda g: g * 10)
        middle.sum().backward()
        assert middle.grad.tolist() == [20.0]

    def test_follows_a_change_in_place(self) -> None:
        middle = leaf(1.0) * 3
        middle.retain_grad()
        middle.mul_(5)
        (middle * 2).sum().backward()
        assert middle.grad.tolist() == [2.0]

    def test_follows_a_change_under_no_grad(self) -> None:
        middle = leaf(1.0) * 3
        middle.retain_grad()
        with weft.no_grad():
            middle.mul_(5)
        (middle * middle).sum().backward()
        assert middle.grad.tolist() == [30.0]

    def test_holds_nothing(self) -> None:
        x = leaf(1.0)
        middle = x * 3
        y = middle.sum()
        middle.retain_grad()
        gone = weakref.ref(middle)
        del middle
        gc.collect()
        assert gone() is None
        y.backward()
        assert x.grad.tolist() == [3.0]

    def test_needs_requires_grad(self) -> None:
        with pytest.raises(GradientError, match="requires grad"):
            weft.ones(2).retain_grad()


class TestPostAccumulateHooks:
    def test_is_given_the_leaf(self) -> None:
        x = leaf(1.0)
        seen: list[Any] = []
        x.register_post_accumulate_grad_hook(lambda p: seen.append((p is x, p.grad.item())))
        (x * 2).sum().backward()
        (x * 3).sum().backward()
        assert seen == [(True, 2.0), (True, 5.0)]

    def test_order(self) -> None:
        x = leaf(1.0)
        seen: list[str] = []
        x.register_post_accumulate_grad_hook(lambda p: seen.append("first"))
        x.register_post_accumulate_grad_hook(lambda p: seen.append("second"))
        x.register_hook(lambda g: seen.append("gradient"))
        x.sum().backward()
        assert seen == ["gradient", "first", "second"]

    def test_an_optimiser_in_the_backward_pass(self) -> None:
        x = leaf(1.0, 2.0)

        def step(p: weft.Tensor) -> None:
            with weft.no_grad():
                p.sub_(p.grad, alpha=0.1)
            p.grad = None

        x.register_post_accumulate_grad_hook(step)
        (x * x).sum().backward()
        assert x.grad is None
        assert x.tolist() == pytest.approx([0.8, 1.6])

    def test_removal(self) -> None:
        x = leaf(1.0)
        seen: list[Any] = []
        x.register_post_accumulate_grad_hook(seen.append).remove()
        x.sum().backward()
        assert seen == []

    def test_not_called_by_grad(self) -> None:
        x = leaf(1.0)
        seen: list[Any] = []
        x.register_post_accumulate_grad_hook(seen.append)
        weft.autograd.grad(x.sum(), x)
        assert seen == []

    def test_leaves_only(self) -> None:
        for y in (weft.ones(1), leaf(1.0) * 2):
            with pytest.raises(GradientError, match="leaf tensor that requires grad"):
                y.register_post_accumulate_grad_hook(lambda p: None)
