"""Tools beside the layers: ``checkpoint``, ``data``."""

from __future__ import annotations

from importlib import import_module
from typing import Any

from ..errors import did_you_mean

__all__ = ["checkpoint", "data"]

#: What PyTorch has and weft has not, with what there is instead.
_NOT_HERE = {
    "cpp_extension": "there are no kernels in C++; weft.autograd.Function takes NumPy's or JAX's",
    "model_zoo": "it fetches files; get a model's weights, and weft.load them",
    "tensorboard": "weft.train.fit writes logs; for TensorBoard's, the package tensorboardX",
}


def __getattr__(name: str) -> Any:
    if name in (*__all__, "_pytree"):  # imported when first used
        return import_module(f"{__name__}.{name}")
    hint = did_you_mean(name, __all__)
    if name in _NOT_HERE:
        hint = f" It is not part of weft: {_NOT_HERE[name]}."
    raise AttributeError(f"module 'weft.utils' has no attribute '{name}'.{hint}")
