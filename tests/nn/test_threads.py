"""Threads that call one module at once do not disturb one another."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import weft
from weft import nn

COUNT, TURNS = 6, 15


def in_threads(work: Callable[[int], Any]) -> list[Any]:
    """What each of several threads, all started at once, returns; an error of any is raised."""
    meet = threading.Barrier(COUNT, timeout=60)
    results: list[Any] = [None] * COUNT
    errors: list[BaseException] = []

    def run(k: int) -> None:
        try:
            meet.wait()
            results[k] = work(k)
        except BaseException as error:  # noqa: BLE001 (raised below)
            errors.append(error)

    threads = [threading.Thread(target=run, args=(k,)) for k in range(COUNT)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(120)
    assert not any(thread.is_alive() for thread in threads)
    if errors:
        raise errors[0]
    return results


def _model() -> nn.Sequential:
    weft.manual_seed(0)
    return nn.Sequential(
        nn.Linear(4, 8), nn.ReLU(), nn.Sequential(nn.LayerNorm(8), nn.Linear(8, 8)), nn.Linear(8, 2)
    )


def _input(k: int) -> Any:
    return weft.tensor(np.random.default_rng(k).normal(size=(3, 4)).astype("f4"))


def test_values_and_gradients() -> None:
    model = _model()
    params = list(model.parameters())

    def work(k: int) -> Any:
        out = []
        for turn in range(TURNS):
            y = model(_input(k * TURNS + turn))
            grads = weft.autograd.grad(y.square().sum(), params)
            out.append([y.detach().numpy(), *[g.numpy() for g in grads]])
        return out

    together = in_threads(work)
    for k in range(COUNT):
        for mine, alone in zip(together[k], work(k), strict=True):
            for a, b in zip(mine, alone, strict=True):
                np.testing.assert_allclose(a, b, 1e-5, 1e-6)


def test_backward_adds_up_what_all_threads_give() -> None:
    model = _model()

    def work(k: int) -> None:
        for turn in range(TURNS):
            loss = model(_input(k * TURNS + turn)).sum()
            with lock:  # as in PyTorch, adding to one .grad takes turns
                loss.backward()

    lock = threading.Lock()
    in_threads(work)
    together = [p.grad.numpy() for p in model.parameters()]
    model.zero_grad()
    for k in range(COUNT):
        work(k)
    for mine, p in zip(together, model.parameters(), strict=True):
        np.testing.assert_allclose(mine, p.grad.numpy(), 1e-3, 1e-3)


def test_hooks_see_the_inputs_of_their_own_thread() -> None:
    model = _model()
    seen: dict[int, list[Any]] = {}

    def hook(module: Any, args: Any, output: Any) -> None:
        seen.setdefault(threading.get_ident(), []).append(args[0][0, 0].item())

    model.register_forward_hook(hook)

    def work(k: int) -> Any:
        wanted = []
        for turn in range(TURNS):
            x = _input(k * TURNS + turn)
            wanted.append(x[0, 0].item())
            model(x)
        return seen[threading.get_ident()], wanted

    for mine, wanted in in_threads(work):
        assert mine == wanted


def test_hooks_come_and_go_while_others_call() -> None:
    model = _model()

    def work(k: int) -> int:
        calls = 0
        for turn in range(TURNS):
            if k % 2:
                with model[0].register_forward_hook(lambda m, a, y: None):
                    model(_input(turn))
            else:
                model(_input(turn)).sum().item()
            calls += 1
        return calls

    assert in_threads(work) == [TURNS] * COUNT
    assert not model[0]._forward_hooks


def test_errors_name_the_module_of_their_own_thread() -> None:
    class Net(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.first, self.second = nn.Linear(4, 4), nn.Linear(5, 4)

        def forward(self, x: Any, which: str) -> Any:
            return getattr(self, which)(x)

    net = Net()

    def work(k: int) -> list[str]:
        texts = []
        for _ in range(TURNS):
            which, size = ("first", 5) if k % 2 else ("second", 4)
            with pytest.raises(weft.errors.ShapeError) as caught:
                net(weft.ones(1, size), which)
            texts.append(str(caught.value))
        return texts

    for k, texts in enumerate(in_threads(work)):
        name, other = ("'first'", "'second'") if k % 2 else ("'second'", "'first'")
        assert all(name in text and other not in text for text in texts)


def test_modes_of_one_thread_are_not_those_of_another() -> None:
    model = _model()

    def work(k: int) -> Any:
        out = []
        for turn in range(TURNS):
            if k % 3 == 0:
                with weft.no_grad():
                    out.append(model(_input(turn)).requires_grad)
            elif k % 3 == 1:
                with weft.autocast("cpu"):
                    out.append(model(_input(turn)).dtype is weft.bfloat16)
            else:
                y = model(_input(turn))
                out.append(y.requires_grad and y.dtype is weft.float32)
        return out

    for k, out in enumerate(in_threads(work)):
        assert out == [k % 3 != 0] * TURNS
