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

; output[tid] = 1; then waits until n is not 0; output[tid] = 2
define void @hold(ptr %argument, i64 %tid, i64 %nt) {
entry:
  %pn = getelementptr i8, ptr %argument, i64 8
  %at = getelementptr i8, ptr %argument, i64 16
  %output = load ptr, ptr %at
  %mine = getelementptr i64, ptr %output, i64 %tid
  store atomic i64 1, ptr %mine release, align 8
  br label %wait
wait:
  %n = load atomic i64, ptr %pn acquire, align 8
  %held = icmp eq i64 %n, 0
  br i1 %held, label %wait, label %done
done:
  store i64 2, ptr %mine
  ret void
}

; n rounds over output[0..127]: each word becomes itself plus twice its right neighbour, which
; another thread computes; the halves of output take turns as source and target.
define void @mix(ptr %argument, i64 %tid, i64 %nt) {
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
  %odd = and i64 %round, 1
  %from = mul i64 %odd, 128
  %to = sub i64 128, %from
  br label %words
words:
  %i = phi i64 [ %tid, %body ], [ %following, %word ]
  %left = icmp ult i64 %i, 128
  br i1 %left, label %word, label %meet
word:
  %right = add i64 %i, 1
  %wrapped = and i64 %right, 127
  %ia = add i64 %from, %i
  %ib = add i64 %from, %wrapped
  %ic = add i64 %to, %i
  %pa = getelementptr i64, ptr %output, i64 %ia
  %pb = getelementptr i64, ptr %output, i64 %ib
  %pc = getelementptr i64, ptr %output, i64 %ic
  %a = load i64, ptr %pa
  %b = load i64, ptr %pb
  %b2 = shl i64 %b, 1
  %c = add i64 %a, %b2
  store i64 %c, ptr %pc
  %following = add i64 %i, %nt
  br label %words
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
    return jit.compile_module(TEXT, ["visit", "turns", "hold", "mix"])


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
