"""Small native functions, and a way to launch them."""

from __future__ import annotations

import ctypes
from collections.abc import Sequence
from functools import cache

from weft.engine.native import jit, threads
from weft.engine.native.threads_ir import BARRIER

#: Argument block: {runtime, n, output}.
TEXT = (
    BARRIER
    + """
; output[tid] += nt
define void @visit(ptr %argument, i64 %tid, i64 %nt) {
  %at = getelementptr i8, ptr %argument, i64 16
  %output = load ptr, ptr %at
  %mine = getelementptr i64, ptr %output, i64 %tid
  %old = load i64, ptr %mine
  %new = add i64 %old, %nt
  store i64 %new, ptr %mine
  ret void
}

; n rounds: thread (round mod nt) adds 1 to output[0], without any atomic, then all meet.
define void @turns(ptr %argument, i64 %tid, i64 %nt) {
entry:
  %pn = getelementptr i8, ptr %argument, i64 8
  %n = load i64, ptr %pn
  %at = getelementptr i8, ptr %argument, i64 16
  %output = load ptr, ptr %at
  br label %head
head:
  %round = phi i64 [ 0, %entry ], [ %next, %meet ]
  %more = icmp ult i64 %round, %n
  br i1 %more, label %body, label %done
body:
  %whose = urem i64 %round, %nt
  %mine = icmp eq i64 %whose, %tid
  br i1 %mine, label %add, label %meet
add:
  %old = load i64, ptr %output
  %new = add i64 %old, 1
  store i64 %new, ptr %output
  br label %meet
meet:
  call void @weft_barrier(ptr %argument, i64 %nt)
  %next = add i64 %round, 1
  br label %head
done:
  ret void
}
"""
)


@cache
def library() -> jit.Library:
    return jit.compile_module(TEXT, ["visit", "turns"])


def launch(
    name: str, n: int = 0, count: int | None = None, output: Sequence[int] = ()
) -> list[int]:
    """``output`` after a launch (at least 256 words)."""
    words = (ctypes.c_int64 * 256)(*output)
    block = (ctypes.c_int64 * 3)(threads.runtime_address(), n, ctypes.addressof(words))
    threads.launch(library().address(name), ctypes.addressof(block), count)
    return list(words)


def visited(count: int | None = None) -> int:
    """How many threads took part in a launch; each must know of the others."""
    words = [word for word in launch("visit", count=count) if word]
    assert words == [len(words)] * len(words)
    return len(words)
