"""The names of ``torch.cuda.amp``: older ones for what :mod:`weft.amp` has, for GPUs."""

from __future__ import annotations

from functools import partial
from typing import Any

from .. import amp
from ..dtypes import dtype as DType, float16
from ..graph.modes import user_warning

custom_fwd = partial(amp.custom_fwd, device_type="cuda")
custom_bwd = partial(amp.custom_bwd, device_type="cuda")


def _renamed(name: str) -> None:
    user_warning(
        f"weft.cuda.amp.{name}(...) is an older name: write weft.amp.{name}('cuda', ...)",
        FutureWarning,
    )


class autocast(amp.autocast):  # noqa: N801 - PyTorch's name
    """:class:`weft.amp.autocast` for GPUs, to float16 unless told otherwise."""

    def __init__(
        self, enabled: bool = True, dtype: DType = float16, cache_enabled: bool = True
    ) -> None:
        _renamed("autocast")
        super().__init__("cuda", dtype, enabled, cache_enabled)


class GradScaler(amp.GradScaler):
    """:class:`weft.amp.GradScaler` for GPUs."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        _renamed("GradScaler")
        super().__init__("cuda", *args, **kwargs)


__all__ = ["GradScaler", "autocast", "custom_bwd", "custom_fwd"]
