"""A module of PyTorch's layers as one of weft's. PyTorch itself is not imported here."""

from __future__ import annotations

from collections.abc import Callable
from inspect import signature
from typing import Any

import numpy as np

from .. import nn
from ..dtypes import as_dtype
from ..errors import UnsupportedOp
from ..tensors.creation import tensor
from ..tensors.tensor import Tensor
from .module import Module
from .parameter import Parameter

_HOOKS = (
    *("_forward_hooks", "_forward_pre_hooks", "_backward_hooks", "_backward_pre_hooks"),
    *("_state_dict_hooks", "_load_state_dict_pre_hooks"),
)


def from_torch(module: Any) -> Any:
    """A module (or tensor) of PyTorch's as one of weft's: layers, options, weights, mode.

    What is shared in the one (a layer used twice, tied weights) is shared in the other; values are
    copied.

    Args:
        module: made of the layers of ``torch.nn``; or a ``torch.Tensor``.

    Raises:
        UnsupportedOp: for a module of a class of the user's own, or one with hooks: those are
            programs, and are turned into weft's by changing their imports.
        TypeError: for anything that is not PyTorch's.

    Example:
        >>> model = weft.from_torch(torch.nn.Linear(2, 1))  # doctest: +SKIP
    """
    if any(f"{c.__module__}.{c.__name__}" == "torch.Tensor" for c in type(module).__mro__):
        return _tensor(module)
    if not _is_module(module):
        raise TypeError(f"from_torch takes a torch.nn.Module or a torch.Tensor, not {type(module)}")
    converter = _Converter()
    out = converter.module(module, "")
    converter.take_values(module, out)
    return out


def _is_module(value: Any) -> bool:
    return any(
        c.__module__ == "torch.nn.modules.module" and c.__name__ == "Module"
        for c in type(value).__mro__
    )


def _tensor(x: Any) -> Tensor:
    kind = as_dtype(str(x.dtype).removeprefix("torch."))
    unknown_to_numpy = kind.name == "bfloat16" or kind.is_only_stored
    wide = x.detach().float() if unknown_to_numpy else x.detach()
    value = tensor(np.array(wide.cpu().resolve_conj().numpy()), dtype=kind)
    return value.requires_grad_() if x.requires_grad else value


class _Converter:
    """One conversion, which remembers what it has made."""

    def __init__(self) -> None:
        self.made: dict[int, Module] = {}

    def module(self, old: Any, path: str) -> Module:
        found = self.made.get(id(old))
        if found is None:
            found = self.made[id(old)] = self._made(old, path)
            for name, child in old.named_modules():
                part = found.get_submodule(name)
                self.made[id(child)] = part
                part.training = child.training
        return found

    def _made(self, old: Any, path: str) -> Module:
        kind = type(old)
        where = f"'{path}' ({kind.__name__})" if path else kind.__name__
        cls = getattr(nn, _OTHER_NAMES.get(kind.__name__, kind.__name__), None)
        if not kind.__module__.startswith("torch.nn.modules.") or cls is None:
            raise UnsupportedOp(
                f"from_torch: {where} is not one of the layers that weft has. Write its class with "
                "weft's imports in place of PyTorch's, and load its state_dict()"
            )
        if _has_hooks(old):
            raise UnsupportedOp(f"from_torch: {where} has hooks: remove them first")
        children = {
            name: None if child is None else self.module(child, f"{path}.{name}".lstrip("."))
            for name, child in old._modules.items()
        }
        build = _BUILDERS.get(kind.__name__, _from_options)
        return build(cls, old, children)

    def take_values(self, old: Any, new: Module) -> None:
        """Copies all parameters and buffers; what is one tensor there becomes one here."""
        values: dict[int, Any] = {}
        for path, part in old.named_modules(remove_duplicate=False):
            mine = new.get_submodule(path)
            for kind in ("_parameters", "_buffers"):
                theirs, ours = _present(getattr(part, kind)), getattr(mine, kind)
                if theirs.keys() != _present(ours).keys():
                    raise UnsupportedOp(
                        f"from_torch: '{path}' ({type(part).__name__}) has {sorted(theirs)}, but "
                        f"weft's has {sorted(_present(ours))}"
                    )
                for name, value in theirs.items():
                    if type(value).__name__.startswith("Uninitialized"):
                        continue  # a lazy layer's: it will get its shape here
                    if id(value) not in values:
                        values[id(value)] = _like(value, kind)
                    ours[name] = values[id(value)]


def _has_hooks(old: Any) -> bool:
    """Any but those by which a lazy layer learns its sizes?"""
    handles = [getattr(old, name, None) for name in ("_load_hook", "_initialize_hook")]
    own = {handle.id for handle in handles if handle is not None}
    return any(set(getattr(old, hooks, ())) - own for hooks in _HOOKS)


def _present(members: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in members.items() if value is not None}


def _like(value: Any, kind: str) -> Tensor:
    new = _tensor(value)
    return Parameter(new.detach(), value.requires_grad) if kind == "_parameters" else new


# ---- how an object is made again


def _from_options(cls: Any, old: Any, children: Any) -> Module:
    """By the arguments of ``__init__``, which layers keep as attributes of the same names."""
    names: list[str] = []
    for base in cls.__mro__:  # one that takes *args hands them on
        if "__init__" in vars(base) and base is not Module:
            found = signature(base.__init__).parameters.values()
            names += [p.name for p in found if p.kind not in (p.VAR_POSITIONAL, p.VAR_KEYWORD)]
            if not any(p.kind is p.VAR_KEYWORD for p in found):
                break
    options = {n: _option(getattr(old, n)) for n in names if n != "self" and hasattr(old, n)}
    if "bias" in names:
        options["bias"] = _has_bias(old)
    return cls(**options)  # type: ignore[no-any-return]


def _has_bias(old: Any) -> bool:
    bias = getattr(old, "bias", None)
    return bias if isinstance(bias, bool) else bias is not None


def _option(value: Any) -> Any:
    name = f"{type(value).__module__}.{type(value).__name__}"
    if name == "torch.Tensor":
        return _tensor(value)
    if name == "torch.Size":
        return tuple(value)
    return value


def _numbered(cls: Any, old: Any, children: Any) -> Module:
    out = cls()
    for name, child in children.items():
        out.add_module(name, child)
    return out  # type: ignore[no-any-return]


def _list_of_parameters(cls: Any, old: Any, children: Any) -> Module:
    return cls([_like(p, "_parameters") for p in old])  # type: ignore[no-any-return]


def _dict_of_parameters(cls: Any, old: Any, children: Any) -> Module:
    return cls({k: _like(p, "_parameters") for k, p in old.items()})  # type: ignore[no-any-return]


def _attention(cls: Any, old: Any, children: Any) -> Module:
    return cls(  # type: ignore[no-any-return]
        old.embed_dim,
        old.num_heads,
        old.dropout,
        bias=old.in_proj_bias is not None,
        add_bias_kv=old.bias_k is not None,
        add_zero_attn=old.add_zero_attn,
        kdim=old.kdim,
        vdim=old.vdim,
        batch_first=old.batch_first,
    )


def _recurrent(cls: Any, old: Any, children: Any) -> Module:
    options = {
        n: getattr(old, n)
        for n in ("num_layers", "bias", "batch_first", "dropout", "bidirectional", "proj_size")
    }
    if cls is not nn.LSTM:
        del options["proj_size"]
    if cls is nn.RNN:
        options["nonlinearity"] = old.nonlinearity
    return cls(old.input_size, old.hidden_size, **options)  # type: ignore[no-any-return]


def _linear_cross_entropy(cls: Any, old: Any, children: Any) -> Module:
    names = ("num_classes", "out_features", "reduction", "ignore_index", "label_smoothing")
    options = old.options
    if options is not None:
        fields = ("allow_retain_graph", "batch_chunk_size", "chunking_method", "acc_policy")
        kind = options.acc_dtype and as_dtype(str(options.acc_dtype).removeprefix("torch."))
        options = nn.LinearCrossEntropyOptions(
            **{n: getattr(options, n) for n in fields}, acc_dtype=kind
        )
    return cls(  # type: ignore[no-any-return]
        old.linear.in_features,
        bias=old.linear.bias is not None,
        weight=None if old.weight is None else _tensor(old.weight),
        options=options,
        **{n: getattr(old, n) for n in names},
    )


def _transformer_layer(cls: Any, old: Any, children: Any) -> Module:
    activation = children.get("activation") or old.activation
    if not isinstance(activation, Module):
        activation = activation.__name__
    return cls(  # type: ignore[no-any-return]
        old.self_attn.embed_dim,
        old.self_attn.num_heads,
        old.linear1.out_features,
        old.dropout.p,
        activation,
        layer_norm_eps=old.norm1.eps,
        batch_first=old.self_attn.batch_first,
        norm_first=old.norm_first,
        bias=old.linear1.bias is not None,
    )


def _transformer_stack(cls: Any, old: Any, children: Any) -> Module:
    return cls(children["layers"][0], old.num_layers, children.get("norm"))  # type: ignore[no-any-return]


def _transformer(cls: Any, old: Any, children: Any) -> Module:
    return cls(  # type: ignore[no-any-return]
        old.d_model,
        old.nhead,
        custom_encoder=children["encoder"],
        custom_decoder=children["decoder"],
        batch_first=old.batch_first,
    )


#: Classes of PyTorch's own that are not public.
_OTHER_NAMES = {"NonDynamicallyQuantizableLinear": "Linear"}

_BUILDERS: dict[str, Callable[[Any, Any, Any], Module]] = {
    **dict.fromkeys(("Sequential", "ModuleList", "ModuleDict"), _numbered),
    "ParameterList": _list_of_parameters,
    "ParameterDict": _dict_of_parameters,
    "LinearCrossEntropyLoss": _linear_cross_entropy,
    "MultiheadAttention": _attention,
    **dict.fromkeys(("RNN", "LSTM", "GRU"), _recurrent),
    **dict.fromkeys(("TransformerEncoderLayer", "TransformerDecoderLayer"), _transformer_layer),
    **dict.fromkeys(("TransformerEncoder", "TransformerDecoder"), _transformer_stack),
    "Transformer": _transformer,
}
