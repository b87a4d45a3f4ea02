"""Where in the running model a module stands, for errors, profiles and graphs.

``Module.__call__`` keeps the running module's path in ``graph.modes.module_path``. Working it out
takes a search, so each module remembers its last one as a :class:`Place`: valid as long as it is
called within the same outer place and no module has been registered or removed anywhere.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any
from weakref import ref

from ..errors import WeftError
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
    elif not any(note.startswith(_NOTE) for note in getattr(error, "__notes__", ())):
        error.add_note(f"{_NOTE}{described(module)}, {_called_with(args, kwargs)}")


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
        return f"{type(value).__name__}{list(kind.shape)} {kind.dtype.name}"
    if value is None or isinstance(value, (bool, int, float)):
        return repr(value)
    name = type(value).__name__
    if isinstance(value, (list, tuple, dict, set)):
        return f"{name} of {len(value)}"
    shape = getattr(value, "shape", None)
    return f"{name}{list(shape)}" if isinstance(shape, tuple) else name
