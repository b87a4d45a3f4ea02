"""``autocast``: products and convolutions in a 16-bit type, losses in float32."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial, wraps
from typing import Any, Self, TypeVar

from ..dtypes import bfloat16, dtype as DType, float16
from ..engine.xla.platform import devices
from ..errors import DeviceError, OptionError
from ..graph.device import KINDS
from ..graph.modes import user_warning
from ..tensors.autocasting import Kinds, autocast_mode, call_without_autocast

F = TypeVar("F", bound=Callable[..., Any])

#: The type that is taken if none is named.
_DEFAULTS = {kind: float16 if kind == "cuda" else bfloat16 for kind in KINDS}


class autocast:  # noqa: N801 - PyTorch's name
    """Meanwhile, functions choose the dtype in which they compute.

    Products and convolutions take their floating operands as ``dtype``; losses, and other functions
    that need the range or the precision, as float32; all others compute in the dtypes that they are
    given. float64 is left alone. The lists are PyTorch's for CPUs, on all devices. Parameters stay
    as they are, and so do their gradients.

    A context manager, which may be entered again and nested, and a decorator.

    Args:
        device_type: of the devices whose tensors are meant: "cpu", "cuda", "tpu". Where there is no
            such device, it warns and does nothing.
        dtype: ``weft.bfloat16`` (the default) or ``weft.float16``.
        enabled: False turns it off inside of another one.
        cache_enabled: taken, and of no effect: a parameter that is cast several times in one run is
            cast once anyway.

    Raises:
        OptionError: unless ``device_type`` is a string.
        DeviceError: for an unknown one.

    Example:
        >>> layer, x = nn.Linear(2, 2), weft.ones(1, 2)
        >>> with weft.autocast("cpu", dtype=weft.bfloat16):
        ...     y = layer(x)
        >>> y.dtype, layer.weight.dtype
        (weft.bfloat16, weft.float32)
    """

    def __init__(
        self,
        device_type: str,
        dtype: DType | None = None,
        enabled: bool = True,
        cache_enabled: bool | None = None,
    ) -> None:
        _check_device_type(device_type)
        if device_type not in _DEFAULTS:
            raise DeviceError(
                f"User specified an unsupported autocast device_type '{device_type}': weft's are "
                f"{', '.join(map(repr, KINDS))}"
            )
        self.device = device_type
        self.fast_dtype = get_autocast_dtype(device_type) if dtype is None else dtype
        if enabled and not is_there(device_type):
            user_warning(
                f"{device_type.upper()} is not available. Disabling autocast: use autocast('cpu')"
            )
            enabled = False
        if enabled and self.fast_dtype not in (bfloat16, float16):
            user_warning(
                f"In {device_type.upper()} autocast, but the target dtype {self.fast_dtype} is not "
                "supported. Disabling autocast: use weft.bfloat16 or weft.float16"
            )
            enabled = False
        self._enabled = enabled
        self._before: list[Kinds | None] = []

    def __enter__(self) -> Self:
        before = autocast_mode.get()
        self._before.append(before)
        kinds = {k: v for k, v in (before or {}).items() if k != self.device}
        if self._enabled:
            kinds[self.device] = self.fast_dtype
        autocast_mode.set(kinds or None)
        return self

    def __exit__(self, *exc: object) -> None:
        autocast_mode.set(self._before.pop())

    def __call__(self, func: F) -> F:
        if not callable(func):
            raise TypeError(
                f"autocast()(func) requires a callable, but got {type(func).__name__}. As a "
                "context manager: with weft.autocast('cpu'): y = model(x)"
            )

        @wraps(func)
        def run(*args: Any, **kwargs: Any) -> Any:
            with self:
                return func(*args, **kwargs)

        return run  # type: ignore[return-value]


def _check_device_type(device_type: Any) -> None:
    if not isinstance(device_type, str):
        raise OptionError(
            f"Expected `device_type` of type `str`, got: `{type(device_type)}`. Write "
            "autocast('cpu', dtype=...)"
        )


def is_there(device_type: str) -> bool:
    """Has this machine such a device?"""
    return device_type == "cpu" or bool(devices(device_type))


def is_autocast_enabled(device_type: str = "cpu") -> bool:
    """Is autocast on?"""
    return device_type in (autocast_mode.get() or {})


def is_autocast_available(device_type: str) -> bool:
    """Is there autocast for this kind of device?"""
    return device_type in _DEFAULTS


def get_autocast_dtype(device_type: str = "cpu") -> DType:
    """The type of the autocast that is on, or that one would have by default."""
    return (autocast_mode.get() or {}).get(device_type) or _DEFAULTS[device_type]


# ---- names of old


def is_autocast_cpu_enabled() -> bool:
    """``is_autocast_enabled("cpu")``, of old."""
    return is_autocast_enabled("cpu")


def get_autocast_cpu_dtype() -> DType:
    """``get_autocast_dtype("cpu")``, of old."""
    return get_autocast_dtype("cpu")


def get_autocast_gpu_dtype() -> DType:
    """``get_autocast_dtype("cuda")``, of old."""
    return get_autocast_dtype("cuda")


def is_autocast_cache_enabled() -> bool:
    """False: there is no cache of converted parameters; equal conversions are computed once."""
    return False


def clear_autocast_cache() -> None:
    """Without effect: there is no cache."""


# ---- custom functions


def custom_fwd(
    fwd: Callable[..., Any] | None = None,
    *,
    device_type: str = "cpu",
    cast_inputs: DType | None = None,
) -> Any:
    """Decorates ``forward`` of an ``autograd.Function``.

    Args:
        device_type: "cpu".
        cast_inputs: under autocast, floating arguments (but float64) are cast to this, and
            ``forward`` runs without autocast. None: it runs under autocast as it is.
    """
    _check_device_type(device_type)
    if fwd is None:
        return partial(custom_fwd, device_type=device_type, cast_inputs=cast_inputs)

    @wraps(fwd)
    def run(ctx: Any, *args: Any, **kwargs: Any) -> Any:
        is_on = is_autocast_enabled(device_type)
        ctx._dtype = get_autocast_dtype(device_type)
        ctx._fwd_used_autocast = is_on and cast_inputs is None
        if is_on and cast_inputs is not None:
            return call_without_autocast(
                partial(fwd, ctx), args, kwargs, {device_type: cast_inputs}
            )
        return fwd(ctx, *args, **kwargs)

    return run


def custom_bwd(bwd: Callable[..., Any] | None = None, *, device_type: str = "cpu") -> Any:
    """Decorates ``backward`` of an ``autograd.Function``: under autocast if ``forward`` was.

    ``forward`` has to be decorated with :func:`custom_fwd`.
    """
    _check_device_type(device_type)
    if bwd is None:
        return partial(custom_bwd, device_type=device_type)

    @wraps(bwd)
    def run(ctx: Any, *args: Any, **kwargs: Any) -> Any:
        with autocast(device_type, dtype=ctx._dtype, enabled=ctx._fwd_used_autocast):
            return bwd(ctx, *args, **kwargs)

    return run
