"""Machine code on disk: damage, strangers, bounds, folders that cannot be used, many processes."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from weft import config
from weft.engine.native import cache, jit

ROOT = Path(__file__).parents[3]

KEY = "ab" * 32
CODE = b"not really code"
TEXT = "define i64 @f(i64 %x) {\n  ret i64 %x\n}\n"


def entry(folder: Path) -> Path:
    (found,) = folder.iterdir()
    return found


def compiled_again() -> bool:
    """Whether the module had to be compiled although there is an entry for it."""
    jit._libraries.clear()
    before = jit.Stats.compiled
    jit.compile_module(TEXT, ["f"])
    return jit.Stats.compiled > before


def test_what_is_stored_is_loaded() -> None:
    assert cache.load(KEY) is None
    cache.store(KEY, CODE)
    assert cache.load(KEY) == CODE
    cache.store(KEY, b"")
    assert cache.load(KEY) == b""


def test_an_entry_cut_at_any_length_is_ignored(cache_dir: Path) -> None:
    cache.store(KEY, CODE)
    path = entry(cache_dir)
    whole = path.read_bytes()
    for length in range(len(whole)):
        path.write_bytes(whole[:length])
        assert cache.load(KEY) is None, length
    path.write_bytes(whole + b"\0")
    assert cache.load(KEY) is None
    path.write_bytes(whole)
    assert cache.load(KEY) == CODE


def test_an_entry_with_any_bit_flipped_is_ignored(cache_dir: Path) -> None:
    cache.store(KEY, CODE)
    path = entry(cache_dir)
    whole = path.read_bytes()
    for bit in range(8 * len(whole)):
        damaged = bytearray(whole)
        damaged[bit // 8] ^= 1 << bit % 8
        path.write_bytes(damaged)
        assert cache.load(KEY) is None, bit


def test_an_entry_of_another_key_is_ignored(cache_dir: Path) -> None:
    cache.store(KEY, CODE)
    other = "cd" * 32
    path = entry(cache_dir)
    path.rename(path.with_name(path.name.replace(KEY, other)))
    assert cache.load(other) is None


@pytest.mark.parametrize(
    "damage",
    [
        lambda path: path.write_bytes(path.read_bytes()[:-1]),
        lambda path: path.write_bytes(b""),
        lambda path: path.write_bytes(os.urandom(path.stat().st_size)),
    ],
    ids=["cut", "empty", "foreign"],
)
def test_damaged_code_is_compiled_again(cache_dir: Path, damage: Callable[[Path], None]) -> None:
    assert compiled_again()
    assert not compiled_again()
    damage(entry(cache_dir))
    assert compiled_again()
    assert not compiled_again()  # the entry has been replaced


def test_an_entry_that_cannot_be_linked_is_compiled_again(cache_dir: Path) -> None:
    assert compiled_again()
    key = entry(cache_dir).stem
    cache.store(key, b"whole, but not an object file")
    assert compiled_again()
    assert not compiled_again()


def test_a_folder_in_place_of_an_entry(cache_dir: Path) -> None:
    assert compiled_again()
    path = entry(cache_dir)
    path.unlink()
    path.mkdir()
    assert compiled_again()
    assert compiled_again()


@pytest.mark.skipif(not hasattr(os, "getuid"), reason="files have no owner here")
def test_code_of_another_user_is_not_run(cache_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cache.store(KEY, CODE)
    if os.getuid() == 0:  # root's own files are everybody's
        os.chown(entry(cache_dir), 12345, -1)
    monkeypatch.setattr(os, "getuid", lambda: 54321)
    assert cache.load(KEY) is None


def test_others_may_not_write_to_the_folder(cache_dir: Path) -> None:
    cache.store(KEY, CODE)
    assert cache_dir.stat().st_mode & 0o077 == 0
    assert entry(cache_dir).stat().st_mode & 0o077 == 0


def test_what_is_unused_longest_goes_first(
    cache_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    keys = [f"{k:064x}" for k in range(8)]
    for age, key in enumerate(keys):
        cache.store(key, bytes(1000))
        os.utime(cache_dir / f"{key}.code", (age, age))
    assert cache.load(keys[0]) is not None  # used just now
    size = (cache_dir / f"{keys[0]}.code").stat().st_size
    monkeypatch.setattr(config, "CACHE_BYTES", 4 * size)
    cache.store(KEY, bytes(1000))
    left = {path.stem for path in cache_dir.iterdir()}
    assert left == {keys[0], keys[6], keys[7], KEY}


def test_the_folder_stays_within_its_bound(
    cache_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(config, "CACHE_BYTES", 5000)
    for k in range(40):
        cache.store(f"{k:064x}", bytes(100 * k))
        assert sum(path.stat().st_size for path in cache_dir.iterdir()) <= 5000
    cache.store(KEY, bytes(10_000))  # alone too large
    assert cache.load(KEY) is None


def test_only_what_is_the_caches_own_is_removed(
    cache_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cache_dir.mkdir()
    for name in ("notes.txt", "young.part", "old.part"):
        (cache_dir / name).write_bytes(bytes(1000))
    os.utime(cache_dir / "notes.txt", (0, 0))
    os.utime(cache_dir / "old.part", (0, 0))  # its process ended while it wrote
    monkeypatch.setattr(config, "CACHE_BYTES", 100)
    cache.store(KEY, CODE)
    assert {path.name for path in cache_dir.iterdir()} == {"notes.txt", "young.part"}


def test_off(cache_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert compiled_again()
    monkeypatch.setattr(config, "CACHE", False)
    assert compiled_again()
    jit.compile_module(TEXT, ["f"], opt=3)
    assert len(list(cache_dir.iterdir())) == 1


@pytest.mark.parametrize("place", ["file", "file/below", "~no-such-user/cache", "bad\0name"])
def test_a_folder_that_cannot_be(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, place: str
) -> None:
    (tmp_path / "file").write_bytes(b"mine")
    monkeypatch.setattr(config, "CACHE_DIR", place if place[0] == "~" else str(tmp_path / place))
    assert compiled_again()
    assert compiled_again()
    assert (tmp_path / "file").read_bytes() == b"mine"


@pytest.mark.skipif(not Path("/proc/self").is_dir(), reason="a folder that not even root may fill")
def test_a_folder_that_nobody_can_write(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(config, "CACHE_DIR", "/proc/self")
    assert compiled_again()
    assert compiled_again()


def test_a_full_disk(cache_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(Path, "replace", full)
        assert compiled_again()
    assert list(cache_dir.iterdir()) == []  # nothing half written stays
    assert compiled_again()
    assert not compiled_again()


PROGRAM = """
import sys
from weft.engine.native import jit
for round in range(3):
    for k in range(int(sys.argv[1])):
        text = "define i64 @f(i64 %x) {\\n  %y = mul i64 %x, " + str(k) + "\\n  ret i64 %y\\n}\\n"
        jit.compile_module(text, ["f"])
    jit._libraries.clear()
print(jit.Stats.compiled, jit.Stats.loaded)
"""


def start(count: int, **settings: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", PROGRAM, str(count)],
        cwd=ROOT,
        env=os.environ | settings,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def counts(process: subprocess.Popen[str]) -> tuple[int, int]:
    """(compiled, loaded from disk) of a process that went well."""
    output, errors = process.communicate(timeout=120)
    assert (process.returncode, errors) == (0, "")
    compiled, loaded = map(int, output.split())
    return compiled, loaded


def test_the_next_process_compiles_nothing() -> None:
    assert counts(start(3)) == (3, 6)
    assert counts(start(3)) == (0, 9)
    assert counts(start(3, WEFT_CACHE="0")) == (9, 0)


def test_processes_share_the_folder_and_its_bound(cache_dir: Path) -> None:
    bound = 20_000  # not all of them fit: processes remove what others look for
    running = [start(20, WEFT_CACHE_BYTES=str(bound)) for _ in range(3)]
    for process in running:
        assert sum(counts(process)) == 60
    left = list(cache_dir.iterdir())
    assert 0 < sum(path.stat().st_size for path in left) <= bound
    assert all(cache.load(path.stem) for path in left)
