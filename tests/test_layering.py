"""The shape of the house: nothing imports upwards, nothing heavy at start-up, no file too long."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "weft"
FILES = sorted(PACKAGE.rglob("*.py"))

MAX_LINES = 600

#: Longer files, each with the reason why it is one file.
LONG_FILES: dict[str, str] = {
    "weft/__init__.py": "the list of all public names, one a line, twice: imported and in __all__",
}


def layers() -> list[str]:
    """The layers of docs/map.md, top first: ``weft/nn/``, ``weft/errors.py``."""
    text = (ROOT / "docs" / "map.md").read_text(encoding="utf-8")
    section = text.split("## Layers", 1)[1].split("\n## ", 1)[0]
    return re.findall(r"^\| `(weft/[^`]+)` \|", section, re.MULTILINE)


LAYERS = layers()


def name_of(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def layer_of(path: Path) -> int:
    name = name_of(path)
    found = [k for k, layer in enumerate(LAYERS) if name == layer or name.startswith(layer)]
    assert len(found) == 1, f"{name} must stand in exactly one layer of docs/map.md, not {found}"
    return found[0]


def is_type_checking(test: ast.expr) -> bool:
    return (isinstance(test, ast.Name) and test.id == "TYPE_CHECKING") or (
        isinstance(test, ast.Attribute) and test.attr == "TYPE_CHECKING"
    )


def imports(node: ast.AST) -> Iterator[ast.Import | ast.ImportFrom]:
    """Every import that may run, in functions too; not those for type checkers only."""
    if isinstance(node, (ast.Import, ast.ImportFrom)):
        yield node
    if isinstance(node, ast.If) and is_type_checking(node.test):
        children: list[ast.stmt] = node.orelse
    else:
        children = list(ast.iter_child_nodes(node))  # type: ignore[arg-type]
    for child in children:
        yield from imports(child)


def module_file(parts: list[str]) -> Path | None:
    """The file of a module of weft, given as a list of names."""
    base = ROOT.joinpath(*parts)
    for path in (base.with_suffix(".py"), base / "__init__.py"):
        if path.is_file():
            return path
    return None


def targets(path: Path, node: ast.Import | ast.ImportFrom) -> Iterator[Path]:
    """The files of weft that an import statement reaches."""
    if isinstance(node, ast.Import):
        absolute = [alias.name.split(".") for alias in node.names]
    else:
        package = list(path.relative_to(ROOT).parent.parts)
        start = package[: len(package) - node.level + 1] if node.level else []
        base = start + (node.module.split(".") if node.module else [])
        absolute = [[*base, alias.name] for alias in node.names]
        absolute = [parts if module_file(parts) else base for parts in absolute]
    for parts in absolute:
        if parts[0] == PACKAGE.name:
            found = module_file(parts)
            assert found is not None, f"{name_of(path)}:{node.lineno} imports {'.'.join(parts)}"
            yield found


@cache
def edges() -> list[tuple[Path, Path, int]]:
    """(importing file, imported file, line)."""
    out = []
    for path in FILES:
        for node in imports(ast.parse(path.read_text(encoding="utf-8"))):
            out += [(path, target, node.lineno) for target in targets(path, node)]
    return out


def test_that_the_reader_of_imports_sees_them() -> None:
    source = (
        "from typing import TYPE_CHECKING\n"
        "if TYPE_CHECKING:\n    from ..nn import module\n"
        "else:\n    from ..ops import index\n"
        "def f():\n    from ..graph.node import Node\n    import weft.errors\n"
    )
    path = PACKAGE / "tensors" / "core.py"
    found = [name_of(t) for node in imports(ast.parse(source)) for t in targets(path, node)]
    assert found == ["weft/ops/index.py", "weft/graph/node.py", "weft/errors.py"]


def test_every_file_stands_in_one_layer() -> None:
    assert {layer_of(path) for path in FILES} == set(range(len(LAYERS)))


def test_nothing_imports_upwards() -> None:
    upwards = [
        f"{name_of(a)}:{line} imports {name_of(b)}"
        for a, b, line in edges()
        if layer_of(a) > layer_of(b)
    ]
    assert not upwards, "\n".join(["a layer imports one above it (docs/map.md):", *upwards])


def test_no_import_cycles() -> None:
    """Files of one layer may import one another, but not in a circle, not even inside functions."""
    below: dict[Path, set[Path]] = {path: set() for path in FILES}
    for a, b, _ in edges():
        # A package's __init__ is run before its files anyway, and only gathers names from them.
        if b.name != "__init__.py" or a.parent != b.parent:
            below[a].add(b)
    while ends := {path for path, reached in below.items() if not reached & below.keys()}:
        for path in ends:
            del below[path]
    circles = [
        f"{name_of(a)} -> {', '.join(sorted(name_of(b) for b in reached & below.keys()))}"
        for a, reached in below.items()
    ]
    assert not circles, "\n".join(["these files import one another in a circle:", *circles])


def test_settings_are_read_in_one_place() -> None:
    readers = [
        name_of(path)
        for path in FILES
        if re.search(r"\bos\.(environ|getenv)\b", path.read_text(encoding="utf-8"))
    ]
    assert [name for name in readers if name != "weft/config.py"] == []


@pytest.mark.parametrize("path", FILES, ids=name_of)
def test_files_are_short(path: Path) -> None:
    lines = len(path.read_text(encoding="utf-8").splitlines())
    if name_of(path) in LONG_FILES:
        assert lines > MAX_LINES, "no longer long: take it off LONG_FILES"
    else:
        assert lines <= MAX_LINES, f"{lines} lines: split it, or give the reason in LONG_FILES"


def test_the_list_of_long_files_is_current() -> None:
    assert set(LONG_FILES) <= {name_of(path) for path in FILES}
    assert all(len(reason) > 20 for reason in LONG_FILES.values())
