"""What the documents say is true: their code runs and prints what they show, their links lead on.

A block tagged ``python`` is run, after those before it in the same file and in the same namespace.
A block tagged ``text`` that follows one directly is its exact output.
"""

from __future__ import annotations

import contextlib
import doctest
import importlib
import io
import pkgutil
import re
import runpy
import subprocess
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest

import weft

ROOT = Path(__file__).parents[1]
README = ROOT / "README.md"
README_ZH = ROOT / "README.zh-CN.md"
DOCUMENTS = [README, README_ZH, ROOT / "CHANGELOG.md", *sorted((ROOT / "docs").glob("*.md"))]


class Block(NamedTuple):
    """A fenced block: its tag, its text, the line where the text begins, and whether it follows
    the block before it with nothing but an empty line between.
    """

    tag: str
    text: str
    line: int
    follows: bool


def blocks(path: Path) -> Iterator[Block]:
    lines = path.read_text(encoding="utf-8").splitlines()
    start: int | None = None
    last_end = -2
    for k, line in enumerate(lines):
        if not line.lstrip().startswith("```"):
            continue
        if start is None:
            start = k
            continue
        indent = len(line) - len(line.lstrip())  # a block may belong to an item of a list
        text = "".join(f"{inner[indent:]}\n" for inner in lines[start + 1 : k])
        yield Block(lines[start].strip()[3:], text, start + 2, start - last_end <= 2)
        start, last_end = None, k
    assert start is None, f"{path.name}:{(start or 0) + 1}: a block without an end"


def prose(path: Path) -> str:
    """A document without its blocks."""
    text = path.read_text(encoding="utf-8")
    return re.sub(r"^ *```.*?^ *```$", "", text, flags=re.DOTALL | re.MULTILINE)


def name_of(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


# ---- code


@pytest.mark.parametrize(
    "path", [p for p in DOCUMENTS if any(b.tag == "python" for b in blocks(p))], ids=name_of
)
def test_code_runs_and_prints_what_is_shown(
    path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    namespace: dict[str, Any] = {"__name__": "__main__"}
    found = list(blocks(path))
    for block, after in zip(found, [*found[1:], None], strict=True):
        if block.tag != "python":
            continue
        # Empty lines in front, so that tracebacks and weft's errors name the document's line.
        code = compile("\n" * (block.line - 1) + block.text, str(path), "exec")
        printed = io.StringIO()
        with contextlib.redirect_stdout(printed):
            exec(code, namespace)
        if after is not None and after.tag == "text" and after.follows:
            shown = after.text.replace(name_of(path), str(path))
            assert printed.getvalue() == shown, f"{path.name}:{after.line}"


def test_the_readme_shows_code() -> None:
    assert sum(block.tag == "python" for block in blocks(README)) >= 5


@pytest.mark.parametrize("path", DOCUMENTS, ids=name_of)
def test_every_block_has_a_tag(path: Path) -> None:
    tags = {"py"} if path.name == "errors.md" else set()  # run by docs/errors.py
    assert {block.tag for block in blocks(path)} <= {"python", "sh", "text"} | tags


def test_the_page_of_errors_is_what_its_script_makes() -> None:
    script = runpy.run_path(str(ROOT / "docs" / "errors.py"))
    made, page = script["page"](), (ROOT / "docs" / "errors.md").read_text(encoding="utf-8")
    assert made == page, "a message has changed: run `python docs/errors.py`"


TRANSLATED = [p for p in DOCUMENTS if p.name.endswith(".zh-CN.md") and p != README_ZH]


@pytest.mark.parametrize("path", TRANSLATED, ids=name_of)
def test_a_translation_has_the_same_code(path: Path) -> None:
    original = path.with_name(path.name.replace(".zh-CN", ""))
    assert [b[:2] for b in blocks(path) if b.tag != "text"] == [
        b[:2] for b in blocks(original) if b.tag != "text"
    ]
    headings = [re.findall(r"^(#+) ", prose(p), re.MULTILINE) for p in (path, original)]
    assert headings[0] == headings[1]


def modules() -> list[str]:
    return ["weft"] + [m.name for m in pkgutil.walk_packages(weft.__path__, "weft.")]


@pytest.mark.parametrize("name", modules())
def test_examples_in_docstrings(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    if name.startswith(("weft.engine.xla.", "weft.replay.placed", "weft.replay.packs")):
        pytest.importorskip("jax", reason="computes by JAX: pip install 'weft[xla]'")
    monkeypatch.chdir(tmp_path)
    names = {"weft": weft, "nn": weft.nn, "F": weft.nn.functional}
    result = doctest.testmod(importlib.import_module(name), extraglobs=names)
    assert result.failed == 0


# ---- the two READMEs


def test_both_readmes_have_the_same_blocks() -> None:
    english = [(block.tag, block.text) for block in blocks(README)]
    chinese = [(block.tag, block.text) for block in blocks(README_ZH)]
    assert chinese == english


def test_both_readmes_have_the_same_structure() -> None:
    def levels(path: Path) -> list[int]:
        return [len(marks) for marks in re.findall(r"^(#+) ", prose(path), re.MULTILINE)]

    def links(path: Path) -> set[str]:
        return set(re.findall(r"\]\(([^)#]+)\)", path.read_text("utf-8"))) - {
            README.name,
            README_ZH.name,
        }

    assert levels(README_ZH) == levels(README)
    assert links(README_ZH) == links(README)


# ---- the commands


def commands() -> list[str]:
    return [block.text.strip() for block in blocks(README) if block.tag == "sh"]


def test_the_commands_are_one_line_each_and_set_up_all_they_need() -> None:
    training, tests = commands()
    for command in (training, tests):
        assert "\n" not in command
        assert command.startswith("python3 -m venv .venv && .venv/bin/pip install -q -e '.[")
    assert training.endswith(" && .venv/bin/python examples/lenet.py")
    assert tests.endswith(" && .venv/bin/python -m pytest -q -n 2")
    assert (ROOT / "examples" / "lenet.py").is_file()


def test_the_extras_in_the_documents_exist() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    for path in [*DOCUMENTS, ROOT / ".ci" / "run"]:
        for names in re.findall(r"(?:'\.|weft)\[([a-z,]+)\]", path.read_text(encoding="utf-8")):
            assert set(names.split(",")) <= set(project["optional-dependencies"]), path.name


def test_ci_runs_the_commands_of_the_readme(tmp_path: Path) -> None:
    script = ROOT / ".ci" / "run"
    done = subprocess.run(
        ["bash", str(script), "--show"], check=True, capture_output=True, text=True, cwd=tmp_path
    )
    assert done.stdout.splitlines() == commands()


# ---- links and names


def slug(heading: str) -> str:
    """The anchor of a heading, as GitHub makes it."""
    return re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")


@pytest.mark.parametrize("path", DOCUMENTS, ids=name_of)
def test_links_lead_somewhere(path: Path) -> None:
    for target in re.findall(r"\]\(([^)\s]+)\)", prose(path)):
        if target.startswith("https://"):
            continue
        name, _, anchor = target.partition("#")
        file = path.parent / name if name else path
        assert file.exists(), f"{name_of(path)} links to {target}"
        if anchor:
            headings = re.findall(r"^#+ (.+)$", file.read_text(encoding="utf-8"), re.MULTILINE)
            assert anchor in {slug(h) for h in headings}, f"{name_of(path)} links to {target}"


@pytest.mark.parametrize("path", DOCUMENTS, ids=name_of)
def test_files_that_are_named_exist(path: Path) -> None:
    names = re.findall(
        r"`((?:weft|tests|examples|benchmarks|docs|\.ci)/[\w./-]*)`", path.read_text("utf-8")
    )
    assert [name for name in names if not (ROOT / name).exists()] == []


def test_the_map_shows_every_folder_of_tests_and_code() -> None:
    text = (ROOT / "docs" / "map.md").read_text(encoding="utf-8")
    folders = [p for p in (ROOT / "weft").iterdir() if (p / "__init__.py").exists()]
    assert [p.name for p in folders if f"`weft/{p.name}/`" not in text] == []
