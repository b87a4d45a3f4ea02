"""What optimisers have in common: groups of parameters, state, hooks of ``step``."""

from __future__ import annotations

from collections import OrderedDict, defaultdict
from collections.abc import Callable
from copy import deepcopy
from functools import wraps
from typing import Any, Final, Self
from weakref import ref

from ..autograd.modes import enable_grad, no_grad
from ..dtypes import dtype, float32
from ..engine.devices import Accelerated
from ..engine.realize import expect_repetition
from ..graph.device import device
from ..graph.modes import here, on_behalf_of, user_warning
from ..graph.tracing import current
from ..hooks import Hooks, RemovableHandle, register
from ..tensors.complex import view_as_complex, view_as_real
from ..tensors.core import TensorCore
from ..tensors.creation import tensor
from ..tensors.differentiate import Walks
from ..tensors.interop import is_lost, realize
from ..tensors.tensor import Tensor
from . import mistakes

Params = Any  # a Module, or an iterable of parameters, pairs or groups


class _Required:
    def __repr__(self) -> str:
        return "<required parameter>"


#: A default of an option that every group has to give.
required: Final = _Required()

#: State of one number, which is kept as a Tensor: a step may wait for no value.
_COUNTS = ("step", "mu_product", "eta", "mu")

_HOOKS = (
    "_before_step",
    "_after_step",
    "_before_saving",
    "_after_saving",
    "_before_loading",
    "_after_loading",
)
_before_every_step: Hooks = OrderedDict()
_after_every_step: Hooks = OrderedDict()


def register_optimizer_step_pre_hook(hook: Callable[..., Any]) -> RemovableHandle:
    """Calls ``hook(optimizer, args, kwargs)`` before each step of any optimiser."""
    return register(_before_every_step, hook)


def register_optimizer_step_post_hook(hook: Callable[..., None]) -> RemovableHandle:
    """Calls ``hook(optimizer, args, kwargs)`` after each step of any optimiser."""
    return register(_after_every_step, hook)


def _whole(step: Callable[..., Any]) -> Callable[..., Any]:
    """``step`` with hooks, run as a whole: all that it records, or, if that fails, nothing."""

    @wraps(step)
    def run(self: Optimizer, *args: Any, **kwargs: Any) -> Any:
        # A step that calls its base's; or of a wrapper that has not called Optimizer.__init__.
        if self._steps_now or not (hasattr(self, "state") and hasattr(self, "param_groups")):
            return step(self, *args, **kwargs)
        args = (self, *args)
        for hook in [*_before_every_step.values(), *self._before_step.values()]:
            args, kwargs = mistakes.checked_arguments(hook(self, args, kwargs), args, kwargs)
        had_gradients = mistakes.has_gradients(self)
        known = {p: len(state) for p, state in self.state.items() if isinstance(state, dict)}
        if (trace := current.get()) is not None:
            trace.optimizers.append((self, known))
        self._steps_now = True
        try:
            result = step(*args, **kwargs)
            realize()
        except BaseException:
            self.drop_lost_state(known)
            raise
        finally:
            self._steps_now = False
        self._called = True
        mistakes.notice(self, moved=had_gradients or type(self).update is Optimizer.update)
        for hook in [*self._after_step.values(), *_after_every_step.values()]:
            hook(self, args, kwargs)
        return result

    return run


#: PyTorch's options that choose among implementations of the same arithmetic.
_SPEED = ("foreach", "fused", "capturable", "differentiable")


def _on_device(value: Any, place: device) -> Any:
    if isinstance(value, (list, tuple)):
        return type(value)([_on_device(v, place) for v in value])
    return value.to(place) if isinstance(value, TensorCore) else value  # type: ignore[attr-defined]


class Optimizer:
    """Base of the optimisers.

    A subclass defines ``update(group, params)``, the arithmetic of one step for the parameters of a
    group that have a gradient; the walk over groups and the run of the recorded step are here. All
    of ``update`` is recorded, counts of steps too: nothing in it waits for a value.

    Args:
        params: a Module; or parameters, ``(name, parameter)`` pairs, or dicts with "params" and
            options of their own.
        defaults: options of groups that do not name them.
        options: what else the constructor was given: unknown names are an error, PyTorch's choices
            among implementations (``foreach``, ``fused``, ``capturable``, ``differentiable``) are
            passed over, since there is one only. ``master_weights=True``: parameters in 16-bit
            floats are updated through a float32 copy, ``state[p]["master"]``, and so is the other
            state; without it, steps too small for 16 bits are lost.

    A user's own optimiser may define ``step(closure=None)`` in place of ``update``, as for PyTorch.

    Raises:
        TypeError: for anything else among ``params``, or an option that this optimiser has not.
        ValueError: if there are no parameters, or one is there twice.
    """

    _called = False  # has step() been called? Schedulers of the rate want to know
    _steps_now = False
    _model: ref[Any] | None = None  # the model, where it was given as a whole
    _structure = -1  # of all modules, when the model's parameters were last compared with these
    _is_scheduled = False  # is there a scheduler of its rates?
    _walks = 0  # how many backward() there had been when it last made a step
    _warned: set[str]  # what has been said about this one's mistakes
    _before_step: Hooks
    _after_step: Hooks
    _before_saving: Hooks
    _after_saving: Hooks
    _before_loading: Hooks
    _after_loading: Hooks

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        if "step" in cls.__dict__:
            cls.step = _whole(cls.__dict__["step"])  # type: ignore[method-assign]

    def __new__(cls, *args: Any, **kwargs: Any) -> Self:  # noqa: ARG004 - for __init__
        self = super().__new__(cls)
        for name in _HOOKS:
            setattr(self, name, OrderedDict())
        self._warned = set()
        self._walks = Walks.count
        return self

    def __init__(
        self, params: Params, defaults: dict[str, Any], options: dict[str, Any] | None = None
    ) -> None:
        self.defaults = defaults
        options = dict(options or {})
        if options.pop("master_weights", False):
            defaults["master_weights"] = True
        mistakes.check_options(self, {k: v for k, v in options.items() if k not in _SPEED})
        self.state: defaultdict[Any, Any] = defaultdict(dict)
        self.param_groups: list[dict[str, Any]] = []
        if hasattr(params, "named_parameters"):
            self._model = ref(params)
            params = params.named_parameters()
        if isinstance(params, TensorCore):
            raise TypeError(
                "params argument given to the optimizer should be an iterable of Tensors or dicts: "
                f"{type(self).__name__} takes a list of parameters, not one Tensor: "
                f"{type(self).__name__}([x], ...)"
            )
        groups = list(params)
        if not groups:
            raise ValueError(
                f"optimizer got an empty parameter list: {type(self).__name__} got no parameters. "
                "Does the model have any? Layers in plain lists or dicts are not found: use "
                "nn.ModuleList or nn.ModuleDict"
            )
        if not isinstance(groups[0], dict):
            groups = [{"params": groups}]
        for group in groups:
            self.add_param_group(group)
        expect_repetition()

    # ---- groups

    def add_param_group(self, param_group: dict[str, Any]) -> None:
        """Adds parameters, with options of their own.

        A name that is no option, and is not nearly one, is kept as a note of the user's.

        Raises:
            as the constructor; nothing is added then.
        """
        if not isinstance(param_group, dict):
            raise TypeError(
                f"a group of parameters is a dict with 'params', not {type(param_group).__name__}"
            )
        given = param_group["params"]
        if isinstance(given, (set, frozenset)):
            raise TypeError(
                f"{type(self).__name__}: the order of a set differs from run to run, and a saved "
                "state goes by order: give the parameters as a list"
            )
        items = [given] if isinstance(given, TensorCore) else list(given)
        params = [i[1] if isinstance(i, tuple) else i for i in items]
        names = [i[0] for i in items if isinstance(i, tuple)]
        options = {k: v for k, v in param_group.items() if k not in ("params", "param_names")}
        names = names or list(param_group.get("param_names", ()))
        mistakes.check_parameters(self, params, names)
        mistakes.check_options(self, options, are_of_group=True)
        group = {"params": params, **self.defaults, **options}
        if names:
            group["param_names"] = names
        missing = [k for k, v in group.items() if v is required]
        if missing:
            raise ValueError(
                f"{type(self).__name__}: parameter group didn't specify a value of required "
                f"optimization parameter {missing[0]}"
            )
        self.check_group(group)
        self.param_groups.append(group)

    def check_group(self, group: dict[str, Any]) -> None:
        """Raises ValueError for options out of range."""
        rate = group.get("lr")
        if isinstance(rate, TensorCore) and rate.numel() != 1:  # type: ignore[attr-defined]
            raise ValueError(
                f"{type(self).__name__}: Tensor lr must be 1-element, but has shape "
                f"{list(rate.shape)}"  # type: ignore[attr-defined]
            )
        self.check_not_negative(group, "lr", "weight_decay", "momentum", "eps")

    def check_not_negative(self, group: dict[str, Any], *names: str) -> None:
        """Raises ValueError if one of these options is there, and negative or NaN."""
        for name in names:
            value = group.get(name, 0)
            if isinstance(value, (int, float)) and not value >= 0:
                raise self.invalid(name, value, "must not be negative")

    def check_betas(self, group: dict[str, Any]) -> None:
        """Raises ValueError for shares of running means that are out of range."""
        for k, beta in enumerate(group["betas"]):
            if not 0.0 <= beta < 1.0:
                raise self.invalid(f"betas[{k}]", beta, "must be at least 0 and less than 1")

    def invalid(self, name: str, value: Any, rule: str) -> ValueError:
        """An error for an option out of range, which begins as PyTorch's does."""
        return ValueError(
            f"Invalid {mistakes.in_words(name)}: {value}. {type(self).__name__}: {name}={value} "
            f"{rule}"
        )

    # ---- a step

    def update(self, group: dict[str, Any], params: list[Any]) -> None:
        """Moves ``params`` by one step."""
        raise NotImplementedError(f"{type(self).__name__} defines no update(group, params)")

    @_whole
    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """One step: moves every parameter that has a gradient, and runs what is pending.

        Args:
            closure: computes the loss and its gradients anew; its result is returned.
        """
        loss = None
        if closure is not None:
            with enable_grad():
                loss = closure()
        trace = current.get()
        token = on_behalf_of.set(here(3))
        try:
            with no_grad():
                for k, group in enumerate(self.param_groups):
                    params = [p for p in group["params"] if p.grad is not None]
                    if Accelerated.ever:
                        self._follow(params)
                    if trace is not None:
                        group = trace.options(group, f"{id(self)}.{k}")
                    if any([p.dtype.is_complex for p in params]):
                        self._update_pairs(group, params)
                    elif params and group.get("master_weights"):
                        self._update_masters(group, params)
                    elif params:
                        self.update(group, params)
        finally:
            on_behalf_of.reset(token)
        return loss

    def _follow(self, params: list[Any]) -> None:
        """Moves the state of parameters that have been moved to another device."""
        for p in params:
            state: Any = self.state.get(p)
            if isinstance(state, dict):
                state.update({k: _on_device(v, p.device) for k, v in state.items()})

    def _update_pairs(self, group: dict[str, Any], params: list[Any]) -> None:
        """Moves complex parameters as real ones: both parts, each by itself."""
        pairs = {p: view_as_real(p.detach()) for p in params if p.dtype.is_complex}
        for p, pair in pairs.items():
            pair.grad = view_as_real(p.grad.resolve_conj())
            state = self.state[pair] = self.state[p]
            state.update({k: view_as_real(v) for k, v in state.items() if _is_complex(v)})
        try:
            self.update(group, [pairs.get(p, p) for p in params])
        finally:
            for pair in pairs.values():
                pair.grad = None
                state = self.state.pop(pair)
                own = [k for k, v in state.items() if getattr(v, "shape", None) == pair.shape]
                state.update({k: view_as_complex(state[k]) for k in own})

    def _update_masters(self, group: dict[str, Any], params: list[Any]) -> None:
        """Moves float32 copies of 16-bit parameters, and rounds these to them."""
        copies = {p: self._master(p) for p in params if self.has_master(group, p)}
        for p, master in copies.items():
            master.grad = p.grad.float()
            self.state[master] = self.state[p]
        try:
            self.update(group, [copies.get(p, p) for p in params])
        finally:
            for master in copies.values():
                master.grad = None
                self.state.pop(master)["master"] = master
        for p, master in copies.items():
            p.copy_(master)

    def has_master(self, group: dict[str, Any], p: Tensor) -> bool:
        """Is ``p`` updated through a float32 copy?"""
        return bool(group.get("master_weights")) and p.dtype.itemsize < float32.itemsize

    def _master(self, p: Tensor) -> Tensor:
        """The copy, out of the state meanwhile: an ``update`` asks whether there is any."""
        master = self.state[p].pop("master", None)
        return p.detach().float() if master is None else master

    def drop_lost_state(self, known: dict[Any, int]) -> None:
        """After a step that failed: its changes have been undone, what it made new has to go."""
        new = [(s, k) for p, s in self.state.items() for k in list(s)[known.get(p, 0) :]]
        if any(isinstance(s[k], TensorCore) and is_lost(s[k]) for s, k in new):
            for state, name in new:
                del state[name]

    def zero_grad(self, set_to_none: bool = True) -> None:
        """Forgets the gradients of all parameters (or makes them zero)."""
        for group in self.param_groups:
            for p in group["params"]:
                if set_to_none:
                    p.__dict__.pop("_grad", None)
                elif p.grad is not None:
                    p.grad = p.grad.detach().zero_()

    def has_step_hooks(self) -> bool:
        """Is anything called before or after its steps?"""
        own = self._before_step or self._after_step
        return bool(own or _before_every_step or _after_every_step)

    def register_step_pre_hook(self, hook: Callable[..., None]) -> RemovableHandle:
        """Calls ``hook(optimizer, args, kwargs)`` before each step."""
        return register(self._before_step, hook)

    def register_step_post_hook(self, hook: Callable[..., None]) -> RemovableHandle:
        """Calls ``hook(optimizer, args, kwargs)`` after each step."""
        return register(self._after_step, hook)

    # ---- saving

    def register_state_dict_pre_hook(
        self, hook: Callable[[Optimizer], None], prepend: bool = False
    ) -> RemovableHandle:
        """Calls ``hook(optimizer)`` before :meth:`state_dict`; ``prepend``: before the others."""
        return register(self._before_saving, hook, prepend=prepend)

    def register_state_dict_post_hook(
        self, hook: Callable[[Optimizer, dict[str, Any]], Any], prepend: bool = False
    ) -> RemovableHandle:
        """Calls ``hook(optimizer, state_dict)`` on what was saved; it may return another one."""
        return register(self._after_saving, hook, prepend=prepend)

    def register_load_state_dict_pre_hook(
        self, hook: Callable[[Optimizer, dict[str, Any]], Any], prepend: bool = False
    ) -> RemovableHandle:
        """Calls ``hook(optimizer, state_dict)`` before loading; it may return another one.

        The dict is a shallow copy of that given to :meth:`load_state_dict`.
        """
        return register(self._before_loading, hook, prepend=prepend)

    def register_load_state_dict_post_hook(
        self, hook: Callable[[Optimizer], None], prepend: bool = False
    ) -> RemovableHandle:
        """Calls ``hook(optimizer)`` after a state_dict has been loaded."""
        return register(self._after_loading, hook, prepend=prepend)

    def state_dict(self) -> dict[str, Any]:
        """State and options, with numbers in place of parameters (as PyTorch's)."""
        for hook in list(self._before_saving.values()):
            hook(self)
        order = {
            id(p): k
            for k, p in enumerate(p for group in self.param_groups for p in group["params"])
        }
        groups = [
            {**group, "params": [order[id(p)] for p in group["params"]]}
            for group in self.param_groups
        ]
        state = {order[id(p)]: dict(values) for p, values in self.state.items()}
        return _passed_through(self._after_saving, self, {"state": state, "param_groups": groups})

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Restores what :meth:`state_dict` gave.

        Raises:
            ValueError: if groups or parameters do not match; nothing is changed then.
        """
        state_dict = _passed_through(self._before_loading, self, dict(state_dict))
        groups = state_dict["param_groups"]
        mine = [len(g["params"]) for g in self.param_groups]
        theirs = [len(g["params"]) for g in groups]
        if mine != theirs:
            raise ValueError(
                f"{type(self).__name__}: the saved groups hold {theirs} parameters, but this "
                f"optimiser's hold {mine}"
            )
        of_number: dict[Any, Any] = {}
        for own, saved in zip(self.param_groups, groups, strict=True):
            of_number.update(zip(_numbers(own, saved), own["params"], strict=True))
        state: defaultdict[Any, dict[str, Any]] = defaultdict(dict)
        for k, values in state_dict["state"].items():
            p = of_number.get(int(k) if isinstance(k, str) and k.isdecimal() else k)
            if p is None:  # of the optimiser, not of a parameter
                state[k] = values
            else:
                kind = float32 if "master" in values else p.dtype
                state[p] = {name: self._restored(name, v, p, kind) for name, v in values.items()}
        new_groups = []
        for own, saved in zip(self.param_groups, groups, strict=True):
            kept = {k: own[k] for k in ("params", "param_names") if k in own}
            new_groups.append({**own, **deepcopy(saved), **kept})
        self.__setstate__({"state": state, "param_groups": new_groups})
        for hook in list(self._after_loading.values()):
            hook(self)

    def state_fits(self, name: str, shape: tuple[int, ...], param: Tensor) -> bool:
        """Can a saved state of this shape belong to ``param``? By default, if the shapes agree."""
        return shape == tuple(param.shape)

    def _restored(self, name: str, value: Any, param: Tensor, kind: dtype) -> Any:
        if isinstance(value, (list, tuple)):
            return type(value)([self._restored(name, v, param, kind) for v in value])
        if not isinstance(value, TensorCore):
            counts = name in _COUNTS and isinstance(value, (int, float))  # PyTorch's of old
            return tensor(float(value)) if counts else value
        value = value.detach().clone()  # type: ignore[attr-defined]
        if value.ndim and not self.state_fits(name, tuple(value.shape), param):
            raise ValueError(
                f"the saved state '{name}' has shape {list(value.shape)}, but its parameter has "
                f"{list(param.shape)}"
            )
        if not value.ndim:
            return value
        return value.to(param.device, kind if value.dtype.is_inexact else None)

    def __getstate__(self) -> dict[str, Any]:
        return {
            "defaults": self.defaults,
            "state": self.state,
            "param_groups": self.param_groups,
        }

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)

    def __repr__(self) -> str:
        text = f"{type(self).__name__} ("
        for k, group in enumerate(self.param_groups):
            text += f"\nParameter Group {k}\n"
            text += "".join(f"    {n}: {group[n]}\n" for n in sorted(group) if n != "params")
        return text + ")"


def _is_complex(value: Any) -> bool:
    return isinstance(value, Tensor) and value.is_complex()


def _numbers(own: dict[str, Any], saved: dict[str, Any]) -> list[Any]:
    """The saved numbers of a group's parameters: by name, where both have the same names."""
    numbers: list[Any] = list(saved["params"])
    mine, theirs = own.get("param_names"), saved.get("param_names")
    if mine is None or theirs is None or mine == theirs:
        return numbers
    if sorted(mine) != sorted(theirs):
        unknown = [f"'{n}'" for n in mine if n not in theirs]
        user_warning(
            f"an optimiser's saved state is of other parameters: it has none for "
            f"{', '.join(unknown[:5])}{', ...' if len(unknown) > 5 else ''}, so it is taken over "
            "in order, not by name"
        )
        return numbers
    of_name = dict(zip(theirs, numbers, strict=True))
    return [of_name[n] for n in mine]


def _passed_through(hooks: Hooks, optimizer: Optimizer, value: dict[str, Any]) -> dict[str, Any]:
    """What hooks make of a state_dict."""
    for hook in list(hooks.values()):
        new = hook(optimizer, value)
        if new is not None:
            value = new
    return value
