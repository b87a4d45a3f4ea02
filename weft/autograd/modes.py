"""Grad mode: whether what is recorded remembers how to be differentiated."""

from __future__ import annotations

from collections.abc import Callable, Generator
from functools import wraps
from inspect import isgeneratorfunction
from typing import Any, ParamSpec, TypeVar

from ..graph.modes import grad_enabled, grad_mode

P = ParamSpec("P")
R = TypeVar("R")
F = TypeVar("F", bound=Callable[..., Any])


class _Mode:
    """A context manager and decorator that sets grad mode; may be entered again while active."""

    def __init__(self, mode: bool) -> None:
        self._mode = mode
        self._before: list[bool] = []

    def __enter__(self) -> None:
        self._before.append(grad_enabled())
        grad_mode.set(self._mode)

    def __exit__(self, *exc: object) -> None:
        grad_mode.set(self._before.pop())

    def __call__(self, function: F) -> F:
        mode = self._mode
        if isgeneratorfunction(function):
            return _generator_in(mode, function)  # type: ignore[return-value]

        @wraps(function)
        def wrapped(*args: Any, **kwargs: Any) -> Any:
            before = grad_enabled()
            grad_mode.set(mode)
            try:
                return function(*args, **kwargs)
            finally:
                grad_mode.set(before)

        return wrapped  # type: ignore[return-value]


def _generator_in(
    mode: bool, function: Callable[P, Generator[Any, Any, R]]
) -> Callable[P, Generator[Any, Any, R]]:
    """The mode holds while the generator runs, not while its caller does."""

    @wraps(function)
    def wrapped(*args: P.args, **kwargs: P.kwargs) -> Generator[Any, Any, R]:
        generator = function(*args, **kwargs)
        sent: Any = None
        thrown: BaseException | None = None
        while True:
            before = grad_enabled()
            grad_mode.set(mode)
            try:
                item = generator.send(sent) if thrown is None else generator.throw(thrown)
            except StopIteration as stop:
                return stop.value  # type: ignore[no-any-return]
            finally:
                grad_mode.set(before)
            sent, thrown = None, None
            try:
                sent = yield item
            except GeneratorExit:
                before = grad_enabled()
                grad_mode.set(mode)
                try:
                    generator.close()
                finally:
                    grad_mode.set(before)
                raise
            except BaseException as error:  # noqa: BLE001 (it is the generator's to handle)
                thrown = error

    return wrapped


class no_grad(_Mode):  # noqa: N801 (PyTorch's name)
    """Within it (or in a function decorated with it) nothing remembers its history.

    Used as ``with weft.no_grad():``, ``@weft.no_grad()`` or ``@weft.no_grad``.
    """

    def __new__(cls, function: Callable[..., Any] | None = None) -> Any:
        self = object.__new__(cls)
        if function is None:
            return self
        _Mode.__init__(self, False)
        return self(function)

    def __init__(self, function: None = None) -> None:
        super().__init__(False)


class enable_grad(_Mode):  # noqa: N801
    """Within it histories are recorded, also inside a ``no_grad``."""

    def __new__(cls, function: Callable[..., Any] | None = None) -> Any:
        self = object.__new__(cls)
        if function is None:
            return self
        _Mode.__init__(self, True)
        return self(function)

    def __init__(self, function: None = None) -> None:
        super().__init__(True)


class set_grad_enabled(_Mode):  # noqa: N801
    """Sets grad mode at once; as a context, until its end."""

    def __init__(self, mode: bool) -> None:
        super().__init__(bool(mode))
        self._outer = grad_enabled()
        grad_mode.set(self._mode)

    def __enter__(self) -> None:
        self._before.append(self._outer)
        grad_mode.set(self._mode)

    def __call__(self, function: F) -> F:
        grad_mode.set(self._outer)
        return super().__call__(function)


class inference_mode(_Mode):  # noqa: N801
    """Like :class:`no_grad`; ``inference_mode(False)`` leaves grad mode on."""

    def __new__(cls, mode: Any = True) -> Any:
        self = object.__new__(cls)
        if not callable(mode):
            return self
        _Mode.__init__(self, False)
        return self(mode)

    def __init__(self, mode: bool = True) -> None:
        super().__init__(not mode)


def is_grad_enabled() -> bool:
    """Are histories recorded now?"""
    return grad_enabled()
