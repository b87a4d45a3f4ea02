"""``GradScaler``: losses are scaled up, so that gradients in float16 do not vanish."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from typing import Any, Literal

from ..autograd.modes import no_grad
from ..dtypes import float16, float32, int32
from ..errors import OptionError
from ..graph.modes import user_warning
from ..tensors.core import TensorCore, not_a_tensor
from ..tensors.creation import tensor
from ..tensors.elementwise import where
from ..tensors.tensor import Tensor
from .autocast_mode import is_there

_Stage = Literal["ready", "unscaled", "stepped"]


class _OfOptimizer:
    """What has been done with the gradients of one optimiser since the last update."""

    def __init__(self) -> None:
        self.stage: _Stage = "ready"
        self.found_inf: Tensor | None = None


class GradScaler:
    """Scales losses, takes the scale off gradients, and skips steps whose gradients overflowed.

    For training under ``autocast`` to float16, where small gradients would become zero
    (Micikevicius et al., 2018). bfloat16 has the range of float32 and needs none.

    Args:
        device: a kind of device. Where there is none, it warns and scales nothing.
        init_scale: the first scale.
        growth_factor: what it is multiplied by after ``growth_interval`` steps without overflow.
        backoff_factor: what it is multiplied by after an overflow.
        growth_interval: how many steps.
        enabled: False: ``step`` makes a step, all else does nothing.

    Example:
        >>> model, scaler = nn.Linear(2, 1), weft.amp.GradScaler()
        >>> optimizer = weft.optim.SGD(model, lr=0.1)
        >>> with weft.autocast("cpu", dtype=weft.float16):
        ...     loss = model(weft.ones(4, 2)).float().square().mean()
        >>> scaler.scale(loss).backward()
        >>> scaler.step(optimizer)
        >>> scaler.update()
    """

    def __init__(
        self,
        device: str = "cpu",
        init_scale: float = 2.0**16,
        growth_factor: float = 2.0,
        backoff_factor: float = 0.5,
        growth_interval: int = 2000,
        enabled: bool = True,
    ) -> None:
        self._device = device
        if enabled and not is_there(device):
            user_warning(
                f"GradScaler is enabled, but {device.upper()} is not available. Disabling: use "
                "GradScaler('cpu')"
            )
            enabled = False
        self._enabled = enabled
        if growth_factor <= 1.0:
            raise AssertionError(f"The growth factor must be > 1.0, not {growth_factor}.")
        if backoff_factor >= 1.0:
            raise AssertionError(f"The backoff factor must be < 1.0, not {backoff_factor}.")
        self._init_scale = float(init_scale)
        self._growth_factor = growth_factor
        self._backoff_factor = backoff_factor
        self._growth_interval = growth_interval
        self._init_growth_tracker = 0
        self._scale: Tensor | None = None  # from the first use on
        self._growth_tracker: Tensor | None = None
        self._optimizers: defaultdict[int, _OfOptimizer] = defaultdict(_OfOptimizer)

    # ---- one iteration

    def scale(self, outputs: Any) -> Any:
        """The outputs (a Tensor, or any nesting of lists of them) times the scale.

        Raises:
            OptionError: for anything else.
        """
        if not self._enabled:
            return outputs
        if isinstance(outputs, TensorCore):
            if self._scale is None:
                self._scale = tensor(self._init_scale, dtype=float32)
                self._growth_tracker = tensor(self._init_growth_tracker, dtype=int32)
            return outputs * self._scale.to(outputs.device)  # type: ignore[attr-defined]
        if isinstance(outputs, (list, tuple)):
            return type(outputs)([self.scale(x) for x in outputs])
        if isinstance(outputs, Iterable):
            return map(self.scale, outputs)
        raise OptionError(
            f"outputs must be a Tensor or an iterable of Tensors, not {type(outputs).__name__}"
        )

    def unscale_(self, optimizer: Any) -> None:
        """Takes the scale off the gradients of an optimiser's parameters.

        :meth:`step` does so too; call it before, to clip gradients for example.

        Raises:
            RuntimeError: if it was done already since the last :meth:`update`.
            OptionError: for gradients in float16: parameters have to be float32.
        """
        if not self._enabled:
            return
        scale = self._started("unscale_")
        state = self._optimizers[id(optimizer)]
        if state.stage == "unscaled":
            raise RuntimeError(
                "unscale_() has already been called on this optimizer since the last update()."
            )
        if state.stage == "stepped":
            raise RuntimeError("unscale_() is being called after step().")
        state.found_inf = _unscaled(optimizer, scale)
        state.stage = "unscaled"

    def step(self, optimizer: Any, *args: Any, **kwargs: Any) -> Any:
        """``optimizer.step(*args, **kwargs)``, on unscaled gradients; none if one is not finite.

        Raises:
            RuntimeError: for a second call before :meth:`update`, or with a closure.
        """
        if not self._enabled:
            return optimizer.step(*args, **kwargs)
        if "closure" in kwargs:
            raise RuntimeError("Closure use is not currently supported if GradScaler is enabled.")
        self._started("step")
        state = self._optimizers[id(optimizer)]
        if state.stage == "stepped":
            raise RuntimeError("step() has already been called since the last update().")
        if state.stage == "ready":
            self.unscale_(optimizer)
        if state.found_inf is None:
            raise AssertionError(
                "No inf checks were recorded for this optimizer: none of its parameters has a "
                "gradient. Was scaler.scale(loss).backward() called, for a loss of its parameters?"
            )
        result = None if state.found_inf.item() else optimizer.step(*args, **kwargs)
        state.stage = "stepped"
        return result

    @no_grad()
    def update(self, new_scale: float | Tensor | None = None) -> None:
        """Ends an iteration: the scale falls after an overflow, and grows after many steps without.

        Args:
            new_scale: set it to this instead.
        """
        if not self._enabled:
            return
        scale = self._started("update")
        tracker = self._growth_tracker
        assert tracker is not None
        if new_scale is not None:
            scale.copy_(_one_number(new_scale))
        else:
            found = [s.found_inf for s in self._optimizers.values() if s.found_inf is not None]
            if not found:
                raise AssertionError(
                    "No inf checks were recorded prior to update: call scaler.step(optimizer) first"
                )
            if any(each.item() for each in found):
                scale.copy_(scale.double() * self._backoff_factor)
                tracker.fill_(0)
            elif tracker.item() + 1 == self._growth_interval:
                grown = (scale.double() * self._growth_factor).float()
                scale.copy_(where(grown.isfinite(), grown, scale))
                tracker.fill_(0)
            else:
                tracker.add_(1)
        self._optimizers = defaultdict(_OfOptimizer)

    def _started(self, name: str) -> Tensor:
        if self._scale is None:
            raise AssertionError(
                f"Attempted {name} but _scale is None.  This may indicate your script did not use "
                "scaler.scale(loss or outputs) earlier in the iteration."
            )
        return self._scale

    # ---- settings

    def get_scale(self) -> float:
        """The scale now; 1 if this scaler is not enabled."""
        if not self._enabled:
            return 1.0
        return self._init_scale if self._scale is None else float(self._scale.item())

    def get_growth_factor(self) -> float:
        return self._growth_factor

    def set_growth_factor(self, new_factor: float) -> None:
        self._growth_factor = new_factor

    def get_backoff_factor(self) -> float:
        return self._backoff_factor

    def set_backoff_factor(self, new_factor: float) -> None:
        self._backoff_factor = new_factor

    def get_growth_interval(self) -> int:
        return self._growth_interval

    def set_growth_interval(self, new_interval: int) -> None:
        self._growth_interval = new_interval

    def _get_growth_tracker(self) -> int:
        if not self._enabled:
            return 0
        tracker = self._growth_tracker
        return self._init_growth_tracker if tracker is None else int(tracker.item())

    def is_enabled(self) -> bool:
        return self._enabled

    # ---- saving

    def state_dict(self) -> dict[str, Any]:
        """Scale and settings; empty if this scaler is not enabled. Call it after :meth:`update`."""
        if not self._enabled:
            return {}
        return {
            "scale": self.get_scale(),
            "growth_factor": self._growth_factor,
            "backoff_factor": self._backoff_factor,
            "growth_interval": self._growth_interval,
            "_growth_tracker": self._get_growth_tracker(),
        }

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Restores what :meth:`state_dict` gave.

        Raises:
            RuntimeError: if that is empty.
        """
        if not self._enabled:
            return
        if not state_dict:
            raise RuntimeError(
                "The source state dict is empty, possibly because it was saved from a disabled "
                "instance of GradScaler."
            )
        self._growth_factor = state_dict["growth_factor"]
        self._backoff_factor = state_dict["backoff_factor"]
        self._growth_interval = state_dict["growth_interval"]
        self._init_scale = float(state_dict["scale"])
        self._init_growth_tracker = int(state_dict["_growth_tracker"])
        self._scale = self._growth_tracker = None  # made anew from these at the next scale()

    def __getstate__(self) -> dict[str, Any]:
        if self._optimizers:
            raise AssertionError(
                "A GradScaler instance may only be pickled at the beginning of an iteration, or at "
                "the end after scaler.update()."
            )
        return {
            **self.__dict__,
            "_init_scale": self.get_scale() if self._enabled else self._init_scale,
            "_init_growth_tracker": self._get_growth_tracker(),
            "_scale": None,
            "_growth_tracker": None,
        }


def _one_number(value: Any) -> Any:
    if isinstance(value, (int, float)):
        return float(value)
    if not isinstance(value, TensorCore):
        raise not_a_tensor(value, "new_scale should be a float or a 1-element Tensor")
    if value.numel() != 1 or value.requires_grad:  # type: ignore[attr-defined]
        raise AssertionError(
            "new_scale should be a float or a 1-element Tensor with requires_grad=False."
        )
    return value.reshape(())  # type: ignore[attr-defined]


@no_grad()
def _unscaled(optimizer: Any, scale: Tensor) -> Tensor | None:
    """Divides gradients by the scale; is any of them not finite? None if there are none."""
    inverse = scale.double().reciprocal().float()
    finite: Tensor | None = None
    for group in optimizer.param_groups:
        for p in group["params"]:
            if p.grad is None:
                continue
            if p.grad.dtype is float16:
                raise OptionError(
                    "Attempting to unscale FP16 gradients. Parameters under autocast stay float32: "
                    "leave out model.half()"
                )
            fine = p.grad.isfinite().all()
            finite = fine if finite is None else finite & fine.to(finite.device)
            p.grad.mul_(inverse.to(p.grad.device))
    return None if finite is None else ~finite
