"""The call of a module that has hooks, and the edge of that module in backward().

Kinds and order, as in PyTorch: forward pre-hooks, ``forward``, forward hooks; in backward(): full
backward pre-hooks, then full backward hooks. Hooks for all modules run before a module's own.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from ..errors import GradientError, ShapeError
from ..gradient import Found, add_hook
from ..graph.modes import grad_enabled
from ..graph.node import Node
from ..hooks import Hook
from ..ops import elementwise as ew
from ..ops.movement import full
from ..tensors.core import RESHAPE, TensorCore, node_of, not_a_tensor, wrap
from .hooks import every_module
from .place import described

if TYPE_CHECKING:
    from .module import Module

_SIGNATURES = {
    "forward pre-hook": "(module, args), or (module, args, kwargs) if with_kwargs=True",
    "forward hook": "(module, args, output), or (module, args, kwargs, output) if with_kwargs=True",
    "full backward pre-hook": "(module, grad_output)",
    "full backward hook": "(module, grad_input, grad_output)",
}


def _run(kind: str, hook: Hook, *values: Any, of: str = "") -> Any:
    try:
        return hook(*values)
    except Exception as error:
        error.add_note(f"in {_named(kind, hook)}{of}, which is given {_SIGNATURES[kind]}")
        raise


def _named(kind: str, hook: Hook) -> str:
    return f"the {kind} {getattr(hook, '__qualname__', None) or repr(hook)}"


def call_with_hooks(module: Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """Runs a module that has hooks, its own or for all modules."""
    call = _Call(module, args, kwargs)
    try:
        return call.run()
    except Exception:
        call.run_always_called()
        raise


class _Call:
    """One call of a module that has hooks."""

    def __init__(self, module: Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        self.module = module
        self.args = args
        self.kwargs = kwargs
        self.result: Any = None
        self.done: set[int] = set()

    def run(self) -> Any:
        self._run_pre_hooks()
        boundary = self._boundary()
        if boundary is not None:
            self.args = boundary.enter(self.args)
        self.result = self.module.forward(*self.args, **self.kwargs)
        for key, hook, with_kwargs, _ in self._forward_hooks():
            self.done.add(key)
            self._run_forward_hook(hook, with_kwargs)
        if boundary is not None:
            self.result = boundary.leave(self.result)
        return self.result

    def _run_pre_hooks(self) -> None:
        module = self.module
        with_kwargs = module._forward_pre_hooks_with_kwargs
        hooks = [*every_module.forward_pre.items(), *module._forward_pre_hooks.items()]
        for key, hook in hooks:
            if key not in with_kwargs:
                new = _run("forward pre-hook", hook, module, self.args)
                if new is not None:
                    self.args = new if isinstance(new, tuple) else (new,)
                continue
            new = _run("forward pre-hook", hook, module, self.args, self.kwargs)
            if new is None:
                continue
            if not (isinstance(new, tuple) and len(new) == 2):
                raise RuntimeError(
                    "forward pre-hook must return None or a tuple of (new_args, new_kwargs), but "
                    f"got {new!r} from {_named('forward pre-hook', hook)}"
                )
            self.args, self.kwargs = new

    def _forward_hooks(self) -> list[tuple[int, Hook, bool, bool]]:
        """Id, hook, whether it takes kwargs, whether it always runs."""
        module = self.module
        found = [
            (k, hook, k in every_module.forward_with_kwargs, k in every_module.forward_always)
            for k, hook in every_module.forward.items()
        ]
        own_kwargs = module._forward_hooks_with_kwargs
        own_always = module._forward_hooks_always_called
        for k, hook in module._forward_hooks.items():
            found.append((k, hook, k in own_kwargs, k in own_always))
        return found

    def _run_forward_hook(self, hook: Hook, with_kwargs: bool) -> None:
        given = (self.args, self.kwargs) if with_kwargs else (self.args,)
        new = _run("forward hook", hook, self.module, *given, self.result)
        if new is not None:
            self.result = new

    def run_always_called(self) -> None:
        """After an error: the hooks that run all the same, unless they have."""
        for key, hook, with_kwargs, always in self._forward_hooks():
            if not always or key in self.done:
                continue
            try:
                self._run_forward_hook(hook, with_kwargs)
            except Exception as error:  # noqa: BLE001 (the first error is the one to report)
                warnings.warn(
                    "module forward hook with ``always_call=True`` raised an exception that was "
                    f"silenced as another error was raised in forward: {error}",
                    stacklevel=2,
                )

    def _boundary(self) -> _Boundary | None:
        module = self.module
        before = [*every_module.backward_pre.values(), *module._backward_pre_hooks.values()]
        after = [*every_module.backward.values(), *module._backward_hooks.values()]
        return _Boundary(module, before, after) if before or after else None


# ---- backward hooks


class _Boundary:
    """The edge of a module in the recorded graph, where its backward hooks run.

    Tensors that enter and leave become aliases with an identity node each. The nodes of one side
    are recorded one after the other, so when the backward walk comes to the last of them, the
    gradients of all are complete.
    """

    def __init__(self, module: Module, before: list[Hook], after: list[Hook]) -> None:
        self.module = module
        self.before = before
        self.after = after
        self.name = f" of {described(module)}"
        self.inputs: _Side | None = None
        self.input_count = 0
        self.walk: Found | None = None  # the one that has been at the outputs
        self.grad_output: tuple[Any, ...] = ()

    def enter(self, args: tuple[Any, ...]) -> tuple[Any, ...]:
        self.input_count = len(args)
        side = _Side(args)
        if side.members:
            self.inputs = side
            side.watch(self._at_inputs)
        return side.values

    def leave(self, result: Any) -> Any:
        if not isinstance(result, (TensorCore, tuple)):
            warnings.warn(
                "For backward hooks to be called, module output should be a Tensor or a tuple of "
                f"Tensors but received {type(result)}{self.name}",
                stacklevel=2,
            )
            return result
        side = _Side(result if isinstance(result, tuple) else (result,))
        side.watch(self._at_outputs)
        return side.values if isinstance(result, tuple) else side.values[0]

    def _at_outputs(self, side: _Side, found: Found) -> None:
        grads = side.gradients(found)
        for hook in self.before:
            new = _run("full backward pre-hook", hook, self.module, grads, of=self.name)
            if new is not None:
                grads = self._checked("full backward pre-hook", hook, new, grads, "grad_output")
                side.replace(found, grads, self.name)
        self.walk = found
        self.grad_output = grads
        if self.inputs is None:
            self._without_inputs()

    def _without_inputs(self) -> None:
        """No input requires grad: all that can be known is known at the outputs."""
        nothing = (None,) * self.input_count
        for hook in self.after:
            new = _run(
                "full backward hook", hook, self.module, nothing, self.grad_output, of=self.name
            )
            if new is not None and not (isinstance(new, tuple) and all(g is None for g in new)):
                raise GradientError(
                    "Backward hook for Modules where no input requires gradient should always "
                    "return None or None for all gradients, but "
                    f"{_named('full backward hook', hook)}{self.name} returned {type(new).__name__}"
                )

    def _at_inputs(self, side: _Side, found: Found) -> None:
        if self.walk is not found:  # the gradient did not come through the module's outputs
            return
        grads = side.gradients(found, zeros=True)
        for hook in self.after:
            new = _run(
                "full backward hook", hook, self.module, grads, self.grad_output, of=self.name
            )
            if new is not None:
                grads = self._checked("full backward hook", hook, new, grads, "grad_input")
                side.replace(found, grads, self.name)
        self.walk = None

    def _checked(
        self, kind: str, hook: Hook, new: Any, grads: tuple[Any, ...], what: str
    ) -> tuple[Any, ...]:
        if isinstance(new, TensorCore) and len(grads) == 1:
            return (new,)
        if not isinstance(new, (tuple, list)):
            raise TypeError(
                f"{_named(kind, hook)}{self.name} returned {type(new).__name__}: it returns None, "
                f"or a tuple of {len(grads)} gradients in place of {what}"
            )
        if len(new) != len(grads):
            title = "Backward pre hook" if kind == "full backward pre-hook" else "Backward hook"
            raise GradientError(
                f"{title} returned an invalid number of {what}, got {len(new)}, but expected "
                f"{len(grads)}: {_named(kind, hook)}{self.name}"
            )
        return tuple(new)


class _Side:
    """The tensors that enter a module, or those that leave it.

    Attributes:
        values: all arguments, where tensors that require grad are aliases.
        members: place and node of those.
    """

    def __init__(self, values: tuple[Any, ...]) -> None:
        self.members: list[tuple[int, Node]] = []
        self.values = values
        self.tensors = [k for k, v in enumerate(values) if isinstance(v, TensorCore)]
        self._walk: Found | None = None
        if not grad_enabled():
            return
        new = list(values)
        for k in self.tensors:
            if node_of(values[k]).tracks:
                new[k] = _alias(values[k])
                self.members.append((k, new[k]._node))
        if self.members:
            kind = type(values)
            self.values = tuple(new) if kind is tuple else kind(*new)  # or a namedtuple

    def watch(self, action: Callable[[_Side, Found], None]) -> None:
        """Calls ``action`` once in each backward walk that has a gradient for a member."""

        def run(node: Node, found: Found) -> None:
            if self._walk is not found and any(n in found for _, n in self.members):
                self._walk = (
                    found  # the dict itself, so that no other walk's can be mistaken for it
                )
                action(self, found)

        for _, node in self.members:
            add_hook(node, run)

    def gradients(self, found: Found, *, zeros: bool = False) -> tuple[Any, ...]:
        """The gradient of each value; None, or zeros for a tensor, where there is none."""
        out: list[Any] = [None] * len(self.values)
        for k, node in self.members:
            g = found.get(node)
            out[k] = None if g is None else wrap(g)
        if zeros:
            for k in self.tensors:
                if out[k] is None:
                    out[k] = wrap(full(node_of(self.values[k]).type, 0))
        return tuple(out)

    def replace(self, found: Found, grads: Sequence[Any], of: str) -> None:
        """Puts what hooks returned in the place of the members' gradients."""
        for k, node in self.members:
            g = grads[k]
            if g is None:
                found.pop(node, None)
                continue
            if not isinstance(g, TensorCore):
                raise not_a_tensor(
                    g, f"a backward hook{of} returns Tensors or None, and gradient {k} is"
                )
            new = node_of(g)
            if new.type.shape != node.type.shape:
                raise ShapeError(
                    f"a backward hook{of} returned an invalid gradient at index {k}: shape "
                    f"{list(new.type.shape)} in place of {list(node.type.shape)}"
                )
            found[node] = ew.cast(new, node.type.dtype)


def _alias(x: TensorCore) -> Any:
    """The same tensor in a handle of its own: changes in place are seen both ways."""
    return x._view(RESHAPE, node_of(x).type.shape)
