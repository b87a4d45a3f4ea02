"""Calls that are recorded once and run again without Python: :func:`compile`.

``recording.py`` says where the values of a recorded call come from and where they go,
``environment.py`` on which Python objects it rests, ``places.py`` how these are asked about,
``program.py`` runs it again, ``compiled.py`` is the function that users get.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, ParamSpec, TypeVar, overload

_OF_PYTORCH = {"backend", "dynamic", "fullgraph", "mode", "options"}

P = ParamSpec("P")
R = TypeVar("R")


@overload
def compile(step: Callable[P, R], /) -> Callable[P, R]: ...
@overload
def compile(step: None = None, /) -> Callable[[Callable[P, R]], Callable[P, R]]: ...
@overload
def compile(
    step: None = None, /, *, disable: bool = False, **options: Any
) -> Callable[[Callable[P, R]], Callable[P, R]]: ...
def compile(step: Any = None, /, *, disable: bool = False, **options: Any) -> Any:
    """The function, recorded once for each kind of call and then run again without Python.

    Give it a whole training step (forward, ``backward()`` and ``optimizer.step()``). What it
    records is planned as a whole and computed before it returns. Once two calls in a row have
    recorded the same, further ones run its native code alone: arguments of another shape or dtype,
    other numbers among the arguments, ``train()`` or ``eval()``, other globals or attributes of
    modules make it record anew; learning rates and other options of optimisers, random numbers,
    parameters, buffers and states are taken as they are at each call.

    Python inside the function (``print``, counting) then takes no part, so a function that keeps
    tensors elsewhere than in modules, optimisers and what it returns is run by Python each time.

    Args:
        step: a function or module. Left out, ``compile`` is a decorator.
        disable: gives the function back as it is.
        options: those of ``torch.compile``, which steer its compilers (``mode``, ``dynamic``,
            ``fullgraph``, ``backend``, ``options``), have no effect.

    Raises:
        TypeError: for other options, and what is no function.
        CompileError: from the call, if the function reads a value that is not computed yet.
    """
    if unknown := options.keys() - _OF_PYTORCH:
        raise TypeError(f"weft.compile has no option {', '.join(sorted(unknown))}")
    if step is None:
        return partial(compile, disable=disable)
    if disable:
        return step
    if not callable(step):
        raise TypeError(f"weft.compile takes a function or module, not {type(step).__name__}")
    from .compiled import Compiled  # here, not above: it takes modules and optimisers

    return Compiled(step)
