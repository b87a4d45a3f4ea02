"""The state of a Module, and the class by which the files below ``module.py`` know one."""

from __future__ import annotations

from collections import OrderedDict
from typing import TYPE_CHECKING, Any, Self

from ..hooks import Hook
from ..tensors.tensor import Tensor
from .parameter import Parameter
from .place import NOWHERE, Place

if TYPE_CHECKING:
    from .module import Module


# Parts of an instance's dict that copies and pickles begin anew.
_NOT_COPIED = ("_place", "_plain", "_compiled_call_impl")


def _without_history(value: Any) -> Any:
    """What a copy or a pickle gets of an attribute: of a computed Tensor the value alone."""
    if isinstance(value, Tensor) and value.grad_fn is not None:
        return value.detach()
    return value


class ModuleBase:
    """A module before it can do anything.

    Its state is there from ``__new__`` on, so that a class that forgets ``super().__init__()``
    works. The names of its parts are PyTorch's, since user code relies on them.
    """

    training: bool
    _parameters: dict[str, Parameter | None]
    _buffers: dict[str, Tensor | None]
    _non_persistent_buffers_set: set[str]
    _backward_pre_hooks: OrderedDict[int, Hook]
    _backward_hooks: OrderedDict[int, Hook]
    _is_full_backward_hook: bool | None
    _forward_hooks: OrderedDict[int, Hook]
    _forward_hooks_with_kwargs: OrderedDict[int, bool]
    _forward_hooks_always_called: OrderedDict[int, bool]
    _forward_pre_hooks: OrderedDict[int, Hook]
    _forward_pre_hooks_with_kwargs: OrderedDict[int, bool]
    _state_dict_hooks: OrderedDict[int, Hook]
    _state_dict_pre_hooks: OrderedDict[int, Hook]
    _load_state_dict_pre_hooks: OrderedDict[int, Hook]
    _load_state_dict_post_hooks: OrderedDict[int, Hook]
    _modules: dict[str, Module | None]
    _place: Place  # where it was called last
    _plain: set[str]  # attributes that are empty lists and the like

    def __new__(cls, *args: Any, **kwargs: Any) -> Self:
        after = super().__new__  # of a base that stands beside Module, as a rule object's
        self = after(cls) if after is object.__new__ else after(cls, *args, **kwargs)
        self._begin_state()
        return self

    def _begin_state(self) -> None:
        state = self.__dict__
        state["training"] = True
        state["_parameters"] = {}
        state["_buffers"] = {}
        state["_non_persistent_buffers_set"] = set()
        state["_backward_pre_hooks"] = OrderedDict()
        state["_backward_hooks"] = OrderedDict()
        state["_is_full_backward_hook"] = None
        state["_forward_hooks"] = OrderedDict()
        state["_forward_hooks_with_kwargs"] = OrderedDict()
        state["_forward_hooks_always_called"] = OrderedDict()
        state["_forward_pre_hooks"] = OrderedDict()
        state["_forward_pre_hooks_with_kwargs"] = OrderedDict()
        state["_state_dict_hooks"] = OrderedDict()
        state["_state_dict_pre_hooks"] = OrderedDict()
        state["_load_state_dict_pre_hooks"] = OrderedDict()
        state["_load_state_dict_post_hooks"] = OrderedDict()
        state["_modules"] = {}
        state["_place"] = NOWHERE
        state["_plain"] = set()

    def __getstate__(self) -> dict[str, Any]:
        return {k: _without_history(v) for k, v in self.__dict__.items() if k not in _NOT_COPIED}
