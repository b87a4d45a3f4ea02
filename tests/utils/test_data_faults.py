"""DataLoader's workers and what can happen to them: errors that tell, and no hang."""

from __future__ import annotations

import faulthandler
import os
import shutil
import signal
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import weft
from weft.errors import WorkerError
from weft.utils.data import DataLoader, Dataset, IterableDataset, get_worker_info

ROOT = Path(__file__).parents[2]
METHODS = ["multiprocessing", "thread"]


class Failing(Dataset[Any]):
    """Raises at sample 5."""

    def __init__(self, error: Any, count: int = 12) -> None:
        self.error = error
        self.count = count

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, index: int) -> Any:
        if index == 5:
            raise self.error
        return index


class CustomError(Exception):
    def __init__(self, message: str, code: int) -> None:
        super().__init__(message, code)
        self.code = code


class UnsendableError(Exception):
    def __init__(self, first: str, second: str) -> None:
        super().__init__(f"{first} and {second}")


class KeywordError(Exception):
    def __init__(self, *, code: int) -> None:
        super().__init__(f"code {code}")


class LockedError(Exception):
    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.lock = threading.Lock()


class UnpicklableError(Exception):
    def __reduce__(self) -> Any:
        raise TypeError("not to be pickled")


class SpeechlessError(Exception):
    def __str__(self) -> str:
        raise ZeroDivisionError


class Acting(Dataset[Any]):
    """Does something at one sample."""

    def __init__(self, action: Any, at: int = 5, count: int = 40) -> None:
        self.action = action
        self.at = at
        self.count = count

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, index: int) -> Any:
        if index == self.at:
            self.action()
        return np.full(50_000, index, np.float32)


# ---- exceptions


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize(
    "error",
    [
        ValueError("bad value"),
        KeyError("no such key"),
        CustomError("custom", 7),
        OSError(2, "gone"),
    ],
)
def test_an_exception_is_raised_as_it_was(error: Exception, method: str) -> None:
    loader = DataLoader(Failing(error), 2, num_workers=2, worker_method=method)
    with pytest.raises(type(error)) as caught:
        list(loader)
    assert vars(caught.value).get("code") == vars(error).get("code")
    assert getattr(caught.value, "errno", None) == getattr(error, "errno", None)
    text = "\n".join([str(caught.value), *getattr(caught.value, "__notes__", [])])
    assert str(error.args[0]) in text
    assert "while loading sample 5 of Failing" in text
    if method == "thread":
        assert "in DataLoader worker thread 0" in text
    else:
        assert f"Caught {type(error).__name__} in DataLoader worker process 0.\nOriginal " in text
        assert "in __getitem__\n    raise self.error" in text
        assert "fetch.py" not in text


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (UnsendableError("one", "two"), "UnsendableError: one and two"),
        (KeywordError(code=3), "KeywordError: code 3"),
        (LockedError("held"), "LockedError: held"),
        (UnpicklableError("no"), "UnpicklableError: no"),
        (SpeechlessError(), r"SpeechlessError: \(its text cannot be made\)"),
    ],
)
def test_an_exception_that_cannot_be_sent_becomes_a_runtime_error(
    error: Exception, message: str
) -> None:
    loader = DataLoader(Failing(error), 2, num_workers=2)
    with pytest.raises(RuntimeError, match=rf"(?s){message}.*sample 5 of Failing"):
        list(loader)


@pytest.mark.parametrize("options", [{}, {"worker_method": "thread"}, {"persistent_workers": True}])
@pytest.mark.parametrize("workers", [0, 3])
def test_the_loop_may_go_on_after_an_exception(workers: int, options: dict[str, Any]) -> None:
    if workers == 0:
        options = {}
    loader = DataLoader(Failing(ValueError("bad")), 2, num_workers=workers, **options)
    for _ in range(2):
        passing, got, errors = iter(loader), [], 0
        while True:
            try:
                got.append(next(passing).tolist())
            except ValueError:
                errors += 1
            except StopIteration:
                break
        assert errors == 1
        assert got == [[0, 1], [2, 3], [6, 7], [8, 9], [10, 11]]


@pytest.mark.parametrize("method", METHODS)
def test_errors_of_joining_name_samples(method: str) -> None:
    ragged = [np.ones(2)] * 5 + [np.ones(3)]
    loader = DataLoader(ragged, 2, num_workers=2, worker_method=method)
    with pytest.raises(weft.errors.ShapeError, match=r"sample 4 of the dataset has \[2\]"):
        list(loader)

    def collate(samples: list[Any]) -> Any:
        raise ZeroDivisionError("division")

    loader = DataLoader(range(4), 2, num_workers=1, worker_method=method, collate_fn=collate)
    with pytest.raises(ZeroDivisionError) as caught:
        next(iter(loader))
    assert (
        "while collate joined samples 0, 1" in f"{caught.value}{caught.value.__notes__}"
        if (method == "thread")
        else str(caught.value)
    )


@pytest.mark.parametrize("workers", [0, 2])
def test_a_stream_that_fails(workers: int) -> None:
    class Broken(IterableDataset[int]):
        def __iter__(self) -> Iterator[int]:
            yield from range(5)
            raise OSError("the tape has torn")

    with pytest.raises(OSError, match="the tape has torn") as caught:
        list(DataLoader(Broken(), 2, num_workers=workers))
    text = f"{caught.value} {getattr(caught.value, '__notes__', '')}"
    assert "while reading on after 4 samples of Broken" in text


@pytest.mark.parametrize("workers", [0, 1])
def test_stop_iteration_of_a_sample_does_not_end_the_loop_in_silence(workers: int) -> None:
    with pytest.raises(RuntimeError, match="StopIteration while loading sample 5 of Failing"):
        list(DataLoader(Failing(StopIteration()), 2, num_workers=workers))


def test_a_batch_that_cannot_be_sent() -> None:
    loader = DataLoader(range(4), 2, num_workers=1, collate_fn=lambda samples: lambda: samples)
    with pytest.raises(Exception, match=r"(?s)[Pp]ickle.*while a worker process sent a batch"):
        next(iter(loader))


def test_what_spawn_cannot_start() -> None:
    loader = DataLoader(
        range(4), num_workers=1, multiprocessing_context="spawn", collate_fn=lambda s: s
    )
    with pytest.raises(Exception, match=r"[Pp]ickle") as caught:
        iter(loader)
    assert "while starting worker processes by 'spawn'" in caught.value.__notes__[0]


# ---- workers that die


def crash() -> None:
    faulthandler.disable()  # pytest has turned it on
    os.kill(os.getpid(), signal.SIGSEGV)


@pytest.mark.parametrize(
    ("action", "message"),
    [
        (
            lambda: os.kill(os.getpid(), signal.SIGKILL),
            r"signal: Killed \(SIGKILL\).*memory runs",
        ),
        (
            lambda: (faulthandler.disable(), os.kill(os.getpid(), signal.SIGSEGV)),
            r"is killed by signal: Segmentation fault \(SIGSEGV\).*Native code",
        ),
        (
            lambda: os.kill(os.getpid(), signal.SIGTERM),
            r"signal: Terminated \(SIGTERM\)",
        ),
        (lambda: os._exit(3), r"ended with exit code 3"),
        (lambda: sys.exit(4), r"ended with exit code 4"),
    ],
)
def test_a_worker_that_dies_at_a_sample(action: Any, message: str) -> None:
    begin = time.monotonic()
    loader = DataLoader(Acting(action), 2, num_workers=2)
    passing = iter(loader)
    with pytest.raises(WorkerError, match=message) as caught:
        list(passing)
    assert time.monotonic() - begin < 4
    text = str(caught.value)
    assert r"DataLoader worker (pid(s) " in text
    assert "while loading samples 4, 5" in text
    with pytest.raises(WorkerError, match="exited unexpectedly"):  # not the end of the data
        next(passing)
    assert len(list(DataLoader(Acting(int), 2, num_workers=2))) == 20


@pytest.mark.parametrize("kept", [False, True])
def test_a_worker_killed_from_outside(kept: bool) -> None:
    loader = DataLoader(Acting(lambda: time.sleep(60)), 2, num_workers=2, persistent_workers=kept)
    passing: Any = iter(loader)
    next(passing)
    victim = passing._pool._workers[0].process.pid
    os.kill(victim, signal.SIGKILL)
    begin = time.monotonic()
    with pytest.raises(WorkerError, match=rf"pid\(s\) {victim}\) exited unexpectedly"):
        list(passing)
    assert time.monotonic() - begin < 4
    if kept:  # the next loop has new workers
        assert next(iter(loader)).shape == (2, 50_000)


def test_a_worker_killed_while_it_sends() -> None:
    """Its last message is cut short."""
    for delay in (0.0, 0.002, 0.005, 0.01, 0.02, 0.03):
        samples = ["x" * 20_000_000] * 60
        passing: Any = iter(DataLoader(samples, None, num_workers=1))
        time.sleep(delay)
        os.kill(passing._pool._workers[0].process.pid, signal.SIGKILL)
        with pytest.raises(WorkerError, match="SIGKILL"):
            list(passing)


def test_a_thread_that_ends() -> None:
    loader = DataLoader(Acting(sys.exit), 2, num_workers=2, worker_method="thread")
    with pytest.raises(WorkerError, match="worker thread 0 exited unexpectedly: SystemExit"):
        list(loader)


@pytest.mark.parametrize("method", METHODS)
def test_a_worker_that_is_late(method: str) -> None:
    loader = DataLoader(
        Acting(lambda: time.sleep(3)), 2, num_workers=2, timeout=1.5, worker_method=method
    )
    passing = iter(loader)
    begin = time.monotonic()
    with pytest.raises(WorkerError, match=r"DataLoader timed out after 1\.5 seconds"):
        list(passing)
    assert time.monotonic() - begin < 2.9
    time.sleep(2)
    assert next(passing)[:, 0].tolist() == [4, 5]  # it may be waited for again


# ---- the loop's process


def run(code: str, **options: Any) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(code)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        **options,
    )


PRELUDE = """
import os, sys, time, signal
import numpy as np
from weft.utils.data import DataLoader, Dataset

class Slow(Dataset):
    def __init__(self, seconds=0.01):
        self.seconds = seconds
    def __len__(self):
        return 10_000
    def __getitem__(self, index):
        time.sleep(self.seconds)
        return np.full(100_000, index, np.float32)
"""


def gone(pids: list[int], seconds: float = 8.0) -> bool:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if not any(Path(f"/proc/{pid}/stat").exists() and _alive(pid) for pid in pids):
            return True
        time.sleep(0.05)
    return False


def _alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


SHOW = """
it = iter(DataLoader(Slow({seconds}), 2, num_workers=2, multiprocessing_context={method!r}))
next(it)
print(*[w.process.pid for w in it._pool._workers], flush=True)
"""


@pytest.mark.parametrize("seconds", [0.001, 0.5])
def test_workers_end_when_the_loop_s_process_is_killed(seconds: float) -> None:
    before = sorted(Path("/dev/shm").iterdir())
    process = run(PRELUDE + SHOW.format(seconds=seconds, method="fork") + "time.sleep(60)")
    assert process.stdout is not None
    pids = [int(n) for n in process.stdout.readline().split()]
    assert len(pids) == 2
    process.kill()
    process.communicate()
    assert gone(pids)
    assert sorted(Path("/dev/shm").iterdir()) == before


@pytest.mark.parametrize("seconds", [0.001, 0.5])
def test_ctrl_c(seconds: float) -> None:
    """It reaches the whole group of processes, as from a terminal; only the loop speaks."""
    code = PRELUDE + SHOW.format(seconds=seconds, method="fork") + "\nfor _ in it: pass"
    process = run(code, start_new_session=True)
    assert process.stdout is not None
    pids = [int(n) for n in process.stdout.readline().split()]
    time.sleep(0.2)
    begin = time.monotonic()
    os.killpg(process.pid, signal.SIGINT)
    _, errors = process.communicate(timeout=20)
    assert time.monotonic() - begin < 5
    assert process.returncode in (1, -signal.SIGINT)
    assert errors.count("Traceback") == 1
    assert errors.rstrip().endswith("KeyboardInterrupt")
    assert gone(pids)


@pytest.mark.parametrize("end", ["", "sys.exit(3)", "raise ValueError('mine')", "os._exit(5)"])
def test_the_interpreter_ends_in_the_middle_of_a_pass(end: str) -> None:
    process = run(PRELUDE + SHOW.format(seconds=0.01, method="fork") + end)
    begin = time.monotonic()
    output, errors = process.communicate(timeout=20)
    assert time.monotonic() - begin < 15
    assert process.returncode == {"": 0, "sys.exit(3)": 3, "os._exit(5)": 5}.get(end, 1)
    assert ("ValueError: mine" in errors) == ("mine" in end)
    assert errors.count("Traceback") == ("mine" in end)
    assert gone([int(n) for n in output.split()])


def test_threads_at_the_interpreter_s_end() -> None:
    process = run(
        PRELUDE
        + "it = iter(DataLoader(Slow(), 2, num_workers=3, worker_method='thread'))\nnext(it)"
    )
    output, errors = process.communicate(timeout=20)
    assert (process.returncode, output, errors) == (0, "", "")


def test_output_of_workers_is_not_lost() -> None:
    process = run(
        PRELUDE
        + textwrap.dedent("""
        def collate(samples):
            print("made", len(samples))
            return len(samples)
        print(sum(DataLoader(range(10), 5, num_workers=1, collate_fn=collate)))
        """)
    )
    output, errors = process.communicate(timeout=20)
    assert (sorted(output.split("\n")), errors) == (["", "10", "made 5", "made 5"], "")


def test_a_forked_child_does_not_end_its_parent_s_workers() -> None:
    passing = iter(DataLoader(range(100), 2, num_workers=2))
    next(passing)
    child = os.fork()
    if child == 0:
        passing._pool.close()  # type: ignore[attr-defined]
        os._exit(0)
    os.waitpid(child, 0)
    assert len(list(passing)) == 49


def test_after_native_code_has_run_on_many_threads() -> None:
    """Workers are forked from a process whose engine has threads, and run native code too."""
    process = run(
        """
        import weft
        from weft.utils.data import DataLoader, Dataset

        weft.set_num_threads(4)

        def work(x):
            for _ in range(4):
                y = (x @ x).relu().sum(1)
                y.tolist()
            return y

        class Computing(Dataset):
            def __len__(self):
                return 12
            def __getitem__(self, index):
                return work(weft.full((64, 64), float(index)))

        for options in ({}, {"num_workers": 2}, {"num_workers": 2, "worker_method": "thread"}):
            print([round(b.sum().item()) for b in DataLoader(Computing(), 4, **options)])
            work(weft.ones(256, 256))
        """,
    )
    output, errors = process.communicate(timeout=100)
    assert errors == ""
    lines = output.split("\n")
    assert lines[0] == lines[1] == lines[2] != ""


def test_a_loader_within_a_worker() -> None:
    class Nested(Dataset[Any]):
        def __len__(self) -> int:
            return 2

        def __getitem__(self, index: int) -> Any:
            assert get_worker_info() is not None
            inner = DataLoader(range(4), 2, num_workers=1, worker_method="thread")
            return [batch.sum().item() for batch in inner]

    assert [plain[0].tolist() for plain in DataLoader(Nested(), 1, num_workers=2)] == [[1], [1]]


@pytest.mark.parametrize("kept", [False, True])
def test_ctrl_c_in_the_middle_of_a_message(kept: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    loader = DataLoader(Acting(int), 2, num_workers=1, persistent_workers=kept)
    passing: Any = iter(loader)
    next(passing)
    receiver = passing._pool._workers[0].receiver

    def interrupted() -> Any:
        receiver._connection.recv_bytes()  # and the descriptors that follow stay behind
        raise KeyboardInterrupt

    monkeypatch.setattr(receiver, "receive", interrupted)
    with pytest.raises(KeyboardInterrupt):
        list(passing)
    with pytest.raises(WorkerError, match="have been ended: begin another loop"):
        next(passing)
    assert len(list(loader)) == 20


def test_a_forked_child_has_workers_of_its_own() -> None:
    loader = DataLoader(range(20), 2, num_workers=1, persistent_workers=True)
    assert len(list(loader)) == 10
    child = os.fork()
    if child == 0:
        os._exit(len(list(loader)))
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 10
    assert len(list(loader)) == 10


def test_workers_made_while_other_threads_compute() -> None:
    """A child must not find a lock of the engine's held by a thread that it does not have."""
    process = run(
        """
        import os
        os.environ["WEFT_REFERENCE"] = "0"
        import threading
        import weft
        from weft.utils.data import DataLoader, Dataset

        class Computing(Dataset):
            def __len__(self):
                return 8
            def __getitem__(self, index):
                return (weft.full((50, 50), float(index)) @ weft.ones(50, 50)).sum()

        done = False
        def work():
            while not done:
                x = weft.ones(300, 300)
                (x @ x).sum().item()

        threads = [threading.Thread(target=work) for _ in range(2)]
        for thread in threads:
            thread.start()
        try:
            for _ in range(20):
                print(len(list(DataLoader(Computing(), 2, num_workers=2, timeout=20))))
        finally:
            done = True
        """
    )
    output, errors = process.communicate(timeout=200)
    assert (output.split(), errors) == (["4"] * 20, "")


def test_too_many_open_files() -> None:
    process = run(
        PRELUDE
        + textwrap.dedent("""
        import resource
        from weft.errors import WorkerError

        resource.setrlimit(resource.RLIMIT_NOFILE, (60, 60))
        loader = DataLoader(Slow(0), 2, num_workers=2)
        it = iter(loader)
        files = []
        try:
            while True:
                files.append(open("/dev/null"))
        except OSError:
            pass
        try:
            kept = [next(it) for _ in range(50)]
        except WorkerError as error:
            print(str(error)[-60:])
        for f in files:
            f.close()
        kept = [batch for batch, _ in zip(loader, range(40))]
        print(len(kept), [batch[:, 0].tolist() for batch in kept[::13]])
        """)
    )
    output, errors = process.communicate(timeout=60)
    first, second = output.splitlines()
    assert first.endswith("open files (`ulimit -n` tells the limit) or mappings")
    assert second == "40 [[0.0, 1.0], [26.0, 27.0], [52.0, 53.0], [78.0, 79.0]]"
    assert errors == ""


@pytest.mark.parametrize("options", ["size=64k", "size=64k,ro"])
def test_dev_shm_too_small(options: str) -> None:
    """Large batches in a container whose /dev/shm has next to no room, or may not be written."""
    inside = ["unshare", "--mount", "sh", "-c"]
    mount = f"mount -t tmpfs -o {options} tmpfs /dev/shm"
    if shutil.which("unshare") is None or subprocess.run([*inside, mount], check=False).returncode:
        pytest.skip("mounting another /dev/shm is not allowed here")
    code = PRELUDE + textwrap.dedent("""
        loader = DataLoader(Slow(0), 20, sampler=range(200), num_workers=2)
        print([batch[-1, -1].item() for batch in loader])
        """)
    done = subprocess.run(
        [*inside, f'{mount} && exec "$0" -c "$1"', sys.executable, code],
        check=True,
        capture_output=True,
        text=True,
        timeout=100,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    assert done.stdout.strip() == str([20.0 * k + 19 for k in range(10)])
    assert done.stderr == ""
