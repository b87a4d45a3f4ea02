"""Where in the running model a module stands, for errors, profiles and graphs.

``Module.__call__`` keeps the running module's path in ``graph.modes.module_path``. Working it out
takes a search, so each module remembers its last one as a :class:`Place`: valid as long as it is
called within the same outer place and no module has been registered or removed anywhere.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any
from weakref import ref

from ..errors import DeviceError, WeftError
from ..graph.device import CPU
from ..graph.modes import module_path
from ..tensors.core import TensorCore

if TYPE_CHECKING:
    from .module import Module

#: Counts registrations and removals of modules. Read where it stands, ``place.structure``.
structure = 0


def structure_changed() -> None:
    """To be called by whoever registers or removes a module."""
    global structure
    structure += 1


class Place(str):
    """The dotted path of a running module, "" for the outermost.

    Holds no module alive: recorded nodes keep their place, and modules hold nodes.
    """

    __slots__ = ("names", "outer", "owner", "root", "structure")
    names: dict[int, str] | None  # of modules within it, by id
    outer: str | None  # the place that was running when this one was called
    owner: ref[Module]
    root: str  # the class of the outermost module
    structure: int

    def __reduce__(self) -> Any:  # where a copy stands shows when it is called
        return _nowhere, ()


def _nowhere() -> Place:
    return NOWHERE


#: The place of a module that has not been called.
NOWHERE = Place()
NOWHERE.outer = None
NOWHERE.structure = -1


# ---- in words


def described(module: Module) -> str:
    """``'encoder.fc1' (Linear) of LeNet``, for the module that is running."""
    kind = type(module).__name__
    place = module_path.get()
    return f"'{place}' ({kind}) of {place.root}" if isinstance(place, Place) and place else kind


def blame(
    error: Exception, module: Module, args: tuple[Any, ...], kwargs: Mapping[str, Any]
) -> None:
    """Says once in which module, and with which arguments, an error arose."""
    if isinstance(error, WeftError):
        if error.module is None:
            error.module = f"{described(module)}, {_called_with(args, kwargs)}"
            if isinstance(error, DeviceError):
                error.module += _where_all_is(module, args, kwargs)
    elif not any(note.startswith(_NOTE) for note in getattr(error, "__notes__", ())):
        error.add_note(f"{_NOTE}{described(module)}, {_called_with(args, kwargs)}")


def _where_all_is(module: Module, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> str:
    """Which parameter is on which device, which argument is not, and what to write."""
    own: dict[Any, str] = {}
    for kind, members in (
        ("parameter", module.named_parameters()),
        ("buffer", module.named_buffers()),
    ):
        for name, x in members:
            own.setdefault(getattr(x, "device", None), f"{kind} '{name}'")
    named = [(f"argument {k}", x) for k, x in enumerate(args)] + list(kwargs.items())
    tensors = [pair for name, x in named for pair in _tensors_of(name, x)]
    given = {x.device: name for name, x in reversed(tensors)}
    if len(own) > 1:
        listed = ", ".join(f"its {name} is on {place}" for place, name in own.items())
        target = next(place for place in own if place is not CPU)
        return f"\n  {listed}: write model.to('{target}')"
    away = [place for place in given if place not in own]
    if not own or not away:
        return _left_behind(module, own)
    ((here, name),) = own.items()
    what = f"model.to('{away[0]}')" if here is CPU else f"x = x.to('{here}') for the input"
    return f"\n  its {name} is on {here}, {given[away[0]]} on {away[0]}: write {what}"


def _left_behind(module: Module, own: Mapping[Any, str]) -> str:
    """Which attribute is a Tensor that ``to()`` does not move."""
    for name, x in vars(module).items():
        if isinstance(x, TensorCore) and (place := x._node.type.device) not in {None, *own}:
            return (
                f"\n  its attribute '{name}' is on {place}, and model.to(...) moves parameters and "
                f"buffers only: write self.register_buffer('{name}', ...) in __init__"
            )
    return ""


def _tensors_of(name: str, value: Any) -> list[tuple[str, Any]]:
    """The Tensors in an argument, with words for where they are."""
    if isinstance(value, TensorCore):
        return [(name, value)]
    if not isinstance(value, (tuple, list)):
        return []
    return [pair for k, x in enumerate(value) for pair in _tensors_of(f"{name}[{k}]", x)]


_NOTE = "in module "
_MOST_ARGUMENTS = 6


def _called_with(args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> str:
    words = [_in_short(a) for a in args] + [f"{k}={_in_short(v)}" for k, v in kwargs.items()]
    if not words:
        return "called without arguments"
    if len(words) > _MOST_ARGUMENTS:
        words[_MOST_ARGUMENTS:] = [f"and {len(words) - _MOST_ARGUMENTS} more"]
    return "called with " + ", ".join(words)


def _in_short(value: Any) -> str:
    if isinstance(value, TensorCore):
        kind = value._node.type
        place = "" if kind.device is None or kind.device is CPU else f" on {kind.device}"
        return f"{type(value).__name__}{list(kind.shape)} {kind.dtype.name}{place}"
    if value is None or isinstance(value, (bool, int, float)):
        return repr(value)
    name = type(value).__name__
    if isinstance(value, (list, tuple, dict, set)):
        return f"{name} of {len(value)}"
    shape = getattr(value, "shape", None)
    return f"{name}{list(shape)}" if isinstance(shape, tuple) else name
