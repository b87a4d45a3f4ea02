"""Modules and parameters in sequence or by name: Sequential, ModuleList, ModuleDict, ..."""

from __future__ import annotations

import operator
from collections import OrderedDict
from collections.abc import ItemsView, Iterable, Iterator, KeysView, Mapping, ValuesView
from itertools import chain
from typing import Any, NoReturn, Self, SupportsIndex, overload

from ..errors import OptionError
from ..tensors.core import TensorCore
from ..tensors.tensor import Tensor
from .mistakes import deprecated, not_registrable
from .module import Module
from .parameter import Parameter
from .place import structure_changed


def _place_in(kind: str, index: SupportsIndex, size: int) -> int:
    """An index, counted from the front.

    Raises:
        IndexError: beyond either end.
    """
    k = operator.index(index)
    if not -size <= k < size:
        raise IndexError(f"index {k} is out of range: this {kind} has {size} members")
    return k % size


class _Numbered(Module):
    """What Sequential and ModuleList share: modules in order."""

    _modules: dict[str, Module]  # type: ignore[assignment]

    def _key(self, index: SupportsIndex) -> str:
        return list(self._modules)[_place_in(type(self).__name__, index, len(self._modules))]

    def __len__(self) -> int:
        return len(self._modules)

    def __iter__(self) -> Iterator[Module]:
        return iter(self._modules.values())

    def __setitem__(self, index: SupportsIndex, module: Module) -> None:
        setattr(self, self._key(index), module)

    def __delitem__(self, index: SupportsIndex | slice) -> None:
        keys = list(self._modules)[index] if isinstance(index, slice) else [self._key(index)]
        for key in keys:
            del self._modules[key]
        self._renumber(list(self._modules.values()))

    def _renumber(self, modules: list[Module]) -> None:
        self._modules.clear()
        self._modules.update((str(k), m) for k, m in enumerate(modules))
        structure_changed()

    def append(self, module: Module) -> Self:
        """Adds a module at the end."""
        self.add_module(str(len(self)), module)
        return self

    def extend(self, modules: Iterable[Module]) -> Self:
        """Adds modules at the end.

        Raises:
            TypeError: unless they can be iterated.
        """
        if not isinstance(modules, Iterable):
            raise TypeError(
                f"{type(self).__name__}.extend should be called with an iterable, but got "
                f"{type(modules).__name__}"
            )
        for module in list(modules):
            self.append(module)
        return self

    def pop(self, key: Any) -> Any:
        """Takes a module out and returns it."""
        module = self[key]  # type: ignore[index]
        del self[key]
        return module

    def __dir__(self) -> list[str]:
        return [name for name in super().__dir__() if not name.isdigit()]


class Container(Module):
    """Keeps the modules that it is given by name, as any module does that assigns them."""

    def __init__(self, **kwargs: Module) -> None:
        super().__init__()
        deprecated("nn.Container", "nn.Module")
        for name, module in kwargs.items():
            self.add_module(name, module)


class Sequential(_Numbered):
    """Calls its modules one after the other, each with what the one before returned.

    Args:
        args: the modules, or one OrderedDict of named ones.

    Raises:
        TypeError: for anything else; a list is to be given as ``Sequential(*layers)``.

    Example:
        >>> nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 1))(weft.zeros(2, 4)).shape
        weft.Size([2, 1])
    """

    @overload
    def __init__(self, *args: Module) -> None: ...
    @overload
    def __init__(self, arg: OrderedDict[str, Module], /) -> None: ...
    def __init__(self, *args: Any) -> None:
        super().__init__()
        if len(args) == 1 and isinstance(args[0], OrderedDict):
            for key, module in args[0].items():
                self.add_module(key, module)
            return
        for k, module in enumerate(args):
            if len(args) == 1 and isinstance(module, (list, tuple, dict)):
                raise _given_a_collection(module)
            self.add_module(str(k), module)

    def forward(self, input: Any) -> Any:
        for module in self._modules.values():
            input = module(input)
        return input

    @overload
    def __getitem__(self, index: slice) -> Sequential: ...
    @overload
    def __getitem__(self, index: SupportsIndex) -> Module: ...
    def __getitem__(self, index: Any) -> Module:
        if isinstance(index, slice):
            return type(self)(OrderedDict(list(self._modules.items())[index]))
        return self._modules[self._key(index)]

    def insert(self, index: int, module: Module) -> Self:
        """Adds a module before place ``index``.

        Raises:
            TypeError: unless it is a Module.
            IndexError: beyond either end.
        """
        if not isinstance(module, Module):
            raise not_registrable(self, "module", str(index), module)
        size = len(self)
        if not -size <= index <= size:
            raise IndexError(f"Index out of range: {index}, in a Sequential of {size} modules")
        modules = list(self)
        modules.insert(index, module)
        self._renumber(modules)
        return self

    def __add__(self, other: Any) -> Sequential:
        return Sequential(*self, *_sequential(other))

    def __iadd__(self, other: Any) -> Self:
        return self.extend(_sequential(other))

    def __mul__(self, other: int) -> Sequential:
        return Sequential(*list(self) * _times(other))

    __rmul__ = __mul__

    def __imul__(self, other: int) -> Self:
        return self.extend(list(self) * (_times(other) - 1))


def _given_a_collection(value: Any) -> TypeError:
    if isinstance(value, dict):
        fix = "Sequential(OrderedDict(layers))"
    else:
        fix = "Sequential(*layers)"
    kind = type(value).__name__
    return TypeError(f"{kind} is not a Module subclass: Sequential takes the layers, write {fix}")


def _sequential(other: Any) -> Sequential:
    if not isinstance(other, Sequential):
        raise OptionError(
            "add operator supports only objects of Sequential class, but "
            f"{type(other)} is given. Use append() or extend() for layers"
        )
    return other


def _times(other: Any) -> int:
    if not isinstance(other, int):
        raise TypeError(f"unsupported operand type(s) for *: Sequential and {type(other)}")
    if other <= 0:
        raise OptionError(f"Non-positive multiplication factor {other} for Sequential")
    return other


class ModuleList(_Numbered):
    """A list of modules, registered with whatever module it is an attribute of.

    Args:
        modules: to begin with.
    """

    _use_instead = "Call them one by one, `for layer in layers: x = layer(x)`, or use nn.Sequential"

    def __init__(self, modules: Iterable[Module] | None = None) -> None:
        super().__init__()
        if modules is not None:
            self += modules

    @overload
    def __getitem__(self, index: slice) -> Self: ...
    @overload
    def __getitem__(self, index: SupportsIndex) -> Module: ...
    def __getitem__(self, index: Any) -> Module:
        if isinstance(index, slice):
            return type(self)(list(self._modules.values())[index])
        return self._modules[str(_place_in(type(self).__name__, index, len(self)))]

    def insert(self, index: int, module: Module) -> None:
        """Adds a module before place ``index``.

        Raises:
            TypeError: unless it is a Module.
        """
        if not isinstance(module, Module):
            raise not_registrable(self, "module", str(index), module)
        modules = list(self)
        modules.insert(index, module)
        self._renumber(modules)

    def __iadd__(self, modules: Iterable[Module]) -> Self:
        return self.extend(modules)

    def __add__(self, other: Iterable[Module]) -> ModuleList:
        return ModuleList(chain(self, other))

    def __repr__(self) -> str:
        if not len(self):
            return f"{self._get_name()}()"
        blocks: list[tuple[int, int, str]] = []  # first, last, and what they print alike
        for k, module in enumerate(self):
            text = repr(module)
            if blocks and blocks[-1][2] == text:
                blocks[-1] = (blocks[-1][0], k, text)
            else:
                blocks.append((k, k, text))
        lines = [
            f"({a}): {text}" if a == b else f"({a}-{b}): {b - a + 1} x {text}"
            for a, b, text in blocks
        ]
        return (
            f"{self._get_name()}(\n  "
            + "\n  ".join(line.replace("\n", "\n  ") for line in lines)
            + "\n)"
        )


class ModuleDict(Module):
    """Modules by name, registered with whatever module it is an attribute of.

    Args:
        modules: a mapping, or pairs of name and module.
    """

    _use_instead = "Call the one you mean: x = layers['name'](x)"

    _modules: dict[str, Module]  # type: ignore[assignment]

    def __init__(self, modules: Any = None) -> None:
        super().__init__()
        if modules is not None:
            self.update(modules)

    def __getitem__(self, key: str) -> Module:
        return self._modules[key]

    def __setitem__(self, key: str, module: Module) -> None:
        self.add_module(key, module)

    def __delitem__(self, key: str) -> None:
        del self._modules[key]
        structure_changed()

    def __len__(self) -> int:
        return len(self._modules)

    def __iter__(self) -> Iterator[str]:
        return iter(self._modules)

    def __contains__(self, key: object) -> bool:
        return key in self._modules

    def clear(self) -> None:
        """Takes all modules out."""
        self._modules.clear()
        structure_changed()

    def pop(self, key: str) -> Module:
        """Takes a module out and returns it."""
        module = self[key]
        del self[key]
        return module

    def keys(self) -> KeysView[str]:
        """The names."""
        return self._modules.keys()

    def items(self) -> ItemsView[str, Module]:
        """Pairs of name and module."""
        return self._modules.items()

    def values(self) -> ValuesView[Module]:
        """The modules."""
        return self._modules.values()

    def update(self, modules: Any) -> None:
        """Adds modules, from a mapping or from pairs of name and module.

        Raises:
            TypeError: if they cannot be iterated.
            OptionError: for what is no pair.
        """
        for key, module in _pairs("ModuleDict", modules):
            self[key] = module


def _pairs(kind: str, items: Any) -> list[tuple[Any, Any]]:
    if isinstance(items, (Mapping, ModuleDict, ParameterDict)):
        return list(items.items())
    if not isinstance(items, Iterable):
        raise TypeError(
            f"{kind}.update should be called with an iterable of key/value pairs, but got "
            f"{type(items).__name__}"
        )
    pairs = []
    for k, pair in enumerate(items):
        if not isinstance(pair, Iterable):
            raise TypeError(
                f"{kind} update sequence element #{k} should be Iterable; is {type(pair).__name__}"
            )
        members = tuple(pair)
        if len(members) != 2:
            raise OptionError(
                f"{kind} update sequence element #{k} has length {len(members)}; 2 is required"
            )
        pairs.append(members)
    return pairs


# ---- parameters


def _as_parameter(value: Any) -> Any:
    is_plain = isinstance(value, TensorCore) and not isinstance(value, Parameter)
    return Parameter(value) if is_plain else value


def _line(key: Any, value: Any) -> str:
    if not isinstance(value, Tensor):
        return f"  ({key}): Object of type: {type(value).__name__}"
    kind = "Parameter" if isinstance(value, Parameter) else "Tensor"
    sizes = "x".join(map(str, value.shape))
    return f"  ({key}): {kind} containing: [{value.dtype} of size {sizes}]"


class ParameterList(Module):
    """A list of parameters, registered with whatever module it is an attribute of.

    Tensors become Parameters; other values are kept as they are.

    Args:
        values: to begin with.
    """

    def __init__(self, values: Iterable[Any] | None = None) -> None:
        super().__init__()
        self._size = 0
        if values is not None:
            self += values

    @overload
    def __getitem__(self, index: slice) -> Self: ...
    @overload
    def __getitem__(self, index: SupportsIndex) -> Any: ...
    def __getitem__(self, index: Any) -> Any:
        if isinstance(index, slice):
            return type(self)([self[k] for k in range(*index.indices(len(self)))])
        return getattr(self, str(_place_in("ParameterList", index, len(self))))

    def __setitem__(self, index: SupportsIndex, param: Any) -> None:
        key = str(_place_in("ParameterList", index, len(self)))
        setattr(self, key, _as_parameter(param))

    def __len__(self) -> int:
        return self._size

    def __iter__(self) -> Iterator[Any]:
        return iter([self[k] for k in range(len(self))])

    def __iadd__(self, parameters: Iterable[Any]) -> Self:
        return self.extend(parameters)

    def append(self, value: Any) -> Self:
        """Adds a value at the end."""
        self._size += 1
        self[self._size - 1] = value
        return self

    def extend(self, values: Iterable[Any]) -> Self:
        """Adds values at the end.

        Raises:
            TypeError: for a Tensor, or what cannot be iterated.
        """
        if isinstance(values, TensorCore) or not isinstance(values, Iterable):
            raise TypeError(
                "ParameterList.extend should be called with an iterable, but got "
                f"{type(values).__name__}"
            )
        for value in list(values):
            self.append(value)
        return self

    def __dir__(self) -> list[str]:
        return [name for name in super().__dir__() if not name.isdigit()]

    def extra_repr(self) -> str:
        return "\n".join(_line(k, value) for k, value in enumerate(self))

    def __call__(self, *args: Any, **kwargs: Any) -> NoReturn:
        """Raises RuntimeError: it computes nothing."""
        raise RuntimeError("ParameterList should not be called: use its members, params[0]")


class ParameterDict(Module):
    """Parameters by name, registered with whatever module it is an attribute of.

    Tensors become Parameters; other values are kept as they are.

    Args:
        parameters: a mapping, or pairs of name and value. (A mapping that is no OrderedDict is
            taken in the order of its sorted names.)
    """

    def __init__(self, parameters: Any = None) -> None:
        super().__init__()
        self._keys: dict[str, None] = {}
        if parameters is not None:
            self.update(parameters)

    def __getitem__(self, key: str) -> Any:
        return getattr(self, _name(key))

    def __setitem__(self, key: str, value: Any) -> None:
        setattr(self, _name(key), _as_parameter(value))
        self._keys[key] = None

    def __delitem__(self, key: str) -> None:
        del self._keys[key]
        delattr(self, key)

    def __len__(self) -> int:
        return len(self._keys)

    def __iter__(self) -> Iterator[str]:
        return iter(self._keys)

    def __reversed__(self) -> Iterator[str]:
        return reversed(self._keys)

    def __contains__(self, key: object) -> bool:
        return key in self._keys

    def copy(self) -> ParameterDict:
        """Another ParameterDict of the same parameters."""
        return ParameterDict(OrderedDict((k, self[k]) for k in self._keys))

    def setdefault(self, key: str, default: Any = None) -> Any:
        """The value of ``key``, which becomes ``default`` if it is not there."""
        if key not in self:
            self[key] = default
        return self[key]

    def clear(self) -> None:
        """Takes all values out."""
        for key in list(self._keys):
            del self[key]

    def pop(self, key: str) -> Any:
        """Takes a value out and returns it."""
        value = self[key]
        del self[key]
        return value

    def popitem(self) -> tuple[str, Any]:
        """Takes out the last pair and returns it."""
        key = next(reversed(self._keys))
        return key, self.pop(key)

    def get(self, key: str, default: Any = None) -> Any:
        """The value of ``key``, or ``default``."""
        return self[key] if key in self else default  # noqa: SIM401 (it is that get)

    def fromkeys(self, keys: Iterable[str], default: Any = None) -> ParameterDict:
        """Another ParameterDict with ``default`` for each name."""
        return ParameterDict([(k, default) for k in keys])

    def keys(self) -> KeysView[str]:
        """The names."""
        return self._keys.keys()

    def items(self) -> Iterable[tuple[str, Any]]:
        """Pairs of name and value."""
        return [(k, self[k]) for k in self._keys]

    def values(self) -> Iterable[Any]:
        """The values."""
        return [self[k] for k in self._keys]

    def update(self, parameters: Any) -> None:
        """Adds values, from a mapping or from pairs.

        Raises:
            TypeError: if they cannot be iterated.
            OptionError: for what is no pair.
        """
        pairs = _pairs("ParameterDict", parameters)
        if isinstance(parameters, Mapping) and not isinstance(parameters, OrderedDict):
            pairs.sort(key=lambda pair: pair[0])
        for key, value in pairs:
            self[key] = value

    def extra_repr(self) -> str:
        return "\n".join(_line(k, value) for k, value in self.items())

    def __call__(self, *args: Any, **kwargs: Any) -> NoReturn:
        """Raises RuntimeError: it computes nothing."""
        raise RuntimeError("ParameterDict should not be called: use its members, params['name']")

    def __or__(self, other: Any) -> ParameterDict:
        out = self.copy()
        out.update(other)
        return out

    def __ror__(self, other: Any) -> ParameterDict:
        out = ParameterDict(other)
        out.update(self)
        return out

    def __ior__(self, other: Any) -> Self:
        self.update(other)
        return self


def _name(key: Any) -> str:
    if not isinstance(key, str):
        raise TypeError(
            f"the names in a ParameterDict are strings, not {type(key).__name__} {key!r}: write "
            f"{str(key)!r}"
        )
    return key
