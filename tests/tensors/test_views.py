"""Views follow their base, and the base its views; strides and refusals are PyTorch's."""

from __future__ import annotations

from collections.abc import Callable
from itertools import product
from typing import Any

import numpy as np
import pytest

import weft
from weft.errors import GradientError, ShapeError

Cut = Callable[[Any], Any]

#: Each gives a view of a tensor with at least two dimensions of at least two elements.
VIEWS: dict[str, Cut] = {
    "t": lambda x: x.transpose(0, 1),
    "mT": lambda x: x.mT,
    "permute": lambda x: x.permute(*reversed(range(x.ndim))),
    "movedim": lambda x: x.movedim(0, -1),
    "select": lambda x: x.select(0, 1),
    "last": lambda x: x[..., -1],
    "slice": lambda x: x[:, 1:],
    "step": lambda x: x[..., ::2],
    "narrow": lambda x: x.narrow(0, 0, 1),
    "unsqueeze": lambda x: x.unsqueeze(1),
    "none": lambda x: x[None, :, None],
    "squeeze": lambda x: x.squeeze(),
    "view": lambda x: x.view(-1),
    "flatten": lambda x: x.flatten(0, 1),
    "unflatten": lambda x: x.unflatten(-1, (-1, 1)),
    "split": lambda x: x.split(1, 1)[-1],
    "chunk": lambda x: x.chunk(2)[0],
    "unbind": lambda x: x.unbind(-1)[0],
    "diagonal": lambda x: x.diagonal(0, 0, 1),
    "superdiagonal": lambda x: x.diagonal(1, -2, -1),
    "subdiagonal": lambda x: x.diagonal(-1, 0, -1),
    "detach": lambda x: x.detach(),
    "ellipsis": lambda x: x[...],
}
NAMES = list(VIEWS)
ONE_OF_SEVERAL = {"split", "chunk", "unbind"}  # PyTorch lets nobody write to these under autograd


def base(lib: Any = weft, **options: Any) -> Any:
    return lib.tensor(np.arange(24.0).reshape(2, 3, 4), dtype=lib.float64, **options)


def state(*tensors: Any) -> list[Any]:
    return [x.detach().tolist() for x in tensors]


@pytest.mark.parametrize("name", NAMES)
class TestBothWays:
    def test_view_follows_base(self, name: str) -> None:
        x = base()
        y = VIEWS[name](x)
        x.mul_(2).add_(1)
        assert y.tolist() == VIEWS[name](base() * 2 + 1).tolist()

    def test_base_follows_view(self, name: str) -> None:
        x = base()
        y = VIEWS[name](x)
        before = y.tolist()
        y += 100
        changed = (x - base()).sum().item()
        assert changed == 100 * y.numel()
        assert y.tolist() == (weft.tensor(before, dtype=weft.float64) + 100).tolist()
        assert VIEWS[name](x).tolist() == y.tolist()

    def test_one_view_follows_another(self, name: str) -> None:
        x = base()
        y, z = VIEWS[name](x), VIEWS[name](x)
        y.zero_()
        assert z.tolist() == y.tolist()

    def test_after_values_were_read(self, name: str) -> None:
        x = base()
        y = VIEWS[name](x)
        y.tolist()
        x[...] = -x
        assert y.tolist() == VIEWS[name](-base()).tolist()
        y[...] = 5
        x.tolist()
        assert set(np.ravel(VIEWS[name](x).numpy())) == {5.0}


def chain(lib: Any, names: tuple[str, ...]) -> tuple[Any, Any]:
    x = base(lib)
    y = x
    for name in names:
        y = VIEWS[name](y)
    return x, y


def fits(torch: Any, names: tuple[str, ...]) -> bool:
    """Does PyTorch take this chain of views?"""
    try:
        return chain(torch, names)[1].numel() > 0
    except (RuntimeError, IndexError):
        return False


@pytest.mark.parity
@pytest.mark.parametrize("first", NAMES)
class TestViewsOfViews:
    def test_layout(self, first: str, torch: Any) -> None:
        for second in NAMES:
            if fits(torch, (first, second)):
                found, wanted = (chain(lib, (first, second))[1] for lib in (weft, torch))
                assert found.tolist() == wanted.tolist(), second
                assert found.is_contiguous() == wanted.is_contiguous(), second
                shown = [n for n in wanted.shape if n != 1]
                strides = [
                    [step for step, n in zip(x.stride(), x.shape, strict=True) if n != 1]
                    for x in (found, wanted)
                ]
                assert strides[0] == strides[1], (second, shown)

    def test_writing(self, first: str, torch: Any) -> None:
        for second, third in product(NAMES, ("t", "step", "view", "select")):
            names = (first, second, third)
            if not fits(torch, names):
                continue
            results = []
            for lib in (weft, torch):
                x, y = chain(lib, names)
                y.mul_(2)
                x.add_(1)
                y[..., None][0] = -1
                results.append(state(x, y))
            assert results[0] == results[1], names

    def test_what_can_be_viewed(self, first: str, torch: Any) -> None:
        """view() refuses, and reshape() copies, where PyTorch's does."""
        for second in NAMES:
            if not fits(torch, (first, second)):
                continue
            outcomes = []
            for lib in (weft, torch):
                x, y = chain(lib, (first, second))
                try:
                    y.view(-1)
                    refused = False
                except RuntimeError:
                    refused = True
                y.reshape(-1).fill_(7)
                outcomes.append((refused, state(x)))
            assert outcomes[0] == outcomes[1], second


@pytest.mark.parity
@pytest.mark.parametrize("name", [n for n in NAMES if n not in ONE_OF_SEVERAL])
def test_gradients_through_views(name: str, torch: Any) -> None:
    """Of a tensor one view of which was changed in place."""
    results = []
    for lib in (weft, torch):
        x = base(lib, requires_grad=True)
        y = x * 2
        view = VIEWS[name](y)
        view.mul_(3)
        loss = (y * y).sum() + VIEWS[name](y).sum()
        loss.backward()
        results.append(state(y, x.grad))
    assert results[0] == results[1]


class TestRefusals:
    def test_expanded(self) -> None:
        x = weft.zeros(3, 1)
        with pytest.raises(ShapeError, match=r"expanded tensor .* x = x.clone\(\)"):
            x.expand(3, 2).add_(1)
        assert x.tolist() == [[0], [0], [0]]

    def test_a_view_of_an_expanded(self) -> None:
        x = weft.zeros(3, 1)
        with pytest.raises(ShapeError, match="several elements are one and the same"):
            x.expand(3, 2)[0].add_(1)
        assert x.tolist() == [[0], [0], [0]]

    @pytest.mark.parametrize("cut", [lambda x: x, lambda x: x[0], lambda x: x.view(-1)])
    def test_a_leaf_that_requires_grad(self, cut: Cut) -> None:
        x = weft.zeros(2, 2, requires_grad=True)
        with pytest.raises(GradientError, match=r"leaf tensor that requires grad.*no_grad"):
            cut(x).add_(1)
        assert x.tolist() == [[0, 0], [0, 0]]
        with weft.no_grad():
            cut(x).add_(1)
        assert x.sum().item() == cut(x).numel()
        assert x.is_leaf
        assert x.requires_grad

    def test_a_view_made_under_no_grad(self) -> None:
        x = weft.zeros(2, requires_grad=True) * 1
        with weft.no_grad():
            y = x[:1]
        with pytest.raises(GradientError, match="made under no_grad"):
            y.add_(1)

    def test_shape_and_dtype_stay(self) -> None:
        x = weft.zeros(2, dtype=weft.int64)
        with pytest.raises(RuntimeError, match=r"shape \[3, 2\], which does not fit .* \[2\]"):
            x.add_(weft.ones(3, 2, dtype=weft.int64))
        with pytest.raises(RuntimeError, match=r"weft.float32, which does not fit .* weft.int64"):
            x[:1].add_(0.5)
        assert x.tolist() == [0, 0]


class TestDetached:
    def test_shares_both_ways(self) -> None:
        x = weft.ones(2, requires_grad=True)
        y = x.detach()
        y.mul_(3)
        assert x.tolist() == [3, 3]
        with weft.no_grad():
            x.add_(1)
        assert y.tolist() == [4, 4]
        assert x.is_leaf
        assert not y.requires_grad

    def test_a_history_of_its_own(self) -> None:
        x = weft.ones(2, requires_grad=True)
        y = x.detach().requires_grad_()
        (x * 2 + y * 3).sum().backward()
        assert x.grad.tolist() == [2, 2]
        assert y.grad.tolist() == [3, 3]

    def test_data(self) -> None:
        x = weft.ones(2, requires_grad=True)
        x.data[0] = 5
        assert x.tolist() == [5, 1]
        x.data = weft.zeros(3)
        assert x.tolist() == [0, 0, 0]
        assert x.requires_grad
        assert x.is_leaf

    def test_the_gradient_sees_the_values_at_recording(self) -> None:
        """An in-place change spoils no gradient."""
        x = weft.tensor([2.0], requires_grad=True)
        y = x * 1
        z = y * y
        y.zero_()
        z.backward()
        assert x.grad.tolist() == [4]


class TestCopies:
    @pytest.mark.parametrize(
        "copy",
        [
            lambda x: x.clone(),
            lambda x: x + 0,
            lambda x: x.contiguous(),
            lambda x: x.reshape(-1),
            lambda x: x.flip(0),
            lambda x: x.to(weft.float32),
        ],
    )
    def test_are_apart(self, copy: Cut) -> None:
        x = base().permute(2, 1, 0)
        y = copy(x)
        y.zero_()
        assert x.tolist() == base().permute(2, 1, 0).tolist()

    @pytest.mark.parametrize(
        "same",
        [lambda x: x.contiguous(), lambda x: x.to(x.dtype), lambda x: x.cpu(), lambda x: +x],
    )
    def test_nothing_to_do(self, same: Cut) -> None:
        x = base()
        assert same(x) is x

    def test_a_view_outlives_its_base(self) -> None:
        x = base()
        y = x[0, 1:]
        x.add_(1)
        del x
        assert y.tolist() == (base()[0, 1:] + 1).tolist()


def test_a_changed_shape_is_no_view_of_another_tensor() -> None:
    x = weft.ones(2, 3, requires_grad=True)
    y = x * 2
    row = y[0]
    y.unsqueeze_(0)
    y.transpose_(1, 2)
    y.detach_()
    assert not y.requires_grad
    y.add_(1)
    assert (y.tolist(), row.tolist()) == ([[[3, 3], [3, 3], [3, 3]]], [3, 3, 3])
    with pytest.raises(weft.errors.GradientError, match=r"detach_\(\) of a view"):
        (x * 2)[0].unsqueeze_(0).detach_()


def test_the_shape_of_a_detached_tensor_changes_in_place() -> None:
    x = weft.ones(2, 3, requires_grad=True)
    d = x.detach()
    row = d[0]
    d.unsqueeze_(0)
    d.mul_(2)
    assert (d.tolist(), x.tolist()) == ([[[2] * 3] * 2], [[2] * 3] * 2)
    assert row.tolist() == [2, 2, 2]
    assert not d.detach_().requires_grad
    with pytest.raises(weft.errors.GradientError, match="shape of a leaf"):
        x.detach().requires_grad_().unsqueeze_(0)
