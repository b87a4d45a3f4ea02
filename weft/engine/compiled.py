"""``weft.compile`` and ``weft.explain``: native code at the first call, and what is in it."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any, ParamSpec, TypeVar, overload

from ..errors import UnsupportedOp
from . import realize

P = ParamSpec("P")
R = TypeVar("R")


@overload
def compile(step: Callable[P, R], /) -> Callable[P, R]: ...
@overload
def compile(step: None = None, /) -> Callable[[Callable[P, R]], Callable[P, R]]: ...
def compile(step: Any = None, /, **options: Any) -> Any:
    """The function, run by native code from its first call on.

    What the function records is planned as a whole and computed before it returns: give it a whole
    training step (forward, ``backward()`` and ``optimizer.step()``), of which only what somebody
    still holds is stored. The function itself runs at each call, so that learning rates, random
    numbers, ``train()`` and ``eval()``, any Python in it, and parameters changed outside it have
    their effect. Native code is made once for each structure of the graph.

    Without it, a graph is compiled when it has come up for the third time.

    Args:
        step: a function or module. Left out, ``compile`` is a decorator.

    Raises:
        UnsupportedOp: for options of ``torch.compile``, which steer its compilers.
    """
    if options:
        raise UnsupportedOp(
            f"weft.compile has no option {', '.join(sorted(options))}: it takes the function alone"
        )
    if step is None:
        return compile
    if not callable(step):
        raise TypeError(f"weft.compile takes a function or module, not {type(step).__name__}")

    @wraps(step)
    def compiled(*args: Any, **kwargs: Any) -> Any:
        with realize.native_at_once():
            result = step(*args, **kwargs)
            realize.realize_pending()
        return result

    return compiled


def explain(function: Callable[..., Any], /, *args: Any, **kwargs: Any) -> str:
    """Calls the function and tells how what it records is computed.

    Returns:
        for each graph that is run during the call: its kernels in order, with the ops that were
        fused in each, what they compute and move, and the ops that the reference interpreter runs
        because no kernel can be written for them.
    """
    from .native.explain import explain_program

    realize.realize_pending()
    with realize.native_at_once(), realize.watched() as programs:
        result = function(*args, **kwargs)
        realize.realize_pending()
    del result
    return "\n\n".join(explain_program(p) for p in programs)


def profile(function: Callable[..., Any], /, *args: Any, **kwargs: Any) -> str:
    """Calls the function several times and tells what each of its kernels takes.

    The kernels are run one by one for this, each by all threads; the least of five times counts.
    What is not in a kernel (recording, starting threads) is not in the sum.

    Returns:
        for each graph that is run during a call: its time, and for each kernel its time, share,
        arithmetic per second, how many there are that are equal, and what :func:`explain` says.
    """
    from .native.explain import profile_program

    with realize.native_at_once(), realize.watched() as programs:
        for _ in range(2):  # the first call may differ: it makes gradients and optimisers' states
            realize.realize_pending()
            programs.clear()
            function(*args, **kwargs)
        realize.realize_pending()
        seen = list(dict.fromkeys(programs))
        for program in seen:
            program.times = []
        try:
            for _ in range(5):
                function(*args, **kwargs)
                realize.realize_pending()
            return "\n\n".join(profile_program(p, p.times or []) for p in seen if p.times)
        finally:
            for program in seen:
                program.times = None
