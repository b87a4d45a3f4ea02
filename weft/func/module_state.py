"""The state of several modules as one, for ``vmap`` over them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ..nn.module import Module
from ..nn.norm import _BatchNorm
from ..tensors.shape import stack


def stack_module_state(models: Sequence[Module]) -> tuple[dict[str, Any], dict[str, Any]]:
    """The parameters of several modules of one class, and their buffers, stacked along dimension 0.

    Returns:
        Two dicts by path, to be mapped over: ``vmap(lambda p, b, x: functional_call(model, (p, b),
        (x,)))``. The stacked parameters are leaves of their own.

    Raises:
        RuntimeError: without models, or unless all have one class, one mode and the same
            ``requires_grad``.

    Example:
        >>> models = [nn.Linear(2, 1) for _ in range(5)]
        >>> params, buffers = weft.func.stack_module_state(models)
        >>> params["weight"].shape, buffers
        (weft.Size([5, 1, 2]), {})
    """
    if len(models) == 0:
        raise RuntimeError("stack_module_state: Expected at least one model, got 0.")
    if any(m.training != models[0].training for m in models):
        raise RuntimeError(
            "stack_module_state: Expected all models to have the same training/eval mode."
        )
    kinds = {type(m).__name__: type(m) for m in models}
    if len(set(map(type, models))) > 1:
        raise RuntimeError(
            "stack_module_state: Expected all models to be of the same class, not "
            f"{', '.join(kinds)}."
        )
    params = [dict(m.named_parameters()) for m in models]
    buffers = [dict(m.named_buffers()) for m in models]
    return (
        {name: _stacked(name, [p[name] for p in params]) for name in params[0]},
        {name: _stacked(name, [b[name] for b in buffers]) for name in buffers[0]},
    )


def _stacked(name: str, tensors: list[Any]) -> Any:
    wanted = {x.requires_grad for x in tensors}
    if len(wanted) > 1:
        raise RuntimeError(
            f"stack_module_state: Expected '{name}' to have the same .requires_grad in all models"
        )
    return stack(tensors).detach().requires_grad_(wanted.pop())


def replace_all_batch_norm_modules_(root: Module) -> Module:
    """Makes all batch normalisations use the statistics of the batch: so ``vmap`` can map them.

    Changes ``root`` and returns it.
    """
    for module in root.modules():
        if isinstance(module, _BatchNorm) and module.track_running_stats:
            module.running_mean = None
            module.running_var = None
            module.num_batches_tracked = None
            module.track_running_stats = False
    return root
