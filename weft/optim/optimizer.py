"""What optimisers have in common: groups of parameters, state, hooks of ``step``."""

from __future__ import annotations

from collections import OrderedDict, defaultdict
from collections.abc import Callable
from copy import deepcopy
from typing import Any

from ..autograd.modes import enable_grad, no_grad
from ..engine.realize import expect_repetition
from ..errors import did_you_mean
from ..graph.modes import here, on_behalf_of
from ..hooks import Hooks, RemovableHandle, register
from ..tensors.core import TensorCore, not_a_tensor
from ..tensors.interop import is_lost, realize
from ..tensors.tensor import Tensor

Params = Any  # a Module, or an iterable of parameters, pairs or groups

#: PyTorch's options that choose among implementations of the same arithmetic.
_SPEED = ("foreach", "fused", "capturable", "differentiable")


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
            passed over, since there is one only.

    Raises:
        TypeError: for anything else among ``params``, or an option that this optimiser has not.
        ValueError: if there are no parameters, or one is there twice.
    """

    _called = False  # has step() been called? Schedulers of the rate want to know

    def __init__(
        self, params: Params, defaults: dict[str, Any], options: dict[str, Any] | None = None
    ) -> None:
        self.defaults = defaults
        if options:
            self._check_options({k: v for k, v in options.items() if k not in _SPEED})
        self.state: defaultdict[Any, dict[str, Any]] = defaultdict(dict)
        self.param_groups: list[dict[str, Any]] = []
        self._no_hooks()
        if hasattr(params, "named_parameters"):
            params = params.named_parameters()
        if isinstance(params, TensorCore):
            raise TypeError(
                f"{type(self).__name__} takes a list of parameters, not one Tensor: "
                f"{type(self).__name__}([x], ...)"
            )
        groups = list(params)
        if not groups:
            raise ValueError(
                f"{type(self).__name__} got no parameters. Does the model have any? Layers in "
                "plain lists or dicts are not found: use nn.ModuleList or nn.ModuleDict"
            )
        if not isinstance(groups[0], dict):
            groups = [{"params": groups}]
        for group in groups:
            self.add_param_group(group)
        expect_repetition()

    # ---- groups

    def add_param_group(self, param_group: dict[str, Any]) -> None:
        """Adds parameters, with options of their own.

        Raises:
            as the constructor; nothing is added then.
        """
        given = param_group["params"]
        items = [given] if isinstance(given, TensorCore) else list(given)
        names = [i[0] for i in items if isinstance(i, tuple)]
        params = [i[1] if isinstance(i, tuple) else i for i in items]
        self._check_params(params)
        options = {k: v for k, v in param_group.items() if k not in ("params", "param_names")}
        self._check_options(options)
        group = {"params": params, **self.defaults, **options}
        if names:
            group["param_names"] = names
        self.check_group(group)
        self.param_groups.append(group)

    def _check_params(self, params: list[Any]) -> None:
        seen = {id(p) for group in self.param_groups for p in group["params"]}
        for k, p in enumerate(params):
            if not isinstance(p, TensorCore):
                raise not_a_tensor(p, f"{type(self).__name__} optimises Tensors; parameter {k} is")
            if not p.is_leaf:  # type: ignore[attr-defined]
                raise ValueError(
                    f"{type(self).__name__} optimises leaf tensors, but parameter {k} of shape "
                    f"{list(p.shape)} was computed from others"  # type: ignore[attr-defined]
                )
            if id(p) in seen:
                raise ValueError(
                    f"{type(self).__name__}: parameter {k} of shape {list(p.shape)} is given twice"  # type: ignore[attr-defined]
                )
            seen.add(id(p))

    def _check_options(self, options: dict[str, Any]) -> None:
        taken = ", ".join(self.defaults)
        for name in options:
            if name not in self.defaults and name not in ("initial_lr", "name"):
                raise TypeError(
                    f"{type(self).__name__} has no option '{name}'."
                    f"{did_you_mean(name, self.defaults) or f' It takes {taken}.'}"
                )

    def check_group(self, group: dict[str, Any]) -> None:
        """Raises ValueError for options out of range."""
        self.check_not_negative(group, "lr", "weight_decay", "momentum", "eps")

    def check_not_negative(self, group: dict[str, Any], *names: str) -> None:
        """Raises ValueError if one of these options is there, and negative."""
        for name in names:
            value = group.get(name, 0)
            if isinstance(value, (int, float)) and value < 0:
                raise ValueError(f"{type(self).__name__}: {name}={value} must not be negative")

    def check_betas(self, group: dict[str, Any]) -> None:
        """Raises ValueError for shares of running means that are out of range."""
        for k, beta in enumerate(group["betas"]):
            if not 0.0 <= beta < 1.0:
                raise ValueError(
                    f"{type(self).__name__}: betas[{k}]={beta} must be at least 0 and less than 1"
                )

    # ---- a step

    def update(self, group: dict[str, Any], params: list[Any]) -> None:
        """Moves ``params`` by one step."""
        raise NotImplementedError(f"{type(self).__name__} defines no update(group, params)")

    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """One step: moves every parameter that has a gradient, and runs what is pending.

        Args:
            closure: computes the loss and its gradients anew; its result is returned.
        """
        self._called = True
        for hook in list(self._before_step.values()):
            hook(self, (), {})
        loss = self._step(closure)
        for hook in list(self._after_step.values()):
            hook(self, (), {})
        return loss

    def _step(self, closure: Callable[[], Any] | None) -> Any:
        loss = None
        if closure is not None:
            with enable_grad():
                loss = closure()
        known = {p: len(state) for p, state in self.state.items()}
        token = on_behalf_of.set(here(3))
        try:
            with no_grad():
                for group in self.param_groups:
                    params = [p for p in group["params"] if p.grad is not None]
                    if params:
                        self.update(group, params)
        finally:
            on_behalf_of.reset(token)
        try:
            realize()
        except BaseException:
            self._drop_lost_state(known)
            raise
        return loss

    def _drop_lost_state(self, known: dict[Any, int]) -> None:
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

    def register_step_pre_hook(self, hook: Callable[..., None]) -> RemovableHandle:
        """Calls ``hook(optimizer, args, kwargs)`` before each step."""
        return register(self._before_step, hook)

    def register_step_post_hook(self, hook: Callable[..., None]) -> RemovableHandle:
        """Calls ``hook(optimizer, args, kwargs)`` after each step."""
        return register(self._after_step, hook)

    def _no_hooks(self) -> None:
        self._before_step: Hooks = OrderedDict()
        self._after_step: Hooks = OrderedDict()
        self._before_saving: Hooks = OrderedDict()
        self._after_saving: Hooks = OrderedDict()
        self._before_loading: Hooks = OrderedDict()
        self._after_loading: Hooks = OrderedDict()

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
        params = [p for group in self.param_groups for p in group["params"]]
        numbers = [k for group in groups for k in group["params"]]
        of_number = dict(zip(numbers, params, strict=True))
        state: defaultdict[Any, dict[str, Any]] = defaultdict(dict)
        for k, values in state_dict["state"].items():
            p = of_number.get(int(k))
            if p is not None:
                state[p] = {name: self._restored(name, v, p) for name, v in values.items()}
        self.state = state
        for own, saved in zip(self.param_groups, groups, strict=True):
            own.update({k: deepcopy(v) for k, v in saved.items() if k != "params"})
        for hook in list(self._after_loading.values()):
            hook(self)

    def state_fits(self, name: str, shape: tuple[int, ...], param: Tensor) -> bool:
        """Can a saved state of this shape belong to ``param``? By default, if the shapes agree."""
        return shape == tuple(param.shape)

    def _restored(self, name: str, value: Any, param: Tensor) -> Any:
        if isinstance(value, (list, tuple)):
            return type(value)([self._restored(name, v, param) for v in value])
        if not isinstance(value, TensorCore):
            return value
        value = value.detach().clone()  # type: ignore[attr-defined]
        if value.ndim and not self.state_fits(name, tuple(value.shape), param):
            raise ValueError(
                f"the saved state '{name}' has shape {list(value.shape)}, but its parameter has "
                f"{list(param.shape)}"
            )
        return value.to(param.dtype) if value.ndim and value.is_floating_point() else value

    def __getstate__(self) -> dict[str, Any]:
        return {
            "defaults": self.defaults,
            "state": self.state,
            "param_groups": self.param_groups,
        }

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self._no_hooks()

    def __repr__(self) -> str:
        text = f"{type(self).__name__} ("
        for k, group in enumerate(self.param_groups):
            text += f"\nParameter Group {k}\n"
            text += "".join(f"    {n}: {group[n]}\n" for n in sorted(group) if n != "params")
        return text + ")"


def _passed_through(hooks: Hooks, optimizer: Optimizer, value: dict[str, Any]) -> dict[str, Any]:
    """What hooks make of a state_dict."""
    for hook in list(hooks.values()):
        new = hook(optimizer, value)
        if new is not None:
            value = new
    return value
