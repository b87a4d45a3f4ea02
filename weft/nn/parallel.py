"""Wrappers that divide work among devices, as far as one process with one device needs them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ..errors import UnsupportedOp
from .module import Module


class DataParallel(Module):
    """Calls the module, on the device that it is on, as PyTorch does where there is just one.

    Args:
        module: is ``.module`` of this one, so that names in state dicts begin with ``module.``.
        device_ids: at most one device.
        output_device, dim: without effect.

    Raises:
        UnsupportedOp: for several devices.
    """

    def __init__(
        self,
        module: Module,
        device_ids: Sequence[Any] | None = None,
        output_device: Any = None,
        dim: int = 0,
    ) -> None:
        super().__init__()
        if device_ids is not None and len(device_ids) > 1:
            raise UnsupportedOp(
                f"DataParallel over the devices {list(device_ids)}: weft computes a batch on one "
                "device; leave device_ids out"
            )
        self.module = module
        self.device_ids: list[Any] = []

    def forward(self, *inputs: Any, **kwargs: Any) -> Any:
        return self.module(*inputs, **kwargs)


__all__ = ["DataParallel"]


class DistributedDataParallel(Module):
    """Not there: weft runs in one process.

    Raises:
        UnsupportedOp: always, saying what to do instead.
    """

    def __init__(self, module: Module, *args: Any, **options: Any) -> None:
        raise UnsupportedOp(
            "DistributedDataParallel: weft runs in one process, and "
            "weft.distributed.is_available() is False: use the module as it is"
        )
