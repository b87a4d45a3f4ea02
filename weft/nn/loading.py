"""``load_state_dict``: everything is checked first, and mistakes are explained.

PyTorch's protocol is kept: each module's ``_load_from_state_dict`` is called, which subclasses may
extend. What that would change is collected as a list of steps and done at the end, if nothing was
found wrong.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from ..errors import CheckpointError, did_you_mean
from ..graph.modes import grad_mode, user_warning
from ..tensors.core import TensorCore, node_of, wrap
from .state import Step, has_extra_state, planned

if TYPE_CHECKING:
    from .module import Module

_MOST_NAMED = 12  # keys of one kind in a message


class IncompatibleKeys(NamedTuple):
    """What ``load_state_dict`` returns: the keys that only one side has."""

    missing_keys: list[str]
    unexpected_keys: list[str]

    def __repr__(self) -> str:
        if not self.missing_keys and not self.unexpected_keys:
            return "<All keys matched successfully>"
        return (
            f"IncompatibleKeys(missing_keys={self.missing_keys}, "
            f"unexpected_keys={self.unexpected_keys})"
        )


def load_state_dict(
    self: Module, state_dict: Any, strict: bool = True, assign: bool = False
) -> IncompatibleKeys:
    """Takes over the values of a :meth:`state_dict`.

    Everything is checked before anything changes: if it fails, the module is as it was.

    Args:
        strict: raise if keys are missing or not expected.
        assign: take the tensors themselves, with their dtypes, in place of their values.

    Returns:
        The keys that were missing, and those not expected.

    Raises:
        CheckpointError: for keys (if ``strict``) or shapes that differ, with what may help.
        TypeError: unless ``state_dict`` is a mapping.
    """
    if not isinstance(state_dict, Mapping):
        is_path = isinstance(state_dict, str) or hasattr(state_dict, "__fspath__")
        hint = ": weft.load(path) reads one" if is_path else ""
        raise TypeError(f"Expected state_dict to be dict-like, got {type(state_dict)}{hint}.")
    return _Loading(self, state_dict, strict, assign).run()


class _Loading:
    """One call of ``load_state_dict``."""

    def __init__(
        self, module: Module, state: Mapping[str, Any], strict: bool, assign: bool
    ) -> None:
        self.module = module
        self.metadata = getattr(state, "_metadata", None)
        self.given = list(state)
        self.state: OrderedDict[str, Any] = OrderedDict(state)
        if self.metadata is not None:
            self.state._metadata = self.metadata  # type: ignore[attr-defined]
        self.strict = strict
        self.assign = assign
        self.missing: list[str] = []
        self.unexpected: list[str] = []
        self.errors: list[str] = []
        self.steps: list[Step] = []

    def run(self) -> IncompatibleKeys:
        undo = _Before(self.module) if any(map(_runs_users_code, self.module.modules())) else None
        try:
            self._plan()
            if self.errors or undo is None:
                self._raise_errors()
            self._perform()
            self._raise_errors()  # missing keys may be accepted by hooks that ran just now
        except BaseException:
            if undo is not None:
                undo.restore()
            raise
        self._warn_of_nothing_loaded()
        return IncompatibleKeys(self.missing, self.unexpected)

    def _plan(self) -> None:
        token = planned.set(self.steps)
        try:
            self._visit(self.module, self.state, "")
        finally:
            planned.reset(token)

    def _visit(self, module: Module, state: Mapping[str, Any], prefix: str) -> None:
        known = {} if self.metadata is None else self.metadata.get(prefix[:-1], {})
        metadata = {**known, "assign_to_params_buffers": True} if self.assign else known
        module._load_from_state_dict(
            state, prefix, metadata, True, self.missing, self.unexpected, self.errors
        )
        for name, child in module._modules.items():
            within = f"{prefix}{name}."
            part = {k: v for k, v in state.items() if k.startswith(within)}
            if child is not None:
                self._visit(child, part, within)
            else:
                self.unexpected += part
        if module._load_state_dict_post_hooks:
            self.steps.append(lambda: self._run_post_hooks(module))

    def _run_post_hooks(self, module: Module) -> None:
        keys = IncompatibleKeys(self.missing, self.unexpected)
        for hook in list(module._load_state_dict_post_hooks.values()):
            if hook(module, keys) is not None:
                raise AssertionError(
                    "Hooks registered with ``register_load_state_dict_post_hook`` are not expected "
                    "to return new values, if incompatible_keys need to be modified, it should be "
                    "done inplace."
                )

    def _perform(self) -> None:
        token = grad_mode.set(False)
        try:
            for step in self.steps:
                step()
        finally:
            grad_mode.reset(token)

    def _raise_errors(self) -> None:
        messages = list(self.errors)
        if self.strict:
            if self.unexpected:
                messages.insert(0, f"Unexpected key(s) in state_dict: {_listed(self.unexpected)}. ")
            if self.missing:
                messages.insert(0, f"Missing key(s) in state_dict: {_listed(self.missing)}. ")
        if messages:
            kind = type(self.module).__name__
            messages += [*self._hints(), "The model is as it was before."]
            lines = "".join(f"\n\t{m}" for m in messages)
            raise CheckpointError(f"Error(s) in loading state_dict for {kind}:{lines}")

    def _warn_of_nothing_loaded(self) -> None:
        if not self.missing:
            return
        wanted = len(self.module.state_dict())
        if 2 * len(self.missing) > wanted:
            hints = "".join(f" {h}" for h in self._hints())
            user_warning(
                f"load_state_dict(strict=False) found {wanted - len(self.missing)} of the "
                f"{wanted} keys of {type(self.module).__name__}.{hints}"
            )

    def _hints(self) -> list[str]:
        wanted = list(self.module.state_dict())
        given = self.given
        both = len(set(wanted) & set(given))
        hints = [
            f"{both} of the model's {len(wanted)} keys are among the state_dict's {len(given)}."
        ]
        if self.missing or self.unexpected:
            hints.append(
                _prefix_hint(wanted, given)
                or _nested_hint(self.state)
                or _nearest_hint(self.missing, self.unexpected)
            )
        return [h for h in hints if h]


def _runs_users_code(module: Module) -> bool:
    """Does loading it run code that may change the module, or fail, before all is checked?"""
    method = type(module)._load_from_state_dict
    return bool(
        module._load_state_dict_post_hooks
        or has_extra_state(module)
        or not method.__module__.startswith(f"{__package__}.")
    )


class _Before:
    """The parameters and buffers of a module, to go back to."""

    def __init__(self, module: Module) -> None:
        self._modules = [(m, m._parameters.copy(), m._buffers.copy()) for m in module.modules()]
        tensors = [t for _, p, b in self._modules for t in (*p.values(), *b.values())]
        self._values = [(t, wrap(node_of(t))) for t in tensors if t is not None]

    def restore(self) -> None:
        for module, parameters, buffers in self._modules:
            for now, before in ((module._parameters, parameters), (module._buffers, buffers)):
                now.clear()
                now.update(before)  # type: ignore[arg-type]
        for tensor, value in self._values:
            if node_of(tensor) is not node_of(value):
                tensor.data = value


# ---- explanations


def _listed(keys: Sequence[str]) -> str:
    text = ", ".join(f'"{k}"' for k in keys[:_MOST_NAMED])
    return f"{text} and {len(keys) - _MOST_NAMED} more" if len(keys) > _MOST_NAMED else text


def _prefix_hint(wanted: Iterable[str], given: Sequence[str]) -> str:
    """For keys that differ by a common prefix."""
    wanted = set(wanted)
    prefix = _extra_prefix(given, wanted)
    if prefix:
        return (
            f"The state_dict's keys begin with '{prefix}', the model's do not. Strip it: "
            f"{{k.removeprefix({prefix!r}): v for k, v in state_dict.items()}}"
        )
    prefix = _extra_prefix(sorted(wanted), set(given))
    if prefix:
        return (
            f"The model's keys begin with '{prefix}', the state_dict's do not. Load it there, "
            f"model.get_submodule({prefix[:-1]!r}).load_state_dict(...), or add it: "
            f"{{{prefix!r} + k: v for k, v in state_dict.items()}}"
        )
    return ""


def _extra_prefix(longer: Sequence[str], shorter: set[str]) -> str:
    """The dotted prefix without which most of ``longer`` are in ``shorter``."""
    for key in longer[:_MOST_NAMED]:
        parts = key.split(".")
        for k in range(1, len(parts)):
            if ".".join(parts[k:]) in shorter:
                prefix = ".".join(parts[:k]) + "."
                fit = sum(x.startswith(prefix) and x[len(prefix) :] in shorter for x in longer)
                if 2 * fit > min(len(longer), len(shorter)):
                    return prefix
    return ""


def _nested_hint(state: Mapping[str, Any]) -> str:
    """For a checkpoint that holds the state_dict among other things."""
    for key, value in state.items():
        if isinstance(value, Mapping) and any(isinstance(v, TensorCore) for v in value.values()):
            return f"'{key}' holds a dict of tensors: pass checkpoint['{key}']"
    return ""


def _nearest_hint(missing: Sequence[str], unexpected: Sequence[str]) -> str:
    """For misspelt or renamed keys."""
    pairs = []
    for key in missing[:_MOST_NAMED]:
        hint = did_you_mean(key, unexpected[:1000], limit=1)
        if hint:
            pairs.append(f"'{hint.split(chr(39))[1]}' may be the model's '{key}'")
    return f"In the state_dict {'; '.join(pairs)}." if pairs else ""
