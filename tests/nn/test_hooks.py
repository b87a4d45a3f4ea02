"""Hooks beyond what PyTorch shows (``test_module_parity.py`` has the rest)."""

from __future__ import annotations

import copy
import pickle
from typing import Any, NamedTuple

import pytest

import weft
from weft import nn
from weft.errors import GradientError, ShapeError
from weft.graph.modes import module_path
from weft.nn import hooks


class Twice(nn.Module):
    """Several inputs, several outputs."""

    def forward(self, a: Any, b: Any = None) -> Any:
        return a * 2, a if b is None else b * 3


def leaf(*values: float) -> weft.Tensor:
    return weft.tensor(list(values), requires_grad=True)


def test_a_backward_hook_does_not_change_which_gradients_there_are() -> None:
    m, a, b = Twice(), leaf(1.0), leaf(2.0)
    log: list[Any] = []
    m.register_full_backward_hook(lambda mod, gi, go: log.append([g.tolist() for g in gi]))
    m(a, b)[0].backward()
    assert log == [[[2.0], [0.0]]]  # zeros where PyTorch gives zeros
    assert a.grad is not None
    assert b.grad is None


def test_each_walk_runs_the_hooks_whatever_it_comes_from() -> None:
    m, a, b = Twice(), leaf(1.0), leaf(2.0)
    log: list[Any] = []
    m.register_full_backward_hook(
        lambda mod, gi, go: log.append([None if g is None else g.tolist() for g in go])
    )
    y, z = m(a, b)
    y.backward(retain_graph=True)
    z.backward(retain_graph=True)
    (y + z).backward()
    assert log == [[[1.0], None], [None, [1.0]], [[1.0], [1.0]]]
    assert (a.grad.tolist(), b.grad.tolist()) == ([4.0], [6.0])


def test_hooks_are_given_tensors_in_the_grad_mode_of_the_walk() -> None:
    m, a = nn.Tanh(), leaf(0.5)
    modes: list[bool] = []
    m.register_full_backward_hook(lambda mod, gi, go: modes.append(weft.is_grad_enabled()))
    y = m(a)
    y.backward(retain_graph=True)
    (g,) = weft.autograd.grad(y, a, create_graph=True)
    assert modes == [False, True]
    assert g.requires_grad


def test_hooks_of_the_outputs_run_where_no_input_requires_grad() -> None:
    m = nn.Linear(2, 1)
    log: list[Any] = []
    m.register_full_backward_hook(lambda mod, gi, go: log.append((gi, go[0].tolist())))
    m(weft.ones(1, 2)).backward()
    assert log == [((None,), [[1.0]])]
    m.register_full_backward_hook(lambda mod, gi, go: (go[0],))
    with pytest.raises(GradientError, match=r"no input requires gradient .*<lambda> of Linear"):
        m(weft.ones(1, 2)).backward()


def test_hooks_get_keyword_arguments_only_by_their_effect() -> None:
    m, a = nn.Tanh(), leaf(0.0)
    log: list[Any] = []
    m.register_full_backward_hook(lambda mod, gi, go: log.append(gi))
    m(input=a).backward()
    assert log == [()]
    assert a.grad.tolist() == [1.0]


def test_nothing_is_wrapped_where_there_are_no_gradients() -> None:
    m = nn.Identity()
    m.register_full_backward_hook(lambda *a: None)
    x = weft.ones(2)
    assert m(x) is x
    a = leaf(1.0)
    with weft.no_grad():
        assert m(a) is a
    assert m(a) is not a


def test_a_change_in_place_goes_through_the_edge_of_a_module() -> None:
    class InPlace(nn.Module):
        def forward(self, x: Any) -> Any:
            return x.relu_()

    for hooked in (False, True):
        m, a = InPlace(), leaf(-1.0, 2.0)
        if hooked:
            m.register_full_backward_hook(lambda *a: None)
        x = a * 1
        y = m(x)
        y.add_(1)
        assert x.tolist() == y.tolist() == [1.0, 3.0]
        (x * y).sum().backward()
        assert a.grad.tolist() == [0.0, 6.0]


class Pair(NamedTuple):
    first: Any
    second: Any


def test_outputs_in_a_namedtuple_keep_their_type() -> None:
    class Gives(nn.Module):
        def forward(self, x: Any) -> Pair:
            return Pair(x * 2, "word")

    m, a = Gives(), leaf(1.0)
    log: list[Any] = []
    m.register_full_backward_hook(lambda mod, gi, go: log.append(go[0].tolist()))
    out = m(a)
    assert isinstance(out, Pair)
    out.first.backward()
    assert log == [[1.0]]


def test_outputs_in_a_dict_are_reported() -> None:
    class Gives(nn.Module):
        def forward(self, x: Any) -> Any:
            return {"y": x * 2}

    m = Gives()
    m.register_full_backward_hook(lambda *a: None)
    with pytest.warns(
        UserWarning, match=r"should be a Tensor or a tuple .* <class 'dict'> of Gives"
    ):
        m(leaf(1.0))


@pytest.mark.parametrize(
    ("result", "error", "message"),
    [
        (lambda gi: 3, TypeError, r"hook .*<lambda> of Tanh returned int: .* a tuple of 1 grad"),
        (lambda gi: (3,), TypeError, "hook of Tanh returns Tensors or None, and gradient 0 is"),
        (
            lambda gi: (weft.ones(5),),
            ShapeError,
            r"of Tanh .* index 0: shape \[5\] in place of \[2",
        ),
        (lambda gi: (gi[0], None), GradientError, "invalid number of grad_\\w+, got 2, .* of Tanh"),
    ],
)
@pytest.mark.parametrize("kind", ["register_full_backward_hook", "register_full_backward_pre_hook"])
def test_what_a_backward_hook_must_not_return(
    kind: str, result: Any, error: type[Exception], message: str
) -> None:
    m = nn.Tanh()
    getattr(m, kind)(lambda mod, *grads: result(grads[0]))
    y = m(leaf(1.0, 2.0)).sum()
    with pytest.raises(error, match=message):
        y.backward()


def test_a_single_gradient_may_be_returned_without_a_tuple() -> None:
    m, a = nn.Identity(), leaf(1.0, 2.0)
    m.register_full_backward_pre_hook(lambda mod, go: go[0] * 2)
    m.register_full_backward_hook(lambda mod, gi, go: gi[0] * 5)
    m(a).sum().backward()
    assert a.grad.tolist() == [10.0, 10.0]


def test_a_gradient_returned_takes_the_dtype_of_the_input() -> None:
    m, a = nn.Identity(), leaf(1.0)
    m.register_full_backward_hook(lambda mod, gi, go: (gi[0].double() * 2,))
    m(a).backward()
    assert a.grad.dtype is weft.float32
    assert a.grad.tolist() == [2.0]


# ---- errors within hooks


def raising(*args: Any) -> None:
    raise ValueError("broken")


@pytest.mark.parametrize(
    ("kind", "name", "given"),
    [
        ("register_forward_pre_hook", "forward pre-hook", "(module, args)"),
        ("register_forward_hook", "forward hook", "(module, args, output)"),
        ("register_full_backward_pre_hook", "full backward pre-hook", "(module, grad_output)"),
        ("register_full_backward_hook", "full backward hook", "(module, grad_input, grad_output)"),
    ],
)
def test_errors_in_hooks_name_hook_and_module(kind: str, name: str, given: str) -> None:
    net = nn.Sequential(nn.Tanh())
    getattr(net[0], kind)(raising)
    with pytest.raises(ValueError, match="broken") as raised:
        net(leaf(1.0)).backward()
    text = "\n".join(raised.value.__notes__)
    assert f"in the {name} raising" in text
    assert f"which is given {given}" in text
    assert "'0' (Tanh) of Sequential" in text


def test_hooks_of_wrong_arity_are_told_what_they_are_given() -> None:
    m = nn.Tanh()
    m.register_forward_hook(lambda module, output: None)
    with pytest.raises(TypeError, match="positional argument") as raised:
        m(leaf(1.0))
    assert "which is given (module, args, output)" in raised.value.__notes__[0]


@pytest.mark.filterwarnings("ignore:module forward hook with")
def test_errors_in_hooks_that_run_after_an_error_are_silenced() -> None:
    m = nn.Linear(2, 2)
    m.register_forward_hook(raising, always_call=True)
    with pytest.raises(ShapeError):
        m(weft.ones(1, 3))


def test_silenced_errors_are_reported() -> None:
    m = nn.Linear(2, 2)
    m.register_forward_hook(raising, always_call=True)
    with (
        pytest.warns(UserWarning, match="silenced as another error was raised in forward: broken"),
        pytest.raises(ShapeError),
    ):
        m(weft.ones(1, 3))


def test_a_hook_must_be_callable() -> None:
    with pytest.raises(TypeError, match="a hook is a function, not int 3"):
        nn.ReLU().register_forward_hook(3)  # type: ignore[arg-type]


def test_bad_result_of_a_pre_hook_with_kwargs_names_the_hook() -> None:
    m = nn.ReLU()
    m.register_forward_pre_hook(lambda *a: 3, with_kwargs=True)
    with pytest.raises(RuntimeError, match=r"must return None or a tuple .* got 3 from .*<lambda>"):
        m(leaf(1.0))


# ---- registries


def test_hooks_run_within_the_module() -> None:
    paths: list[str] = []
    net = nn.Sequential(nn.Tanh())
    net[0].register_forward_pre_hook(lambda *a: paths.append(module_path.get()))
    net[0].register_forward_hook(lambda *a: paths.append(module_path.get()))
    net(leaf(1.0))
    assert paths == ["0", "0"]


def test_hooks_may_be_put_in_and_taken_out_directly() -> None:
    m = nn.Identity()
    m._forward_hooks[-1] = lambda mod, args, out: out + 1
    assert m(weft.zeros(1)).tolist() == [1.0]
    m._forward_hooks.clear()
    assert m(weft.zeros(1)).tolist() == [0.0]


def test_a_hook_may_take_itself_off_while_it_runs() -> None:
    m = nn.Identity()
    log: list[int] = []

    def once(*args: Any) -> None:
        log.append(1)
        handle.remove()

    handle = m.register_forward_hook(once)
    m.register_forward_hook(lambda *a: log.append(2))
    m(weft.zeros(1))
    m(weft.zeros(1))
    assert log == [1, 2, 2]


def test_a_handle_may_outlive_its_module() -> None:
    handle = nn.ReLU().register_forward_hook(raising)
    handle.remove()
    handle.remove()


def test_handles_are_pickled_with_what_they_refer_to() -> None:
    m = nn.ReLU()
    handle = m.register_forward_hook(raising, with_kwargs=True)
    twin, again = pickle.loads(pickle.dumps((m, handle)))
    assert len(twin._forward_hooks) == len(twin._forward_hooks_with_kwargs) == 1
    again.remove()
    assert not twin._forward_hooks
    assert not twin._forward_hooks_with_kwargs
    assert m._forward_hooks
    assert m.register_forward_hook(raising).id > handle.id


def test_state_hooks_may_be_methods() -> None:
    class Net(nn.Module):
        def __init__(self) -> None:
            self.w = nn.Parameter(weft.zeros(1))
            self.calls: list[str] = []
            self.register_state_dict_post_hook(self.after)

        def after(self, module: Any, state: Any, prefix: str, metadata: Any) -> None:
            self.calls.append("saved")

    net = Net()
    net.state_dict()
    assert net.calls == ["saved"]


def load_pre_hook(module: Any, state: Any, prefix: str, *rest: Any) -> None:
    module.loaded = True


@pytest.mark.parametrize("make", [copy.deepcopy, lambda x: pickle.loads(pickle.dumps(x))])
def test_a_loading_hook_of_a_copy_gets_the_copy(make: Any) -> None:
    net = nn.Linear(1, 1)
    net.register_load_state_dict_pre_hook(load_pre_hook)
    twin = make(net)
    twin.load_state_dict(net.state_dict())
    assert twin.loaded
    assert not hasattr(net, "loaded")


def test_a_loading_hook_does_not_keep_its_module() -> None:
    net = nn.Linear(1, 1)
    net.register_load_state_dict_pre_hook(load_pre_hook)
    (hook,) = net._load_state_dict_pre_hooks.values()
    del net
    with pytest.raises(RuntimeError, match="whose module is gone"):
        hook({}, "")


def test_the_old_backward_hook_is_the_full_one_and_says_so() -> None:
    m, a = Twice(), leaf(1.0)
    log: list[Any] = []
    with pytest.warns(FutureWarning, match="use register_full_backward_hook"):
        m.register_backward_hook(lambda mod, gi, go: log.append(gi[0].tolist()))
    y, z = m(a)
    (y + z).backward()
    assert log == [[3.0]]
    with pytest.raises(RuntimeError, match=r"Cannot use both regular .* on a single Module"):
        m.register_full_backward_hook(raising)


def test_the_old_backward_hook_for_all_modules(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hooks.every_module, "backward_is_full", None)
    log: list[Any] = []
    with pytest.warns(FutureWarning, match="use register_module_full_backward_hook"):
        handle = hooks.register_module_backward_hook(lambda mod, gi, go: log.append(type(mod)))
    with handle:
        nn.Tanh()(leaf(1.0)).backward()
        with pytest.raises(RuntimeError, match="for all modules"):
            hooks.register_module_full_backward_hook(raising)
    nn.Tanh()(leaf(1.0)).backward()
    assert log == [nn.Tanh]
    assert not hooks.every_call
