"""Recurrent layers, and cells for loops of one's own."""

from __future__ import annotations

import math
import warnings
from typing import Any

from ..errors import DTypeError, OptionError, ShapeError
from ..graph.node import Node
from ..tensors.autocasting import autocast_mode
from ..tensors.core import node_of, wrap
from ..tensors.creation import empty, zeros
from ..tensors.tensor import Tensor
from .functional.recurrent import GATES, Weights, cell, recurrent
from .init import uniform_
from .linear import size_option
from .module import Module
from .parameter import Parameter
from .utils.rnn import PackedSequence


def _positive(layer: str, name: str, value: Any) -> int:
    size = size_option(layer, name, value)
    if size == 0:
        raise OptionError(f"{layer}: {name} must be greater than zero")
    return size


class RNNBase(Module):
    """What RNN, LSTM and GRU have in common."""

    def __init__(
        self,
        mode: str,
        input_size: int,
        hidden_size: int,
        num_layers: int = 1,
        bias: bool = True,
        batch_first: bool = False,
        dropout: float = 0.0,
        bidirectional: bool = False,
        proj_size: int = 0,
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        super().__init__()
        name = type(self).__name__
        if mode not in GATES:
            raise OptionError(f"{name}: mode is one of {', '.join(GATES)}, not {mode!r}")
        self.mode = mode
        self.input_size = _positive(name, "input_size", input_size)
        self.hidden_size = _positive(name, "hidden_size", hidden_size)
        self.num_layers = _positive(name, "num_layers", num_layers)
        for option, value in (("bias", bias), ("batch_first", batch_first)):
            if not isinstance(value, bool):
                raise TypeError(f"{name}: {option} must be a bool, not {value!r}")
        self.bias = bias
        self.batch_first = batch_first
        self.dropout = self._checked_dropout(dropout)
        self.bidirectional = bidirectional
        self.proj_size = size_option(name, "proj_size", proj_size)
        if proj_size >= hidden_size:
            raise OptionError(
                f"{name}: proj_size ({proj_size}) must be smaller than hidden_size ({hidden_size})"
            )
        self._all_weights = self._make_weights(device, dtype)
        self.reset_parameters()

    def _checked_dropout(self, p: Any) -> float:
        name = type(self).__name__
        if not isinstance(p, (int, float)) or isinstance(p, bool) or not 0 <= p <= 1:
            raise OptionError(f"{name}: dropout is a probability, between 0 and 1, not {p!r}")
        if p > 0 and self.num_layers == 1:
            warnings.warn(
                f"{name}: dropout={p} comes between layers and has no effect with num_layers=1",
                stacklevel=4,
            )
        return float(p)

    @property
    def _directions(self) -> int:
        return 2 if self.bidirectional else 1

    @property
    def _output_size(self) -> int:
        return self.proj_size or self.hidden_size

    def _make_weights(self, device: Any, dtype: Any) -> list[list[str]]:
        """Makes the parameters; their names, for each layer and direction."""
        gates = GATES[self.mode] * self.hidden_size
        names = []
        for layer in range(self.num_layers):
            inputs = self._output_size * self._directions if layer else self.input_size
            for suffix in ("", "_reverse")[: self._directions]:
                sizes: dict[str, tuple[int, ...]] = {
                    "weight_ih": (gates, inputs),
                    "weight_hh": (gates, self._output_size),
                }
                if self.bias:
                    sizes |= {"bias_ih": (gates,), "bias_hh": (gates,)}
                if self.proj_size:
                    sizes["weight_hr"] = (self.proj_size, self.hidden_size)
                own = [f"{kind}_l{layer}{suffix}" for kind in sizes]
                for key, size in zip(own, sizes.values(), strict=True):
                    value = Parameter(empty(size, device=device, dtype=dtype))
                    self.register_parameter(key, value)
                names.append(own)
        return names

    def reset_parameters(self) -> None:
        """Draws all anew, uniform in +-1/sqrt(hidden_size)."""
        bound = 1 / math.sqrt(self.hidden_size)
        for p in self.parameters():
            uniform_(p, -bound, bound)

    @property
    def all_weights(self) -> list[list[Parameter]]:
        """The parameters of each layer and direction."""
        return [[getattr(self, name) for name in names] for names in self._all_weights]

    def flatten_parameters(self) -> None:
        """Nothing: PyTorch's preparation for cuDNN."""

    def _weights(self) -> list[Weights]:
        out = []
        for own in self._all_weights:
            by_kind = {n.split("_l")[0].removeprefix("weight_"): getattr(self, n) for n in own}
            out.append(Weights(**{kind: node_of(p) for kind, p in by_kind.items()}))
        return out

    # ---- input and state

    def _check_input(self, x: Tensor, ranks: tuple[int, ...], layout: str) -> None:
        name = type(self).__name__
        if x.ndim not in ranks:
            raise ShapeError(f"{name} takes input of shape {layout}, not {list(x.shape)}")
        weight: Parameter = getattr(self, self._all_weights[0][0])
        if x.dtype is not weight.dtype and autocast_mode.get() is None:
            raise DTypeError(
                f"{name}: the input is {x.dtype} but the weights are {weight.dtype}: convert the "
                f"input with x.to({weight.dtype})"
            )
        if x.shape[-1] != self.input_size:
            raise ShapeError(
                f"{name} takes input_size={self.input_size} features in the last dimension, but "
                f"the input has shape {list(x.shape)}"
            )

    def _state_sizes(self, samples: int) -> tuple[tuple[int, int, int], ...]:
        """Of h, and of c for an LSTM."""
        places = self.num_layers * self._directions
        sizes = ((places, samples, self._output_size), (places, samples, self.hidden_size))
        return sizes if self.mode == "LSTM" else sizes[:1]

    def _state(self, hx: Any, samples: int, batched: bool, like: Tensor) -> list[Tensor]:
        """The parts of the first state, ``[layers * directions, samples, features]``."""
        sizes = self._state_sizes(samples)
        if hx is None:
            return [zeros(*size, dtype=like.dtype, device=like.device) for size in sizes]
        parts = [hx] if self.mode != "LSTM" else list(hx)
        name = type(self).__name__
        if len(parts) != len(sizes):
            raise OptionError(f"{name}: the state is a pair (h, c), not {len(parts)} tensors")
        out = []
        for what, part, size in zip("hc", parts, sizes, strict=False):
            wanted = size if batched else (size[0], size[2])
            if tuple(part.shape) != wanted:
                raise ShapeError(
                    f"{name}: the state {what} of shape {list(part.shape)} must have shape "
                    f"{list(wanted)} [layers * directions, "
                    + ("samples, features]" if batched else "features]")
                )
            out.append(part if batched else part.unsqueeze(1))
        return out

    def _run(
        self, rows: Node, sizes: list[int], state: list[Tensor]
    ) -> tuple[Tensor, list[Tensor]]:
        output, final = recurrent(
            self.mode,
            rows,
            sizes,
            tuple([node_of(s) for s in state]),
            self._weights(),
            self._directions,
            self.dropout if self.training else 0.0,
        )
        return wrap(output), [wrap(s) for s in final]

    def _result(self, final: list[Tensor]) -> Any:
        return tuple(final) if self.mode == "LSTM" else final[0]

    def _packed(self, input: PackedSequence, hx: Any) -> tuple[PackedSequence, Any]:
        data, batch_sizes, order, inverse = input
        self._check_input(data, (2,), "[rows, input_size] (data of a PackedSequence)")
        sizes = [int(n) for n in batch_sizes.tolist()]
        state = self._state(hx, sizes[0], True, data)
        if hx is not None and order is not None:
            state = [s.index_select(1, order) for s in state]
        output, final = self._run(node_of(data), sizes, state)
        if inverse is not None:
            final = [s.index_select(1, inverse) for s in final]
        return PackedSequence(output, batch_sizes, order, inverse), self._result(final)

    def forward(self, input: Any, hx: Any = None) -> tuple[Any, Any]:
        if isinstance(input, PackedSequence):
            return self._packed(input, hx)
        layout = "[batch, length, {0}]" if self.batch_first else "[length, batch, {0}]"
        layout += " or [length, {0}]"
        self._check_input(input, (2, 3), layout.format("input_size"))
        batched = input.ndim == 3
        x = input if batched else input.unsqueeze(1)
        if batched and self.batch_first:
            x = x.transpose(0, 1)
        length, samples, _ = x.shape
        if length == 0:
            raise ShapeError(
                f"{type(self).__name__} needs at least one step, but the input has shape "
                f"{list(input.shape)}"
            )
        state = self._state(hx, samples, batched, x)
        rows = node_of(x.reshape(length * samples, self.input_size))
        output, final = self._run(rows, [samples] * length, state)
        output = output.reshape(length, samples, self._output_size * self._directions)
        if not batched:
            return output.squeeze(1), self._result([s.squeeze(1) for s in final])
        return output.transpose(0, 1) if self.batch_first else output, self._result(final)

    def extra_repr(self) -> str:
        text = f"{self.input_size}, {self.hidden_size}"
        if self.proj_size:
            text += f", proj_size={self.proj_size}"
        if self.num_layers != 1:
            text += f", num_layers={self.num_layers}"
        if not self.bias:
            text += ", bias=False"
        if self.batch_first:
            text += ", batch_first=True"
        if self.dropout:
            text += f", dropout={self.dropout}"
        return text + (", bidirectional=True" if self.bidirectional else "")


class RNN(RNNBase):
    """``h' = tanh(W_ih x + b_ih + W_hh h + b_hh)`` over a sequence. (Elman, 1990)

    Args:
        input_size: features of the input.
        hidden_size: features of the state.
        num_layers: layers, each of which takes the output of the one before.
        nonlinearity: "tanh" or "relu".
        bias: whether there are biases.
        batch_first: the batch is dimension 0 of input and output, not 1.
        dropout: the probability of dropout between layers in training.
        bidirectional: also from the end to the beginning; outputs are joined.

    Shape:
        Input ``[L, N, input_size]`` (``[N, L, input_size]`` with ``batch_first``), or
        ``[L, input_size]``, or a PackedSequence; state ``[layers * directions, N, hidden_size]``,
        zeros if left out. Returns the output ``[L, N, directions * hidden_size]`` and the state
        after the last step.

    Attributes:
        weight_ih_l0: ``[hidden_size, input_size]``; ``weight_hh_l0``, ``bias_ih_l0``,
            ``bias_hh_l0`` likewise; then ``_l1`` and so on, each with ``_reverse``. At first
            uniform in +-1/sqrt(hidden_size).
    """

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        num_layers: int = 1,
        nonlinearity: str = "tanh",
        bias: bool = True,
        batch_first: bool = False,
        dropout: float = 0.0,
        bidirectional: bool = False,
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        self.nonlinearity = nonlinearity
        super().__init__(
            _mode_of("RNN", nonlinearity),
            input_size,
            hidden_size,
            num_layers,
            bias,
            batch_first,
            dropout,
            bidirectional,
            0,
            device,
            dtype,
        )


def _mode_of(layer: str, nonlinearity: str) -> str:
    if nonlinearity not in ("tanh", "relu"):
        raise OptionError(f"{layer}: nonlinearity is 'tanh' or 'relu', not {nonlinearity!r}")
    return f"RNN_{nonlinearity.upper()}"


class LSTM(RNNBase):
    """Long short-term memory over a sequence. (Hochreiter and Schmidhuber, 1997)

    Args:
        proj_size: if not 0, h is projected to this size. (Sak et al., 2014, arXiv:1402.1128)
        input_size, hidden_size, ...: as for :class:`RNN`.

    Shape:
        As of :class:`RNN`, the state being a pair (h, c). With ``proj_size``, h and the output have
        that size in place of ``hidden_size``.

    Attributes:
        weight_ih_l0: ``[4 * hidden_size, input_size]``, gates in the order input, forget, cell,
            output; and so on as for :class:`RNN`; ``weight_hr_l0`` the projection.
    """

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        num_layers: int = 1,
        bias: bool = True,
        batch_first: bool = False,
        dropout: float = 0.0,
        bidirectional: bool = False,
        proj_size: int = 0,
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        super().__init__(
            "LSTM",
            input_size,
            hidden_size,
            num_layers,
            bias,
            batch_first,
            dropout,
            bidirectional,
            proj_size,
            device,
            dtype,
        )


class GRU(RNNBase):
    """Gated recurrent units over a sequence. (Cho et al., 2014, arXiv:1406.1078)

    Args:
        input_size, hidden_size, ...: as for :class:`RNN`.

    Shape:
        As of :class:`RNN`.

    Attributes:
        weight_ih_l0: ``[3 * hidden_size, input_size]``, gates in the order reset, update, new; and
            so on as for :class:`RNN`.
    """

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        num_layers: int = 1,
        bias: bool = True,
        batch_first: bool = False,
        dropout: float = 0.0,
        bidirectional: bool = False,
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        super().__init__(
            "GRU",
            input_size,
            hidden_size,
            num_layers,
            bias,
            batch_first,
            dropout,
            bidirectional,
            0,
            device,
            dtype,
        )


# ---- cells


class RNNCellBase(Module):
    """What the cells have in common."""

    bias_ih: Parameter | None
    bias_hh: Parameter | None

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        bias: bool,
        num_chunks: int,
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        super().__init__()
        name = type(self).__name__
        self.input_size = size_option(name, "input_size", input_size)
        self.hidden_size = size_option(name, "hidden_size", hidden_size)
        self.bias = bias
        gates = num_chunks * hidden_size
        self.weight_ih = Parameter(empty(gates, input_size, device=device, dtype=dtype))
        self.weight_hh = Parameter(empty(gates, hidden_size, device=device, dtype=dtype))
        for key in ("bias_ih", "bias_hh"):
            value = Parameter(empty(gates, device=device, dtype=dtype)) if bias else None
            self.register_parameter(key, value)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draws all anew, uniform in +-1/sqrt(hidden_size)."""
        bound = 1 / math.sqrt(self.hidden_size) if self.hidden_size else 0.0
        for p in self.parameters():
            uniform_(p, -bound, bound)

    def _check(self, what: str, x: Tensor, ranks: tuple[int, ...], features: int) -> None:
        if x.ndim not in ranks or x.shape[-1] != features:
            raise ShapeError(
                f"{type(self).__name__} takes {what} of shape [batch, {features}] or [{features}], "
                f"not {list(x.shape)}"
            )

    def _step(self, mode: str, input: Tensor, state: list[Tensor] | None) -> list[Tensor]:
        self._check("input", input, (1, 2), self.input_size)
        x = input if input.ndim == 2 else input.unsqueeze(0)
        if state is None:
            count = 2 if mode == "LSTM" else 1
            state = [
                zeros(x.shape[0], self.hidden_size, dtype=x.dtype, device=x.device)
                for _ in range(count)
            ]
        else:
            for part in state:
                self._check("a state", part, (input.ndim,), self.hidden_size)
            state = state if input.ndim == 2 else [s.unsqueeze(0) for s in state]
            if state[0].shape[0] != x.shape[0]:
                raise ShapeError(
                    f"{type(self).__name__}: input of shape {list(input.shape)} and state of shape "
                    f"{list(state[0].shape)} must have the same batch"
                )
        biases = (
            None if self.bias_ih is None else node_of(self.bias_ih),
            None if self.bias_hh is None else node_of(self.bias_hh),
        )
        weights = Weights(node_of(self.weight_ih), node_of(self.weight_hh), *biases)
        new = [wrap(s) for s in cell(mode, node_of(x), tuple(map(node_of, state)), weights)]
        return new if input.ndim == 2 else [s.squeeze(0) for s in new]

    def extra_repr(self) -> str:
        text = f"{self.input_size}, {self.hidden_size}"
        return text if self.bias else f"{text}, bias={self.bias}"


class RNNCell(RNNCellBase):
    """One step of :class:`RNN`.

    Args:
        input_size: features of the input.
        hidden_size: features of the state.
        bias: whether there are biases.
        nonlinearity: "tanh" or "relu".

    Shape:
        Input ``[N, input_size]``, state ``[N, hidden_size]`` (zeros if left out), or both without
        ``N``; returns the new state.
    """

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        bias: bool = True,
        nonlinearity: str = "tanh",
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        super().__init__(input_size, hidden_size, bias, 1, device, dtype)
        _mode_of("RNNCell", nonlinearity)
        self.nonlinearity = nonlinearity

    def forward(self, input: Tensor, hx: Tensor | None = None) -> Tensor:
        mode = _mode_of("RNNCell", self.nonlinearity)
        return self._step(mode, input, None if hx is None else [hx])[0]

    def extra_repr(self) -> str:
        text = super().extra_repr()
        return text if self.nonlinearity == "tanh" else f"{text}, nonlinearity={self.nonlinearity}"


class LSTMCell(RNNCellBase):
    """One step of :class:`LSTM`.

    Args:
        input_size, hidden_size, bias: as for :class:`RNNCell`.

    Shape:
        Input ``[N, input_size]``, state a pair (h, c) of ``[N, hidden_size]`` (zeros if left out),
        or all without ``N``; returns the new pair.
    """

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        bias: bool = True,
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        super().__init__(input_size, hidden_size, bias, 4, device, dtype)

    def forward(
        self, input: Tensor, hx: tuple[Tensor, Tensor] | None = None
    ) -> tuple[Tensor, Tensor]:
        h, c = self._step("LSTM", input, None if hx is None else list(hx))
        return h, c


class GRUCell(RNNCellBase):
    """One step of :class:`GRU`. See :class:`RNNCell`."""

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        bias: bool = True,
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        super().__init__(input_size, hidden_size, bias, 3, device, dtype)

    def forward(self, input: Tensor, hx: Tensor | None = None) -> Tensor:
        return self._step("GRU", input, None if hx is None else [hx])[0]


__all__ = [
    "GRU",
    "LSTM",
    "RNN",
    "GRUCell",
    "LSTMCell",
    "RNNBase",
    "RNNCell",
    "RNNCellBase",
]
