"""Modules next to PyTorch's: each scenario runs in both and must see the same things happen."""

from __future__ import annotations

import copy
import pickle
from collections import OrderedDict
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

import weft
import weft.nn
from weft.nn import hooks as weft_hooks

torch = pytest.importorskip("torch", reason="parity with PyTorch needs torch (extra: parity)")

pytestmark = [
    pytest.mark.parity,
    # PyTorch's, at every first layer with a backward hook
    pytest.mark.filterwarnings("ignore:Full backward hook is firing"),
]

Scenario = Callable[[Any, Any], Any]


def seen(value: Any) -> Any:
    """What a scenario saw, in a form that both libraries share."""
    if isinstance(value, (weft.Tensor, torch.Tensor)):
        return np.asarray(value.detach().numpy()).tolist()
    if isinstance(value, dict):
        return {k: seen(v) for k, v in value.items()}
    if isinstance(value, (list, tuple)):
        return [seen(v) for v in value]
    if isinstance(value, (str, int, float, bool, type(None))):
        return value
    return type(value).__name__


def attempt(action: Callable[[], Any]) -> Any:
    """What an action returns, or the built-in exception that it raises."""
    try:
        return action()
    except Exception as error:  # noqa: BLE001 (whatever it is, both must raise it)
        builtin = [c for c in type(error).__mro__ if c.__module__ == "builtins"]
        return f"raises {[c.__name__ for c in builtin]}"


def same_outcome(mine: Any, theirs: Any) -> bool:
    """An exception of weft's may be more special than PyTorch's."""
    if isinstance(theirs, str) and theirs.startswith("raises ["):
        first = theirs.split("'")[1]
        return isinstance(mine, str) and f"'{first}'" in mine
    if isinstance(theirs, dict):
        return (
            isinstance(mine, dict)
            and list(mine) == list(theirs)
            and all(same_outcome(mine[k], theirs[k]) for k in theirs)
        )
    if isinstance(theirs, list):
        return (
            isinstance(mine, list)
            and len(mine) == len(theirs)
            and all(map(same_outcome, mine, theirs))
        )
    if isinstance(theirs, float):
        return isinstance(mine, float) and mine == pytest.approx(theirs, rel=1e-5, abs=1e-6)
    return bool(mine == theirs)


WEFT = SimpleNamespace(
    lib=weft,
    nn=weft.nn,
    hooks=weft_hooks,
    tensor=lambda *a, **k: weft.tensor(*a, **k),
)
TORCH = SimpleNamespace(
    lib=torch,
    nn=torch.nn,
    hooks=torch.nn.modules.module,
    tensor=lambda *a, **k: torch.tensor(*a, **k),
)

SCENARIOS: list[Scenario] = []


def scenario(function: Scenario) -> Scenario:
    SCENARIOS.append(function)
    return function


@pytest.mark.parametrize("run", SCENARIOS, ids=lambda f: f.__name__)
def test_same_as_pytorch(run: Scenario) -> None:
    mine, theirs = seen(run(WEFT.nn, WEFT)), seen(run(TORCH.nn, TORCH))
    assert same_outcome(mine, theirs), f"weft:    {mine}\nPyTorch: {theirs}"


# ---- modules used below


def scale(nn: Any, t: Any, value: float = 2.0) -> Any:
    """A module with one parameter and one buffer: x * w + b."""

    class Scale(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.w = nn.Parameter(t.tensor([value, value]))
            self.register_buffer("b", t.tensor([1.0, 1.0]))

        def forward(self, x: Any) -> Any:
            return x * self.w + self.b

    return Scale()


def model(nn: Any, t: Any) -> Any:
    class Net(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.first = scale(nn, t)
            self.layers = nn.ModuleList([scale(nn, t, 3.0), scale(nn, t, 4.0)])
            self.tied = self.first
            self.heads = nn.ModuleDict({"a": scale(nn, t, 5.0)})
            self.gain = nn.Parameter(t.tensor(0.5))
            self.register_buffer("hidden", t.tensor(7), persistent=False)
            self.register_buffer("steps", t.tensor(3))
            self.register_parameter("bias", None)
            self.nothing = None

        def forward(self, x: Any) -> Any:
            x = self.first(x)
            for layer in self.layers:
                x = layer(x)
            return self.heads["a"](x) * self.gain

    return Net()


# ---- the tree


@scenario
def walks(nn: Any, t: Any) -> Any:
    net = model(nn, t)
    net.register_module("none", None)
    return [
        [n for n, _ in net.named_parameters()],
        [n for n, _ in net.named_parameters("pre")],
        [n for n, _ in net.named_parameters(recurse=False)],
        [n for n, _ in net.named_parameters(remove_duplicate=False)],
        [n for n, _ in net.named_buffers()],
        [n for n, _ in net.named_buffers(prefix="p", recurse=False)],
        [n for n, _ in net.named_buffers(remove_duplicate=False)],
        [n for n, _ in net.named_modules()],
        [n for n, _ in net.named_modules(prefix="p")],
        [n for n, _ in net.named_modules(remove_duplicate=False)],
        [n for n, _ in net.named_modules(memo={net.layers})],
        [n for n, _ in net.named_children()],
        [type(m).__name__ for m in net.children()],
        [type(m).__name__ for m in net.modules()],
        len(list(net.parameters())),
        len(list(net.buffers())),
        list(net.state_dict()),
        list(net.state_dict(prefix="x.")),
        list(net._parameters),
        list(net._modules),
    ]


@scenario
def paths(nn: Any, t: Any) -> Any:
    net = model(nn, t)
    names = ["", "first", "layers.1", "heads.a", "first.w", "first.nope", "nope", "steps", "gain"]
    out: list[Any] = []
    for get in (net.get_submodule, net.get_parameter, net.get_buffer):
        out += [
            attempt(lambda get=get, n=n: type(get(n)).__name__)
            for n in names
            if n or get == net.get_submodule
        ]
    out.append(attempt(lambda: net.set_submodule("", scale(nn, t))))
    out.append(attempt(lambda: net.set_submodule("first", 3)))
    out.append(attempt(lambda: net.set_submodule("layers.7", scale(nn, t), strict=True)))
    out.append(attempt(lambda: net.set_submodule("gain", scale(nn, t))))
    net.set_submodule("layers.1", nn.ReLU())
    net.set_submodule("first.extra", nn.ReLU())
    out.append([n for n, _ in net.named_modules()])
    return out


@scenario
def printed(nn: Any, t: Any) -> Any:
    class Doc(nn.Module):
        def extra_repr(self) -> str:
            return "one line"

    class Two(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.inner = nn.Sequential(Doc(), nn.ModuleList([Doc(), Doc(), nn.ReLU()]))

        def extra_repr(self) -> str:
            return "first\n\nthird"

    class Empty(nn.Module):
        pass

    named = nn.Sequential(OrderedDict([("conv", Doc()), ("act", nn.ReLU())]))
    none = Empty()
    none.add_module("gone", None)
    return [
        repr(m)
        for m in (
            Doc(),
            Two(),
            Empty(),
            none,
            named,
            nn.ModuleList([]),
            nn.ModuleList([Empty()] * 3 + [Doc(), Two(), Two()]),
            nn.ModuleDict({"a": Two(), "b": Doc()}),
            nn.Sequential(nn.Sequential(), nn.ModuleDict()),
        )
    ]


@scenario
def listed(nn: Any, t: Any) -> Any:
    net, seq = model(nn, t), nn.Sequential(nn.ReLU(), nn.ReLU())
    wanted = {"first", "layers", "gain", "bias", "hidden", "forward", "add_module", "training"}
    return [sorted(wanted & set(dir(net))), "0" in dir(seq), "0" in dir(nn.ModuleList([seq]))]


# ---- attributes


@scenario
def assignment(nn: Any, t: Any) -> Any:
    net = model(nn, t)
    out: list[Any] = []
    out.append(attempt(lambda: setattr(net, "gain", t.tensor(1.0))))
    out.append(attempt(lambda: setattr(net, "gain", 1.0)))
    out.append(attempt(lambda: setattr(net, "first", t.tensor(1.0))))
    out.append(attempt(lambda: setattr(net, "steps", "no")))
    net.gain = None
    net.steps = None
    out.append([net.gain, net.steps, [n for n, _ in net.named_parameters()]])
    net.steps = t.tensor(5)
    net.plain = t.tensor(6)
    net.first = None
    net.bias = nn.Parameter(t.tensor(1.0))
    net.late = 1
    net.late = nn.Parameter(t.tensor(1.0))
    net.steps = nn.Parameter(t.tensor(2.0))
    net.later = nn.Parameter(t.tensor(1.0))
    del net.later
    net.later = scale(nn, t)
    out.append([sorted(net._parameters), sorted(net._buffers), sorted(net._modules)])
    out.append(["late" in net.__dict__, "plain" in net.__dict__, list(net.state_dict())])
    del net.late, net.hidden, net.layers
    out.append(attempt(lambda: net.late))
    out.append(attempt(lambda: delattr(net, "nope")))
    out.append(sorted(net._non_persistent_buffers_set))
    net.kept = nn.Buffer(t.tensor(1.0))
    net.dropped = nn.Buffer(t.tensor(1.0), persistent=False)
    net.kept = t.tensor(2.0)
    out.append([sorted(net.state_dict()), isinstance(nn.Buffer(t.tensor(1.0)), nn.Buffer)])
    return out


@scenario
def registration(nn: Any, t: Any) -> Any:
    net = model(nn, t)
    p, b, m = nn.Parameter(t.tensor(1.0)), t.tensor(1.0), nn.ReLU()
    out: list[Any] = []
    for method, value in (
        (net.register_parameter, p),
        (net.register_buffer, b),
        (net.add_module, m),
    ):
        for name in ("a.b", "", 3, "forward", "gain", "first", "steps", "training", "nothing"):
            out.append(attempt(lambda m=method, n=name, v=value: m(n, v)))  # noqa: PERF401
        for wrong in (p, b, m, 3, [m], nn.ReLU):
            if wrong is not value and not (value is b and wrong is p):
                out.append(attempt(lambda m=method, w=wrong: m("fresh", w)))  # noqa: PERF401
    out.append(attempt(lambda: net.register_parameter("calc", nn.Parameter(b) * 2)))
    out.append([sorted(net._parameters), sorted(net._buffers), sorted(net._modules)])
    return out


@scenario
def registration_hooks(nn: Any, t: Any) -> Any:
    log: list[Any] = []
    replacement = nn.ReLU()
    h = t.hooks
    handles = [
        h.register_module_parameter_registration_hook(lambda m, n, p: log.append(("p", n))),
        h.register_module_buffer_registration_hook(lambda m, n, b: log.append(("b", n))),
        h.register_module_module_registration_hook(
            lambda m, n, c: log.append(("m", n)) or (replacement if n == "swap" else None)
        ),
    ]
    net = model(nn, t)
    net.swap = nn.Tanh()
    for handle in handles:
        handle.remove()
    net.more = nn.Tanh()
    return [log, net.swap is replacement]


@scenario
def modes_and_gradients(nn: Any, t: Any) -> Any:
    net = model(nn, t)
    out: list[Any] = [net.training, net.eval() is net, [m.training for m in net.modules()]]
    out += [attempt(lambda: net.train("yes")), net.train().training]
    net.requires_grad_(False)
    out.append([p.requires_grad for p in net.parameters()])
    net.requires_grad_()
    net(t.tensor([[1.0, 2.0]])).sum().backward()
    out.append([p.grad for p in net.parameters()])
    net.zero_grad(set_to_none=False)
    out.append([p.grad for p in net.parameters()])
    net.zero_grad()
    out.append([p.grad for p in net.parameters()])
    visited: list[str] = []
    out.append(net.apply(lambda m: visited.append(type(m).__name__)) is net)
    return [*out, visited]


@scenario
def conversions(nn: Any, t: Any) -> Any:
    net = model(nn, t)
    net(t.tensor([[1.0, 2.0]])).sum().backward()
    before = list(net.parameters())

    def kinds() -> list[str]:
        tensors = [*net.parameters(), *net.buffers(), *(p.grad for p in net.parameters())]
        return [str(x.dtype).split(".")[1] for x in tensors]

    out: list[Any] = []
    for step in (
        net.double,
        net.half,
        net.float,
        net.bfloat16,
        lambda: net.to(t.lib.float64),
        lambda: net.to(dtype=t.lib.float32),
        lambda: net.to("cpu", t.lib.float64, True),
        lambda: net.to(t.tensor([1.0])),
        lambda: net.to("cpu"),
        net.cpu,
        lambda: net.type(t.lib.float64),
        lambda: net.float(),
    ):
        out.append([step() is net, kinds()])  # noqa: PERF401
    out.append(all(a is b for a, b in zip(before, net.parameters(), strict=True)))
    out.append([p.is_leaf and p.requires_grad for p in net.parameters()])
    out.append(list(net.parameters()))
    out.append([p.grad for p in net.parameters()])
    out += [attempt(lambda: net.to(t.lib.int64)), attempt(lambda: net.to(bogus=1))]
    return out


@scenario
def copies(nn: Any, t: Any) -> Any:
    net = model(nn, t)
    net.register_forward_hook(returns_none)
    net(t.tensor([1.0, 2.0])).sum().backward()
    twin = copy.deepcopy(net)
    shallow = copy.copy(net)
    with t.lib.no_grad():
        net.first.w.add_(1)
    out: list[Any] = [
        twin.first.w,
        shallow.first is net.first,
        twin.tied is twin.first,
        twin.gain.grad,
        twin.gain.requires_grad,
        isinstance(twin.gain, nn.Parameter),
        len(twin._forward_hooks),
        twin(t.tensor([1.0, 2.0])),
        [n for n, _ in twin.named_parameters()],
    ]
    frozen = nn.Parameter(t.tensor([1, 2]), requires_grad=False)
    for make in (copy.deepcopy, lambda x: pickle.loads(pickle.dumps(x))):
        other = make(frozen)
        out += [other, other.requires_grad, isinstance(other, nn.Parameter)]
    layers = nn.Sequential(nn.ReLU(), nn.Tanh())
    revived = pickle.loads(pickle.dumps(layers))
    return [*out, repr(revived), revived(t.tensor([-1.0, 0.0])), revived.training]


def returns_none(*args: Any) -> None:
    return None


# ---- state


@scenario
def states(nn: Any, t: Any) -> Any:
    net = model(nn, t)
    out: list[Any] = [net.state_dict(), dict(net.state_dict()._metadata)]
    given: dict[str, Any] = {}
    out.append(net.state_dict(destination=given, prefix="a.") is given)
    out.append([given["a.gain"].requires_grad, net.state_dict(keep_vars=True)["gain"] is net.gain])
    other = model(nn, t)
    with t.lib.no_grad():
        other.gain.fill_(9)
        other.steps.fill_(9)
    out += [repr(net.load_state_dict(other.state_dict())), net.gain, net.steps]
    with t.lib.no_grad():
        other.gain.fill_(8)  # values were copied
    out.append(net.gain)
    alias = net.state_dict()["gain"]
    with t.lib.no_grad():
        net.gain.fill_(6)  # what state_dict gives is not a copy
    return [*out, alias]


@scenario
def states_that_do_not_fit(nn: Any, t: Any) -> Any:
    net = model(nn, t)
    state = net.state_dict()
    out: list[Any] = [attempt(lambda: net.load_state_dict(3))]
    for change in (
        lambda s: s.pop("gain"),
        lambda s: s.update(odd=t.tensor(1.0)),
        lambda s: s.update({"first.odd": t.tensor(1.0), "first.w.odd": t.tensor(1.0)}),
        lambda s: s.update(gain=t.tensor([1.0, 2.0])),
        lambda s: s.update(gain=3.0),
        lambda s: s.update(bias=t.tensor([1.0, 2.0])),
        lambda s: s.update(hidden=t.tensor(1.0)),
        lambda s: s.update(_extra_state=1),
        lambda s: s.update(gain=t.tensor([0.25])),
    ):
        changed = OrderedDict(state)
        change(changed)
        out.append(attempt(lambda s=changed: [list(k) for k in net.load_state_dict(s)]))
        out.append(
            attempt(lambda s=changed: [list(k) for k in net.load_state_dict(s, strict=False)])
        )
    return [*out, net.gain]


@scenario
def assigned_states(nn: Any, t: Any) -> Any:
    net, other = model(nn, t), model(nn, t).double()
    net.gain.requires_grad_(False)
    before = net.gain
    state = other.state_dict()
    net.load_state_dict(state, assign=True)
    out = [str(net.gain.dtype).split(".")[1], net.gain.requires_grad, net.gain is before]
    out += [isinstance(net.gain, nn.Parameter), net.first.w.requires_grad]
    return [*out, net.steps is state["steps"], net.first.b is state["first.b"]]


@scenario
def state_hooks(nn: Any, t: Any) -> Any:
    log: list[Any] = []
    net = model(nn, t)
    first = net.first

    def pre(module: Any, prefix: str, keep_vars: bool) -> None:
        log.append(("pre", prefix, keep_vars))

    def post(module: Any, state: Any, prefix: str, metadata: Any) -> None:
        log.append(("post", type(module).__name__, prefix, metadata["version"]))
        state[prefix + "added"] = state.pop(prefix + "w")

    def load_pre(module: Any, state: Any, prefix: str, *rest: Any) -> None:
        log.append(("load", type(module).__name__, prefix, rest[1]))
        if prefix + "added" in state:
            state[prefix + "w"] = state.pop(prefix + "added")

    def load_post(module: Any, keys: Any) -> None:
        log.append(("done", list(keys.missing_keys), list(keys.unexpected_keys)))
        keys.missing_keys.clear()

    handles = [
        first.register_state_dict_pre_hook(pre),
        first.register_state_dict_post_hook(post),
        first.register_load_state_dict_pre_hook(load_pre),
        net.register_load_state_dict_post_hook(load_post),
    ]
    state = net.state_dict()
    out: list[Any] = [list(state)]
    out.append(attempt(lambda: repr(net.load_state_dict(state))))
    del state["gain"]
    out.append(attempt(lambda: repr(net.load_state_dict(state))))
    for handle in handles:
        handle.remove()
    out.append(list(net.state_dict()))
    net._register_state_dict_hook(lambda m, s, p, meta: {"replaced": len(s)})
    out.append(net.state_dict())
    out.append(attempt(lambda: net._register_state_dict_hook(post)))
    bad = model(nn, t)
    bad.register_state_dict_post_hook(lambda *a: 3)
    out.append(attempt(bad.state_dict))
    wrong = model(nn, t)
    wrong.register_load_state_dict_post_hook(lambda *a: 3)
    out.append(attempt(lambda: wrong.load_state_dict(wrong.state_dict())))
    legacy = model(nn, t)
    legacy._register_load_state_dict_pre_hook(lambda state, prefix, *rest: state.pop("gain"))
    out.append(attempt(lambda: legacy.load_state_dict(legacy.state_dict())))
    return [log, *out]


@scenario
def extra_state(nn: Any, t: Any) -> Any:
    class Counter(nn.Module):
        count = 0

        def get_extra_state(self) -> Any:
            return {"count": self.count}

        def set_extra_state(self, state: Any) -> None:
            self.count = state["count"]

    class Outer(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.counter = Counter()

    net, other = Outer(), Outer()
    other.counter.count = 5
    out: list[Any] = [list(other.state_dict())]
    net.load_state_dict(other.state_dict())
    out.append(net.counter.count)
    out.append(attempt(lambda: net.load_state_dict({})))
    return [*out, attempt(lambda: net.load_state_dict({"counter._extra_state": {}}))]


@scenario
def versions(nn: Any, t: Any) -> Any:
    log: list[Any] = []

    class Versioned(nn.Module):
        _version = 3

        def __init__(self) -> None:
            super().__init__()
            self.w = nn.Parameter(t.tensor(1.0))

        def _load_from_state_dict(self, state: Any, prefix: str, meta: Any, *rest: Any) -> None:
            log.append((prefix, meta.get("version")))
            if meta.get("version", 1) < 3:
                state[prefix + "w"] = state.pop(prefix + "old")
            super()._load_from_state_dict(state, prefix, meta, *rest)

    net = nn.Sequential(Versioned())
    state = net.state_dict()
    net.load_state_dict(state)
    net.load_state_dict({"0.old": t.tensor(4.0)})
    return [log, dict(state._metadata), net[0].w]


# ---- containers


@scenario
def sequential(nn: Any, t: Any) -> Any:
    a, b, c = scale(nn, t, 1.0), scale(nn, t, 2.0), scale(nn, t, 3.0)
    seq = nn.Sequential(a, b)
    out: list[Any] = [seq(t.tensor([1.0, 2.0])), len(seq), seq[-1] is b, [m is a for m in seq]]
    out += [attempt(lambda i=i: type(seq[i]).__name__) for i in (2, -3, "x", slice(0, 1))]
    out += [seq.append(c) is seq, seq.extend([a, b]) is seq, seq.insert(1, c) is seq]
    out.append([list(seq._modules), [m is c for m in seq]])
    out.append(attempt(lambda: seq.insert(9, c)))
    out += [seq.insert(-1, a) is seq, len(seq), seq.pop(0) is a, list(seq._modules)]
    seq[0] = a
    del seq[1:3]
    out.append([list(seq._modules), [m is a for m in seq]])
    out.append(attempt(lambda: seq.__setitem__(9, a)))
    out.append(attempt(lambda: seq.__setitem__(0, 3)))
    out.append([len(seq + seq), len(seq * 2), len(2 * seq), attempt(lambda: seq * 0)])
    out += [
        attempt(lambda: seq.__add__([a])),
        attempt(lambda: seq * "x"),
        attempt(lambda: seq * -1),
    ]
    seq += nn.Sequential(c)
    seq *= 2
    out.append([len(seq), list(seq._modules), seq(t.tensor([1.0, 2.0]))])
    named = nn.Sequential(OrderedDict([("a", a), ("b", b), ("c", c)]))
    out.append([named.a is a, list(named[1:]._modules), repr(named[:1])])
    del named[0]
    out.append(list(named._modules))
    for wrong in (3, [a, b], {"a": a}, None):
        out.append(attempt(lambda w=wrong: len(nn.Sequential(w))))
    return out


@scenario
def module_list(nn: Any, t: Any) -> Any:
    a, b, c = nn.ReLU(), nn.Tanh(), nn.Sigmoid()
    layers = nn.ModuleList([a, b])
    out: list[Any] = [len(layers), layers[-1] is b, type(layers[:1]).__name__, len(layers[1:])]
    out += [attempt(lambda i=i: layers[i]) for i in (2, -3)]
    layers.append(c).extend([a]).insert(0, c)
    layers += [b]
    layers[1] = b
    out.append([type(m).__name__ for m in layers])
    out += [layers.pop(0) is c, layers.pop(-1) is b, list(layers._modules)]
    del layers[0], layers[-1:]
    out.append([type(m).__name__ for m in layers.__add__([a])])
    out.append(attempt(lambda: layers(t.tensor(1.0))))
    out += [attempt(lambda w=w: layers.extend(w)) for w in (3, [3])]
    return [*out, attempt(lambda: layers.append("x"))]


@scenario
def module_dict(nn: Any, t: Any) -> Any:
    a, b = nn.ReLU(), nn.Tanh()
    d = nn.ModuleDict({"b": b, "a": a})
    out: list[Any] = [list(d), len(d), "a" in d, "x" in d, d["a"] is a, list(d.keys())]
    out += [[k for k, _ in d.items()], [type(v).__name__ for v in d.values()]]
    d.update([("c", a)])
    d.update(OrderedDict(e=b))
    d.update(nn.ModuleDict({"f": a}))
    out.append(list(d))
    for wrong in (3, [3], [("a",)], [("a", 3)]):
        out.append(attempt(lambda w=wrong: d.update(w)))
    for key in ("x.y", "pop", "", 3):
        out.append(attempt(lambda k=key: d.__setitem__(k, a)))
    out += [d.pop("a") is a, attempt(lambda: d["a"]), attempt(lambda: d(1))]
    del d["b"]
    out.append(list(d))
    d.clear()
    return [*out, len(d)]


@scenario
def parameter_list(nn: Any, t: Any) -> Any:
    p = nn.Parameter(t.tensor(1.0))
    ps = nn.ParameterList([p, t.tensor([2.0])])
    ps.append(t.tensor(3.0)).extend([p, "word"])
    ps += [t.tensor(4.0)]
    out: list[Any] = [len(ps), ps[0] is p, ps[-2], isinstance(ps[1], nn.Parameter)]
    out.append([n for n, _ in ps.named_parameters()])
    out += [type(ps[1:3]).__name__, len(ps[1:3]), [type(x).__name__ for x in ps]]
    ps[1] = t.tensor([9.0])
    out += [ps[1], attempt(lambda: ps[9]), attempt(lambda: ps.extend(t.tensor([1.0])))]
    out += [attempt(lambda: ps.extend(3)), attempt(lambda: ps(1)), "0" in dir(ps)]
    lines = repr(nn.ParameterList([t.tensor([[1.0, 2.0]]), "x"])).replace(f"{t.lib.__name__}.", "")
    return [*out, lines]


@scenario
def parameter_dict(nn: Any, t: Any) -> Any:
    p = nn.Parameter(t.tensor(1.0))
    d = nn.ParameterDict({"b": p, "a": t.tensor([2.0])})
    d["c"] = t.tensor(3.0)
    out: list[Any] = [list(d), len(d), "a" in d, d["b"] is p, isinstance(d["a"], nn.Parameter)]
    out += [[n for n, _ in d.named_parameters()], list(reversed(d)), list(d.keys())]
    out += [[k for k, _ in d.items()], list(d.values()), d.get("x", 5), d.get("b") is p]
    out += [d.setdefault("b", 3) is p, d.setdefault("e", t.tensor(1.0)), list(d)]
    out += [d.popitem()[0], d.pop("c"), list(d), list(d.copy()), list(d.fromkeys(["x", "y"], 1))]
    out += [list(d | nn.ParameterDict({"z": p})), list(nn.ParameterDict({"z": p}) | d)]
    d |= nn.ParameterDict({"q": p})
    d.update([("r", p)])
    out.append(list(d))
    out += [attempt(lambda w=w: d.update(w)) for w in (3, [3], [("a",)])]
    out += [attempt(lambda: d[3]), attempt(lambda: d(1)), attempt(lambda: d["nope"])]
    del d["a"]
    out.append(list(d._parameters))
    d.clear()
    return [*out, len(d)]


# ---- hooks


@scenario
def forward_hooks(nn: Any, t: Any) -> Any:
    log: list[Any] = []

    class Affine(nn.Module):
        def forward(self, x: Any, shift: Any = 0.0) -> Any:
            return x * 2 + shift

    m = Affine()
    x = t.tensor([1.0])

    def note(name: str, result: Any = None) -> Any:
        return lambda *a: log.append((name, a[1:])) or result

    def extra(module: Any, args: Any, kwargs: Any) -> Any:
        return args, {"shift": kwargs.get("shift", 0) + 10}

    m.register_forward_pre_hook(note("pre"))
    m.register_forward_pre_hook(lambda mod, args: args[0] + 1)
    m.register_forward_pre_hook(note("first"), prepend=True)
    m.register_forward_pre_hook(extra, with_kwargs=True)
    kwargs_handle = m.register_forward_hook(note("with"), with_kwargs=True)
    m.register_forward_hook(lambda mod, args, out: out * 100)
    m.register_forward_hook(note("front"), prepend=True)
    out: list[Any] = [m(x), m(x, shift=1.0)]
    kwargs_handle.remove()
    kwargs_handle.remove()
    out.append(m(x))
    every = [
        t.hooks.register_module_forward_pre_hook(note("global pre")),
        t.hooks.register_module_forward_hook(note("global")),
        t.hooks.register_module_forward_hook(lambda m, a, k, o: o + k["shift"], with_kwargs=True),
    ]
    out.append(m(x))
    for handle in every:
        handle.remove()
    with m.register_forward_hook(note("context")):
        out.append(m(x))
    out.append(m(x))
    tuples = Affine()
    tuples.register_forward_pre_hook(lambda mod, args: (args[0], 5.0))
    out.append(tuples(x))
    bad = Affine()
    bad.register_forward_pre_hook(lambda mod, args, kwargs: 3, with_kwargs=True)
    return [log, *out, attempt(lambda: bad(x))]


@scenario
def hooks_after_errors(nn: Any, t: Any) -> Any:
    log: list[Any] = []

    class Fails(nn.Module):
        def forward(self, x: Any) -> Any:
            raise ValueError("broken")

    def note(name: str) -> Any:
        return lambda *a: log.append((name, a[1:]))

    m = Fails()
    m.register_forward_hook(note("never"))
    m.register_forward_hook(note("always"), always_call=True)
    m.register_forward_hook(note("kwargs"), always_call=True, with_kwargs=True)
    handle = t.hooks.register_module_forward_hook(note("global"), always_call=True)
    out = [attempt(lambda: m(t.tensor(1.0)))]
    handle.remove()
    ok = nn.Identity()
    ok.register_forward_hook(note("once"), always_call=True)
    ok.register_forward_hook(lambda *a: 1 / 0)
    return [*out, attempt(lambda: ok(t.tensor(2.0))), log]


def two_in_three_out(nn: Any) -> Any:
    class Module(nn.Module):
        def forward(self, a: Any, b: Any, *rest: Any) -> Any:
            return a * 2, b * a, a.detach(), 7

    return Module()


@scenario
def backward_hooks(nn: Any, t: Any) -> Any:
    log: list[Any] = []
    out: list[Any] = []

    def note(name: str) -> Any:
        return lambda *a: log.append((name, a[1:]))

    # Where an input is not used at all, PyTorch gives it zeros for a gradient because of the hook;
    # weft leaves its .grad alone (test_hooks.py).
    for pick in (lambda r: (r[0] * r[1]).sum(), lambda r: r[1].sum()):
        m = two_in_three_out(nn)
        m.register_full_backward_hook(note("full"))
        m.register_full_backward_hook(note("front"), prepend=True)
        m.register_full_backward_pre_hook(note("pre"))
        m.register_full_backward_pre_hook(note("pre front"), prepend=True)
        a = t.tensor([1.0, 2.0], requires_grad=True)
        b = t.tensor([3.0, 4.0], requires_grad=True)
        c = t.tensor([5.0, 6.0])
        pick(m(a, b, c, "word")).backward()
        out.append((a.grad, b.grad, c.grad))
    return [log, *out]


@scenario
def backward_hooks_that_replace(nn: Any, t: Any) -> Any:
    out: list[Any] = []
    m = two_in_three_out(nn)
    m.register_full_backward_pre_hook(lambda mod, go: (go[0] * 10, go[1], None, None))
    m.register_full_backward_hook(lambda mod, gi, go: (gi[0] + 1, go[0]))
    a = t.tensor([1.0, 2.0], requires_grad=True)
    b = t.tensor([3.0, 4.0], requires_grad=True)
    r = m(a, b)
    (r[0] + r[1]).sum().backward()
    out += [a.grad, b.grad]
    for wrong in (lambda *x: (None,), lambda *x: (None, None, None)):
        bad = two_in_three_out(nn)
        bad.register_full_backward_hook(wrong)
        out.append(attempt(lambda bad=bad: bad(a, b)[0].sum().backward()))
        bad = two_in_three_out(nn)
        bad.register_full_backward_pre_hook(wrong)
        out.append(attempt(lambda bad=bad: bad(a, b)[0].sum().backward()))
    for nothing in (lambda *x: (None, None), lambda *x: None):
        cut = two_in_three_out(nn)
        cut.register_full_backward_hook(nothing)
        a.grad = b.grad = None
        cut(a, b)[1].sum().backward()
        out.append((a.grad, b.grad))
    return out


@scenario
def backward_hooks_in_a_chain(nn: Any, t: Any) -> Any:
    log: list[Any] = []
    net = nn.Sequential(scale(nn, t, 2.0), scale(nn, t, 3.0), nn.Tanh(), scale(nn, t, 4.0))
    for k, layer in enumerate(net):
        layer.register_full_backward_pre_hook(lambda m, go, k=k: log.append((k, "pre", go)))
        if k:
            layer.register_full_backward_hook(lambda m, gi, go, k=k: log.append((k, gi, go)))
    x = t.tensor([0.1, -0.2])
    net(x).sum().backward()
    log.append([p.grad for p in net.parameters()])
    with t.lib.no_grad():
        net(x)
    return log


@scenario
def backward_hooks_in_several_walks(nn: Any, t: Any) -> Any:
    log: list[Any] = []
    m = scale(nn, t, 3.0)
    m.register_full_backward_hook(lambda mod, gi, go: log.append((gi, go)))
    x = t.tensor([1.0, 2.0], requires_grad=True)
    y = m(x) ** 2
    y.sum().backward(retain_graph=True)
    y.sum().backward(retain_graph=True)
    log.append(t.lib.autograd.grad(y.sum(), m.w, retain_graph=True))
    (g,) = t.lib.autograd.grad(y.sum(), x, create_graph=True)
    log.append(g)
    (g2,) = t.lib.autograd.grad(g.sum(), x)
    log.append(g2)
    shared = m(m(x))
    shared.sum().backward()
    return [log, x.grad]


@scenario
def backward_hooks_for_all(nn: Any, t: Any) -> Any:
    log: list[Any] = []
    net = nn.Sequential(scale(nn, t, 2.0), nn.ReLU())
    handles = [
        t.hooks.register_module_full_backward_pre_hook(
            lambda m, go: log.append((type(m).__name__, "pre", go))
        ),
        t.hooks.register_module_full_backward_hook(
            lambda m, gi, go: log.append((type(m).__name__, gi, go))
        ),
    ]
    net[1].register_full_backward_hook(lambda m, gi, go: log.append(("own", gi)))
    x = t.tensor([1.0, -2.0], requires_grad=True)
    net(x).sum().backward()
    for handle in handles:
        handle.remove()
    net(x).sum().backward()
    return [log, x.grad]


@scenario
def mixed_kinds_of_backward_hooks(nn: Any, t: Any) -> Any:
    full = nn.ReLU()
    full.register_full_backward_hook(returns_none)
    return attempt(lambda: full.register_backward_hook(returns_none))


@scenario
def initialisation(nn: Any, t: Any) -> Any:
    class Plain(nn.Module):
        pass

    class Chain(nn.Module):
        call_super_init = True

    class Mixin:
        def __init__(self, value: int = 3) -> None:
            super().__init__()
            self.value = value

    class Both(Chain, Mixin):
        def __init__(self, **kwargs: int) -> None:
            super().__init__(**kwargs)

    return [
        attempt(lambda: Plain(1)),
        attempt(lambda: Plain(a=1)),
        Both(value=4).value,
        Both().value,
        attempt(lambda: nn.Module()(1)),
    ]
