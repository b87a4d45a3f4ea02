"""What Module says about mistakes: names, values of a wrong kind, layers left unregistered."""

from __future__ import annotations

import sys
from collections import deque
from collections.abc import Iterable, Iterator
from difflib import SequenceMatcher, get_close_matches
from functools import cache
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

from ..errors import did_you_mean
from ..graph.modes import own_file, user_warning
from ..tensors.core import TensorCore
from .base import ModuleBase
from .parameter import Parameter

if TYPE_CHECKING:
    from .module import Module


def deprecated(old: str, new: str) -> None:
    """Says that a function does what another does, and will go."""
    user_warning(f"{old} is deprecated: use {new}, which does the same", FutureWarning)


# ---- forward


def missing_forward(self: Module, *input: Any) -> Any:
    """Stands for ``forward`` in a class that has none.

    Raises:
        NotImplementedError: naming the class, and a method whose name is nearly ``forward``.
    """
    kind = type(self)
    text = f'Module [{kind.__name__}] is missing the required "forward" function'
    use = getattr(kind, "_use_instead", None)
    if use is not None:
        raise NotImplementedError(f"{text}: it only keeps layers. {use}")
    near = get_close_matches("forward", _own_methods(self), n=1, cutoff=0.7)
    if near:
        raise NotImplementedError(f"{text}. Is its method '{near[0]}' meant to be it? Rename it")
    raise NotImplementedError(f"{text}: define `def forward(self, x): ...` in it")


def _own_methods(module: Module) -> list[str]:
    """Names of what a user's class and its bases define, not Module itself."""
    names = set(vars(module))
    for cls in type(module).__mro__:
        if not own_file[getattr(sys.modules.get(cls.__module__), "__file__", None) or ""]:
            names.update(vars(cls))
    return sorted(n for n in names - {"forward"} if callable(getattr(module, n, None)))


# ---- attributes


class NoAttribute(AttributeError):
    """An attribute that a module does not have. The suggestion is looked for when it is read.

    (``hasattr`` raises and drops one of these each time it says no.)
    """

    def __init__(self, module: Module, name: str) -> None:
        # obj=None: with the module there, Python would look for a suggestion of its own
        super().__init__(
            f"'{type(module).__name__}' object has no attribute '{name}'", name=name, obj=None
        )
        self._module = module

    def __str__(self) -> str:
        return f"{self.args[0]}{_nearest(str(self.name), dir(self._module))}"

    def __reduce__(self) -> Any:
        return AttributeError, (str(self),)


def _nearest(name: str, names: Iterable[str]) -> str:
    hidden = name.startswith("_")
    hint = did_you_mean(name, [n for n in names if n.startswith("_") == hidden])
    return f".{hint}" if hint else ""


def no_such_member(owner: Module, path: str, name: str, target: str, what: str) -> AttributeError:
    """For ``get_submodule`` and its like, whose way to ``target`` ends at ``owner``."""
    kind = type(owner).__name__
    where = f"'{path}' ({kind})" if path else kind
    members: dict[str, dict[str, Any]] = {
        "module": dict(owner._modules),
        "parameter": dict(owner._parameters),
        "buffer": dict(owner._buffers),
    }
    names = list(members[what])
    has = ", ".join(f"'{n}'" for n in names[:10]) + (", ..." if len(names) > 10 else "")
    hint = did_you_mean(name, names) or (f" It has {has}." if names else "")
    return AttributeError(f"{kind} has no attribute `{name}`: no '{target}', for {where}.{hint}")


def wrong_member(owner: Module, name: str, value: Any, wanted: str) -> AttributeError:
    """For a path that ends at something else."""
    kind = type(owner).__name__
    return AttributeError(f"`{name}` is not {wanted}: {kind}.{name} is a {type(value).__name__}")


# ---- assignments that were meant for something else

_TYPOS = {
    "training": "write 'training', or better call train() or eval()",
    "forward": "write 'forward'",
}
_HIDDEN = ("eval", "train")
_noticed: WeakKeyDictionary[type, set[str]] = WeakKeyDictionary()


@cache
def _meant(name: str) -> str | None:
    """The name of ``_TYPOS`` that ``name`` is nearly, but not quite."""
    for right in _TYPOS:
        if name == right or not name.isalpha() or name[0] != right[0]:
            continue
        nearness = SequenceMatcher(None, name, right).ratio()
        if nearness > 0.9 or sorted(name) == sorted(right):
            return right
    return None


def notice_assignment(module: Module, name: str, value: Any) -> None:
    """Warns, once for each class, of a plain attribute that was meant to do something."""
    kind = type(module)
    right = _meant(name)
    if name == "requires_grad" and not hasattr(kind, name):
        text = (
            f"setting it on a module freezes nothing. Write requires_grad_({value}), which sets it "
            "for all parameters"
        )
    elif name in _HIDDEN and not callable(value):
        text = f"it hides the method {name}(). Call that: model.{name}()"
    elif right is not None:
        text = f"is '{right}' meant? It has no effect under this name: {_TYPOS[right]}"
    else:
        return
    noticed = _noticed.setdefault(kind, set())
    if name not in noticed:
        noticed.add(name)
        user_warning(f"{kind.__name__}.{name} = {value!r:.40}: {text}")


def notice_methods(cls: type[Any]) -> None:
    """Warns of a method that was meant to be ``forward``, where the one that is there would run."""
    if "forward" in vars(cls) or cls.forward is missing_forward:  # the latter raises when called
        return
    for name, value in vars(cls).items():
        if callable(value) and _meant(name) == "forward":
            base = next(c for c in cls.__mro__ if "forward" in vars(c))
            user_warning(
                f"{cls.__name__}.{name}: is 'forward' meant? A call of {cls.__name__} runs the "
                f"forward() of nn.{base.__name__}. Rename it"
            )


# ---- registration


def check_name(module: Module, kind: str, name: Any, own: dict[str, Any]) -> None:
    """Checks the name under which something is to be registered.

    Args:
        kind: "module", "parameter" or "buffer".
        own: what is registered as that kind, whose names may be used again.

    Raises:
        TypeError: unless it is a string.
        KeyError: if it is empty, has a dot, or is taken.
    """
    cls = type(module).__name__
    if not isinstance(name, str):
        raise TypeError(f"{kind} name should be a string. Got {type(name).__name__} for {cls}")
    if "." in name:
        raise KeyError(
            f"{kind} name can't contain '.', got: {name} for {cls}. In a path it would stand for "
            f"something within '{name.partition('.')[0]}': write '{name.replace('.', '_')}'"
        )
    if not name:
        raise KeyError(f"{kind} name can't be empty string '', for {cls}: give it a name")
    if name not in own and _is_taken(module, name):
        raise KeyError(
            f"attribute '{name}' already exists: in {cls} it is {_what_has(module, name)}. "
            f"Choose another name for this {kind}{_or_delete(module, name)}"
        )


def _is_taken(module: Module, name: str) -> bool:
    members: list[dict[str, Any]] = [module._parameters, module._buffers, module._modules]
    return (
        name in module.__dict__
        or hasattr(type(module), name)
        or any(name in each for each in members)
    )


def _what_has(module: Module, name: str) -> str:
    for members, kind in (
        (module._parameters, "a parameter"),
        (module._buffers, "a buffer"),
        (module._modules, "a module"),
    ):
        if name in members:
            return kind
    if callable(getattr(type(module), name, None)):
        return "a method"
    return f"an attribute of type {type(getattr(module, name)).__name__}"


def _or_delete(module: Module, name: str) -> str:
    return "" if hasattr(type(module), name) else f", or `del self.{name}` first"


def not_registrable(module: Module, kind: str, name: str, value: Any) -> TypeError:
    """For ``register_parameter`` and its like with a value of another kind."""
    wanted = {"module": "nn.Module", "parameter": "nn.Parameter", "buffer": "weft.Tensor"}[kind]
    return TypeError(
        f"{_given(value)} cannot be {kind} '{name}' of {type(module).__name__}: {wanted} or None "
        f"is expected.{_advice(kind, name, value)}"
    )


def not_assignable(module: Module, kind: str, name: str, value: Any) -> TypeError:
    """For an assignment over a registered name."""
    wanted = {
        "module": "nn.Module or None",
        "parameter": "nn.Parameter or None",
        "buffer": "nn.Buffer, weft.Tensor or None",
    }[kind]
    text = (
        f"cannot assign {_given(value)} as {kind} '{name}' of {type(module).__name__} "
        f"({wanted} expected)."
    )
    if kind == "parameter" and isinstance(value, TensorCore):
        return TypeError(
            f"{text} For new values: `with weft.no_grad(): self.{name}.copy_(x)`; for a new "
            f"parameter: `self.{name} = nn.Parameter(x)`; to use the name for something else, "
            f"`del self.{name}` first"
        )
    return TypeError(f"{text}{_advice(kind, name, value)} `del self.{name}` frees the name")


def _given(value: Any) -> str:
    if isinstance(value, type):
        return f"the class {value.__name__}"
    name = type(value).__name__
    return f"{'an' if name[0] in 'aeiouAEIOU' else 'a'} {name}"


def _advice(kind: str, name: str, value: Any) -> str:
    if isinstance(value, type) and issubclass(value, ModuleBase):
        return f" Make one: {value.__name__}(...)."
    if isinstance(value, ModuleBase):
        return f" Use add_module('{name}', ...)."
    if isinstance(value, TensorCore):
        if kind == "parameter":
            return f" Write register_parameter('{name}', nn.Parameter(x))."
        if kind == "module":
            return (
                f" Use register_parameter('{name}', nn.Parameter(x)), or "
                f"register_buffer('{name}', x) for what is not learnt."
            )
    if kind == "module":
        if isinstance(value, (list, tuple)):
            return " Use nn.ModuleList(layers), or nn.Sequential(*layers)."
        if isinstance(value, dict):
            return " Use nn.ModuleDict(layers)."
        if callable(value):
            return " Call a function in forward(), or define an nn.Module that does."
    elif type(value).__name__ in ("list", "int", "float", "ndarray"):
        made = "weft.tensor(x)"
        return f" Write {f'nn.Parameter({made})' if kind == 'parameter' else made}."
    return ""


# ---- layers and parameters in plain lists

PLAIN = (list, tuple, dict, set, frozenset, deque)
_MOST_ITEMS = 100  # looked at in each list: who forgets to register does it from the first item
_MOST_LEVELS = 3

_told: WeakKeyDictionary[type, set[str]] = WeakKeyDictionary()


def warn_of_unregistered(module: Module, name: str, value: Any) -> None:
    """Warns, once for each attribute of a class, of a layer or parameter that is not registered."""
    members = list(_members_in(value, _MOST_LEVELS))
    if not members:
        return
    known = {id(m) for m in module.modules()}
    known.update(id(p) for m in module.modules() for p in m._parameters.values())
    lost = [m for m in members if id(m) not in known]
    told = _told.setdefault(type(module), set())
    if lost and name not in told:
        told.add(name)
        user_warning(_lost_text(type(module).__name__, name, value, lost[0]))


def _members_in(value: Any, levels: int) -> Iterator[Any]:
    items = list(value.values() if isinstance(value, dict) else value)[:_MOST_ITEMS]
    for item in items:
        if isinstance(item, (ModuleBase, Parameter)):
            yield item
        elif levels > 1 and isinstance(item, PLAIN):
            yield from _members_in(item, levels - 1)


def _lost_text(cls: str, name: str, value: Any, member: Any) -> str:
    parameter = isinstance(member, TensorCore)
    keyed = isinstance(value, dict)
    holder = {
        (False, False): "ModuleList",
        (False, True): "ModuleDict",
        (True, False): "ParameterList",
        (True, True): "ParameterDict",
    }[parameter, keyed]
    what = "parameters" if parameter else f"layers ({type(member).__name__})"
    return (
        f"{cls}.{name} is a plain {type(value).__name__} with {what} in it, which are therefore "
        f"not registered: parameters(), state_dict(), to() and train() do not see them. Write "
        f"self.{name} = nn.{holder}(...). If they are left out on purpose, assign with "
        f"object.__setattr__(self, '{name}', ...)"
    )
