"""What optimisers have in common: groups of parameters, state, hooks of ``step``."""

from __future__ import annotations

from collections import OrderedDict, defaultdict
from collections.abc import Callable, Iterable
from copy import deepcopy
from typing import Any, ClassVar

from ..autograd.modes import enable_grad, no_grad
from ..errors import did_you_mean
from ..graph.modes import here, on_behalf_of
from ..hooks import Hooks, RemovableHandle, register
from ..tensors.core import TensorCore, not_a_tensor
from ..tensors.interop import realize
from ..tensors.tensor import Tensor

Params = Iterable[Any]


class Optimizer:
    """Base of the optimisers.

    A subclass defines ``update(group, params)``, the arithmetic of one step for the parameters of a
    group that have a gradient; the walk over groups and the run of the recorded step are here.

    Args:
        params: parameters, ``(name, parameter)`` pairs, or dicts with "params" and options.
        defaults: options of groups that do not name them.

    Raises:
        TypeError: for anything else among ``params``, or an option that this optimiser has not.
        ValueError: if there are no parameters, or one is there twice.
    """

    options: ClassVar[tuple[str, ...]] = ()

    def __init__(self, params: Params, defaults: dict[str, Any]) -> None:
        self.defaults = defaults
        self.state: defaultdict[Any, dict[str, Any]] = defaultdict(dict)
        self.param_groups: list[dict[str, Any]] = []
        self._before_step: Hooks = OrderedDict()
        self._after_step: Hooks = OrderedDict()
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
        for name in options:
            if name not in self.defaults and name not in ("initial_lr", "name"):
                raise TypeError(
                    f"{type(self).__name__} has no option '{name}'."
                    f"{did_you_mean(name, self.defaults)}"
                )

    def check_group(self, group: dict[str, Any]) -> None:
        """Raises ValueError for options out of range."""
        for name in ("lr", "weight_decay", "momentum", "eps"):
            value = group.get(name, 0)
            if isinstance(value, (int, float)) and value < 0:
                raise ValueError(f"{type(self).__name__}: {name}={value} must not be negative")

    # ---- a step

    def update(self, group: dict[str, Any], params: list[Any]) -> None:
        """Moves ``params`` by one step."""
        raise NotImplementedError(f"{type(self).__name__} defines no update(group, params)")

    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """One step: moves every parameter that has a gradient, and runs what is pending.

        Args:
            closure: computes the loss and its gradients anew; its result is returned.
        """
        for hook in list(self._before_step.values()):
            hook(self, (), {})
        loss = None
        if closure is not None:
            with enable_grad():
                loss = closure()
        token = on_behalf_of.set(here(2))
        try:
            with no_grad():
                for group in self.param_groups:
                    params = [p for p in group["params"] if p.grad is not None]
                    if params:
                        self.update(group, params)
        finally:
            on_behalf_of.reset(token)
        realize()
        for hook in list(self._after_step.values()):
            hook(self, (), {})
        return loss

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

    # ---- saving

    def state_dict(self) -> dict[str, Any]:
        """State and options, with numbers in place of parameters (as PyTorch's)."""
        order = {
            id(p): k
            for k, p in enumerate(p for group in self.param_groups for p in group["params"])
        }
        groups = [
            {**group, "params": [order[id(p)] for p in group["params"]]}
            for group in self.param_groups
        ]
        state = {order[id(p)]: dict(values) for p, values in self.state.items()}
        return {"state": state, "param_groups": groups}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Restores what :meth:`state_dict` gave.

        Raises:
            ValueError: if groups or parameters do not match; nothing is changed then.
        """
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
                state[p] = {name: _restored(name, v, p) for name, v in values.items()}
        self.state = state
        for own, saved in zip(self.param_groups, groups, strict=True):
            own.update({k: deepcopy(v) for k, v in saved.items() if k != "params"})

    def __getstate__(self) -> dict[str, Any]:
        return {
            "defaults": self.defaults,
            "state": self.state,
            "param_groups": self.param_groups,
        }

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self._before_step, self._after_step = OrderedDict(), OrderedDict()

    def __repr__(self) -> str:
        text = f"{type(self).__name__} ("
        for k, group in enumerate(self.param_groups):
            text += f"\nParameter Group {k}\n"
            text += "".join(f"    {n}: {group[n]}\n" for n in sorted(group) if n != "params")
        return text + ")"


def _restored(name: str, value: Any, param: Tensor) -> Any:
    if not isinstance(value, TensorCore):
        return value
    value = value.detach().clone()  # type: ignore[attr-defined]
    if value.shape != param.shape and value.ndim:
        raise ValueError(
            f"the saved state '{name}' has shape {list(value.shape)}, but its parameter has "
            f"{list(param.shape)}"
        )
    return value.to(param.dtype) if value.ndim and value.is_floating_point() else value
