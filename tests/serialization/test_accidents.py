"""Saving: whatever happens meanwhile, the last good file stays, and nothing beside it."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from saved_states import same, state

import weft
from weft.errors import CheckpointError

ROOT = Path(__file__).parents[2]


@pytest.fixture
def saved(tmp_path: Path) -> Path:
    """A good file, which must survive what comes."""
    path = tmp_path / "checkpoint.safetensors"
    weft.save({"good": weft.ones(3), "n": 1}, path)
    return path


def untouched(path: Path) -> bool:
    """The good file is whole, and there is nothing beside it."""
    whole = same(weft.load(path), {"good": weft.ones(3), "n": 1})
    return whole and list(path.parent.iterdir()) == [path]


def failing(error: BaseException) -> Any:
    def fail(*_: Any, **__: Any) -> None:
        raise error

    return fail


def test_a_full_disk_when_flushing(saved: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    full = OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    monkeypatch.setattr(os, "fsync", failing(full))
    with pytest.raises(CheckpointError) as caught:
        weft.save(state(), saved)
    assert caught.value.__cause__ is full
    message = str(caught.value)
    assert str(saved) in message
    assert "No space left on device (the file needs" in message
    assert "The previous file is untouched" in message
    assert untouched(saved)


@pytest.mark.parametrize("options", [{}, {"format": "torch"}, {"max_shard_size": 300_000}])
def test_a_disk_that_is_full_half_way(options: dict[str, Any], saved: Path) -> None:
    resource = pytest.importorskip("resource", reason="limits the size of files on Unix")
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (40_000, hard))
    try:
        with pytest.raises(
            CheckpointError,
            match=r"File too large\. (The previous file is untouched|Nothing was written)",
        ):
            weft.save({"y": weft.zeros(100), "x": weft.zeros(100_000)}, saved, **options)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert untouched(saved)


@pytest.mark.parametrize("step", ["fsync", "replace"])
def test_ctrl_c_while_saving(step: str, saved: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, step, failing(KeyboardInterrupt()))
    with pytest.raises(KeyboardInterrupt):
        weft.save(state(), saved)
    monkeypatch.undo()
    assert untouched(saved)


def test_no_permission_to_put_the_file_in_place(
    saved: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    denied = PermissionError(errno.EACCES, os.strerror(errno.EACCES))
    monkeypatch.setattr(os, "replace", failing(denied))
    with pytest.raises(CheckpointError, match=r"Permission denied\. The previous file is untouch"):
        weft.save(state(), saved)
    monkeypatch.undo()
    assert untouched(saved)


def test_a_folder_that_may_not_be_looked_into(saved: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    denied = PermissionError(errno.EACCES, os.strerror(errno.EACCES))
    for name in ("is_dir", "exists"):
        monkeypatch.setattr(Path, name, failing(denied))
    with pytest.raises(CheckpointError, match=r"Permission denied\. Nothing was written"):
        weft.save(state(), saved)
    monkeypatch.undo()
    assert untouched(saved)


def test_a_folder_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(
        CheckpointError, match=r"no folder '.*nowhere': make it.*Nothing was written"
    ):
        weft.save(state(), tmp_path / "nowhere" / "c")


def test_a_folder_in_place_of_a_file(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="it is a folder"):
        weft.save(state(), tmp_path)


@pytest.mark.skipif(not Path("/dev/null").exists(), reason="a device file of Unix")
def test_a_device_is_not_replaced() -> None:
    with pytest.raises(CheckpointError, match="not a regular file"):
        weft.save(state(), "/dev/null")
    assert Path("/dev/null").is_char_device()


def test_a_link_goes_on_pointing(saved: Path) -> None:
    link = saved.parent / "latest"
    link.symlink_to(saved.name)
    weft.save({"n": 2}, link)
    assert link.is_symlink()
    assert weft.load(saved) == {"n": 2}


@pytest.mark.skipif(os.name == "nt", reason="permissions of Unix")
def test_permissions_stay_and_new_files_follow_the_umask(saved: Path) -> None:
    plain = saved.parent / "plain"
    plain.touch()
    assert saved.stat().st_mode == plain.stat().st_mode
    saved.chmod(0o640)
    weft.save({"n": 2}, saved)
    assert saved.stat().st_mode & 0o777 == 0o640


DRIVER = """
import os, random, signal, sys, time
import weft

folder, format, rounds = sys.argv[1], sys.argv[2], int(sys.argv[3])
path = os.path.join(folder, {"torch": "c.pt"}.get(format, "c.safetensors"))
options = {"max_shard_size": 120_000} if format == "shards" else {}


def save(n):
    parts = {f"w{k}": weft.full((20_000,), float(n)) for k in range(3)}
    weft.save({**parts, "n": weft.full((9,), n)}, path, **options)


def save_for_ever(pipe):
    n = 1
    while True:
        save(n)
        if n == 1:
            os.write(pipe, b"!")
        n += 1


def check():
    c = weft.load(path)
    n = c["n"].tolist()[0]
    assert all(c[f"w{k}"].tolist() == [n] * 20_000 for k in range(3)), n


rng, litter = random.Random(format), 0
for _ in range(rounds):
    begun, tell = os.pipe()
    child = os.fork()
    if child == 0:
        save_for_ever(tell)
    os.read(begun, 1)
    time.sleep(rng.uniform(0, 0.02))
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    check()
    litter += any(name.endswith(".tmp") for name in os.listdir(folder))
save(0)
check()
print(litter, len(os.listdir(folder)))
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="forks, so that one start is enough")
@pytest.mark.parametrize("format", ["safetensors", "torch"])
def test_a_kill_at_any_moment_leaves_the_last_good_file(format: str, tmp_path: Path) -> None:
    litter, files = driven(tmp_path, format, 50)
    assert files == 1, "the next save has cleaned up"
    if hasattr(os, "O_TMPFILE"):  # only while the new file has a name and not yet the right one
        assert litter <= 10


@pytest.mark.skipif(not hasattr(os, "fork"), reason="forks, so that one start is enough")
def test_a_kill_at_any_moment_leaves_a_whole_set_of_shards(tmp_path: Path) -> None:
    _, files = driven(tmp_path, "shards", 20)
    assert files == 4, "three shards and the index: the next save has cleaned up"


def driven(folder: Path, format: str, rounds: int) -> tuple[int, int]:
    done = subprocess.run(
        [sys.executable, "-c", DRIVER, str(folder), format, str(rounds)],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    litter, files = done.stdout.split()
    return int(litter), int(files)


def test_what_a_killed_process_left_is_removed_and_what_a_living_one_writes_is_not(
    saved: Path,
) -> None:
    fcntl = pytest.importorskip("fcntl", reason="locks of Unix")
    dead, living = (saved.with_name(f".{saved.name}.{k}.tmp") for k in ("0" * 8, "1" * 8))
    dead.touch()
    with living.open("xb") as f:
        fcntl.flock(f, fcntl.LOCK_EX)
        weft.save({"good": weft.ones(3), "n": 1}, saved)
    assert living.exists()
    living.unlink()
    assert untouched(saved)


def test_without_nameless_files(saved: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(os, "O_TMPFILE", raising=False)
    weft.save({"good": weft.ones(3), "n": 1}, saved)
    assert untouched(saved)
    monkeypatch.setattr(os, "fsync", failing(OSError(errno.EIO, "input/output error")))
    with pytest.raises(CheckpointError, match="input/output error"):
        weft.save(state(), saved)
    assert untouched(saved)


# ---- readers meanwhile


@pytest.mark.skipif(not hasattr(os, "fork"), reason="forks, so that one start is enough")
@pytest.mark.parametrize("format", ["safetensors", "torch", "shards"])
def test_readers_always_see_a_whole_file(format: str, tmp_path: Path) -> None:
    script = DRIVER[: DRIVER.index("rng, litter")] + READERS
    done = subprocess.run(
        [sys.executable, "-c", script, str(tmp_path), format, "60"],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr


READERS = """
begun, tell = os.pipe()
child = os.fork()
if child == 0:
    save_for_ever(tell)
os.read(begun, 1)
try:
    for _ in range(rounds):
        check()
finally:
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
"""
