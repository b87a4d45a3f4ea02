"""Random trees of modules: names, order, sharing, printing, copies and states are PyTorch's."""

from __future__ import annotations

import copy
import pickle
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings, strategies as st

import weft
import weft.nn

pytestmark = pytest.mark.parity
TREES = settings(
    max_examples=60,
    derandomize=True,
    deadline=None,
    database=None,
    suppress_health_check=list(HealthCheck),
)
NAMES = ("a", "b", "layer", "fc1", "_hidden", "weights", "x1")

#: A module as data: ("leaf kind", size), ("shared", k) for the k-th made before, or ("container
#: kind", children).
leaves = st.tuples(st.sampled_from(["linear", "norm", "plain", "none"]), st.integers(1, 3))
shared = st.tuples(st.just("shared"), st.integers(0, 20))
specs = st.recursive(
    leaves | shared,
    lambda inner: st.tuples(
        st.sampled_from(["sequential", "list", "dict", "module"]),
        st.lists(st.tuples(st.sampled_from(NAMES), inner), max_size=4, unique_by=lambda p: p[0]),
    ),
    max_leaves=12,
)
trees = st.tuples(
    st.just("module"),
    st.lists(
        st.tuples(st.sampled_from(NAMES), specs), min_size=1, max_size=4, unique_by=lambda p: p[0]
    ),
)


class Builder:
    """Makes the module that a spec describes, in one library."""

    def __init__(self, lib: Any) -> None:
        self.lib, self.nn = lib, lib.nn
        self.made: list[Any] = []

    def __call__(self, spec: Any) -> Any:
        kind, what = spec
        if kind == "none":
            return None
        if kind == "shared":
            return self.made[what % len(self.made)] if self.made else self.nn.Identity()
        module = getattr(self, kind)(what)
        self.made.append(module)
        return module

    def linear(self, size: int) -> Any:
        return self.nn.Linear(size, size + 1, bias=size != 2)

    def norm(self, size: int) -> Any:
        return self.nn.BatchNorm1d(size, affine=size != 3)

    def plain(self, size: int) -> Any:
        module = self.nn.Module()
        module.w = self.nn.Parameter(self.lib.zeros(size), requires_grad=size != 2)
        module.register_buffer("kept", self.lib.ones(size))
        module.register_buffer("dropped", self.lib.ones(1), persistent=False)
        module.register_parameter("missing", None)
        if size == 3:
            module.same = module.w  # a parameter under two names
        return module

    def sequential(self, children: Any) -> Any:
        made = [self(c) for _, c in children]
        return self.nn.Sequential(*[m for m in made if m is not None])

    def list(self, children: Any) -> Any:
        made = [self(c) for _, c in children]
        return self.nn.ModuleList([m for m in made if m is not None])

    def dict(self, children: Any) -> Any:
        made = {name: self(c) for name, c in children}
        return self.nn.ModuleDict({k: m for k, m in made.items() if m is not None})

    def module(self, children: Any) -> Any:
        module = self.nn.Module()
        for name, child in children:
            made = self(child)
            if made is None:
                module.register_module(name, None)
            else:
                setattr(module, name, made)
        return module


def both(torch: Any, spec: Any) -> tuple[Any, Any]:
    ours, theirs = Builder(weft)(spec), Builder(torch)(spec)
    draw = np.random.default_rng(0)
    for (name, x), (other, y) in zip(
        ours.state_dict(keep_vars=True).items(),
        theirs.state_dict(keep_vars=True).items(),
        strict=True,
    ):
        assert name == other
        value = draw.normal(size=tuple(y.shape))
        with weft.no_grad(), torch.no_grad():
            x.copy_(weft.tensor(value).to(x.dtype))
            y.copy_(torch.tensor(value).to(y.dtype))
    return ours, theirs


def outline(module: Any) -> dict[str, Any]:
    """What can be seen of a tree, without values; identity as the name seen first."""
    first: dict[int, str] = {}
    for name, m in module.named_modules():
        first.setdefault(id(m), name)
    for name, p in [*module.named_parameters(), *module.named_buffers()]:
        first.setdefault(id(p), name)

    def pairs(found: Any) -> list[Any]:
        return [(name, first[id(x)]) for name, x in found]

    every = {"remove_duplicate": False}
    return {
        "modules": pairs(module.named_modules()),
        "all modules": pairs(module.named_modules(**every)),
        "children": [name for name, _ in module.named_children()],
        "count of children": len(list(module.children())),
        "parameters": pairs(module.named_parameters()),
        "all parameters": pairs(module.named_parameters(**every)),
        "own parameters": [name for name, _ in module.named_parameters(recurse=False)],
        "with a prefix": [name for name, _ in module.named_parameters(prefix="net")],
        "buffers": pairs(module.named_buffers()),
        "all buffers": pairs(module.named_buffers(**every)),
        "need gradients": [p.requires_grad for p in module.parameters()],
        "state": [(k, tuple(v.shape)) for k, v in module.state_dict().items()],
        "state with a prefix": list(module.state_dict(prefix="net.")),
        "text": repr(module),
        "training": [m.training for m in module.modules()],
    }


def values(module: Any) -> dict[str, Any]:
    return {k: v.detach().double().numpy().tolist() for k, v in module.state_dict().items()}


@TREES
@given(trees)
def test_outlines_are_pytorchs(torch: Any, spec: Any) -> None:
    ours, theirs = both(torch, spec)
    assert outline(ours) == outline(theirs)
    assert values(ours) == values(theirs)
    for name, module in theirs.named_modules():
        assert type(ours.get_submodule(name)).__name__ == type(module).__name__
    for name, _ in theirs.named_parameters(remove_duplicate=False):
        assert ours.get_parameter(name) is dict(ours.named_parameters(remove_duplicate=False))[name]


@TREES
@given(trees)
def test_copies_share_what_the_original_shares(torch: Any, spec: Any) -> None:
    ours, theirs = both(torch, spec)
    wanted = outline(ours)
    for copied in (copy.deepcopy(ours), pickle.loads(pickle.dumps(ours))):
        assert outline(copied) == wanted == outline(theirs)
        assert values(copied) == values(ours)
        assert not {id(p) for p in copied.parameters()} & {id(p) for p in ours.parameters()}


@TREES
@given(trees, trees)
def test_states_go_round(torch: Any, spec: Any, other: Any) -> None:
    ours, theirs = both(torch, spec)
    fresh = Builder(weft)(spec)
    fresh.load_state_dict(ours.state_dict())
    assert values(fresh) == values(ours)
    # Into another tree: both take it, or neither does.
    mine, its = both(torch, other)
    before = values(mine)
    outcomes = []
    for lib, target, source in ((weft, mine, ours), (torch, its, theirs)):
        try:
            result = target.load_state_dict(source.state_dict())
            outcomes.append((sorted(result.missing_keys), sorted(result.unexpected_keys)))
        except RuntimeError:
            outcomes.append(f"{lib.__name__} refuses".partition(" ")[2])
    assert outcomes[0] == outcomes[1]
    if outcomes[0] == "refuses":
        assert values(mine) == before
    else:
        assert values(mine) == values(its)


@TREES
@given(trees, st.data())
def test_changes_of_the_tree(torch: Any, spec: Any, data: Any) -> None:
    ours, theirs = both(torch, spec)
    for _ in range(3):
        names = [n for n, _ in theirs.named_modules() if n]
        if not names:
            break
        name = data.draw(st.sampled_from(names))
        action = data.draw(st.sampled_from(["delete", "replace", "eval", "freeze", "double"]))
        path, _, last = name.rpartition(".")
        for lib, root in ((weft, ours), (torch, theirs)):
            owner, module = root.get_submodule(path), root.get_submodule(name)
            if action == "delete":
                delattr(owner, last)
            elif action == "replace":
                setattr(owner, last, lib.nn.Tanh())
            elif action == "eval":
                module.eval()
            elif action == "freeze":
                module.requires_grad_(False)
            else:
                module.double()
        assert outline(ours) == outline(theirs)
        assert [str(p.dtype).split(".")[-1] for p in ours.parameters()] == [
            str(p.dtype).split(".")[-1] for p in theirs.parameters()
        ]
