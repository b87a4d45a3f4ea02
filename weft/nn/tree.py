"""The tree that modules form: walks, paths, and where in it a running module stands."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any, TypeVar
from weakref import ref

from ..errors import OptionError
from ..tensors.tensor import Tensor
from . import place as places
from .base import ModuleBase
from .mistakes import missing_forward, no_such_member, wrong_member
from .parameter import Parameter
from .place import Place

if TYPE_CHECKING:
    from .module import Module

M = TypeVar("M", bound="Module")

# ---- modules


def get_submodule(self: Module, target: str) -> Module:
    """The module at a dotted path; ``""`` is this one.

    Raises:
        AttributeError: if there is none, naming where the path ends and what is there.
    """
    module: Any = self
    path = ""
    for name in target.split(".") if target else ():
        if not hasattr(module, name):
            raise no_such_member(module, path, name, target, "module")
        found = getattr(module, name)
        if not isinstance(found, ModuleBase):
            raise wrong_member(module, name, found, "an nn.Module")
        module = found
        path = f"{path}.{name}" if path else name
    return module  # type: ignore[no-any-return]


def set_submodule(self: Module, target: str, module: Module, strict: bool = False) -> None:
    """Puts a module at a dotted path, in the place of the one there.

    Args:
        strict: do not add what is not there.

    Raises:
        OptionError: for an empty path, or what is no Module.
        AttributeError: if the path leads nowhere.
    """
    if not target:
        raise OptionError("Cannot set the submodule without a target name!")
    if not isinstance(module, ModuleBase):
        raise OptionError(f"`module` is not an nn.Module, found {type(module)}")
    path, _, name = target.rpartition(".")
    parent = self.get_submodule(path)
    if hasattr(parent, name):
        found = getattr(parent, name)
        if not isinstance(found, ModuleBase):
            raise wrong_member(parent, name, found, "an nn.Module")
    elif strict:
        raise no_such_member(parent, path, name, target, "module")
    setattr(parent, name, module)


def get_parameter(self: Module, target: str) -> Parameter:
    """The parameter at a dotted path.

    Raises:
        AttributeError: if there is none.
    """
    path, _, name = target.rpartition(".")
    owner = self.get_submodule(path)
    if not hasattr(owner, name):
        raise no_such_member(owner, path, name, target, "parameter")
    found = getattr(owner, name)
    if not isinstance(found, Parameter):
        raise wrong_member(owner, name, found, "an nn.Parameter")
    return found


def get_buffer(self: Module, target: str) -> Tensor:
    """The buffer at a dotted path.

    Raises:
        AttributeError: if there is none.
    """
    path, _, name = target.rpartition(".")
    owner = self.get_submodule(path)
    if not hasattr(owner, name):
        raise no_such_member(owner, path, name, target, "buffer")
    found = getattr(owner, name)
    if name not in owner._buffers:
        raise wrong_member(owner, name, found, "a buffer")
    return found  # type: ignore[no-any-return]


def children(self: Module) -> Iterator[Module]:
    """The modules right below this one, each once."""
    for _, module in self.named_children():
        yield module


def named_children(self: Module) -> Iterator[tuple[str, Module]]:
    """The modules right below this one with their names, each once."""
    seen = set()
    for name, module in self._modules.items():
        if module is not None and module not in seen:
            seen.add(module)
            yield name, module


def modules(self: Module, remove_duplicate: bool = True) -> Iterator[Module]:
    """This module and all below it."""
    for _, module in self.named_modules(remove_duplicate=remove_duplicate):
        yield module


def named_modules(
    self: Module,
    memo: set[Module] | None = None,
    prefix: str = "",
    remove_duplicate: bool = True,
) -> Iterator[tuple[str, Module]]:
    """This module (named ``prefix``) and all below it with their paths, depth first.

    Args:
        memo: modules to leave out; gets those that were given.
        remove_duplicate: give a module that is there twice only once.
    """
    if memo is None:
        memo = set()
    if self in memo:
        return
    if remove_duplicate:
        memo.add(self)
    yield prefix, self
    for name, module in self._modules.items():
        if module is not None:
            path = f"{prefix}.{name}" if prefix else name
            yield from module.named_modules(memo, path, remove_duplicate)


def apply(self: M, fn: Callable[[Module], Any]) -> M:
    """Calls ``fn`` with every module below this one, children first, and with this one."""
    for module in self.children():
        module.apply(fn)
    fn(self)
    return self


# ---- parameters and buffers


def named_members(
    self: Module,
    get_members_fn: Callable[[Module], Any],
    prefix: str = "",
    recurse: bool = True,
    remove_duplicate: bool = True,
) -> Iterator[tuple[str, Any]]:
    seen = set()
    modules: Any = [(prefix, self)]
    if recurse:
        modules = self.named_modules(prefix=prefix, remove_duplicate=remove_duplicate)
    for path, module in modules:
        if module._plain:
            module._check_plain_attributes()
        for name, value in get_members_fn(module):
            if value is None or value in seen:
                continue
            if remove_duplicate:
                seen.add(value)
            yield (f"{path}.{name}" if path else name), value


def parameters(self: Module, recurse: bool = True) -> Iterator[Parameter]:
    """The parameters, each once; with those of the modules below unless not ``recurse``."""
    for _, parameter in self.named_parameters(recurse=recurse):
        yield parameter


def named_parameters(
    self: Module, prefix: str = "", recurse: bool = True, remove_duplicate: bool = True
) -> Iterator[tuple[str, Parameter]]:
    """The parameters with their paths, which begin with ``prefix``."""
    yield from self._named_members(
        lambda module: module._parameters.items(), prefix, recurse, remove_duplicate
    )


def buffers(self: Module, recurse: bool = True) -> Iterator[Tensor]:
    """The buffers, each once; with those of the modules below unless not ``recurse``."""
    for _, buffer in self.named_buffers(recurse=recurse):
        yield buffer


def named_buffers(
    self: Module, prefix: str = "", recurse: bool = True, remove_duplicate: bool = True
) -> Iterator[tuple[str, Tensor]]:
    """The buffers with their paths, which begin with ``prefix``."""
    yield from self._named_members(
        lambda module: module._buffers.items(), prefix, recurse, remove_duplicate
    )


def requires_grad_(self: M, requires_grad: bool = True) -> M:
    """Whether gradients of the parameters are kept; False freezes the module."""
    for parameter in self.parameters():
        parameter.requires_grad_(requires_grad)
    return self


def zero_grad(self: Module, set_to_none: bool = True) -> None:
    """Resets the gradients of all parameters: to None, or to zeros."""
    for parameter in self.parameters():
        grad = parameter.grad
        if grad is None:
            continue
        if set_to_none:
            parameter.grad = None
        else:
            grad.detach_().zero_()


# ---- the place of a running module


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
    place.structure = places.structure
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
        outer.names = {id(m): name for m, name in _members(owner, "")}
    name = outer.names.get(id(module))
    if name is not None and _at(owner, name) is module:
        return name
    return _search(owner, module)


def _members(owner: Module, prefix: str) -> Iterator[tuple[Module, str]]:
    """Children, and children's children where the child is a mere list or dict of modules."""
    for name, child in owner._modules.items():
        if child is not None:
            if type(child).forward is missing_forward:
                yield from _members(child, f"{prefix}{name}.")
            yield child, prefix + name


def _at(owner: Module, path: str) -> Module | None:
    """What is at a path now, None if nothing is."""
    module: Module | None = owner
    for name in path.split("."):
        if module is None:
            return None
        module = module._modules.get(name)
    return module


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
