"""What optimisers say about mistakes: parameters, options, steps that do nothing or harm."""

from __future__ import annotations

from itertools import chain
from typing import TYPE_CHECKING, Any

import numpy as np

from ..errors import did_you_mean
from ..graph.modes import user_warning
from ..nn import place
from ..tensors.core import TensorCore, not_a_tensor
from ..tensors.differentiate import Walks

if TYPE_CHECKING:
    from .optimizer import Optimizer

#: Keys of groups that are not options of an optimiser but of what works on it.
_NOTES = ("initial_lr", "name", "max_lr", "min_lr", "swa_lr")
_SYNONYMS = {"learning_rate": "lr", "wd": "weight_decay", "l2": "weight_decay", "epsilon": "eps"}
_WORDS = {"lr": "learning rate", "eps": "epsilon value"}
_LOOKED_AT = 4096  # so many elements of one gradient are looked at for NaN after a step


def in_words(name: str) -> str:
    """What PyTorch's messages call an option."""
    if name.startswith("betas["):
        return f"beta parameter at index {name[6:-1]}"
    return _WORDS.get(name, f"{name} value")


# ---- when an optimiser is made


def check_parameters(optimizer: Optimizer, params: list[Any], names: list[str]) -> None:
    """Raises for what cannot be optimised, or is optimised already.

    Raises:
        TypeError: for anything but Tensors.
        ValueError: for a tensor that was computed, one given twice, or names for some only.
    """
    kind = type(optimizer).__name__
    if names and len(names) != len(params):
        raise ValueError(
            f"{kind}: all optimizer params should be with/without names. Some param names are "
            f"missing: {len(params)} parameters, {len(names)} names"
        )
    for group in optimizer.param_groups:
        if bool(names) != ("param_names" in group):
            raise ValueError(
                f"{kind}: all optimizer param groups should be with/without names. cannot add "
                f"param group {'with' if names else 'without'} names to the optimizer, whose "
                f"other groups are {'without' if names else 'with'}"
            )
    seen = {id(p) for group in optimizer.param_groups for p in group["params"]}
    for k, p in enumerate(params):
        which = f"'{names[k]}'" if names else str(k)
        if not isinstance(p, TensorCore):
            raise not_a_tensor(p, f"{kind} optimises Tensors; parameter {which} is")
        shape = list(p.shape)  # type: ignore[attr-defined]
        if not p.is_leaf and not p.retains_grad:  # type: ignore[attr-defined]
            raise ValueError(
                f"{kind}: can't optimize a non-leaf Tensor: parameter {which} of shape {shape} was "
                "computed from others, so a step would change a passing result. Give what it was "
                "computed from, or x.detach().requires_grad_()"
            )
        if id(p) in seen:
            raise ValueError(
                f"{kind}: some parameters appear in more than one parameter group, or twice in "
                f"one: parameter {which} of shape {shape} is given twice"
            )
        seen.add(id(p))


def check_options(
    optimizer: Optimizer, options: dict[str, Any], *, are_of_group: bool = False
) -> None:
    """Raises TypeError for an unknown option; in a group, for one that is nearly known."""
    known = optimizer.defaults
    for name in options:
        if name in known or name in _NOTES:
            continue
        right = _SYNONYMS.get(name)
        hint = f" Did you mean '{right}'?" if right in known else did_you_mean(name, known)
        if hint or not are_of_group:
            hint = hint or f" It takes {', '.join(known)}."
            raise TypeError(f"{type(optimizer).__name__} has no option '{name}'.{hint}")


# ---- when it makes a step


def checked_arguments(result: Any, args: Any, kwargs: Any) -> tuple[Any, Any]:
    """The arguments of a step after a hook returned ``result``.

    Raises:
        RuntimeError: unless that is None or new arguments.
    """
    if result is None:
        return args, kwargs
    if isinstance(result, tuple) and len(result) == 2:
        return result
    raise RuntimeError(
        "a hook before an optimiser's step must return None or a tuple of (new_args, new_kwargs), "
        f"but got {result!r}"
    )


def _parameters(optimizer: Optimizer) -> Any:
    return chain.from_iterable(group["params"] for group in optimizer.param_groups)


def has_gradients(optimizer: Optimizer) -> bool:
    """Has any parameter a gradient?"""
    return any(p._grad is not None for p in _parameters(optimizer))


def notice(optimizer: Optimizer, *, moved: bool) -> None:
    """Warns, once for each optimiser, of a step that did nothing or was made with bad gradients.

    Args:
        moved: there may have been something to do, although there is no gradient now.
    """
    last, again = None, False
    for group in optimizer.param_groups:
        for p in group["params"]:
            g = p._grad
            if g is not None:
                last = p
                version = g._used_at = g._version
                if g._added_at == version:
                    again = True
    if optimizer._model is not None and optimizer._structure != place.structure:
        optimizer._structure = place.structure
        _notice_other_parameters(optimizer, optimizer._model())
    # A schedule may be tried out without gradients.
    is_dry = optimizer._is_scheduled and optimizer._walks == Walks.count
    optimizer._walks = Walks.count
    if last is None:
        if not moved and not is_dry:
            _warn(optimizer, "nothing", _NOTHING.format(count=_counted(optimizer)))
        return
    if again:
        _warn(optimizer, "again", _AGAIN)
    if _is_nan(last._grad):
        _warn(optimizer, "nan", _NAN.format(name=_name(optimizer, last)))


def _notice_other_parameters(optimizer: Optimizer, model: Any) -> None:
    """Layers that were replaced, or came, after the optimiser was made."""
    if model is None:
        return
    known = {id(p) for p in _parameters(optimizer)}
    others = [
        f"'{name}'"
        for name, p in model.named_parameters()
        if p.requires_grad and id(p) not in known
    ]
    if others:
        more = f" and {len(others) - 5} more" if len(others) > 5 else ""
        _warn(optimizer, "others", _OTHERS.format(names=", ".join(others[:5]) + more))


_OTHERS = (
    "the model's parameters {names} are not among those that it moves: their layers came after it "
    "was made. Make the optimiser after the model is complete, or add them with add_param_group()"
)
_NOTHING = (
    "no parameter has a gradient ({count}), so this step changes nothing. Call loss.backward() "
    "first, and zero_grad() before that, not after. If you did: is the loss computed by the model "
    "whose parameters these are, and were they given after its layers were put in place?"
)
_AGAIN = (
    "these gradients hold what the last step has used already, with more added: zero_grad() was "
    "not called in between. Call it before each step's first backward(); several backward() for "
    "one step are fine"
)
_NAN = (
    "the gradient of {name} is NaN, and so are parameters now: the loss was NaN, or became so in "
    "backward(). Load a checkpoint from before this step. Look for a logarithm or root of zero, "
    "0/0, a mask that leaves nothing, or too high a learning rate; clip_grad_norm_(..., "
    "error_if_nonfinite=True) raises before a step"
)


def _warn(optimizer: Optimizer, what: str, text: str) -> None:
    if what not in optimizer._warned:
        optimizer._warned.add(what)
        user_warning(f"{type(optimizer).__name__}.step(): {text}")


def _counted(optimizer: Optimizer) -> str:
    count = sum(len(group["params"]) for group in optimizer.param_groups)
    frozen = sum(not p.requires_grad for p in _parameters(optimizer))
    return f"of {count}" if not frozen else f"of {count}, {frozen} of which are frozen"


def _name(optimizer: Optimizer, param: Any) -> str:
    for group in optimizer.param_groups:
        for k, p in enumerate(group["params"]):
            if p is param:
                names = group.get("param_names")
                return f"'{names[k]}'" if names else f"a parameter of shape {list(p.shape)}"
    return "a parameter"


def _is_nan(gradient: Any) -> bool:
    """A look at a part of it, where it has been computed: a NaN loss makes all of it NaN."""
    value = gradient._node.value
    return isinstance(value, np.ndarray) and bool(np.isnan(value.ravel()[:_LOOKED_AT]).any())
