"""Native threads and the life of processes: fork, workers of others, Ctrl-C, exit, refusals."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]

pytestmark = pytest.mark.skipif(os.name != "posix", reason="about POSIX processes")


def run(tmp_path: Path, program: str) -> str:
    """What a program prints that ends well and without complaints."""
    path = tmp_path / "program.py"
    path.write_text(textwrap.dedent(program), encoding="utf-8")
    done = subprocess.run(
        [sys.executable, "-W", "error", str(path)],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
        env=os.environ | {"PYTHONPATH": os.pathsep.join([str(ROOT), str(ROOT / "tests")])},
    )
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout


def test_a_child_made_by_fork_has_threads_of_its_own(tmp_path: Path) -> None:
    program = """
        import os
        from native_launches import visited

        assert visited(3) == 3
        for _ in range(5):
            child = os.fork()
            if child == 0:
                grandchild = os.fork()
                if grandchild:
                    _, status = os.waitpid(grandchild, 0)
                    assert status == 0
                counts = [visited(4), visited(2), visited(4)]
                os._exit(0 if counts == [4, 2, 4] else 1)
            assert visited(3) == 3
            _, status = os.waitpid(child, 0)
            assert status == 0
        print(visited(3))
    """
    assert run(tmp_path, program) == "3\n"


def test_fork_while_other_threads_launch_and_compile(tmp_path: Path) -> None:
    program = """
        import os, threading
        from native_launches import launch, visited
        from weft.engine.native import jit

        over = threading.Event()

        def launches():
            while not over.wait(0.001):
                launch("turns", 10, 3)

        def compiles():
            k = 0
            while not over.wait(0.001):
                k += 1
                jit.compile_module(f"define i64 @f() {{\\n ret i64 {k}\\n}}", ["f"])

        visited(3)
        threads = [threading.Thread(target=work) for work in (launches, compiles)]
        for thread in threads:
            thread.start()
        for _ in range(5):
            child = os.fork()
            if child == 0:
                jit.compile_module("define i64 @g() {\\n ret i64 1\\n}", ["g"])
                os._exit(0 if visited(3) == 3 else 1)
            _, status = os.waitpid(child, 0)
            assert status == 0
        over.set()
        for thread in threads:
            thread.join()
        print("done")
    """
    # The program has threads of Python's, at which 3.12 and later warn.
    quiet = "import warnings\nwarnings.simplefilter('ignore')\n"
    assert run(tmp_path, quiet + textwrap.dedent(program)) == "done\n"


@pytest.mark.parametrize("method", ["fork", "spawn", "forkserver"])
def test_pools_of_processes(tmp_path: Path, method: str) -> None:
    program = f"""
        import multiprocessing
        from native_launches import launch, visited

        def work(count):
            return visited(count), launch("turns", 100, count)[0]

        if __name__ == "__main__":
            assert visited(3) == 3
            with multiprocessing.get_context({method!r}).Pool(2) as pool:
                found = pool.map(work, [1, 2, 3, 4])
            assert found == [(count, 100) for count in (1, 2, 3, 4)], found
            print(visited(3))
    """
    assert run(tmp_path, program) == "3\n"


def test_ctrl_c_comes_after_the_launch(tmp_path: Path) -> None:
    program = """
        import ctypes, os, signal, threading
        from native_launches import library, visited
        from weft.engine.native import threads

        words = (ctypes.c_int64 * 256)()
        block = (ctypes.c_int64 * 3)(threads.runtime_address(), 0, ctypes.addressof(words))

        def press():
            while not (words[0] and words[1] and words[2]):  # all three have begun
                pass
            os.kill(os.getpid(), signal.SIGINT)
            block[1] = 1  # now they may end

        thread = threading.Thread(target=press)
        thread.start()
        try:
            threads.launch(library().address("hold"), ctypes.addressof(block), 3)
        except KeyboardInterrupt:
            print("interrupted", list(words[:4]))
        thread.join()
        print(visited(3))
    """
    assert run(tmp_path, program) == "interrupted [2, 2, 2, 0]\n3\n"


@pytest.mark.parametrize(
    "ending",
    [
        "pass",
        "import time; time.sleep(0.01)",  # the workers sleep
        "import sys; sys.exit(0)",
        "import os; os._exit(0)",
        "import threading; threading.Thread(target=lambda: visited(4)).start()",
        "import atexit; atexit.register(lambda: visited(4))",
        "from weft.engine.native import jit; jit._libraries.clear(); visited(4)",
    ],
)
def test_the_interpreter_ends(tmp_path: Path, ending: str) -> None:
    run(tmp_path, f"from native_launches import visited\nassert visited(4) == 4\n{ending}\n")


def test_the_interpreter_ends_during_launches_of_a_daemon(tmp_path: Path) -> None:
    program = """
        import threading
        from native_launches import launch

        begun = threading.Event()

        def work():
            while True:
                launch("turns", 1000, 3)
                begun.set()

        threading.Thread(target=work, daemon=True).start()
        begun.wait()
    """
    run(tmp_path, program)


@pytest.mark.skipif(sys.platform != "linux", reason="limits of memory hold on Linux")
def test_fewer_threads_where_the_system_refuses_more(tmp_path: Path) -> None:
    program = """
        import resource
        from native_launches import launch, visited

        assert visited(2) == 2
        with open("/proc/self/statm") as file:
            used = int(file.read().split()[0]) * resource.getpagesize()
        stack = resource.getrlimit(resource.RLIMIT_STACK)[0]
        stack = stack if 0 < stack < 1 << 30 else 8 << 20
        resource.setrlimit(resource.RLIMIT_AS, (used + 5 * stack,) * 2)  # no room for 64 stacks
        count = visited(64)
        assert 2 <= count < 64, count
        assert launch("turns", 100, 64)[0] == 100
        print(visited(2))
    """
    assert run(tmp_path, program) == "2\n"


def test_settings(tmp_path: Path) -> None:
    def threads(**settings: str) -> int:
        clean = {k: v for k, v in os.environ.items() if not k.endswith("_NUM_THREADS")}
        command = "import weft; print(weft.get_num_threads())"
        done = subprocess.run(
            [sys.executable, "-c", command],
            env=clean | settings,
            cwd=ROOT,
            capture_output=True,
            text=True,
            check=True,
        )
        return int(done.stdout)

    assert threads(WEFT_NUM_THREADS="3", OMP_NUM_THREADS="5") == 3
    assert threads(OMP_NUM_THREADS="5,2") == 5
    default = threads()
    assert 1 <= default <= (os.cpu_count() or 1)
    assert threads(WEFT_NUM_THREADS="", OMP_NUM_THREADS="many") == default
    assert threads(WEFT_NUM_THREADS="0") == default
