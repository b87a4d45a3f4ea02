"""How a Tensor prints: PyTorch's format, so that eyes and doctests need not relearn."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from ..dtypes import as_dtype, bool_, get_default_dtype, int64
from ..engine.realize import value_of
from ..graph.device import CPU, META
from ..graph.node import HISTORY, LEAF, RELEASED
from .core import node_of

if TYPE_CHECKING:
    from .tensor import Tensor


class PrintOptions:
    """Set by :func:`set_printoptions`."""

    precision = 4
    threshold: float = 1000
    edgeitems = 3
    linewidth = 80
    sci_mode: bool | None = None


def set_printoptions(
    precision: int | None = None,
    threshold: int | None = None,
    edgeitems: int | None = None,
    linewidth: int | None = None,
    profile: str | None = None,
    sci_mode: bool | None = None,
) -> None:
    """Digits, elements from which on "..." stands for the middle, items at each edge, line width.

    Args:
        profile: "default", "short" or "full" sets several at once.
        sci_mode: always (True) or never (False) scientific notation; None decides by the values.
    """
    profiles = {
        "default": (4, 1000, 3, 80),
        "short": (2, 1000, 2, 80),
        "full": (4, math.inf, 3, 80),
    }
    options: Any = PrintOptions
    if profile is not None:
        names = ("precision", "threshold", "edgeitems", "linewidth")
        for name, preset in zip(names, profiles[profile], strict=True):
            setattr(options, name, preset)
    given: dict[str, Any] = {
        "precision": precision,
        "threshold": threshold,
        "edgeitems": edgeitems,
        "linewidth": linewidth,
    }
    for name, value in given.items():
        if value is not None:
            setattr(options, name, value)
    options.sci_mode = sci_mode


class _Format:
    """One width and notation for all elements, settled by the finite ones that are not zero."""

    def __init__(self, values: Any) -> None:
        self.floating = values.dtype.kind == "f"
        self.sci = False
        self.whole = True
        if self.floating:
            values = values[np.isfinite(values) & (values != 0)]
            if values.size:
                self._decide(values)
        self.width = max((len(self.text(v)) for v in values.tolist()), default=1)

    def _decide(self, finite: Any) -> None:
        size = np.abs(finite.astype(np.float64))
        low, high = float(size.min()), float(size.max())
        self.whole = bool((finite == np.ceil(finite)).all())
        self.sci = high / low > 1000.0 or high > 1.0e8 or low < 1.0e-4
        if PrintOptions.sci_mode is not None:
            self.sci = PrintOptions.sci_mode

    def text(self, value: Any) -> str:
        if not self.floating:
            return str(value)
        if self.sci:
            return f"{value:.{PrintOptions.precision}e}"
        if self.whole:
            text = f"{value:.0f}"
            return text if math.isinf(value) or math.isnan(value) else text + "."
        return f"{value:.{PrintOptions.precision}f}"

    def padded(self, value: Any) -> str:
        return self.text(value).rjust(self.width)


class _ComplexFormat:
    """One format for all real parts, one for all imaginary parts."""

    def __init__(self, values: Any) -> None:
        self.real, self.imag = _Format(values.real), _Format(values.imag)
        self.width = self.real.width + self.imag.width + 1

    def padded(self, value: Any) -> str:
        imag = self.imag.padded(value.imag).lstrip()
        return self.real.padded(value.real) + ("" if imag[0] == "-" else "+") + imag + "j"


_Style = _Format | _ComplexFormat


def _edges(a: Any) -> Any:
    """The elements that are shown when the middle is left out, to settle on a format."""
    if a.ndim == 0:
        return a
    e = PrintOptions.edgeitems
    if e == 0:
        return a[:0]
    if len(a) > 2 * e:
        parts = [_edges(x) for x in (*a[:e], *a[-e:])]
    else:
        parts = [_edges(x) for x in a]
    return np.stack(parts) if parts else a


def _row(a: Any, indent: int, style: _Style, short: bool) -> str:
    per_line = max(1, (PrintOptions.linewidth - indent) // (style.width + 2))
    e = PrintOptions.edgeitems
    if short and e == 0:
        items = ["..."]
    elif short and len(a) > 2 * e:
        items = [style.padded(v) for v in a[:e].tolist()]
        items += [" ..."] + [style.padded(v) for v in a[-e:].tolist()]
    else:
        items = [style.padded(v) for v in a.tolist()]
    lines = [items[k : k + per_line] for k in range(0, len(items), per_line)]
    return "[" + (",\n" + " " * (indent + 1)).join([", ".join(line) for line in lines]) + "]"


def _block(a: Any, indent: int, style: _Style, short: bool) -> str:
    if a.ndim == 0:
        return style.padded(a.item())
    if a.ndim == 1:
        return _row(a, indent, style, short)
    e = PrintOptions.edgeitems
    if short and len(a) > 2 * e:
        parts = [_block(x, indent + 1, style, short) for x in a[:e]]
        parts += ["..."] + [_block(x, indent + 1, style, short) for x in a[len(a) - e :]]
    else:
        parts = [_block(x, indent + 1, style, short) for x in a]
    between: str = "," + "\n" * (a.ndim - 1) + " " * (indent + 1)
    return "[" + between.join(parts) + "]"


def _body(a: Any, indent: int) -> str:
    kind = as_dtype(a.dtype)
    if kind.is_reduced or kind.is_only_stored:
        a = a.astype(np.float32)
    short = a.size > PrintOptions.threshold
    shown = np.asarray(_edges(a) if short else a)
    style = _ComplexFormat if a.dtype.kind == "c" else _Format
    return _block(a, indent, style(shown.reshape(-1)), short)


def _suffixes(x: Tensor, empty: bool) -> list[str]:
    node = node_of(x)
    kind, place = node.type.dtype, node.type.device
    out = [] if place is None or place is CPU else [f"device='{place}'"]
    cut = not empty and PrintOptions.edgeitems == 0
    if (empty and node.type.ndim != 1) or cut or place is META:
        out.append(f"size={tuple(node.type.shape)}")
    default = get_default_dtype()
    plain = (default,) if empty else (default, default.to_complex(), int64, bool_)
    if kind not in plain:
        out.append(f"dtype={kind}")
    if node.tracks & (HISTORY | RELEASED):
        out.append(f"grad_fn={x.grad_fn!r}")
    elif node.tracks & LEAF:
        out.append("requires_grad=True")
    return out


def tensor_repr(x: Tensor, prefix: str = "tensor(") -> str:
    """``tensor([[1., 2.]], requires_grad=True)``. Runs the graph."""
    node = node_of(x)
    suffixes = _suffixes(x, node.type.size == 0)
    if node.type.device is META:
        body = "..."
    else:
        a = np.asarray(value_of(node))
        body = "[]" if a.size == 0 else _body(a, len(prefix))
    text = prefix + body
    last_line = len(text) - text.rfind("\n") + 1
    for suffix in suffixes:
        if last_line + len(suffix) + 2 > PrintOptions.linewidth:
            text += ",\n" + " " * len(prefix) + suffix
            last_line = len(prefix) + len(suffix)
        else:
            text += ", " + suffix
            last_line += len(suffix) + 2
    return text + ")"
