"""Hooks: how they are kept and registered. ``call.py`` says when they run."""

from __future__ import annotations

from collections import OrderedDict
from typing import TYPE_CHECKING, Any
from weakref import ref

from ..hooks import Hook, Hooks, RemovableHandle, register
from .mistakes import deprecated

if TYPE_CHECKING:
    from .module import Module


class BoundHook:
    """A hook that is given its module first, without keeping that module alive."""

    def __init__(self, hook: Hook, module: Module | None = None) -> None:
        self.hook = hook
        self.with_module = module is not None
        self._module = None if module is None else ref(module)
        self._from_public_api = False

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        if self._module is None:
            return self.hook(*args, **kwargs)
        module = self._module()
        if module is None:
            raise RuntimeError("a hook is called whose module is gone")
        return self.hook(module, *args, **kwargs)

    def __getstate__(self) -> dict[str, Any]:
        module = None if self._module is None else self._module()
        return {"hook": self.hook, "module": module, "public": self._from_public_api}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__init__(state["hook"], state["module"])  # type: ignore[misc]
        self._from_public_api = state["public"]


# ---- hooks for all modules


class _EveryModule:
    """Hooks that hold for all modules."""

    def __init__(self) -> None:
        self.forward_pre: Hooks = OrderedDict()
        self.forward: Hooks = OrderedDict()
        self.forward_with_kwargs: OrderedDict[int, bool] = OrderedDict()
        self.forward_always: OrderedDict[int, bool] = OrderedDict()
        self.backward_pre: Hooks = OrderedDict()
        self.backward: Hooks = OrderedDict()
        self.backward_is_full: bool | None = None
        self.parameter_registration: Hooks = OrderedDict()
        self.buffer_registration: Hooks = OrderedDict()
        self.module_registration: Hooks = OrderedDict()


every_module = _EveryModule()

#: Ids of all call hooks for all modules: the one thing that a call looks at.
every_call: OrderedDict[int, bool] = OrderedDict()


def register_module_forward_pre_hook(hook: Hook) -> RemovableHandle:
    """Calls ``hook(module, args)`` before each module's ``forward``; it may return new args."""
    return _register_call(every_module.forward_pre, hook)


def register_module_forward_hook(
    hook: Hook, *, with_kwargs: bool = False, always_call: bool = False
) -> RemovableHandle:
    """Calls ``hook(module, args, output)`` after each module's ``forward``.

    Args:
        hook: may return a new output.
        with_kwargs: call ``hook(module, args, kwargs, output)``.
        always_call: also if ``forward`` raises; the output is None then.
    """
    return _register_call(
        every_module.forward,
        hook,
        (every_module.forward_with_kwargs, with_kwargs),
        (every_module.forward_always, always_call),
    )


def register_module_full_backward_pre_hook(hook: Hook) -> RemovableHandle:
    """Calls ``hook(module, grad_output)`` for each module that backward() enters."""
    return _register_call(every_module.backward_pre, hook)


def register_module_full_backward_hook(hook: Hook) -> RemovableHandle:
    """Calls ``hook(module, grad_input, grad_output)`` for each module that backward() leaves.

    Raises:
        RuntimeError: where ``register_module_backward_hook`` is in use.
    """
    every_module.backward_is_full = one_kind(every_module.backward_is_full, True, "for all modules")
    return _register_call(every_module.backward, hook)


def register_module_backward_hook(hook: Hook) -> RemovableHandle:
    """Deprecated: :func:`register_module_full_backward_hook`, which does the same here."""
    every_module.backward_is_full = one_kind(
        every_module.backward_is_full, False, "for all modules"
    )
    deprecated("register_module_backward_hook", "register_module_full_backward_hook")
    return _register_call(every_module.backward, hook)


def register_module_parameter_registration_hook(hook: Hook) -> RemovableHandle:
    """Calls ``hook(module, name, parameter)`` at each registration; it may return another one."""
    return register(every_module.parameter_registration, hook)


def register_module_buffer_registration_hook(hook: Hook) -> RemovableHandle:
    """Calls ``hook(module, name, buffer)`` at each registration; it may return another one."""
    return register(every_module.buffer_registration, hook)


def register_module_module_registration_hook(hook: Hook) -> RemovableHandle:
    """Calls ``hook(module, name, submodule)`` at each registration; it may return another one."""
    return register(every_module.module_registration, hook)


def _register_call(hooks: Hooks, hook: Hook, *flags: tuple[Any, bool]) -> RemovableHandle:
    return register(hooks, hook, *flags, (every_call, True))


def one_kind(before: bool | None, full: bool, where: str) -> bool:
    """Checks that full and old backward hooks are not mixed.

    Raises:
        RuntimeError: if they are.
    """
    if before is not None and before is not full:
        raise RuntimeError(
            f"Cannot use both regular backward hooks and full backward hooks {where}: use "
            "register_full_backward_hook for both"
        )
    return full


def registered(hooks: Hooks, module: Module, name: str, value: Any) -> Any:
    """What registration hooks make of a value."""
    for hook in list(hooks.values()):
        new = hook(module, name, value)
        if new is not None:
            value = new
    return value


# ---- methods of Module


def register_forward_pre_hook(
    self: Module, hook: Hook, *, prepend: bool = False, with_kwargs: bool = False
) -> RemovableHandle:
    """Calls ``hook(module, args)`` before ``forward``.

    Args:
        hook: may return new args: a tuple, or one value.
        prepend: before the hooks that are there already.
        with_kwargs: call ``hook(module, args, kwargs)``, which may return both.
    """
    flag = (self._forward_pre_hooks_with_kwargs, with_kwargs)
    return register(self._forward_pre_hooks, hook, flag, prepend=prepend)


def register_forward_hook(
    self: Module,
    hook: Hook,
    *,
    prepend: bool = False,
    with_kwargs: bool = False,
    always_call: bool = False,
) -> RemovableHandle:
    """Calls ``hook(module, args, output)`` after ``forward``.

    Args:
        hook: may return a new output.
        prepend: before the hooks that are there already.
        with_kwargs: call ``hook(module, args, kwargs, output)``.
        always_call: also if ``forward`` raises; the output is None then.
    """
    return register(
        self._forward_hooks,
        hook,
        (self._forward_hooks_with_kwargs, with_kwargs),
        (self._forward_hooks_always_called, always_call),
        prepend=prepend,
    )


def register_full_backward_pre_hook(
    self: Module, hook: Hook, prepend: bool = False
) -> RemovableHandle:
    """Calls ``hook(module, grad_output)`` when backward() comes to the module.

    ``grad_output`` has an entry for each output, None where no gradient is.

    Args:
        hook: may return new gradients, as a tuple.
        prepend: before the hooks that are there already.
    """
    return register(self._backward_pre_hooks, hook, prepend=prepend)


def register_full_backward_hook(self: Module, hook: Hook, prepend: bool = False) -> RemovableHandle:
    """Calls ``hook(module, grad_input, grad_output)`` when backward() has gone through it.

    Both are tuples, with entries for each positional argument and each output. If no argument
    requires grad, the hook runs as soon as ``grad_output`` is known.

    Args:
        hook: may return new gradients for the inputs, as a tuple.
        prepend: before the hooks that are there already.

    Raises:
        RuntimeError: where ``register_backward_hook`` is in use.
    """
    self._is_full_backward_hook = one_kind(self._is_full_backward_hook, True, "on a single Module")
    return register(self._backward_hooks, hook, prepend=prepend)


def register_backward_hook(self: Module, hook: Hook) -> RemovableHandle:
    """Deprecated: :meth:`register_full_backward_hook`, which does the same here."""
    self._is_full_backward_hook = one_kind(self._is_full_backward_hook, False, "on a single Module")
    deprecated("register_backward_hook", "register_full_backward_hook")
    return register(self._backward_hooks, hook)


def register_state_dict_pre_hook(self: Module, hook: Hook) -> RemovableHandle:
    """Calls ``hook(module, prefix, keep_vars)`` before ``state_dict`` is filled."""
    return register(self._state_dict_pre_hooks, hook)


def register_state_dict_post_hook(self: Module, hook: Hook) -> RemovableHandle:
    """Calls ``hook(module, state_dict, prefix, local_metadata)``, which may change the dict."""
    try:
        hook._from_public_api = True  # type: ignore[attr-defined]
    except AttributeError:  # a bound method
        hook = BoundHook(hook)
        hook._from_public_api = True
    return register(self._state_dict_hooks, hook)


def _register_state_dict_hook(self: Module, hook: Hook) -> RemovableHandle:
    """As :meth:`register_state_dict_post_hook`; what it returns replaces the state_dict."""
    if getattr(hook, "_from_public_api", False):
        raise RuntimeError(
            "Cannot register the same function as the state dict post hook that was previously "
            "registered via register_state_dict_post_hook"
        )
    return register(self._state_dict_hooks, hook)


def register_load_state_dict_pre_hook(self: Module, hook: Hook) -> RemovableHandle:
    """Calls ``hook(module, state_dict, prefix, local_metadata, strict, missing_keys,
    unexpected_keys, error_msgs)`` before a state_dict is loaded, which it may change.
    """
    return self._register_load_state_dict_pre_hook(hook, with_module=True)


def _register_load_state_dict_pre_hook(
    self: Module, hook: Hook, with_module: bool = False
) -> RemovableHandle:
    bound = BoundHook(hook, self if with_module else None)
    return register(self._load_state_dict_pre_hooks, bound)


def register_load_state_dict_post_hook(self: Module, hook: Hook) -> RemovableHandle:
    """Calls ``hook(module, incompatible_keys)`` after loading; it may change the lists of keys."""
    return register(self._load_state_dict_post_hooks, hook)
