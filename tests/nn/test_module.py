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
from weft.errors import DeviceError, GradientError, ShapeError, UnsupportedOp
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
        nn.ReLU()(X, [1, 2], None, a=True, b=np.ones(2))
    assert arity.value.__notes__ == [
        "in module ReLU, called with Tensor[2, 3] float32, list of 2, None, a=True, b=ndarray[2]"
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
        lambda m: m.to_empty(device="mps"),
    ],
)
def test_other_devices(go: Any) -> None:
    net = nn.Linear(2, 2)
    with pytest.raises(DeviceError, match=r"Linear cannot go to '.*not available: .*device='cpu'"):
        go(net)
    assert net.device == "cpu"


def test_to_empty_on_the_cpu() -> None:
    net = nn.Linear(2, 2)
    weight = net.weight
    assert net.to_empty(device="cpu").weight is weight
    assert weight.shape == (2, 2)


def test_what_weft_does_not_have() -> None:
    net = nn.Linear(2, 2)
    assert net.to(memory_format=weft.channels_last) is net
    for action in (net.compile, net.share_memory):
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
