"""autocast: dtypes and values against PyTorch's, nesting, modules, gradients, custom functions."""

from __future__ import annotations

import threading
from typing import Any

import numpy as np
import pytest
from amp.calls import FULL, GIVEN, LOW, PROMOTE, Call, Maker

import weft
from weft import nn
from weft.errors import DeviceError

ALL = {**LOW, **FULL, **GIVEN, **PROMOTE}


def _result(lib: Any, call: Call, dtype: str, low: str) -> Any:
    lib.manual_seed(0)
    with lib.autocast("cpu", dtype=getattr(lib, low)):
        return call(lib, lib.nn.functional, Maker(lib, dtype))


def _flat(value: Any) -> list[Any]:
    if isinstance(value, (tuple, list)):
        return [x for each in value for x in _flat(each)]
    return [value]


@pytest.mark.parity
@pytest.mark.parametrize("dtype", ["float32", "low"])
@pytest.mark.parametrize("low", ["bfloat16", "float16"])
@pytest.mark.parametrize("name", ALL)
def test_dtypes_are_pytorchs(torch: Any, name: str, low: str, dtype: str) -> None:
    dtype = low if dtype == "low" else dtype
    try:
        theirs = _flat(_result(torch, ALL[name], dtype, low))
    except RuntimeError as error:  # "could not create a primitive descriptor", "not implemented"
        pytest.skip(f"PyTorch cannot: {str(error)[:60]}")
    ours = _flat(_result(weft, ALL[name], dtype, low))
    assert [x.dtype.name for x in ours] == [str(x.dtype).removeprefix("torch.") for x in theirs]
    if not name.startswith(("nn.", "a small")):  # (weights are drawn differently)
        for x, y in zip(ours, theirs, strict=True):
            np.testing.assert_allclose(x.double().numpy(), y.detach().double().numpy(), 0.02, 0.02)


@pytest.mark.parametrize("name", LOW)
def test_low_precision_is_that_of_converted_operands(name: str) -> None:
    call = LOW[name]
    if name.startswith(("nn.", "a small")):
        pytest.skip("has parameters of its own")
    plain = call(weft, nn.functional, Maker(weft, "bfloat16"))
    assert _result(weft, call, "float32", "bfloat16").tolist() == plain.tolist()


@pytest.mark.parametrize("name", FULL)
def test_full_precision_is_that_of_converted_operands(name: str) -> None:
    class Widened(Maker):
        def __call__(self, *shape: int) -> Any:
            return super().__call__(*shape).float()

        def positive(self, n: int = 4) -> Any:
            return super().positive(n).float()

    plain = FULL[name](weft, nn.functional, Widened(weft, "bfloat16"))
    assert _result(weft, FULL[name], "bfloat16", "bfloat16").tolist() == plain.tolist()


def test_parameters_and_gradients_stay_float32() -> None:
    model = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 3))
    x, t = weft.randn(16, 4), weft.arange(16) % 3
    with weft.autocast("cpu", dtype=weft.bfloat16):
        y = model(x)
        loss = nn.functional.cross_entropy(y, t)
    assert (y.dtype, loss.dtype) == (weft.bfloat16, weft.float32)
    loss.backward()
    assert all(p.dtype is p.grad.dtype is weft.float32 for p in model.parameters())
    exact = nn.functional.cross_entropy(model(x), t)
    grads = weft.autograd.grad(exact, list(model.parameters()))
    for p, g in zip(model.parameters(), grads, strict=True):
        np.testing.assert_allclose(p.grad.numpy(), g.numpy(), 0.1, 0.01)


def test_several_passes_within_one_context() -> None:
    layer = nn.Linear(2, 2)
    with weft.autocast("cpu"):
        first, second = layer(weft.ones(1, 2)).sum(), layer(weft.ones(1, 2)).sum()
        first.backward()
        second.backward()
        with weft.no_grad():
            layer(weft.ones(1, 2))
        layer(weft.ones(1, 2)).sum().backward()
    assert layer.bias.grad.tolist() == [3.0, 3.0]
    with weft.autocast("cpu"), weft.no_grad():
        layer.weight.fill_(2.0)
        assert layer(weft.ones(2)).tolist() == (layer.bias.bfloat16() + 4).tolist()
        layer.weight.fill_(3.0)
        assert layer(weft.ones(2)).tolist() == (layer.bias.bfloat16() + 6).tolist()


def test_nesting() -> None:
    a = weft.ones(2, 2)
    with weft.autocast("cpu", dtype=weft.bfloat16) as outer:
        assert (a @ a).dtype is weft.bfloat16
        with weft.autocast("cpu", enabled=False):
            assert (a @ a).dtype is weft.float32
            assert not weft.is_autocast_enabled()
            with weft.autocast("cpu", dtype=weft.float16):
                assert (a @ a).dtype is weft.float16
                assert weft.get_autocast_dtype("cpu") is weft.float16
        with outer:  # again
            assert (a @ a).dtype is weft.bfloat16
        assert (a @ a).dtype is weft.bfloat16
        assert weft.is_autocast_enabled("cpu")
    assert (a @ a).dtype is weft.float32
    with pytest.raises(KeyError), weft.autocast("cpu"):
        raise KeyError
    assert not weft.is_autocast_enabled()


def test_a_decorator() -> None:
    class Net(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.fc = nn.Linear(2, 2)

        @weft.autocast(device_type="cpu", dtype=weft.bfloat16)
        def forward(self, x: Any) -> Any:
            assert weft.is_autocast_enabled()
            return self.fc(x)

    net = Net()
    assert net(weft.ones(1, 2)).dtype is weft.bfloat16
    assert net.forward.__name__ == "forward"
    assert not weft.is_autocast_enabled()


def test_in_place_changes_keep_their_dtype_and_precision() -> None:
    a = weft.full((2, 2), 1.001)
    b = weft.zeros(2, 2)
    with weft.autocast("cpu"):
        b.addmm_(a, a)
    assert b.dtype is weft.float32
    assert b.tolist() == (a @ a).tolist()


def test_a_thread_has_its_own() -> None:
    seen = []
    with weft.autocast("cpu"):
        thread = threading.Thread(target=lambda: seen.append(weft.is_autocast_enabled()))
        thread.start()
        thread.join()
    assert seen == [False]


def test_mistakes() -> None:
    with pytest.raises(ValueError, match="`device_type` of type `str`"):
        weft.autocast(weft.bfloat16)  # type: ignore[arg-type]
    with pytest.raises(DeviceError, match="unsupported autocast device_type 'gpu'"):
        weft.autocast("gpu")
    with pytest.raises(TypeError, match="requires a callable"):
        weft.autocast("cpu")(weft.ones(1))  # type: ignore[type-var]
    with pytest.warns(UserWarning, match=r"float64 is not supported.*bfloat16"):
        wide = weft.autocast("cpu", dtype=weft.float64)
    with pytest.warns(UserWarning, match="CUDA is not available"):
        cuda = weft.autocast("cuda")
    a = weft.ones(2, 2)
    for context in (wide, cuda):
        with context:
            assert (a @ a).dtype is weft.float32
    with weft.autocast("cpu"), weft.autocast("cuda", enabled=False):
        assert (a @ a).dtype is weft.bfloat16


def test_what_is_computed_again_is_computed_alike() -> None:
    """Checkpoints and losses in pieces: backward() is outside of the context."""
    layer, head = nn.Linear(8, 8), nn.Linear(8, 5)
    x, target = weft.randn(6, 8), weft.arange(6) % 5

    def gradients(pieces: bool) -> list[Any]:
        layer.zero_grad()
        head.zero_grad()
        with weft.autocast("cpu"):
            if pieces:
                h = weft.utils.checkpoint.checkpoint(layer, x, use_reentrant=False)
                options = nn.LinearCrossEntropyOptions(batch_chunk_size=2, chunking_method=None)
            else:
                h, options = layer(x), None
            loss = nn.functional.linear_cross_entropy(
                h, head.weight, target, linear_bias=head.bias, options=options
            )
        loss.backward()
        return [p.grad.numpy() for p in [*layer.parameters(), *head.parameters()]]

    for a, b in zip(gradients(True), gradients(False), strict=True):
        np.testing.assert_allclose(a, b, 0.02, 2e-3)


# ---- custom functions


class Product(weft.autograd.Function):
    """With neither decorator's options: under autocast as it is called."""

    @staticmethod
    @weft.amp.custom_fwd(device_type="cpu")
    def forward(ctx: Any, a: Any, b: Any) -> Any:
        ctx.save_for_backward(a, b)
        return a.mm(b)

    @staticmethod
    @weft.amp.custom_bwd(device_type="cpu")
    def backward(ctx: Any, g: Any) -> Any:
        a, b = ctx.saved_tensors
        seen.append(weft.is_autocast_enabled())
        return g.mm(b.t()), a.t().mm(g)


class Steady(weft.autograd.Function):
    """Wants float32."""

    @staticmethod
    @weft.amp.custom_fwd(device_type="cpu", cast_inputs=weft.float32)
    def forward(ctx: Any, x: Any, n: int) -> Any:
        assert not weft.is_autocast_enabled()
        assert x.dtype is weft.float32
        return x.mm(x) * n

    @staticmethod
    @weft.amp.custom_bwd(device_type="cpu")
    def backward(ctx: Any, g: Any) -> Any:
        seen.append(weft.is_autocast_enabled())
        return g, None


seen: list[bool] = []


def test_custom_functions() -> None:
    seen.clear()
    a = weft.ones(2, 2, requires_grad=True)
    with weft.autocast("cpu"):
        y = Product.apply(a, a)
        z = Steady.apply(a.bfloat16(), 3)
    assert (y.dtype, z.dtype) == (weft.bfloat16, weft.float32)
    y.float().sum().backward()
    z.sum().backward()
    assert seen == [True, False]
    assert a.grad.dtype is weft.float32
    assert Product.apply(a, a).dtype is weft.float32


def test_names_of_old() -> None:
    assert not weft.is_autocast_cpu_enabled()
    with weft.autocast("cpu", dtype=weft.float16):
        assert weft.is_autocast_cpu_enabled()
        assert weft.get_autocast_cpu_dtype() is weft.float16
    assert weft.get_autocast_gpu_dtype() is weft.get_autocast_dtype("cuda")
    assert not weft.is_autocast_cache_enabled()
    weft.clear_autocast_cache()
