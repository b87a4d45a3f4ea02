"""Compiling, in memory and from disk; modules that are wrong; other processors."""

from __future__ import annotations

import ctypes
import re
import threading
from pathlib import Path

import pytest

from weft.engine.native import jit, target
from weft.errors import InternalError


def adds(number: int, name: str = "f") -> str:
    return f"define i64 @{name}(i64 %x) {{\n  %y = add i64 %x, {number}\n  ret i64 %y\n}}\n"


def call(library: jit.Library, argument: int, name: str = "f") -> int:
    function = ctypes.CFUNCTYPE(ctypes.c_int64, ctypes.c_int64)(library.address(name))
    return int(function(argument))


class Counted:
    def __init__(self) -> None:
        self.start = self.now()

    @staticmethod
    def now() -> tuple[int, int, int]:
        return jit.Stats.compiled, jit.Stats.loaded, jit.Stats.memory_hits

    def since(self) -> tuple[int, int, int]:
        """(compiled, loaded from disk, found in memory)."""
        a, b, c = (now - then for now, then in zip(self.now(), self.start, strict=True))
        return a, b, c


@pytest.mark.parametrize("opt", [0, 1, 2, 3])
def test_code_runs(opt: int) -> None:
    assert call(jit.compile_module(adds(40), ["f"], opt=opt), 2) == 42


def test_the_same_text_is_one_library() -> None:
    counted = Counted()
    first = jit.compile_module(adds(1), ["f"])
    assert jit.compile_module(adds(1), ["f"]) is first
    assert jit.compile_module(adds(1), ["f"], opt=2) is not first
    assert counted.since() == (2, 0, 1)


def test_code_comes_from_disk(cache_dir: Path) -> None:
    counted = Counted()
    jit.compile_module(adds(2), ["f"])
    assert len(list(cache_dir.iterdir())) == 1
    jit._libraries.clear()
    assert call(jit.compile_module(adds(2), ["f"]), 5) == 7
    assert counted.since() == (1, 1, 0)


def test_names_may_differ() -> None:
    text = adds(1, "one") + adds(2, "two")
    assert call(jit.compile_module(text, ["one"]), 0, "one") == 1
    assert call(jit.compile_module(text, ["two", "one"]), 0, "two") == 2


def test_libraries_of_equal_names_do_not_meet() -> None:
    libraries = [jit.compile_module(adds(k), ["f"]) for k in range(20)]
    assert [call(library, 100) for library in libraries] == [100 + k for k in range(20)]


def test_only_so_many_stay_in_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(jit, "_MAX_LIBRARIES", 3)
    held = jit.compile_module(adds(50), ["f"])
    for k in range(60, 65):
        jit.compile_module(adds(k), ["f"])
    assert len(jit._libraries) == 3
    assert call(held, 1) == 51  # whoever holds it can still call it
    counted = Counted()
    jit.compile_module(adds(64), ["f"])
    jit.compile_module(adds(60), ["f"])
    assert counted.since() == (0, 1, 1)


NOBODY = "declare void @nobody()\ndefine void @f() {\n  call void @nobody()\n  ret void\n}"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("define void @f() {", "end of file"),
        ("define i64 @f() { ret i32 0 }", "value doesn't match|return type"),
        ("define void @f() {\n  call void @absent()\n  ret void\n}", "undefined"),
        (adds(1, "g"), r"\[ f \]"),
        (
            "declare void @nobody()\ndefine void @f() {\n  call void @nobody()\n  ret void\n}",
            "materialize",
        ),
        ("", r"\[ f \]"),
    ],
    ids=["syntax", "types", "undeclared", "no such name", "no such external function", "empty"],
)
def test_a_module_that_llvm_refuses(text: str, message: str, cache_dir: Path) -> None:
    with pytest.raises(InternalError, match=message) as caught:
        jit.compile_module(text, ["f"])
    assert caught.value.text == text
    assert not cache_dir.exists()


def test_inline_assembly_does_not_end_the_process() -> None:
    text = 'define i64 @f(i64 %x) {\n  call void asm sideeffect "nop", ""()\n  ret i64 %x\n}\n'
    assert call(jit.compile_module(text, ["f"]), 3) == 3


@pytest.mark.parametrize("unlocked", [True, False])
def test_several_modules_at_once(
    unlocked: bool, monkeypatch: pytest.MonkeyPatch, four_threads: None
) -> None:
    if not unlocked:  # as with a llvmlite that is built in another way
        monkeypatch.setattr(jit, "_past_lock", lambda name: None)
    first = jit.compile_module(adds(3), ["f"])
    counted = Counted()
    numbers = [*range(12), 5]
    found = jit.compile_modules([(adds(n), ["f"]) for n in numbers])
    assert [call(library, 100) for library in found] == [100 + n for n in numbers]
    assert found[3] is first
    assert found[5] is found[12]
    assert counted.since() == (11, 0, 1)
    with pytest.raises(InternalError, match="bogus"):
        jit.compile_modules([(adds(20), ["f"]), ("bogus", ["f"]), (adds(21), ["f"])])
    assert call(jit.compile_module(adds(20), ["f"]), 1) == 21


def test_code_that_is_let_go_by_a_thread_that_the_lock_waits_for() -> None:
    library = jit.compile_module(adds(50), ["f"])
    jit._libraries.clear()
    held = [library]
    del library
    with jit._LOCK:
        thread = threading.Thread(target=held.clear)
        thread.start()
        thread.join(timeout=20)
        assert not thread.is_alive()
        assert len(jit._unloading) == 1
    jit.compile_module(adds(51), ["f"])
    assert not jit._unloading


def test_threads_compile_at_once() -> None:
    counted = Counted()
    found: dict[tuple[int, int], int] = {}

    def work(thread: int) -> None:
        for k in range(8):
            found[thread, k] = call(jit.compile_module(adds(1000 + k), ["f"]), thread)

    workers = [threading.Thread(target=work, args=(k,)) for k in range(4)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert found == {(thread, k): 1000 + k + thread for thread in range(4) for k in range(8)}
    assert counted.since() == (8, 0, 24)


LOOP = """
define void @f(ptr noalias %x, ptr noalias %y) {
entry:
  br label %loop
loop:
  %i = phi i64 [ 0, %entry ], [ %next, %loop ]
  %px = getelementptr float, ptr %x, i64 %i
  %py = getelementptr float, ptr %y, i64 %i
  %a = load float, ptr %px
  %b = load float, ptr %py
  %c = fmul contract float %a, %a
  %d = fadd contract float %c, %b
  store float %d, ptr %py
  %next = add i64 %i, 1
  %more = icmp ult i64 %next, 1024
  br i1 %more, label %loop, label %done
done:
  ret void
}
"""


@pytest.mark.parametrize(
    ("triple", "features", "mark", "magic"),
    [
        ("aarch64-unknown-linux-gnu", "", r"fmla\s+v\d+\.4s", b"\x7fELF"),
        ("arm64-apple-darwin", "", r"fmla\.4s", b"\xcf\xfa\xed\xfe"),
        ("x86_64-unknown-linux-gnu", "", r"mulps\s.*%xmm", b"\x7fELF"),
        ("x86_64-unknown-linux-gnu", "+avx2,+fma", r"vfmadd\d+ps\s.*%ymm", b"\x7fELF"),
    ],
)
def test_code_for_other_processors(triple: str, features: str, mark: str, magic: bytes) -> None:
    other = target.named(triple, features=features)
    assert re.search(mark, jit.assembly(LOOP, other, opt=3))
    assert not re.search(mark, jit.assembly(LOOP, other, opt=1))  # makes no vectors
    assert jit.object_code(LOOP, other).startswith(magic)


def test_what_processors_have() -> None:
    def has(*arguments: str) -> tuple[int, int, bool]:
        found = target.named(*arguments)
        return found.vector_bytes, found.registers, found.fma

    assert has("x86_64-unknown-linux-gnu") == (16, 16, False)
    assert has("x86_64-unknown-linux-gnu", "", "+avx2,+fma,-avx512f") == (32, 16, True)
    assert has("x86_64-unknown-linux-gnu", "", "+avx2,+fma,+avx512f,+avx512vl") == (64, 32, True)
    assert has("aarch64-unknown-linux-gnu") == (16, 32, True)
    assert target.named("arm64-apple-darwin").arch == "aarch64"
    assert target.named("arm64-apple-darwin").lanes(4) == 4


def test_the_host_is_one_of_them() -> None:
    host = target.host()
    assert host.arch in {"x86_64", "aarch64"}
    assert host.vector_bytes in {16, 32, 64}
    assert all(size >= 8192 for size in host.caches)
