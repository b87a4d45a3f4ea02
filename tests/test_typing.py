"""A user's code under ``mypy --strict``: a call of a model has the type of its ``forward``."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

FOLDER = Path(__file__).parent / "typing"
ROOT = FOLDER.parents[1]

api = pytest.importorskip("mypy.api", reason="types are checked by mypy: pip install 'weft[dev]'")


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """What mypy says about the files there."""
    cache = ROOT / ".mypy_cache"  # that of the check of weft itself, if it has been run
    if not cache.is_dir():
        cache = tmp_path_factory.mktemp("mypy")
    files = [str(FOLDER / name) for name in ("user_code.py", "mistakes.py")]
    output, errors, _ = api.run(
        ["--strict", "--no-error-summary", "--cache-dir", str(cache), "--config-file=", *files]
    )
    assert not errors
    return output.splitlines()


def test_a_users_code_is_well_typed(found: list[str]) -> None:
    assert not [line for line in found if "user_code.py" in line]


def test_calls_that_do_not_fit_are_found(found: list[str]) -> None:
    wanted = set()
    for k, line in enumerate((FOLDER / "mistakes.py").read_text().splitlines(), 1):
        expected = re.search(r"# E: (.+)", line)
        if expected:
            wanted.add((k, expected[1]))
    errors = re.findall(r"mistakes\.py:(\d+): error: .*\[(.+)\]", "\n".join(found))
    assert {(int(k), code) for k, code in errors} == wanted
