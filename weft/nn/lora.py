"""Low-rank adapters: a trained model learns something new by few parameters beside its own.

(Hu et al., 2021, arXiv:2106.09685)

    nn.lora.add(model, ["*.q_proj", "*.v_proj"], rank=8)
    ...  # train; only the adapters learn
    weft.save(nn.lora.state_dict(model), "adapters.safetensors")
    nn.lora.merge(model)  # into the weights, so that they cost nothing
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from fnmatch import fnmatchcase
from typing import Any

from ..autograd.modes import no_grad
from ..errors import CheckpointError, OptionError, did_you_mean
from ..tensors.creation import empty
from ..tensors.tensor import Tensor
from . import functional as F
from .attention import MultiheadAttention
from .functional.dropout import check_probability
from .init import kaiming_uniform_, zeros_
from .linear import Linear, size_option
from .module import Module
from .parameter import Parameter

#: The name under which a layer has its adapter.
_CHILD = "lora"


class LoRA(Module):
    """``scale * (dropout(x) A^T) B^T``, which is added to what a linear layer gives.

    At first ``B`` is zero, so the layer is as it was.

    Args:
        in_features, out_features: the layer's.
        rank: the inner size.
        alpha: ``scale`` is ``alpha / rank``; ``alpha`` is ``rank`` if left out.
        dropout: the probability with which an input is dropped in training.

    Shape:
        Input ``[*, in_features]``, output ``[*, out_features]``.

    Attributes:
        A: ``[rank, in_features]``.
        B: ``[out_features, rank]``.
    """

    A: Parameter
    B: Parameter

    def __init__(
        self,
        in_features: int,
        out_features: int,
        rank: int,
        alpha: float | None = None,
        dropout: float = 0.0,
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        super().__init__()
        if size_option("LoRA", "rank", rank) == 0:
            raise OptionError("LoRA: rank must be positive")
        check_probability("LoRA", dropout)
        self.rank = rank
        self.alpha = float(rank if alpha is None else alpha)
        self.dropout = dropout
        self.A = Parameter(empty(rank, in_features, device=device, dtype=dtype))
        self.B = Parameter(empty(out_features, rank, device=device, dtype=dtype))
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draws ``A`` anew, and ``B`` is zero."""
        kaiming_uniform_(self.A, a=5**0.5)
        zeros_(self.B)

    @property
    def scale(self) -> float:
        """The factor of what is added."""
        return self.alpha / self.rank

    def delta(self) -> Tensor:
        """What it adds to a weight ``[out_features, in_features]``."""
        return self.B @ self.A * self.scale

    def forward(self, input: Tensor) -> Tensor:
        x = F.dropout(input, self.dropout, self.training)
        return F.linear(F.linear(x, self.A), self.B) * self.scale

    def extra_repr(self) -> str:
        return f"rank={self.rank}, alpha={self.alpha}, dropout={self.dropout}"


class _Adapted:
    """The hook of a layer that adds what its adapter gives.

    Attributes:
        weight: while the adapter is merged, the layer's weight before.
    """

    def __init__(self) -> None:
        self.weight: Tensor | None = None

    def __call__(self, layer: Any, args: tuple[Tensor, ...], output: Tensor) -> Tensor:
        return output if self.weight is not None else output + layer.lora(args[0])


def _adapted(model: Module) -> Iterator[tuple[str, Any, _Adapted, int]]:
    """The layers with adapters: name, layer, hook and the hook's number."""
    for name, layer in model.named_modules():
        for number, hook in layer._forward_hooks.items():
            if isinstance(hook, _Adapted):
                yield name, layer, hook, number


def _some(model: Module) -> list[tuple[str, Any, _Adapted, int]]:
    found = list(_adapted(model))
    if not found:
        raise OptionError("the model has no adapters: make them with nn.lora.add(model, ...)")
    return found


def _is_linear(layer: Module) -> bool:
    """Linear, and what computes the same from a weight that lies the other way round."""
    return isinstance(layer, Linear) or hasattr(layer, "weight_is_transposed")


def _check_layer(model: Module, name: str, layer: Module) -> None:
    if not _is_linear(layer):
        raise TypeError(
            f"nn.lora.add: '{name}' is a {type(layer).__name__}, but adapters are for linear layers"
        )
    if _CHILD in layer._modules:
        raise OptionError(f"nn.lora.add: '{name}' has an adapter: take it off with nn.lora.remove")
    outer = model.get_submodule(name.rpartition(".")[0])
    if isinstance(outer, MultiheadAttention):
        raise TypeError(
            f"nn.lora.add: '{name}' is not called but read by its MultiheadAttention, so an "
            "adapter would do nothing there"
        )


def add(
    model: Module,
    targets: str | Iterable[str],
    rank: int = 8,
    alpha: float | None = None,
    dropout: float = 0.0,
) -> list[str]:
    """Gives linear layers adapters, and freezes all other parameters.

    Layers keep their names and parameters, so that state dicts of the model still fit it.

    Args:
        targets: names of layers, or patterns as of files: ``"*.q_proj"``.
        rank, alpha, dropout: of :class:`LoRA`.

    Returns:
        the names of the layers.

    Raises:
        OptionError: for a target that is no layer's name, or of one that has an adapter.
        TypeError: for a layer that is not linear.
    """
    patterns = [targets] if isinstance(targets, str) else list(targets)
    layers = dict(model.named_modules())
    chosen: dict[str, Module] = {}
    for pattern in patterns:
        found = {name: m for name, m in layers.items() if fnmatchcase(name, pattern)}
        linear = {name: m for name, m in found.items() if _is_linear(m)}
        if not found:
            raise OptionError(
                f"nn.lora.add: no layer has a name like '{pattern}'."
                f"{did_you_mean(pattern, [n for n in layers if n])}"
            )
        chosen |= linear or found
    for name, layer in chosen.items():
        _check_layer(model, name, layer)
    made = {name: _adapter_of(layer, rank, alpha, dropout) for name, layer in chosen.items()}
    before = {p for _, layer, _, _ in _adapted(model) for p in layer.lora.parameters()}
    for parameter in model.parameters():
        if parameter not in before:
            parameter.requires_grad_(False)
    for name, adapter in made.items():
        chosen[name].add_module(_CHILD, adapter)
        chosen[name].register_forward_hook(_Adapted())
    return list(made)


def _adapter_of(layer: Any, rank: int, alpha: float | None, dropout: float) -> LoRA:
    adapter = LoRA(
        layer.in_features, layer.out_features, rank, alpha, dropout, dtype=layer.weight.dtype
    )
    return adapter.train(layer.training)


def merge(model: Module) -> None:
    """Adds the adapters to the weights; until :func:`unmerge` they cost nothing, nor learn.

    Raises:
        OptionError: if there are none, or if a weight belongs to another layer too.
    """
    found = [each for each in _some(model) if each[2].weight is None]
    for name, layer, _, _ in found:
        shared = {
            id(p): n
            for n, m in model.named_modules()
            if m is not layer
            for p in m._parameters.values()
        }.get(id(layer.weight))
        if shared is not None:
            raise OptionError(
                f"nn.lora.merge: '{name}' shares its weight with '{shared}', which would change too"
            )
    with no_grad():
        for _, layer, hook, _ in found:
            hook.weight = layer.weight.detach().clone()
            delta = layer.lora.delta()
            layer.weight += delta.t() if hasattr(layer, "weight_is_transposed") else delta
            layer.lora.requires_grad_(False)


def unmerge(model: Module) -> None:
    """Gives the layers the weights that they had before :func:`merge`, to the last bit."""
    with no_grad():
        for _, layer, hook, _ in _some(model):
            if hook.weight is not None:
                layer.weight.copy_(hook.weight)
                hook.weight = None
                layer.lora.requires_grad_(True)


def remove(model: Module) -> None:
    """Takes the adapters off. Where they are merged, their effect stays."""
    for _, layer, _, number in _some(model):
        del layer._forward_hooks[number]
        del layer.lora


def state_dict(model: Module) -> dict[str, Tensor]:
    """The adapters alone: ``{"layers.0.q_proj.lora.A": ...}``."""
    return {
        f"{name}.{_CHILD}.{key}".lstrip("."): value
        for name, layer, _, _ in _some(model)
        for key, value in layer.lora.state_dict().items()
    }


def load_state_dict(model: Module, state: Mapping[str, Tensor]) -> None:
    """Loads what :func:`state_dict` gave into a model with the same adapters.

    Raises:
        OptionError: if adapters are merged.
        CheckpointError: if names or shapes do not fit; nothing is changed then.
    """
    found = _some(model)
    if any(hook.weight is not None for _, _, hook, _ in found):
        raise OptionError("nn.lora.load_state_dict: the adapters are merged: unmerge them first")
    wanted = state_dict(model)
    for what, keys in (("missing", wanted.keys() - state), ("unexpected", state.keys() - wanted)):
        if keys:
            raise CheckpointError(
                f"nn.lora.load_state_dict: {what} {', '.join(sorted(keys)[:4])}"
                f"{'' if len(keys) <= 4 else f' and {len(keys) - 4} more'}: the adapters must be "
                "made as those that were saved"
            )
    model.load_state_dict({**model.state_dict(), **state})


__all__ = ["LoRA", "add", "load_state_dict", "merge", "remove", "state_dict", "unmerge"]


def __getattr__(name: str) -> Any:
    raise AttributeError(
        f"module 'weft.nn.lora' has no attribute '{name}'.{did_you_mean(name, __all__)}"
    )
