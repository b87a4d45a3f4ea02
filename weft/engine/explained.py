"""``weft.explain`` and ``weft.profile``: what is in native code, and what it takes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from . import realize


def explain(function: Callable[..., Any], /, *args: Any, **kwargs: Any) -> str:
    """Calls the function and tells how what it records is computed.

    Returns:
        for each graph that is run during the call: its kernels in order, with the ops that were
        fused in each, what they compute and move, and the ops that the reference interpreter runs
        because no kernel can be written for them. On other devices than the CPU: arithmetic,
        bytes, memory and collectives of the program that XLA has made.
    """
    realize.realize_pending()
    with realize.native_at_once(), realize.watched() as programs:
        _run(function, args, kwargs)
    return "\n\n".join(_explained(p) for p in programs)


def _run(function: Callable[..., Any], args: Any, kwargs: Any) -> None:
    """Calls the function and computes what it gives."""
    result = function(*args, **kwargs)  # (held meanwhile: nobody else may need it)
    realize.realize_pending()
    del result


def _explained(program: Any) -> str:
    from .native.program import Native

    if isinstance(program, Native):
        from .native.explain import explain_program

        return explain_program(program)
    from .xla.explain import explain_program as explain_compiled

    return explain_compiled(program)


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
            _run(function, args, kwargs)
        seen = list(dict.fromkeys(programs))
        for program in seen:
            program.times = []
        try:
            for _ in range(5):
                _run(function, args, kwargs)
            return "\n\n".join(profile_program(p, p.times or []) for p in seen if p.times)
        finally:
            for program in seen:
                program.times = None
