"""Threads for native code: a function is run on several of them at once, without the interpreter.

What is launched is ``void fn(ptr argument, i64 tid, i64 nt)``. The first word at ``argument`` is
``runtime_address()``; behind it lies what the function pleases. There, two words: the address of
``void barrier(ptr context, i64 nt)`` and the context. Generated code includes ``BARRIER`` and calls
``@weft_barrier(ptr %argument, i64 %nt)``. A barrier orders memory: what any thread wrote before it
is seen by all after it. Every thread of a launch must call it equally often.
"""

from __future__ import annotations

import ctypes
import os
import threading
from functools import cache
from typing import NamedTuple

from . import jit
from .processors import get_num_threads
from .target import host
from .threads_ir import MAX_THREADS, runtime, waiting_here

_lock = threading.RLock()  # one launch at a time; a handler of signals may launch, too


class _Runtime(NamedTuple):
    library: jit.Library  # workers run in it: never given up
    launch: ctypes._CFunctionType
    stop: ctypes._CFunctionType
    address: int


def launch(function: int, argument: int, threads: int | None = None) -> None:
    """Runs a native function on the caller (thread 0) and on workers; returns when all are done.

    Workers are made when first needed. If the system refuses more, fewer take part: the function
    works with the ``nt`` that it is given. Ctrl-C has its effect after the launch.

    Args:
        function: address of ``void fn(ptr argument, i64 tid, i64 nt)``.
        argument: address of its argument block, which starts with ``runtime_address()``.
        threads: how many; as ``get_num_threads`` says if left out, at most 256.
    """
    native = _runtime()
    if threads == 1:
        native.launch(function, argument, 1)
        return
    wanted = min(get_num_threads() if threads is None else threads, MAX_THREADS)
    with _lock:
        native.launch(function, argument, wanted)


def runtime_address() -> int:
    """The first word of every argument block: where barrier and context are found."""
    return _runtime().address


@cache
def _runtime() -> _Runtime:
    arch = host().arch
    native = _load(runtime(arch, waiting_here(arch)))
    if hasattr(os, "register_at_fork"):
        os.register_at_fork(
            before=_before_fork, after_in_parent=_lock.release, after_in_child=_lock.release
        )
    return native


def _load(text: str) -> _Runtime:
    library = jit.compile_module(text, ["weft_launch", "weft_stop", "weft_runtime"])
    word = ctypes.c_void_p
    return _Runtime(
        library,
        ctypes.CFUNCTYPE(None, word, word, ctypes.c_int64)(library.address("weft_launch")),
        ctypes.CFUNCTYPE(None)(library.address("weft_stop")),
        ctypes.CFUNCTYPE(word)(library.address("weft_runtime"))(),
    )


def _before_fork() -> None:
    """A child has none of its parent's threads: none is there, and no launch, while it is made."""
    _lock.acquire()
    _runtime().stop()
