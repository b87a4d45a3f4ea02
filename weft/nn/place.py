"""Where in the running model a module stands, for errors, profiles and graphs.

``Module.__call__`` keeps the running module's path in ``graph.modes.module_path``. Working it out
takes a search, so each module remembers its last one as a :class:`Place`: valid as long as it is
called within the same outer place and no module has been registered or removed anywhere.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any
from weakref import ref

from ..errors import WeftError
from ..graph.modes import module_path
from ..tensors.core import TensorCore
from .mistakes import missing_forward

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
    names: dict[int, tuple[dict[str, Module | None], str, str]] | None  # of modules within it
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


def locate(module: Module, outer: str) -> Place:
    """The place of a module called within ``outer``; remembered by the module."""
    kind = type(module).__name__
    owner = outer.owner() if isinstance(outer, Place) else None
    if owner is None or not isinstance(outer, Place):
        path, root = "", kind
    else:
        before = _already_running(module, outer)
        if before is not None:
            return before
        name = _name_within(outer, owner, module) or f"<{kind}>"
        path, root = f"{outer}.{name}" if outer else name, outer.root
    place = Place(path)
    place.names = None
    place.outer = outer
    place.owner = ref(module)
    place.root = root
    place.structure = structure
    module.__dict__["_place"] = place
    return place


def _already_running(module: Module, place: str | None) -> Place | None:
    """A module that calls itself, also through others, stays where it is."""
    while isinstance(place, Place):
        if place.owner() is module:
            return place
        place = place.outer
    return None


def _name_within(outer: Place, owner: Module, module: Module) -> str | None:
    """The name of ``module`` relative to its outer one, None if it is not registered in it."""
    if outer.names is None:
        outer.names = {id(m): (held, key, name) for m, held, key, name in _members(owner, "")}
    found = outer.names.get(id(module))
    if found is not None and found[0].get(found[1]) is module:
        return found[2]
    return _search(owner, module)


def _members(owner: Module, prefix: str) -> Iterator[tuple[Module, Any, str, str]]:
    """Children, and children's children where the child is a mere list or dict of modules."""
    held = owner._modules
    for key, child in held.items():
        if child is not None:
            if type(child).forward is missing_forward:
                yield from _members(child, f"{prefix}{key}.")
            yield child, held, key, prefix + key


def _search(owner: Module, module: Module) -> str | None:
    """Its name wherever it is below ``owner``, nearest first."""
    queue = deque([("", owner)])
    seen = {id(owner)}
    while queue:
        prefix, holder = queue.popleft()
        for key, child in holder._modules.items():
            if child is module:
                return prefix + key
            if child is not None and id(child) not in seen:
                seen.add(id(child))
                queue.append((f"{prefix}{key}.", child))
    return None


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
