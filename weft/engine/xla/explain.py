"""What a program of XLA costs, in words: what ``weft.explain`` shows of it."""

from __future__ import annotations

import re
from collections import Counter
from typing import Any

from . import platform
from .program import Compiled

#: Steps of a program in which devices exchange values.
_COLLECTIVES = ("all-gather", "all-reduce", "all-to-all", "collective-permute", "reduce-scatter")
_STEP = re.compile(r"^\s+(?:ROOT )?%?[\w.-]+ = .*?[)}\]] ?([a-z][a-z-]*)\(", re.MULTILINE)
_CALL = re.compile(r'custom_call_target="([^"]+)"')
_FREE = ("parameter", "constant", "tuple", "get-tuple-element", "bitcast")


def explain_program(program: Compiled) -> str:
    """Ops recorded, steps compiled, arithmetic, bytes, memory, collectives."""
    assert program.latest is not None
    call, arguments = program.latest
    with platform.wide():
        done = call.lower(platform.token(program.device), *arguments).compile()
    cost = done.cost_analysis() or {}
    entry = _entry(done.as_text())
    steps = Counter(name for name in _STEP.findall(entry) if name not in _FREE)
    calls = Counter(_CALL.findall(entry))
    exchanged = {
        name: n for name, n in steps.items() if name.removesuffix("-start") in _COLLECTIVES
    }
    flops, moved = (_count(cost.get(name, 0.0)) for name in ("flops", "bytes accessed"))
    lines = [
        f"XLA program on {program.device}: {len(program.ops)} ops in {sum(steps.values())} steps",
        f"  {flops} floating-point operations, {moved} bytes read and written",
        f"  memory: {_memory(done)}",
        f"  collectives: {_listed(exchanged) or 'none'}",
        f"  steps: {_listed(steps)}",
    ]
    if calls:
        lines.append(f"  calls of libraries: {_listed(calls)}")
    return "\n".join(lines)


def _entry(text: str) -> str:
    """The part of a program's text that runs; what is fused into its steps stands before."""
    return text[text.find("\nENTRY ") :]


def _memory(done: Any) -> str:
    found = done.memory_analysis()
    if found is None:
        return "not known"
    parts = {
        "arguments": found.argument_size_in_bytes,
        "results": found.output_size_in_bytes,
        "results in the place of arguments": found.alias_size_in_bytes,
        "in between": found.temp_size_in_bytes,
    }
    return ", ".join(f"{_count(n)} bytes {name}" for name, n in parts.items())


def _listed(counts: dict[str, int]) -> str:
    return ", ".join(f"{n} {name}" for name, n in sorted(counts.items(), key=lambda c: -c[1]))


def _count(n: float) -> str:
    """``1.2 G``."""
    for unit, size in (("T", 1e12), ("G", 1e9), ("M", 1e6), ("k", 1e3)):
        if n >= size:
            return f"{n / size:.3g} {unit}"
    return f"{n:.0f}"
