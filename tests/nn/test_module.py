"""What weft's Module does beyond PyTorch's: it names, explains, and leaves nothing half done.

What it shares with PyTorch's is in ``test_module_parity.py``.
"""

from __future__ import annotations

import copy
import gc
import pickle
import threading
import warnings
from collections import OrderedDict
from typing import Any
from weakref import ref

import numpy as np
import pytest

import weft
from weft import nn
from weft.errors import CheckpointError, DeviceError, GradientError, ShapeError, UnsupportedOp
from weft.graph.modes import module_path
from weft.nn import mistakes

X = weft.ones(2, 3)


class Where(nn.Module):
    """Notes the path under which it is called."""

    def __init__(self, log: list[str]) -> None:
        object.__setattr__(self, "log", log)

    def forward(self, x: Any) -> Any:
        self.log.append(str(module_path.get()))
        return x


class Fails(nn.Module):
    """Raises what it is given."""

    def forward(self, x: Any, error: BaseException | None = None) -> Any:
        if error is not None:
            raise error
        return x


class Wrap(nn.Module):
    """Calls its ``inner``."""

    def __init__(self, inner: nn.Module) -> None:
        self.inner = inner

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        return self.inner(*args, **kwargs)


# ---- construction


def test_init_need_not_be_called() -> None:
    class Net(nn.Module):
        def __init__(self) -> None:
            self.fc = nn.Linear(3, 2)
            self.w = nn.Parameter(weft.zeros(2))
            self.register_buffer("b", weft.ones(2))
            self.size = 3

        def forward(self, x: Any) -> Any:
            return self.fc(x) * self.w + self.b

    net = Net()
    assert net(X).tolist() == [[1.0, 1.0], [1.0, 1.0]]
    assert [n for n, _ in net.named_parameters()] == ["w", "fc.weight", "fc.bias"]


def test_init_may_be_called_late_or_twice() -> None:
    class Net(nn.Module):
        def __init__(self) -> None:
            self.fc = nn.Linear(3, 2)
            super().__init__()
            nn.Module.__init__(self)

    assert len(list(Net().parameters())) == 2


def test_init_goes_on_to_mixins() -> None:
    class Mixin:
        def __init__(self) -> None:
            super().__init__()
            self.mixed = True

    class Net(nn.Module, Mixin):
        def __init__(self) -> None:
            super().__init__()

    assert Net().mixed


def test_init_leaves_mixins_with_arguments_to_the_class() -> None:
    class Mixin:
        def __init__(self, value: int) -> None:
            self.value = value

    class Net(nn.Module, Mixin):
        def __init__(self) -> None:
            nn.Module.__init__(self)
            Mixin.__init__(self, 3)

    assert Net().value == 3


def test_init_passes_arguments_on_to_mixins() -> None:
    class Mixin:
        def __init__(self, value: int) -> None:
            self.value = value

    class Net(nn.Module, Mixin):
        pass

    assert Net(4).value == 4  # type: ignore[call-arg]


# ---- attributes


@pytest.mark.parametrize(
    ("module", "name", "hint"),
    [
        (nn.Sequential(), "add_moudle", "Did you mean 'add_module'?"),
        (nn.Linear(2, 2), "wieght", "Did you mean 'weight'?"),
        (nn.Sequential(OrderedDict(encoder=nn.ReLU())), "encodr", "Did you mean 'encoder'?"),
        (nn.Linear(2, 2), "_paramters", "Did you mean '_parameters'?"),
    ],
)
def test_misspelt_attribute(module: nn.Module, name: str, hint: str) -> None:
    with pytest.raises(AttributeError) as raised:
        getattr(module, name)
    kind = type(module).__name__
    assert str(raised.value) == f"'{kind}' object has no attribute '{name}'. {hint}"


def test_unknown_attribute_without_likeness() -> None:
    with pytest.raises(AttributeError) as raised:
        nn.ReLU().zzz
    assert str(raised.value) == "'ReLU' object has no attribute 'zzz'"
    assert str(pickle.loads(pickle.dumps(raised.value))) == str(raised.value)


def test_hasattr_looks_for_no_suggestion(monkeypatch: pytest.MonkeyPatch) -> None:
    def expensive(*args: Any) -> str:
        raise AssertionError("looked for a suggestion that nobody reads")

    monkeypatch.setattr(mistakes, "did_you_mean", expensive)
    assert not hasattr(nn.Linear(2, 2), "wieght")


def test_error_in_a_property_is_reported_as_itself() -> None:
    class Net(nn.Module):
        @property
        def width(self) -> int:
            return self.wdith_of_layer

        @property
        def double(self) -> int:  # type: ignore[override]
            return 2 * self.width

    for name in ("width", "double"):
        with pytest.raises(AttributeError, match="no attribute 'wdith_of_layer'"):
            getattr(Net(), name)


# ---- forward


@pytest.mark.parametrize(
    ("module", "message"),
    [
        (
            type("Net", (nn.Module,), {"foward": lambda self, x: x})(),
            r"Module \[Net\] is missing .* Is its method 'foward' meant to be it\? Rename it",
        ),
        (type("Net", (nn.Module,), {})(), r"Module \[Net\] .*: define `def forward\(self, x\)"),
        (nn.ModuleList(), r"\[ModuleList\].* `for layer in layers: x = layer\(x\)`"),
        (nn.ModuleDict(), r"\[ModuleDict\].* x = layers\['name'\]\(x\)"),
    ],
)
def test_no_forward(module: nn.Module, message: str) -> None:
    with pytest.raises(NotImplementedError, match=message):
        module(X)


# ---- registration


class Net(nn.Module):
    def __init__(self) -> None:
        self.fc = nn.Linear(3, 2)
        self.w = nn.Parameter(weft.zeros(2))
        self.register_buffer("b", weft.ones(2))


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        (
            lambda m: m.add_module("a", 3),
            TypeError,
            "an int cannot be module 'a' of Net: nn.Module",
        ),
        (lambda m: m.add_module("a", nn.ReLU), TypeError, r"the class ReLU .* Make one: ReLU\("),
        (lambda m: m.add_module("a", X), TypeError, r"register_buffer\('a', x\)"),
        (lambda m: m.add_module("a", [nn.ReLU()]), TypeError, r"nn.ModuleList\(layers\)"),
        (lambda m: m.add_module("a", {}), TypeError, r"nn.ModuleDict\(layers\)"),
        (lambda m: m.add_module("a", weft.relu), TypeError, r"Call a function in forward\(\)"),
        (lambda m: m.add_module("forward", nn.ReLU()), KeyError, "in Net it is a method. Choose"),
        (lambda m: m.add_module("w", nn.ReLU()), KeyError, "a parameter.* or `del self.w` first"),
        (lambda m: m.add_module("a.b", nn.ReLU()), KeyError, "got: a.b for Net.* write 'a_b'"),
        (lambda m: m.add_module("", nn.ReLU()), KeyError, "can't be empty string '', for Net"),
        (lambda m: m.add_module(3, nn.ReLU()), TypeError, "should be a string. Got int for Net"),
        (lambda m: m.register_buffer("w", X), KeyError, "attribute 'w' already exists: in Net"),
        (lambda m: m.register_buffer("a", 3.0), TypeError, r"Write weft.tensor\(x\)"),
        (lambda m: m.register_parameter("a", X), TypeError, r"parameter\('a', nn.Parameter\(x\)\)"),
        (lambda m: m.register_parameter("a", 1.0), TypeError, r"Parameter\(weft.tensor\(x\)\)"),
        (lambda m: m.register_parameter("a", nn.ReLU()), TypeError, r"Use add_module\('a'"),
        (lambda m: setattr(m, "w", X), TypeError, r"as parameter 'w' of Net.*self.w.copy_\(x\)"),
        (lambda m: setattr(m, "fc", X), TypeError, "as module 'fc' of Net .*`del self.fc` frees"),
        (lambda m: setattr(m, "b", 1), TypeError, "as buffer 'b' of Net .*`del self.b` frees"),
        (lambda m: nn.Sequential([nn.ReLU()]), TypeError, r"write Sequential\(\*layers\)"),
        (lambda m: nn.Sequential({"a": nn.ReLU()}), TypeError, r"Sequential\(OrderedDict\(layers"),
        (lambda m: nn.ModuleDict({"pop": nn.ReLU()}), KeyError, "'pop' .* ModuleDict .* a method"),
        (lambda m: m.get_submodule("fc.5"), AttributeError, r"no 'fc.5', for 'fc' \(Linear\)"),
        (lambda m: m.get_submodule("fcc"), AttributeError, r"has no attribute `fcc`.*Did you mean"),
        (lambda m: m.get_submodule("zzz"), AttributeError, r"It has 'fc'"),
        (lambda m: m.get_parameter("fc.wieght"), AttributeError, r"Did you mean 'weight'\?"),
        (lambda m: m.get_parameter("b"), AttributeError, "`b` is not an nn.Parameter: Net.b is"),
        (lambda m: m.train(1), ValueError, "training mode is expected to be boolean, not int"),
        (lambda m: m.get_extra_state(), RuntimeError, "Net defines no get_extra_state"),
        (lambda m: m.set_extra_state(1), RuntimeError, "Net defines no set_extra_state"),
    ],
)
def test_mistakes_in_registration(change: Any, error: type[Exception], message: str) -> None:
    net = Net()
    before = list(net.state_dict())
    with pytest.raises(error, match=message):
        change(net)
    assert list(net.state_dict()) == before


def test_old_style_register_buffer_is_called_as_it_is() -> None:
    class Old(nn.Module):
        def register_buffer(self, name: str, tensor: Any) -> None:  # type: ignore[override]
            super().register_buffer(name, tensor)

    net = Old()
    net.a = nn.Buffer(X)
    assert list(net.state_dict()) == ["a"]
    with pytest.raises(RuntimeError, match="no argument persistent, so buffer 'b'"):
        net.b = nn.Buffer(X, persistent=False)


# ---- parameters


def test_parameter_of_integers() -> None:
    with pytest.raises(GradientError, match=r"not weft.int64.*requires_grad=False"):
        nn.Parameter(weft.tensor([1, 2]))
    assert not nn.Parameter(weft.tensor([1, 2]), requires_grad=False).requires_grad


@pytest.mark.parametrize("make", [nn.Parameter, nn.Buffer])
def test_parameter_of_something_else(make: Any) -> None:
    with pytest.raises(TypeError, match=rf"nn.{make.__name__} takes a Tensor, not ndarray|numpy"):
        make(np.ones(2))
    assert make().shape == (0,)


def test_parameter_is_independent_of_its_data() -> None:
    x = weft.ones(2, requires_grad=True) * 2
    p = nn.Parameter(x)
    assert p.is_leaf
    assert p.requires_grad
    x.add_(1)
    assert p.tolist() == [2.0, 2.0]
    assert repr(p) == "Parameter containing:\ntensor([2., 2.], requires_grad=True)"


def test_parameter_keeps_its_attributes_when_copied_but_not_its_gradient() -> None:
    p = nn.Parameter(weft.ones(2))
    p.decay = [0.5]
    p.sum().backward()
    p.register_post_accumulate_grad_hook(lambda p: None)
    for twin in (copy.deepcopy(p), pickle.loads(pickle.dumps(p))):
        assert isinstance(twin, nn.Parameter)
        assert twin.grad is None
        assert twin.decay == [0.5]
        assert twin.decay is not p.decay
        (twin * 3).sum().backward()
        assert twin.grad.tolist() == [3.0, 3.0]
    assert p.grad.tolist() == [1.0, 1.0]


def test_tied_parameters_stay_tied_when_copied() -> None:
    net = Net()
    net.fc.again = net.fc.weight
    for twin in (copy.deepcopy(net), pickle.loads(pickle.dumps(net))):
        assert twin.fc.again is twin.fc.weight
        assert twin.fc.weight is not net.fc.weight


# ---- layers in plain lists


def listed(value: Any) -> type[nn.Module]:
    class Lists(nn.Module):
        def __init__(self) -> None:
            self.layers = value()

        def forward(self, x: Any) -> Any:
            return x

    return Lists


@pytest.mark.parametrize(
    ("value", "holder"),
    [
        (lambda: [nn.ReLU()], "ModuleList"),
        (lambda: (1, nn.ReLU()), "ModuleList"),
        (lambda: {"a": nn.ReLU()}, "ModuleDict"),
        (lambda: [[nn.ReLU()]], "ModuleList"),
        (lambda: {"a": [nn.ReLU()]}, "ModuleDict"),
        (lambda: [nn.Parameter(weft.ones(1))], "ParameterList"),
        (lambda: {"a": nn.Parameter(weft.ones(1))}, "ParameterDict"),
    ],
)
def test_layers_in_a_plain_list_are_reported_once(value: Any, holder: str) -> None:
    cls = listed(value)
    with pytest.warns(
        UserWarning, match=rf"Lists.layers is a plain .*self.layers = nn.{holder}"
    ) as w:
        cls()
    assert w[0].filename == __file__
    cls()(X)  # warnings are errors


@pytest.mark.parametrize("use", [lambda m: m(X), lambda m: list(m.parameters())])
def test_layers_put_into_a_list_later_are_reported_on_use(use: Any) -> None:
    net = listed(list)()
    use(net)
    net.layers.append(nn.Linear(2, 2))
    with pytest.warns(UserWarning, match=r"Lists.layers is a plain list with layers \(Linear\)"):
        use(nn.Sequential(net))
    use(net)


def test_lists_that_are_no_mistake() -> None:
    class Fine(nn.Module):
        def __init__(self) -> None:
            self.a = nn.ReLU()
            self.w = nn.Parameter(weft.ones(1))
            self.all = [self.a, self.w]
            self.sizes = (3, 3)
            self.names = {"a": 1, "b": "two"}
            self.tensors = [X]
            self.later: list[Any] = []
            object.__setattr__(self, "teacher", [nn.Linear(2, 2)])

        def forward(self, x: Any) -> Any:
            return x

    net = Fine()
    net.later.append(net.a)
    net(X)
    assert len(list(net.parameters())) == 1


def test_a_layer_can_be_hidden_on_purpose() -> None:
    net = Net()
    object.__setattr__(net, "teacher", nn.Linear(3, 3))
    assert len(list(net.parameters())) == 3
    assert net.teacher(X).shape == (2, 3)


# ---- paths


def test_paths() -> None:
    log: list[str] = []

    class Deep(nn.Module):
        def __init__(self) -> None:
            self.layers = nn.ModuleList([Where(log), nn.ModuleDict({"k": Where(log)})])
            self.seq = nn.Sequential(Where(log), nn.Sequential(Where(log)))
            self.wrapped = Wrap(Where(log))

        def forward(self, x: Any) -> Any:
            log.append(repr(str(module_path.get())))
            self.layers[0](x)
            self.layers[1]["k"](x)
            self.seq(x)
            self.seq[1][0](x)  # without calling what it is in
            self.wrapped(x)
            return Where(log)(x)  # registered nowhere

    inside = [
        "layers.0",
        "layers.1.k",
        "seq.0",
        "seq.1.0",
        "seq.1.0",
        "wrapped.inner",
        "<Where>",
    ]
    deep = Deep()
    for _ in range(2):
        deep(X)
        assert log == ["''", *inside]
        log.clear()
    outer = nn.Sequential(OrderedDict(net=deep))
    outer(X)
    assert log == ["'net'", *(f"net.{path}" for path in inside)]
    assert module_path.get() == ""


def test_path_of_a_shared_module() -> None:
    log: list[str] = []
    shared = Where(log)
    net = nn.Sequential(OrderedDict(a=Wrap(shared), b=Wrap(shared)))
    net(X)
    net(X)
    shared(X)
    assert log == ["a.inner", "b.inner"] * 2 + [""]


def test_path_follows_changes_of_the_tree() -> None:
    log: list[str] = []
    where = Where(log)
    net = nn.Sequential(where)
    net(X)
    net.insert(0, nn.ReLU())
    net(X)
    del net[0]
    net(X)
    net._modules["direct"] = net._modules.pop("0")  # past all registration
    net(X)
    net.append(Wrap(copy.deepcopy(where)))
    net[1].inner.log = log
    net(X)
    net.a, net.b = nn.Sequential(), where
    del net.direct
    net(X)
    assert log[:3] == ["0", "1", "0"]
    assert log[4:6] == ["direct", "1.inner"]
    assert log[6:] == ["1.inner", "b"]


def test_path_of_a_module_registered_past_all_registration() -> None:
    log: list[str] = []
    net = Wrap(nn.ReLU())
    net(X)
    net._modules["inner"] = Where(log)
    net(X)
    assert log == ["inner"]


def test_path_of_a_module_that_calls_itself() -> None:
    log: list[str] = []

    class Tree(nn.Module):
        def __init__(self) -> None:
            self.leaf = Where(log)
            self.wrap = Wrap(nn.ReLU())
            object.__setattr__(self.wrap, "inner", self)
            del self.wrap._modules["inner"]

        def forward(self, depth: int) -> Any:
            return self.wrap(depth - 1) if depth else self.leaf(X)

    Tree()(5)
    assert log == ["leaf"]


def test_paths_of_two_threads() -> None:
    log: list[str] = []
    meet = threading.Barrier(2, timeout=20)

    class Waits(nn.Module):
        def forward(self, x: Any) -> Any:
            meet.wait()
            log.append(str(module_path.get()))
            meet.wait()
            return x

    shared = Waits()
    nets = [nn.Sequential(OrderedDict([(name, shared)])) for name in "ab"]
    threads = [threading.Thread(target=net, args=(X,)) for net in nets]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(log) == ["a", "b"]


def test_recorded_nodes_know_the_module() -> None:
    net = nn.Sequential(OrderedDict(encoder=Wrap(nn.ReLU())))
    y = net(X)
    assert y._node.where is not None
    assert y._node.where[0] == "encoder.inner"


def test_a_model_is_freed_at_once_though_its_results_live() -> None:
    net = Wrap(nn.Sequential(nn.Linear(3, 2), nn.ReLU()))
    y = net(X)
    gone = ref(net), ref(net.inner), ref(net.inner[1])
    gc.disable()
    try:
        del net
        assert [r() for r in gone] == [None, None, None]
    finally:
        gc.enable()
    y.sum().backward()


class KeepsDict(nn.Module):
    """Pickles its dict by itself, as some classes do."""

    def __init__(self) -> None:
        self.act = nn.ReLU()

    def forward(self, x: Any) -> Any:
        return self.act(x)

    def __getstate__(self) -> dict[str, Any]:
        return self.__dict__.copy()


def test_a_module_that_has_been_called_can_be_copied_by_its_dict() -> None:
    net = nn.Sequential(KeepsDict())
    net(X)
    for twin in (copy.deepcopy(net), pickle.loads(pickle.dumps(net))):
        assert twin(X).tolist() == X.tolist()


# ---- errors that leave forward


def test_weft_errors_name_module_and_arguments() -> None:
    net = nn.Sequential(OrderedDict(encoder=Wrap(nn.Linear(4, 2))))
    with pytest.raises(ShapeError) as raised:
        net(X)
    assert raised.value.module == (
        "'encoder.inner' (Linear) of Sequential, called with Tensor[2, 3] float32"
    )
    assert "in module 'encoder.inner' (Linear)" in str(raised.value)
    with pytest.raises(ShapeError) as raised:
        net.encoder.inner(X)
    assert raised.value.module == "Linear, called with Tensor[2, 3] float32"


def test_other_errors_get_one_note() -> None:
    net = nn.Sequential(OrderedDict(encoder=Wrap(Fails())))
    error = ValueError("broken")
    with pytest.raises(ValueError, match="broken") as raised:
        net.encoder(X, error)
    assert raised.value is error
    assert error.__notes__ == [
        "in module 'inner' (Fails) of Wrap, called with Tensor[2, 3] float32, ValueError"
    ]
    with pytest.raises(ValueError, match="broken"):
        net.encoder(X, error)
    assert len(error.__notes__) == 1
    with pytest.raises(TypeError) as arity:
        nn.ReLU()(X, [1, 2], None, flag=True, name="x", array=np.ones((2, 3)))
    assert arity.value.__notes__ == [
        "in module ReLU, called with Tensor[2, 3] float32, list of 2, None, flag=True, name=str, "
        "array=ndarray[2, 3]"
    ]
    with pytest.raises(TypeError) as arity:
        nn.ReLU()(*range(9))
    assert arity.value.__notes__[0].endswith("called with 0, 1, 2, 3, 4, 5, and 3 more")
    with pytest.raises(TypeError) as arity:
        nn.ReLU()()
    assert arity.value.__notes__ == ["in module ReLU, called without arguments"]


@pytest.mark.parametrize("error", [KeyboardInterrupt(), SystemExit(1)])
def test_what_is_no_error_passes_unchanged(error: BaseException) -> None:
    net = Wrap(Fails())
    with pytest.raises(type(error)) as raised:
        net(X, error)
    assert not hasattr(raised.value, "__notes__")
    assert module_path.get() == ""


def test_path_is_restored_after_an_error() -> None:
    net = Wrap(Fails())
    with pytest.raises(ValueError, match="broken"):
        net(X, ValueError("broken"))
    assert module_path.get() == ""


# ---- loading


def values(module: nn.Module) -> dict[str, Any]:
    return {k: v.tolist() for k, v in module.state_dict().items()}


def net_and_state() -> tuple[nn.Module, OrderedDict[str, Any]]:
    net = nn.Sequential(OrderedDict(enc=nn.Linear(2, 2), dec=nn.Linear(2, 1)))
    return net, OrderedDict((k, v + 1) for k, v in net.state_dict().items())


@pytest.mark.parametrize(
    ("change", "messages"),
    [
        (
            lambda s: {f"module.{k}": v for k, v in s.items()},
            [
                'Missing key(s) in state_dict: "enc.weight", "enc.bias"',
                'Unexpected key(s) in state_dict: "module.enc.weight"',
                "0 of the model's 4 keys are among the state_dict's 4",
                "keys begin with 'module.', the model's do not. Strip it: "
                "{k.removeprefix('module.'): v for k, v in state_dict.items()}",
                "The model is as it was before",
            ],
        ),
        (
            lambda s: {f"a.b.{k}": v for k, v in s.items()} | {"epoch.n": s["enc.bias"]},
            ["begin with 'a.b.', the model's do not"],
        ),
        (
            lambda s: {"model": s, "epoch": 3},
            ["'model' holds a dict of tensors: pass checkpoint['"],
        ),
        (
            lambda s: {k.replace("dec.weight", "dec.wieght"): v for k, v in s.items()},
            ["'dec.wieght' may be the model's 'dec.weight'", "3 of the model's 4 keys"],
        ),
        (
            lambda s: s | {"dec.weight": weft.zeros(3, 3), "enc.bias": np.zeros(2)},
            [
                "size mismatch for dec.weight: copying a param with shape [3, 3] from checkpoint, "
                "the shape in current model is [1, 2]",
                "received numpy.ndarray. Convert it, weft.from_numpy(x)",
            ],
        ),
        (lambda s: s | {f"x{k}": v for k in range(40) for v in [s["enc.bias"]]}, ["and 28 more"]),
    ],
)
def test_a_state_that_does_not_fit_is_explained_and_nothing_changes(
    change: Any, messages: list[str]
) -> None:
    net, state = net_and_state()
    before = values(net)
    with pytest.raises(CheckpointError) as raised:
        net.load_state_dict(change(dict(state)))
    for message in messages:
        assert message in str(raised.value)
    assert str(raised.value).startswith("Error(s) in loading state_dict for Sequential:\n\t")
    assert values(net) == before


def test_a_state_without_the_models_prefix() -> None:
    net, state = net_and_state()
    outer = nn.Sequential(OrderedDict(backbone=net))
    with pytest.raises(CheckpointError) as raised:
        outer.load_state_dict(state)
    assert "The model's keys begin with 'backbone.', the state_dict's do not" in str(raised.value)
    assert "model.get_submodule('backbone').load_state_dict(...)" in str(raised.value)


def test_a_wrong_shape_is_an_error_though_not_strict_and_nothing_changes() -> None:
    net, state = net_and_state()
    before = values(net)
    with pytest.raises(CheckpointError, match="size mismatch for dec.bias"):
        net.load_state_dict({**state, "dec.bias": weft.zeros(7)}, strict=False)
    assert values(net) == before


def test_loading_a_path() -> None:
    with pytest.raises(TypeError, match=r"got <class 'str'>: weft.load\(path\) reads one"):
        nn.ReLU().load_state_dict("model.safetensors")


def test_loading_little_is_reported() -> None:
    net, state = net_and_state()
    with pytest.warns(UserWarning, match=r"found 0 of the 4 keys of Sequential.*begin with 'm\.'"):
        keys = net.load_state_dict({f"m.{k}": v for k, v in state.items()}, strict=False)
    assert len(keys.missing_keys) == len(keys.unexpected_keys) == 4
    assert repr(keys).startswith("IncompatibleKeys(missing_keys=['enc.weight'")
    net.load_state_dict({k: v for k, v in state.items() if "weight" in k}, strict=False)
    assert net.dec.weight.tolist() == state["dec.weight"].tolist()


def test_keys_of_a_module_that_is_none_are_unexpected() -> None:
    net = nn.Sequential(nn.ReLU())
    net.add_module("gone", None)
    with pytest.raises(CheckpointError, match='Unexpected .*"gone.weight"'):
        net.load_state_dict({"gone.weight": X})


class Extra(nn.Module):
    """Keeps a word in its state and refuses a bad one."""

    def __init__(self) -> None:
        self.w = nn.Parameter(weft.zeros(1))
        self.word = "first"

    def get_extra_state(self) -> str:
        return self.word

    def set_extra_state(self, state: str) -> None:
        if state == "bad":
            raise ValueError("a bad word")
        self.word = state


@pytest.mark.parametrize("assign", [False, True])
def test_a_load_that_fails_half_way_is_undone(assign: bool) -> None:
    net = nn.Sequential(nn.Linear(2, 1), Extra())
    state = {k: v + 1 if isinstance(v, weft.Tensor) else "bad" for k, v in net.state_dict().items()}
    before, weight = values(net[0]), net[0].weight
    with pytest.raises(ValueError, match="a bad word"):
        net.load_state_dict(state, assign=assign)
    assert values(net[0]) == before
    assert net[0].weight is weight
    assert net[0].weight.requires_grad
    assert net[0].weight.is_leaf


def test_missing_keys_that_a_hook_does_not_accept_undo_the_load() -> None:
    net, state = net_and_state()
    seen: list[Any] = []
    net.register_load_state_dict_post_hook(lambda m, keys: seen.append(m.enc.bias.tolist()))
    before = values(net)
    del state["dec.bias"]
    with pytest.raises(CheckpointError, match='Missing key.*"dec.bias"'):
        net.load_state_dict(state)
    assert seen == [state["enc.bias"].tolist()]  # the hook saw the new values
    assert values(net) == before


def test_a_subclass_that_loads_by_itself_is_undone_too() -> None:
    class Own(nn.Module):
        def __init__(self) -> None:
            self.w = nn.Parameter(weft.zeros(1))

        def _load_from_state_dict(self, state: Any, prefix: str, *rest: Any) -> None:
            with weft.no_grad():
                self.w.copy_(state[prefix + "w"])

    net = nn.Sequential(Own(), nn.Linear(1, 1))
    with pytest.raises(CheckpointError, match="Missing"):
        net.load_state_dict({"0.w": weft.ones(1)})
    assert net[0].w.tolist() == [0.0]


def test_a_module_may_load_its_own_part_directly() -> None:
    net = nn.Linear(2, 1)
    lists: tuple[list[str], list[str], list[str]] = ([], [], [])
    net._load_from_state_dict({"p.weight": weft.ones(1, 2)}, "p.", {}, True, *lists)
    assert net.weight.tolist() == [[1.0, 1.0]]
    assert lists == (["p.bias"], [], [])


def test_positional_arguments_of_state_dict_still_work() -> None:
    given: dict[str, Any] = {}
    with pytest.warns(FutureWarning, match="Positional args"):
        assert nn.Linear(2, 1).state_dict(given, "p.", True) is given
    assert given["p.weight"].requires_grad


# ---- what there is not


@pytest.mark.parametrize(
    "go",
    [
        lambda m: m.cuda(),
        lambda m: m.cuda(1),
        lambda m: m.to("cuda:0"),
        lambda m: m.to(0),
        lambda m: m.to(device="mps"),
        lambda m: m.xpu(),
        lambda m: m.ipu(),
        lambda m: m.mtia(),
        lambda m: m.to_empty(device="meta"),
    ],
)
def test_other_devices(go: Any) -> None:
    with pytest.raises(
        DeviceError, match=r"Linear cannot go to '.*no GPU backend yet.*to\('cpu'\)"
    ):
        go(nn.Linear(2, 2))


def test_to_empty_on_the_cpu() -> None:
    net = nn.Linear(2, 2)
    weight = net.weight
    assert net.to_empty(device="cpu").weight is weight
    assert weight.shape == (2, 2)


def test_what_weft_does_not_have() -> None:
    net = nn.Linear(2, 2)
    for action in (net.compile, net.share_memory, lambda: net.to(memory_format="channels_last")):
        with pytest.raises(UnsupportedOp):
            action()
    with pytest.raises(TypeError, match=r"Linear.to\(\) got .* 'devic': it takes device, dtype"):
        net.to(devic="cpu")


def test_call_has_the_aliases_that_programs_use() -> None:
    net = nn.Linear(3, 2)
    for call in (net._call_impl, net._wrapped_call_impl, net._slow_forward):
        assert call(X).tolist() == net(X).tolist()
    replica = net._replicate_for_data_parallel()
    assert not replica._parameters
    assert replica.in_features == 3


def test_forward_can_be_replaced_on_one_module() -> None:
    net = nn.ReLU()
    net.forward = lambda x: x + 1  # type: ignore[method-assign]
    assert net(X).tolist() == (X + 1).tolist()
    assert nn.ReLU()(X).tolist() == X.tolist()


def test_calling_leaves_no_warning_behind() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        nn.Sequential(nn.Linear(3, 2), nn.ReLU())(X)
