"""Grad modes: as contexts, as decorators, in generators, threads and coroutines."""

from __future__ import annotations

import asyncio
import contextvars
import threading
from collections.abc import Generator, Iterator
from typing import Any

import pytest

import weft


@pytest.fixture(autouse=True)
def _mode_is_left_as_it_was() -> Iterator[None]:
    assert weft.is_grad_enabled()
    yield
    assert weft.is_grad_enabled()


OFF = [weft.no_grad, weft.inference_mode]


class TestContexts:
    @pytest.mark.parametrize("mode", OFF)
    def test_off(self, mode: Any) -> None:
        x = weft.ones(2, requires_grad=True)
        with mode():
            assert not weft.is_grad_enabled()
            y = x * 2
        assert not y.requires_grad
        assert y.is_leaf
        assert (x * 2).requires_grad

    def test_leaves_may_be_made(self) -> None:
        with weft.no_grad():
            x = weft.ones(2, requires_grad=True)
        assert x.requires_grad

    def test_nesting(self) -> None:
        seen = []
        with weft.no_grad():
            with weft.enable_grad():
                seen.append(weft.is_grad_enabled())
                with weft.no_grad():
                    seen.append(weft.is_grad_enabled())
                seen.append(weft.is_grad_enabled())
            seen.append(weft.is_grad_enabled())
        assert seen == [True, False, True, False]

    def test_after_an_error(self) -> None:
        with pytest.raises(KeyError), weft.no_grad():
            raise KeyError
        assert weft.is_grad_enabled()

    def test_one_object_entered_twice(self) -> None:
        mode = weft.no_grad()
        with mode:
            with weft.enable_grad(), mode:
                assert not weft.is_grad_enabled()
            assert not weft.is_grad_enabled()
        assert weft.is_grad_enabled()
        with mode:
            assert not weft.is_grad_enabled()

    def test_inference_mode_off(self) -> None:
        with weft.no_grad(), weft.inference_mode(False):
            assert weft.is_grad_enabled()

    def test_history_from_before_stays(self) -> None:
        x = weft.ones(2, requires_grad=True)
        y = (x * x).sum()
        with weft.no_grad():
            y.backward()
        assert x.grad.tolist() == [2.0, 2.0]


class TestSetGradEnabled:
    def test_as_a_context(self) -> None:
        for mode in (False, True):
            with weft.set_grad_enabled(mode):
                assert weft.is_grad_enabled() is mode
        assert weft.is_grad_enabled()

    def test_as_a_function(self) -> None:
        try:
            weft.set_grad_enabled(False)
            assert not weft.is_grad_enabled()
            assert not (weft.ones(2, requires_grad=True) * 2).requires_grad
        finally:
            weft.set_grad_enabled(True)

    def test_as_a_decorator(self) -> None:
        @weft.set_grad_enabled(False)
        def function() -> bool:
            return weft.is_grad_enabled()

        assert weft.is_grad_enabled()  # decorating changes nothing yet
        assert function() is False
        assert weft.is_grad_enabled()

    def test_takes_what_is_true_or_false(self) -> None:
        with weft.set_grad_enabled(0):  # type: ignore[arg-type]
            assert weft.is_grad_enabled() is False


class TestDecorators:
    @pytest.mark.parametrize("mode", OFF)
    @pytest.mark.parametrize("parentheses", [False, True])
    def test_off(self, mode: Any, parentheses: bool) -> None:
        def function(x: weft.Tensor, *, scale: float = 2.0) -> weft.Tensor:
            """Its own text."""
            return x * scale

        wrapped = (mode() if parentheses else mode)(function)
        x = weft.ones(2, requires_grad=True)
        y = wrapped(x, scale=3.0)
        assert y.tolist() == [3.0, 3.0]
        assert not y.requires_grad
        assert (wrapped.__name__, wrapped.__doc__) == ("function", "Its own text.")

    @pytest.mark.parametrize("parentheses", [False, True])
    def test_on(self, parentheses: bool) -> None:
        def function() -> bool:
            return weft.is_grad_enabled()

        wrapped = (weft.enable_grad() if parentheses else weft.enable_grad)(function)
        with weft.no_grad():
            assert wrapped() is True
            assert not weft.is_grad_enabled()

    def test_of_methods(self) -> None:
        class Model:
            scale = 3.0

            @weft.no_grad()
            def predict(self, x: weft.Tensor) -> weft.Tensor:
                return x * self.scale

        y = Model().predict(weft.ones(1, requires_grad=True))
        assert (y.item(), y.requires_grad) == (3.0, False)

    def test_recursion(self) -> None:
        @weft.no_grad()
        def function(depth: int) -> bool:
            return not weft.is_grad_enabled() and (depth == 0 or function(depth - 1))

        assert function(5)

    def test_after_an_error(self) -> None:
        @weft.no_grad()
        def function() -> None:
            raise KeyError

        with pytest.raises(KeyError):
            function()
        assert weft.is_grad_enabled()


class TestGenerators:
    """The mode holds while the generator runs, not while its caller does."""

    def test_does_not_leak(self) -> None:
        @weft.no_grad()
        def batches() -> Generator[bool, None, str]:
            yield weft.is_grad_enabled()
            yield weft.is_grad_enabled()
            return "done"

        inside, outside = [], []
        for enabled in batches():
            inside.append(enabled)
            outside.append(weft.is_grad_enabled())
        assert (inside, outside) == ([False, False], [True, True])

    def test_send_throw_and_return(self) -> None:
        @weft.no_grad()
        def conversation() -> Generator[Any, Any, str]:
            got = yield "first"
            try:
                yield got, weft.is_grad_enabled()
            except KeyError:
                yield "caught", weft.is_grad_enabled()
            return "done"

        generator = conversation()
        assert next(generator) == "first"
        assert generator.send(5) == (5, False)
        assert generator.throw(KeyError()) == ("caught", False)
        with pytest.raises(StopIteration) as stop:
            next(generator)
        assert stop.value.value == "done"

    def test_close(self) -> None:
        closed = []

        @weft.no_grad
        def endless() -> Generator[int, None, None]:
            try:
                while True:
                    yield 1
            finally:
                closed.append(weft.is_grad_enabled())

        generator = endless()
        next(generator)
        generator.close()
        assert closed == [False]

    def test_error_inside(self) -> None:
        @weft.no_grad()
        def broken() -> Generator[int, None, None]:
            yield 1
            raise KeyError

        generator = broken()
        next(generator)
        with pytest.raises(KeyError):
            next(generator)
        assert weft.is_grad_enabled()

    def test_a_context_inside_a_plain_generator(self) -> None:
        """Without the decorator a context in a generator holds for its caller too."""

        def plain() -> Generator[bool, None, None]:
            with weft.no_grad():
                yield weft.is_grad_enabled()

        generator = plain()
        assert next(generator) is False
        assert not weft.is_grad_enabled()
        generator.close()
        assert weft.is_grad_enabled()


class TestThreads:
    def test_each_has_its_own(self) -> None:
        off, done = threading.Event(), threading.Event()
        seen: dict[str, Any] = {}

        def other() -> None:
            seen["at first"] = weft.is_grad_enabled()
            with weft.no_grad():
                off.set()
                done.wait(10)
                seen["inside"] = weft.is_grad_enabled()

        with weft.no_grad():
            thread = threading.Thread(target=other)
            thread.start()
            off.wait(10)
        seen["here"] = weft.is_grad_enabled()
        done.set()
        thread.join()
        assert seen == {"at first": True, "inside": False, "here": True}

    def test_many_recording_at_once(self) -> None:
        """Half of them with gradients, half without."""
        start = threading.Barrier(4)
        results: list[Any] = [None] * 4

        def work(k: int) -> None:
            x = weft.tensor([float(k)], requires_grad=True)
            start.wait(10)
            y = x
            with weft.set_grad_enabled(k % 2 == 0):
                for _ in range(200):
                    y = y * 1.0 + x
            if k % 2 == 0:
                y.sum().backward()
            results[k] = (y.requires_grad, y.item(), None if x.grad is None else x.grad.item())

        threads = [threading.Thread(target=work, args=(k,)) for k in range(4)]
        for t in threads:
            t.start()
        for t in threads:
            t.join()
        assert results == [
            (True, 0.0, 201.0),
            (False, 201.0, None),
            (True, 402.0, 201.0),
            (False, 603.0, None),
        ]

    def test_coroutines_do_not_see_one_another_s(self) -> None:
        async def off() -> bool:
            with weft.no_grad():
                await asyncio.sleep(0.001)
                return weft.is_grad_enabled()

        async def on() -> bool:
            await asyncio.sleep(0)
            return weft.is_grad_enabled()

        async def both() -> list[bool]:
            return await asyncio.gather(off(), on())

        assert contextvars.copy_context().run(asyncio.run, both()) == [False, True]
