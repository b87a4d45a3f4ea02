"""The native threads, as LLVM IR: barrier, worker, launch. ``threads.py`` says what they do.

Three ways to wait for work, by system: a futex (Linux), a condition variable (other POSIX), and no
workers at all (elsewhere). Waiting starts with a spin: a worker that sleeps takes 50 µs and more to
come back, one that spins takes none.
"""

from __future__ import annotations

import signal
import sys
import time
from string import Template

#: Workers and caller together; further threads are not made.
MAX_THREADS = 256

#: What generated code includes to meet the other threads: ``call void @weft_barrier(ptr %argument,
#: i64 %nt)`` with its own first and last arguments. It holds no address, so the code can be kept.
BARRIER = """
define internal void @weft_barrier(ptr %argument, i64 %nt) alwaysinline {
  %runtime = load ptr, ptr %argument, align 8
  %barrier = load ptr, ptr %runtime, align 8
  %second = getelementptr i8, ptr %runtime, i64 8
  %context = load ptr, ptr %second, align 8
  call void %barrier(ptr %context, i64 %nt)
  ret void
}
"""

# Context: 0 workers made | 128 how many have reached the barrier | 256 how often it has opened; on
# lines of their own, because different threads write them.
# Slot of a worker: 0 number of its launches (i32) | 4 asleep (i32) | 8 its thread number
#   16 function, null to end | 24 argument | 32 threads of this launch | 40 its pthread_t
#   64 mutex | 128 condition variable (where there is no futex)
_COMMON = """
@context = internal global [384 x i8] zeroinitializer, align 128
@slots = internal global [$max x [256 x i8]] zeroinitializer, align 128
@runtime = internal constant { ptr, ptr } { ptr @barrier, ptr @context }, align 16

define ptr @weft_runtime() {
  ret ptr @runtime
}
"""

# One thread, on systems without POSIX threads.
_SOLO = """
define internal void @barrier(ptr %context, i64 %nt) {
  ret void
}

define void @weft_launch(ptr %fn, ptr %argument, i64 %wanted) {
  call void %fn(ptr %argument, i64 0, i64 1)
  ret void
}

define void @weft_stop() {
  ret void
}
"""

_POSIX = """
declare void @llvm.memset.p0.i64(ptr, i8, i64, i1)
declare i32 @sched_yield()
declare i32 @clock_gettime(i32, ptr)
declare i32 @pthread_create(ptr, ptr, ptr, ptr)
declare i32 @pthread_join(ptr, ptr)
declare i32 @pthread_sigmask(i32, ptr, ptr)
declare i32 @sigfillset(ptr)
declare i32 @sigdelset(ptr, i32)

define internal void @barrier(ptr %context, i64 %nt) noinline {
entry:
  %alone = icmp eq i64 %nt, 1
  br i1 %alone, label %open, label %arrive
arrive:
  %reached = getelementptr i8, ptr %context, i64 128
  %opened = getelementptr i8, ptr %context, i64 256
  %before = load atomic i32, ptr %opened acquire, align 4
  %others = atomicrmw add ptr %reached, i32 1 acq_rel
  %all = trunc i64 %nt to i32
  %mine = add i32 %others, 1
  %last = icmp eq i32 %mine, %all
  br i1 %last, label %release, label %spin
release:
  store atomic i32 0, ptr %reached monotonic, align 4
  %next = add i32 %before, 1
  store atomic i32 %next, ptr %opened release, align 4
  ret void
spin:
  %n = phi i32 [ 0, %arrive ], [ %more, %again ]
  %now = load atomic i32, ptr %opened acquire, align 4
  %moved = icmp ne i32 %now, %before
  br i1 %moved, label %open, label %wait
wait:
  call void @relax()
  %more = add i32 %n, 1
  %long = icmp ugt i32 %more, 1000
  br i1 %long, label %yield, label %again
yield:
  %ignored = call i32 @sched_yield()
  br label %again
again:
  %kept = phi i32 [ %more, %wait ], [ 1000, %yield ]
  br label %spin
open:
  ret void
}

define internal i64 @nanoseconds() {
  %both = alloca { i64, i64 }, align 8
  %ignored = call i32 @clock_gettime(i32 $clock, ptr %both)
  %s = load i64, ptr %both, align 8
  %second = getelementptr i8, ptr %both, i64 8
  %ns = load i64, ptr %second, align 8
  %scaled = mul i64 %s, 1000000000
  %sum = add i64 %scaled, %ns
  ret i64 %sum
}

; Waits until the slot's number of launches is no longer %seen, and returns it.
define internal i32 @work(ptr %slot, i32 %seen) noinline {
entry:
  %start = call i64 @nanoseconds()
  br label %spin
spin:
  %n = phi i32 [ 0, %entry ], [ %more, %wait ], [ %more, %clock ]
  %now = load atomic i32, ptr %slot acquire, align 4
  %come = icmp ne i32 %now, %seen
  br i1 %come, label %found, label %wait
wait:
  call void @relax()
  %more = add i32 %n, 1
  %few = and i32 %more, 63
  %look = icmp eq i32 %few, 0
  br i1 %look, label %clock, label %spin
clock:
  %time = call i64 @nanoseconds()
  %past = sub i64 %time, %start
  %tired = icmp ugt i64 %past, $spin
  br i1 %tired, label %tire, label %spin
tire:
  %asleep = getelementptr i8, ptr %slot, i64 4
  store atomic i32 1, ptr %asleep seq_cst, align 4
  br label %sleep
sleep:
  call void @sleep(ptr %slot, i32 %seen)
  %then = load atomic i32, ptr %slot acquire, align 4
  %idle = icmp eq i32 %then, %seen
  br i1 %idle, label %sleep, label %awake
awake:
  store atomic i32 0, ptr %asleep seq_cst, align 4
  ret i32 %then
found:
  ret i32 %now
}

define internal ptr @worker(ptr %slot) {
entry:
  %ptid = getelementptr i8, ptr %slot, i64 8
  %pfn = getelementptr i8, ptr %slot, i64 16
  %pargument = getelementptr i8, ptr %slot, i64 24
  %pnt = getelementptr i8, ptr %slot, i64 32
  %tid = load i64, ptr %ptid, align 8
  br label %next
next:
  %seen = phi i32 [ 0, %entry ], [ %launch, %run ]
  %launch = call i32 @work(ptr %slot, i32 %seen)
  %fn = load ptr, ptr %pfn, align 8
  %argument = load ptr, ptr %pargument, align 8
  %nt = load i64, ptr %pnt, align 8
  %over = icmp eq ptr %fn, null
  br i1 %over, label %done, label %run
run:
  call void %fn(ptr %argument, i64 %tid, i64 %nt)
  call void @barrier(ptr @context, i64 %nt)
  br label %next
done:
  ret ptr null
}

; Gives a worker a function, or null.
define internal void @give(i64 %tid, ptr %fn, ptr %argument, i64 %nt) {
entry:
  %slot = getelementptr [256 x i8], ptr @slots, i64 %tid
  %pfn = getelementptr i8, ptr %slot, i64 16
  %pargument = getelementptr i8, ptr %slot, i64 24
  %pnt = getelementptr i8, ptr %slot, i64 32
  store ptr %fn, ptr %pfn, align 8
  store ptr %argument, ptr %pargument, align 8
  store i64 %nt, ptr %pnt, align 8
  %old = atomicrmw add ptr %slot, i32 1 seq_cst
  %pasleep = getelementptr i8, ptr %slot, i64 4
  %asleep = load atomic i32, ptr %pasleep seq_cst, align 4
  %sleeps = icmp ne i32 %asleep, 0
  br i1 %sleeps, label %rouse, label %done
rouse:
  call void @wake(ptr %slot)
  br label %done
done:
  ret void
}

; Makes workers up to number %wanted - 1, or as many as the system grants. Signals are left to the
; threads of Python, or a blocked system call there would not be interrupted by Ctrl-C; those for
; faults stay, for faulthandler.
define internal void @start(i64 %wanted) noinline {
entry:
  %all = alloca [128 x i8], align 16
  %before = alloca [128 x i8], align 16
  %ignored = call i32 @sigfillset(ptr %all)
$keep
  %masked = call i32 @pthread_sigmask(i32 $setmask, ptr %all, ptr %before)
  br label %next
next:
  %made = load i64, ptr @context, align 8
  %tid = add i64 %made, 1
  %enough = icmp uge i64 %tid, %wanted
  br i1 %enough, label %done, label %make
make:
  %slot = getelementptr [256 x i8], ptr @slots, i64 %tid
  %at = getelementptr i8, ptr %slot, i64 8
  store i64 %tid, ptr %at, align 8
  call void @prepare(ptr %slot)
  %handle = getelementptr i8, ptr %slot, i64 40
  %failed = call i32 @pthread_create(ptr %handle, ptr null, ptr @worker, ptr %slot)
  %good = icmp eq i32 %failed, 0
  br i1 %good, label %count, label %done
count:
  store i64 %tid, ptr @context, align 8
  br label %next
done:
  %unmasked = call i32 @pthread_sigmask(i32 $setmask, ptr %before, ptr null)
  ret void
}

define void @weft_launch(ptr %fn, ptr %argument, i64 %wanted) {
entry:
  %one = icmp ule i64 %wanted, 1
  br i1 %one, label %alone, label %several
several:
  %made = load i64, ptr @context, align 8
  %missing = icmp ult i64 %made, %wanted
  br i1 %missing, label %grow, label %ready
grow:
  call void @start(i64 %wanted)
  br label %ready
ready:
  %workers = load i64, ptr @context, align 8
  %there = add i64 %workers, 1
  %nt = call i64 @llvm.umin.i64(i64 %there, i64 %wanted)
  %none = icmp eq i64 %nt, 1
  br i1 %none, label %alone, label %call
call:
  %tid = phi i64 [ 1, %ready ], [ %following, %call ]
  call void @give(i64 %tid, ptr %fn, ptr %argument, i64 %nt)
  %following = add i64 %tid, 1
  %last = icmp eq i64 %following, %nt
  br i1 %last, label %together, label %call
together:
  call void %fn(ptr %argument, i64 0, i64 %nt)
  call void @barrier(ptr @context, i64 %nt)
  ret void
alone:
  call void %fn(ptr %argument, i64 0, i64 1)
  ret void
}
declare i64 @llvm.umin.i64(i64, i64)

; Ends the workers; the next launch makes new ones.
define void @weft_stop() {
entry:
  %made = load i64, ptr @context, align 8
  br label %head
head:
  %tid = phi i64 [ 1, %entry ], [ %following, %end ]
  %more = icmp ule i64 %tid, %made
  br i1 %more, label %end, label %done
end:
  call void @give(i64 %tid, ptr null, ptr null, i64 0)
  %handle = getelementptr [256 x i8], ptr @slots, i64 %tid, i64 40
  %thread = load ptr, ptr %handle, align 8
  %joined = call i32 @pthread_join(ptr %thread, ptr null)
  %following = add i64 %tid, 1
  br label %head
done:
  call void @llvm.memset.p0.i64(ptr align 128 @context, i8 0, i64 384, i1 false)
  call void @llvm.memset.p0.i64(ptr align 128 @slots, i8 0, i64 $bytes, i1 false)
  ret void
}
"""

_FUTEX = """
declare i64 @syscall(i64, ...)

define internal void @prepare(ptr %slot) {
  ret void
}

define internal void @sleep(ptr %slot, i32 %seen) {
  %ignored = call i64 (i64, ...) @syscall(i64 $futex, ptr %slot, i32 128, i32 %seen, ptr null)
  ret void
}

define internal void @wake(ptr %slot) {
  %ignored = call i64 (i64, ...) @syscall(i64 $futex, ptr %slot, i32 129, i32 1)
  ret void
}
"""

_CONDITION = """
declare i32 @pthread_mutex_init(ptr, ptr)
declare i32 @pthread_mutex_lock(ptr)
declare i32 @pthread_mutex_unlock(ptr)
declare i32 @pthread_cond_init(ptr, ptr)
declare i32 @pthread_cond_wait(ptr, ptr)
declare i32 @pthread_cond_signal(ptr)

define internal void @prepare(ptr %slot) {
  %mutex = getelementptr i8, ptr %slot, i64 64
  %condition = getelementptr i8, ptr %slot, i64 128
  %a = call i32 @pthread_mutex_init(ptr %mutex, ptr null)
  %b = call i32 @pthread_cond_init(ptr %condition, ptr null)
  ret void
}

define internal void @sleep(ptr %slot, i32 %seen) {
entry:
  %mutex = getelementptr i8, ptr %slot, i64 64
  %condition = getelementptr i8, ptr %slot, i64 128
  %a = call i32 @pthread_mutex_lock(ptr %mutex)
  %now = load atomic i32, ptr %slot seq_cst, align 4
  %idle = icmp eq i32 %now, %seen
  br i1 %idle, label %wait, label %done
wait:
  %b = call i32 @pthread_cond_wait(ptr %condition, ptr %mutex)
  br label %done
done:
  %c = call i32 @pthread_mutex_unlock(ptr %mutex)
  ret void
}

define internal void @wake(ptr %slot) {
  %mutex = getelementptr i8, ptr %slot, i64 64
  %condition = getelementptr i8, ptr %slot, i64 128
  %a = call i32 @pthread_mutex_lock(ptr %mutex)
  %b = call i32 @pthread_cond_signal(ptr %condition)
  %c = call i32 @pthread_mutex_unlock(ptr %mutex)
  ret void
}
"""

# A hint to the processor that this is a loop which waits.
_RELAX = {
    "x86_64": ("@llvm.x86.sse2.pause()", "()"),
    "aarch64": ("@llvm.aarch64.hint(i32 1)", "(i32)"),
}

_FUTEX_NUMBER = {"x86_64": 202, "aarch64": 98, "riscv64": 98}


def runtime(arch: str, waiting: str, spin_us: int = 300) -> str:
    """The module with ``weft_launch``, ``weft_stop`` and ``weft_runtime``.

    Args:
        arch: of the processor, as ``Target.arch`` names it.
        waiting: ``futex``, ``condition``, or ``none`` for one thread only.
        spin_us: how many µs a worker looks for work before it sleeps.
    """
    if waiting == "none":
        return Template(_COMMON + _SOLO).substitute(max=MAX_THREADS)
    way = {"futex": _FUTEX, "condition": _CONDITION}[waiting]
    return Template(_COMMON + _POSIX + way + _relax(arch)).substitute(
        max=MAX_THREADS,
        bytes=MAX_THREADS * 256,
        spin=spin_us * 1000,
        clock=time.CLOCK_MONOTONIC,
        setmask=int(signal.SIG_SETMASK),
        futex=_FUTEX_NUMBER.get(arch, 0),
        keep="\n".join(
            f"  %keep{number} = call i32 @sigdelset(ptr %all, i32 {number})" for number in _faults()
        ),
    )


def waiting_here(arch: str) -> str:
    """The way to wait on this system."""
    if sys.platform == "linux" and arch in _FUTEX_NUMBER:
        return "futex"
    return "condition" if hasattr(signal, "SIG_SETMASK") else "none"


def _faults() -> list[int]:
    names = ("SIGSEGV", "SIGBUS", "SIGFPE", "SIGILL", "SIGTRAP", "SIGABRT")
    return [int(getattr(signal, name)) for name in names]


def _relax(arch: str) -> str:
    name, types = _RELAX.get(arch, ("", ""))
    call = f"  call void {name}\n" if name else ""
    declared = f"declare void {name.partition('(')[0]}{types}\n" if name else ""
    return f"{declared}define internal void @relax() alwaysinline {{\n{call}  ret void\n}}\n"
