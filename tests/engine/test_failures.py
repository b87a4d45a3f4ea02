"""Errors in the data, found when the graph runs: what they say, and what stays as it was."""

from __future__ import annotations

import gc
import inspect
import threading
import weakref
from typing import Any

import numpy as np
import pytest

import weft
from weft import nn
from weft.errors import IndexOutOfRange

GOOD, BAD = [0, 4], [0, 5]


class Words(nn.Module):
    """A table of five words, looked up by index, and a projection."""

    def __init__(self) -> None:
        super().__init__()
        self.table = nn.Parameter(weft.ones(5, 3))
        self.project = nn.Linear(3, 1)

    def forward(self, index: weft.Tensor) -> weft.Tensor:
        return self.project(self.table[index])


class Model(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.words = Words()

    def forward(self, index: weft.Tensor) -> weft.Tensor:
        return self.words(index)


class Training:
    def __init__(self, optimizer: str = "momentum") -> None:
        weft.manual_seed(0)
        self.model = Model()
        parameters = self.model.parameters()
        self.optimizer = {
            "plain": lambda: weft.optim.SGD(parameters, lr=0.1),
            "momentum": lambda: weft.optim.SGD(parameters, lr=0.1, momentum=0.9),
            "adam": lambda: weft.optim.Adam(parameters, lr=0.1),
        }[optimizer]()

    def step(self, index: list[int]) -> weft.Tensor:
        self.optimizer.zero_grad()
        loss = self.model(weft.tensor(index)).sum()
        loss.backward()
        self.optimizer.step()
        return loss

    def values(self) -> list[Any]:
        state = [
            v
            for p in self.model.parameters()
            for v in self.optimizer.state.get(p, {}).values()
            if isinstance(v, weft.Tensor)
        ]
        return [x.detach().numpy() for x in [*self.model.parameters(), *state]]


class TestTheError:
    def test_says_what_and_where(self) -> None:
        x = weft.ones(5, 3)
        y = x[weft.tensor(BAD)] + 1
        line = inspect.currentframe().f_lineno - 1  # type: ignore[union-attr]
        with pytest.raises(IndexOutOfRange) as caught:
            y.tolist()
        text = str(caught.value)
        assert "take: index 5 is out of range for a dimension of size 5" in text
        assert f"{__file__}:{line} in test_says_what_and_where" in text

    def test_is_an_index_error(self) -> None:
        with pytest.raises(IndexError):
            weft.ones(5)[weft.tensor(BAD)].tolist()

    def test_names_the_module(self) -> None:
        line = inspect.getsourcelines(Words.forward)[1] + 1
        with pytest.raises(IndexOutOfRange) as caught:
            Training().step(BAD).item()
        text = str(caught.value)
        assert f"{__file__}:{line} in forward, module 'words'" in text

    def test_in_backward_names_the_forward_line(self) -> None:
        """What backward() records carries the address of the op that it differentiates."""
        x = weft.ones(5, requires_grad=True)
        y = x[weft.tensor(BAD)].sum()
        line = inspect.currentframe().f_lineno - 1  # type: ignore[union-attr]
        y.backward()
        with pytest.raises(IndexOutOfRange, match=f":{line} in "):
            x.grad.tolist()

    @pytest.mark.parametrize(
        ("op", "use"),
        [
            ("put", lambda x, i: x.__setitem__(i, 1.0)),
            ("put_add", lambda x, i: x.index_add_(0, i, weft.ones(2))),
            ("take", lambda x, i: x.copy_(x.index_select(0, i).sum().expand(5))),
        ],
    )
    def test_of_each_op(self, op: str, use: Any) -> None:
        x = weft.zeros(5) + 0
        y = x * 1
        use(y, weft.tensor(BAD))
        with pytest.raises(IndexOutOfRange, match=f"{op}: index 5 is out of range"):
            weft.realize(y)

    def test_again_and_again(self) -> None:
        y = weft.ones(5)[weft.tensor(BAD)]
        texts = set()
        for _ in range(3):
            with pytest.raises(IndexOutOfRange) as caught:
                y.tolist()
            texts.add(str(caught.value))
        assert len(texts) == 1

    def test_realize_raises_only_for_what_it_is_given(self) -> None:
        y = weft.ones(5)[weft.tensor(BAD)]
        weft.realize()
        with pytest.raises(IndexOutOfRange):
            weft.realize(y)

    def test_holds_nothing(self) -> None:
        x = weft.ones(5)
        y = x[weft.tensor(BAD)]
        with pytest.raises(IndexOutOfRange):
            y.tolist()
        gone = weakref.ref(y)
        del y
        gc.collect()
        assert gone() is None


class TestWhatDependsOnIt:
    def test_pending_consumers(self) -> None:
        x = weft.ones(5)
        bad = x[weft.tensor(BAD)]
        consumer, other = bad.sum() * 2, x.sum() * 2
        for _ in range(2):
            with pytest.raises(IndexOutOfRange, match="index 5"):
                consumer.item()
        assert other.item() == 10.0

    def test_later_consumers(self) -> None:
        bad = weft.ones(5)[weft.tensor(BAD)]
        with pytest.raises(IndexOutOfRange):
            bad.tolist()
        later, other = bad * 2 + 1, weft.ones(2) + 1
        assert other.tolist() == [2.0, 2.0]
        with pytest.raises(IndexOutOfRange, match="take: index 5"):
            later.tolist()

    def test_the_first_of_two_errors(self) -> None:
        x = weft.ones(5)
        both = x[weft.tensor(BAD)].sum() + x[weft.tensor([9])].sum()
        with pytest.raises(IndexOutOfRange, match="index 5"):
            both.item()

    def test_two_errors_in_one_run(self) -> None:
        x = weft.ones(5)
        first, second = x[weft.tensor(BAD)], x[weft.tensor([9])]
        with pytest.raises(IndexOutOfRange, match="index 5"):
            first.tolist()
        with pytest.raises(IndexOutOfRange, match="index 9"):
            second.tolist()

    def test_before_and_after_in_the_same_run(self) -> None:
        x = weft.ones(5)
        before = x + 1
        bad = before[weft.tensor(BAD)]
        after = before + 1
        with pytest.raises(IndexOutOfRange):
            bad.tolist()
        assert (before.tolist(), after.tolist()) == ([2.0] * 5, [3.0] * 5)


class TestChangesInPlace:
    """If one fails, it has not been made, nor any that its thread made after the op that failed: as
    if ops ran at once and the program had stopped there.
    """

    def test_are_undone(self) -> None:
        x = weft.tensor([1.0, 2.0])
        x += weft.ones(5)[weft.tensor(BAD)]
        with pytest.raises(IndexOutOfRange):
            weft.realize()
        assert x.tolist() == [1.0, 2.0]

    def test_those_before_stay(self) -> None:
        x = weft.tensor([1.0, 2.0])
        x += 1
        x[weft.tensor([7])] = 5.0
        with pytest.raises(IndexOutOfRange):
            weft.realize()
        assert x.tolist() == [2.0, 3.0]

    @pytest.mark.parametrize("times", [1, 2, 3])
    def test_those_before_stay_also_if_there_are_later_ones(self, times: int) -> None:
        x = weft.tensor([1.0, 2.0])
        for _ in range(times):
            x += 1
        bad = weft.ones(5)[weft.tensor(BAD)]
        for _ in range(times):
            x += 10
        x += bad
        x += 100
        with pytest.raises(IndexOutOfRange):
            weft.realize()
        assert x.tolist() == [1.0 + times, 2.0 + times]

    def test_later_ones_of_other_tensors_are_undone(self) -> None:
        before, after = weft.tensor([1.0]), weft.tensor([1.0])
        before += 1
        x = weft.tensor([1.0, 2.0])
        x += weft.ones(5)[weft.tensor(BAD)]
        after += 1
        with pytest.raises(IndexOutOfRange):
            weft.realize()
        assert (before.tolist(), after.tolist()) == ([2.0], [1.0])

    def test_a_mere_value_that_fails_undoes_nothing(self) -> None:
        bad = weft.ones(5)[weft.tensor(BAD)]
        x = weft.tensor([1.0])
        x += 1
        assert x.tolist() == [2.0]
        with pytest.raises(IndexOutOfRange):
            bad.tolist()

    def test_later_runs_work(self) -> None:
        x = weft.tensor([1.0, 2.0])
        x[weft.tensor([7])] = 5.0
        with pytest.raises(IndexOutOfRange):
            weft.realize()
        x += 1
        assert x.tolist() == [2.0, 3.0]

    def test_views_follow(self) -> None:
        x = weft.tensor([1.0, 2.0])
        view, alias = x[1:], x.detach()
        view += weft.ones(5)[weft.tensor([7])]
        with pytest.raises(IndexOutOfRange):
            weft.realize()
        assert (x.tolist(), view.tolist(), alias.tolist()) == ([1.0, 2.0], [2.0], [1.0, 2.0])
        x += 1
        assert (x.tolist(), view.tolist(), alias.tolist()) == ([2.0, 3.0], [3.0], [2.0, 3.0])

    def test_through_an_alias(self) -> None:
        x = weft.tensor([1.0, 2.0], requires_grad=True)
        x.detach().add_(weft.ones(5)[weft.tensor(BAD)])
        with pytest.raises(IndexOutOfRange):
            weft.realize()
        assert x.tolist() == [1.0, 2.0]
        (x * x).sum().backward()
        assert x.grad.tolist() == [2.0, 4.0]

    def test_accumulated_gradients(self) -> None:
        """Those of the first batch stay, whether or not they have been computed."""
        for run in (True, False):
            w = weft.ones(5, requires_grad=True)
            w[weft.tensor(GOOD)].sum().backward()
            if run:
                weft.realize()
            w[weft.tensor(BAD)].sum().backward()
            with pytest.raises(IndexOutOfRange):
                weft.realize()
            assert w.grad.tolist() == [1.0, 0.0, 0.0, 0.0, 1.0]

    def test_of_other_threads_stay(self) -> None:
        mine = weft.tensor([1.0, 2.0])
        theirs = weft.tensor([1.0])
        mine += weft.ones(5)[weft.tensor(BAD)]
        thread = threading.Thread(target=lambda: theirs.add_(1))
        thread.start()
        thread.join()
        with pytest.raises(IndexOutOfRange):
            weft.realize()
        assert (mine.tolist(), theirs.tolist()) == ([1.0, 2.0], [2.0])


class TestTraining:
    def fail(self, training: Training) -> None:
        with pytest.raises(IndexOutOfRange, match="take: index 5"):
            training.step(BAD)

    @pytest.mark.parametrize("optimizer", ["plain", "momentum", "adam"])
    def test_a_failed_step_changes_nothing(self, optimizer: str) -> None:
        training = Training(optimizer)
        for _ in range(3):
            training.step(GOOD)
        before = training.values()
        other = weft.tensor(2.0) * 3
        self.fail(training)
        assert other.item() == 6.0
        for a, b in zip(before, training.values(), strict=True):
            np.testing.assert_array_equal(a, b)

    @pytest.mark.parametrize(
        ("optimizer", "good_steps"),
        [("plain", 0), ("plain", 3), ("momentum", 1), ("momentum", 3), ("adam", 1), ("adam", 3)],
    )
    def test_goes_on_as_if_it_had_not_been(self, optimizer: str, good_steps: int) -> None:
        training, same = Training(optimizer), Training(optimizer)
        for each in (training, same):
            for _ in range(good_steps):
                each.step(GOOD)
        self.fail(training)
        self.fail(training)
        for each in (training, same):
            for _ in range(3):
                each.step(GOOD)
        for a, b in zip(same.values(), training.values(), strict=True):
            np.testing.assert_array_equal(a, b)

    def test_after_the_error_was_seen_in_the_loss(self) -> None:
        training = Training()
        training.step(GOOD)
        before = training.values()
        training.optimizer.zero_grad()
        loss = training.model(weft.tensor(BAD)).sum()
        with pytest.raises(IndexOutOfRange):
            loss.item()
        loss.backward()
        with pytest.raises(IndexOutOfRange):
            training.optimizer.step()
        for a, b in zip(before, training.values(), strict=True):
            np.testing.assert_array_equal(a, b)

    def test_running_statistics(self) -> None:
        norm = nn.BatchNorm1d(3)
        table = weft.ones(5, 3)
        norm(table[weft.tensor(GOOD)]).sum().item()
        before = {k: v.tolist() for k, v in norm.state_dict().items()}
        with pytest.raises(IndexOutOfRange):
            norm(table[weft.tensor(BAD)]).sum().item()
        assert {k: v.tolist() for k, v in norm.state_dict().items()} == before
