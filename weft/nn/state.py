"""The ``state_dict`` of a module: what is in it, and how a module takes its own part back.

``loading.py`` has ``load_state_dict``, which goes through all modules.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Mapping
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any, TypeVar, overload

from ..graph.modes import grad_mode, user_warning
from ..tensors.core import TensorCore, node_of
from .parameter import Parameter

if TYPE_CHECKING:
    from .module import Module

EXTRA = "_extra_state"

D = TypeVar("D", bound=dict[str, Any])


@overload
def state_dict(self: Module, *, destination: D, prefix: str = ..., keep_vars: bool = ...) -> D: ...
@overload
def state_dict(self: Module, *, prefix: str = ..., keep_vars: bool = ...) -> dict[str, Any]: ...
def state_dict(
    self: Module, *args: Any, destination: Any = None, prefix: str = "", keep_vars: bool = False
) -> Any:
    """All parameters and persistent buffers by path, as an OrderedDict.

    Args:
        destination: a dict to fill.
        prefix: what paths begin with.
        keep_vars: give the parameters themselves, not their detached values.
    """
    if args:
        user_warning(
            "Positional args are being deprecated, use kwargs instead: "
            "state_dict(destination=..., prefix=..., keep_vars=...)",
            FutureWarning,
        )
        given = dict(zip(("destination", "prefix", "keep_vars"), args, strict=False))
        destination = given["destination"] if destination is None else destination
        prefix = prefix or given.get("prefix", "")
        keep_vars = keep_vars or given.get("keep_vars", False)
    if destination is None:
        destination = OrderedDict()
        destination._metadata = OrderedDict()
    metadata = {"version": self._version}
    if hasattr(destination, "_metadata"):
        destination._metadata[prefix[:-1]] = metadata
    for hook in self._state_dict_pre_hooks.values():
        hook(self, prefix, keep_vars)
    self._save_to_state_dict(destination, prefix, keep_vars)
    for name, module in self._modules.items():
        if module is not None:
            module.state_dict(
                destination=destination, prefix=f"{prefix}{name}.", keep_vars=keep_vars
            )
    return _after_state_dict(self, destination, prefix, metadata)


def _after_state_dict(self: Module, destination: Any, prefix: str, metadata: dict[str, Any]) -> Any:
    for hook in self._state_dict_hooks.values():
        result = hook(self, destination, prefix, metadata)
        if result is None:
            continue
        if getattr(hook, "_from_public_api", False):
            raise RuntimeError("state_dict post-hook must return None")
        destination = result
    return destination


def save_to_state_dict(self: Module, destination: Any, prefix: str, keep_vars: bool) -> None:
    for name, param in self._parameters.items():
        if param is not None:
            destination[prefix + name] = param if keep_vars else param.detach()
    for name, buffer in self._buffers.items():
        if buffer is not None and name not in self._non_persistent_buffers_set:
            destination[prefix + name] = buffer if keep_vars else buffer.detach()
    if type(self).get_extra_state is not get_extra_state:
        destination[prefix + EXTRA] = self.get_extra_state()


# ---- what a subclass may add


def get_extra_state(self: Module) -> Any:
    """What else belongs into the ``state_dict``; to be defined by a subclass."""
    raise RuntimeError(
        f"{type(self).__name__} defines no get_extra_state(): a class with set_extra_state() "
        "needs both"
    )


def set_extra_state(self: Module, state: Any) -> None:
    """Takes back what ``get_extra_state`` gave; to be defined by a subclass."""
    raise RuntimeError(
        f"{type(self).__name__} defines no set_extra_state(): a class with get_extra_state() "
        "needs both"
    )


def has_extra_state(module: Module) -> bool:
    """Does the class define ``set_extra_state``?"""
    return type(module).set_extra_state is not set_extra_state


# ---- taking it back

Step = Callable[[], Any]

#: Within ``load_state_dict``: what is to be done once everything is checked.
planned: ContextVar[list[Step] | None] = ContextVar("planned", default=None)


def _do(step: Step) -> None:
    """Does a step now, or plans it."""
    steps = planned.get()
    if steps is not None:
        steps.append(step)
        return
    token = grad_mode.set(False)
    try:
        step()
    finally:
        grad_mode.reset(token)


def load_from_state_dict(
    self: Module,
    state_dict: Mapping[str, Any],
    prefix: str,
    local_metadata: Mapping[str, Any],
    strict: bool,
    missing_keys: list[str],
    unexpected_keys: list[str],
    error_msgs: list[str],
) -> None:
    """Loads this module's own entries; to be extended by subclasses, not called by users."""
    rest = (prefix, local_metadata, strict, missing_keys, unexpected_keys, error_msgs)
    for hook in list(self._load_state_dict_pre_hooks.values()):
        hook(state_dict, *rest)
    hidden = self._non_persistent_buffers_set
    buffers = {k: b for k, b in self._buffers.items() if k not in hidden}
    local = {k: v for k, v in (*self._parameters.items(), *buffers.items()) if v is not None}
    assign = bool(local_metadata.get("assign_to_params_buffers", False))
    for name, target in local.items():
        key = prefix + name
        if key in state_dict:
            problem = _plan_tensor(self, name, key, target, state_dict[key], assign)
            if problem:
                error_msgs.append(problem)
        elif strict:
            missing_keys.append(key)
    extra = prefix + EXTRA
    if has_extra_state(self):
        if extra in state_dict:
            value = state_dict[extra]
            _do(lambda: self.set_extra_state(value))
        elif strict:
            missing_keys.append(extra)
    elif strict and extra in state_dict:
        unexpected_keys.append(extra)
    if strict:
        unexpected_keys += [
            k for k in state_dict if k != extra and _is_strange(self, k, prefix, local)
        ]


def _is_strange(module: Module, key: str, prefix: str, local: Mapping[str, Any]) -> bool:
    """Is ``key`` one that begins like this module's, but names nothing in it?"""
    if not key.startswith(prefix):
        return False
    first, dot, _ = key[len(prefix) :].partition(".")
    return first not in (module._modules if dot else local)


_NOWHERE = (
    "load_state_dict: what is on the device 'meta' has no memory to copy values to, and nothing is "
    "loaded there. Pass assign=True, or write model.to_empty(device='cpu') before"
)


def _plan_tensor(
    module: Module, name: str, key: str, target: Any, value: Any, assign: bool
) -> str | None:
    """Plans to load one tensor; returns what is wrong with it."""
    if not isinstance(value, TensorCore):
        kind = type(value)
        hint = ". Convert it, weft.from_numpy(x)" if kind.__name__ == "ndarray" else ""
        return (
            f'While copying the parameter named "{key}", expected weft.Tensor from checkpoint but '
            f"received {kind.__module__}.{kind.__qualname__}{hint}"
        )
    wanted, given = node_of(target).type.shape, node_of(value).type.shape
    if wanted == () and given == (1,):  # how the oldest checkpoints hold a single number
        value = value.reshape(())  # type: ignore[attr-defined]
    elif wanted != given:
        return (
            f"size mismatch for {key}: copying a param with shape {list(given)} from checkpoint, "
            f"the shape in current model is {list(wanted)}."
        )
    if not assign:
        if value.is_meta and not target.is_meta:
            return f"{key} is on the device 'meta', without values. "
        if target.is_meta and not value.is_meta:
            user_warning(_NOWHERE)
        _do(lambda: target.copy_(value))
    elif isinstance(target, Parameter) and not isinstance(value, Parameter):
        _do(lambda: setattr(module, name, Parameter(value, target.requires_grad)))
    elif isinstance(target, Parameter):
        _do(lambda: setattr(module, name, value.requires_grad_(target.requires_grad)))
    else:
        _do(lambda: setattr(module, name, value))
    return None
