"""Parameters and buffers whose shape is not known yet, and the mixin of layers that have them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, NoReturn, Self, SupportsIndex

from ..dtypes import as_dtype, dtype, get_default_dtype
from ..engine.devices import resolve
from ..errors import ShapeError
from ..graph.device import device
from ..tensors.core import TensorCore, node_of
from ..tensors.creation import empty
from ..tensors.tensor import Tensor
from .module import Module
from .parameter import Parameter, _bind
from .state import _do


def _unknown(self: Any) -> NoReturn:
    raise ShapeError(
        f"this {type(self).__name__} has no shape and no values yet: they come with the first "
        "input. Call the module once, model(example), before its parameters are used"
    )


class _Uninitialized:
    """A Tensor without a node. What needs none is answered here; all else raises ShapeError."""

    __slots__ = ()
    _becomes: type[Any]
    __dict__: dict[str, Any]

    def __new__(
        cls, requires_grad: bool = False, device: Any = None, dtype: Any = None, **options: Any
    ) -> Self:
        place = resolve(device)
        self = object.__new__(cls)
        state = self.__dict__
        state["_wanted"] = (
            get_default_dtype() if dtype is None else as_dtype(dtype),
            bool(requires_grad),
            place,
        )
        state.update(options)
        self._base = None  # type: ignore[attr-defined]
        return self

    if not TYPE_CHECKING:
        _node = property(_unknown)
        shape = property(_unknown)
        grad_fn = None

        @property
        def dtype(self) -> dtype:
            return self.__dict__["_wanted"][0]

        @property
        def requires_grad(self) -> bool:
            return self.__dict__["_wanted"][1]

        @property
        def device(self) -> device:
            return self.__dict__["_wanted"][2]

        @property
        def is_leaf(self) -> bool:
            return True

        def requires_grad_(self, requires_grad: bool = True) -> Self:
            self.__dict__["_wanted"] = (self.dtype, requires_grad, self.device)
            return self

        def is_floating_point(self) -> bool:
            return self.dtype.is_floating_point

        def to(self, *args: Any, **kwargs: Any) -> Self:
            example = empty(0, dtype=self.dtype, device=self.device).to(*args, **kwargs)
            self.__dict__["_wanted"] = (example.dtype, self.requires_grad, example.device)
            return self

        def cpu(self) -> Self:
            return self.to("cpu")

        def detach(self) -> Self:
            return self

    def materialize(self, shape: Any, device: Any = None, dtype: Any = None) -> None:
        """Gives it a shape; the values are to be filled in.

        Args:
            dtype: by default, the one it was made with.
        """
        wanted, requires_grad, place = self.__dict__.pop("_wanted")
        value = empty(shape, device=device or place, dtype=wanted if dtype is None else dtype)
        self.__class__ = self._becomes
        _bind(self, node_of(value), requires_grad)  # type: ignore[arg-type]

    def __repr__(self) -> str:
        return f"<{type(self).__name__}>"

    def _again(self) -> tuple[Any, ...]:
        wanted, requires_grad, place = self.__dict__["_wanted"]
        return requires_grad, place, wanted

    def __deepcopy__(self, memo: dict[int, Any]) -> Any:
        done = memo.get(id(self))
        if done is None:
            done = memo[id(self)] = type(self)(*self._again())
        return done

    def __reduce_ex__(self, protocol: SupportsIndex = 2) -> Any:
        return type(self), self._again()


class UninitializedParameter(_Uninitialized, Parameter):
    """A Parameter whose shape is not known yet; :meth:`materialize` makes it one.

    Args:
        requires_grad: as of :class:`Parameter`.
        dtype: by default, the default dtype.

    Raises:
        ShapeError: from whatever needs its shape or values.
    """

    __slots__ = ()
    _becomes = Parameter

    def __new__(cls, requires_grad: bool = True, device: Any = None, dtype: Any = None) -> Self:
        return _Uninitialized.__new__(cls, requires_grad, device, dtype)


class UninitializedBuffer(_Uninitialized, Tensor):
    """A buffer whose shape is not known yet. See :class:`UninitializedParameter`.

    Args:
        persistent: whether it is part of the ``state_dict``.
    """

    __slots__ = ()
    _becomes = Tensor

    def __new__(
        cls,
        requires_grad: bool = False,
        device: Any = None,
        dtype: Any = None,
        persistent: bool = True,
    ) -> Self:
        return _Uninitialized.__new__(cls, requires_grad, device, dtype, persistent=persistent)

    def _again(self) -> tuple[Any, ...]:
        return (*super()._again(), self.__dict__["persistent"])


def is_lazy(value: Any) -> bool:
    """Is this a parameter or buffer without a shape?"""
    return isinstance(value, _Uninitialized)


# ---- modules


def _infer(module: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
    """The pre-hook of the first call: gives the parameters their shapes, and goes away."""
    module.initialize_parameters(*args, **kwargs)
    if module.has_uninitialized_params():
        raise RuntimeError(f"module {module._get_name()} has not been fully initialized")
    module._initialize_hook.remove()
    del module._initialize_hook
    if module.cls_to_become is not None:
        module.__class__ = module.cls_to_become


class LazyModuleMixin(Module):
    """For layers that learn the sizes of their inputs at the first call.

    A subclass gives its parameters as :class:`UninitializedParameter` and defines
    ``initialize_parameters``, which is called with the arguments of the first call and materialises
    them. After that the module becomes ``cls_to_become``, if there is one.

    Call the module once before an optimiser is made. ``load_state_dict`` initialises it too.
    """

    cls_to_become: type[Any] | None = None

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._initialize_hook = self.register_forward_pre_hook(_infer, with_kwargs=True)

    def initialize_parameters(self, *args: Any, **kwargs: Any) -> None:
        """Materialises the parameters for these arguments of a call."""
        raise NotImplementedError(
            f"initialize_parameters is not implemented for {type(self).__name__}"
        )

    def has_uninitialized_params(self) -> bool:
        """Are there parameters or buffers without a shape?"""
        return any(is_lazy(x) for x in (*self._parameters.values(), *self._buffers.values()))

    def _load_from_state_dict(self, state_dict: Mapping[str, Any], prefix: str, *rest: Any) -> None:
        """Loads into stand-ins of the saved shapes, which are taken over once all is checked."""
        replaced: list[tuple[dict[str, Any], str, Any, Any]] = []
        kinds: list[dict[str, Any]] = [self._parameters, self._buffers]
        for members in kinds:
            for name, own in members.items():
                saved = state_dict.get(prefix + name)
                if is_lazy(own) and isinstance(saved, TensorCore):
                    replaced.append((members, name, own, _stand_in(own, saved)))
        nothing = [prefix + name for _, name, _, stand_in in replaced if stand_in is None]
        if nothing:  # saved before there were values
            state_dict = {k: v for k, v in state_dict.items() if k not in nothing}
        for members, name, _, stand_in in replaced:
            members[name] = stand_in
        try:
            super()._load_from_state_dict(state_dict, prefix, *rest)
        finally:
            for members, name, own, _ in replaced:
                members[name] = own
        for own, stand_in in [(o, s) for _, _, o, s in replaced if s is not None]:
            _do(lambda own=own, new=stand_in: _take_over(own, new))  # type: ignore[misc]


def _stand_in(own: Any, saved: Any) -> Any:
    if is_lazy(saved):
        return None
    value = empty(tuple(saved.shape), dtype=own.dtype, device=own.device)
    return Parameter(value, own.requires_grad) if isinstance(own, Parameter) else value


def _take_over(own: Any, stand_in: Any) -> None:
    own.materialize(tuple(stand_in.shape))
    own.data = stand_in
