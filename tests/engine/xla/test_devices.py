"""Devices: names, where things are, what moves them, and what is said where one is missing."""

from __future__ import annotations

import copy
import pickle
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("jax", reason="computes by JAX: pip install 'weft[xla]'")

import weft
import weft.engine.xla.platform
from weft import nn
from weft.autograd import gradcheck, gradgradcheck
from weft.errors import DeviceError

XLA = weft.device("xla:cpu")


class TestPlaces:
    def test_where_a_result_is(self) -> None:
        x = weft.ones(2, device=XLA)
        for y in (x, x + 1, 2 - x, x.sum(), x[0], x.long(), x > 0, x.numpy(), weft.stack([x, x])):
            assert isinstance(y, np.ndarray) or y.device is XLA
        assert not x.is_cpu
        assert not x.is_cuda
        assert weft.ones(2).device == "cpu"

    @pytest.mark.parametrize(
        "make",
        [
            lambda d: weft.tensor([1, 2], device=d),
            lambda d: weft.zeros(2, device=d),
            lambda d: weft.arange(3, device=d),
            lambda d: weft.linspace(0, 1, 3, device=d),
            lambda d: weft.eye(2, device=d),
            lambda d: weft.rand(2, device=d),
            lambda d: weft.randn(2, device=d),
            lambda d: weft.randint(0, 3, (2,), device=d),
            lambda d: weft.randperm(3, device=d),
            lambda d: weft.ones_like(weft.zeros(2), device=d),
            lambda d: weft.as_tensor([1.0], device=d),
            lambda d: nn.Linear(2, 2, device=d).weight,
            lambda d: nn.BatchNorm1d(2, device=d).num_batches_tracked,
            lambda d: weft.ones(2).to(d),
            lambda d: weft.ones(2).to(device=d, dtype=weft.float64),
            lambda d: weft.zeros(1).to(weft.ones(1, device=d)),
        ],
    )
    def test_making(self, make: Any) -> None:
        assert make("xla:cpu").device is XLA
        assert make("cpu").device == "cpu"
        with weft.device("cpu"):
            np.testing.assert_array_equal(make(XLA).shape, make("cpu").shape)

    def test_like_another(self) -> None:
        x = weft.ones(2, 3, device=XLA)
        for y in (
            weft.zeros_like(x),
            weft.rand_like(x),
            x.new_zeros(2),
            x.new_tensor([1.0]),
            x.new_full((2,), 3.0),
            copy.deepcopy(x),
            pickle.loads(pickle.dumps(x)),
            nn.Parameter(x),
            x.clone(),
            x.detach(),
        ):
            assert y.device is XLA

    def test_context_and_default(self) -> None:
        with weft.device("xla:cpu"):
            assert weft.ones(1).device is XLA
            with weft.device("cpu"):
                assert weft.ones(1).device == "cpu"
            assert nn.Linear(1, 1).weight.device is XLA
        assert weft.ones(1).device == "cpu"

        @weft.device("xla:cpu")
        def made(n: int) -> weft.Tensor:
            """Makes one."""
            return weft.ones(n)

        assert made(2).device is XLA
        assert made.__doc__ == "Makes one."
        assert weft.ones(1).device == "cpu"
        weft.set_default_device("xla:cpu")
        try:
            assert weft.get_default_device() is XLA
            assert weft.ones(1).device is XLA
        finally:
            weft.set_default_device(None)
        assert weft.get_default_device() == "cpu"

    def test_numbers_and_scalars_of_the_cpu_go_along(self) -> None:
        x = weft.ones(3, device=XLA)
        assert (x * weft.tensor(2.0)).tolist() == [2, 2, 2]
        assert (weft.tensor(2.0) * x).device is XLA
        assert (x.add_(weft.tensor(1.0))).tolist() == [2, 2, 2]
        assert weft.where(x > 0, x, weft.tensor(0.0)).device is XLA

    def test_indices_of_the_cpu_go_along(self) -> None:
        x = weft.arange(5, device=XLA)
        assert x[weft.tensor([1, 3])].tolist() == [1, 3]
        x[weft.tensor([0, 1])] = 9
        assert x.tolist() == [9, 9, 2, 3, 4]
        x[weft.tensor([False, False, True, False, True])] = 7
        assert x.tolist() == [9, 9, 7, 3, 7]

    def test_values_of_another_device_can_be_written(self) -> None:
        x = weft.zeros(3, device=XLA)
        x.copy_(weft.ones(3))
        x[0] = weft.tensor([5.0])
        assert x.device is XLA
        assert x.tolist() == [5, 1, 1]
        with pytest.raises(DeviceError, match=r"on cpu.*xla:cpu|xla:cpu.*cpu"):
            x.add_(weft.ones(3))

    def test_to_takes_the_tensor_itself_where_nothing_changes(self) -> None:
        x = weft.ones(2, device=XLA)
        assert x.to(XLA) is x
        assert x.to("xla:cpu", weft.float32) is x
        assert x.to(XLA, copy=True) is not x
        assert x.cpu().cpu() is not x

    def test_back_and_forth_is_differentiated(self) -> None:
        def through(x: Any) -> Any:
            y = (x.to(XLA) ** 3).to("cpu") + x
            return y * y.to(XLA).cpu()

        x = weft.tensor([0.3, -1.2], dtype=weft.float64, requires_grad=True)
        assert gradcheck(through, [x])
        assert gradgradcheck(through, [x])
        through(x).sum().backward()
        assert x.grad is not None
        assert x.grad.device == "cpu"

    def test_a_graph_of_both(self) -> None:
        """Parts that wait for one another, in one run."""
        a = weft.arange(4.0)
        b = (a + 1).to(XLA) * 2
        c = b.cpu() + a
        d = (c.to(XLA) - b).sum()
        assert d.item() == 6
        assert c.tolist() == [2, 5, 8, 11]

    def test_random_numbers_are_the_cpus(self) -> None:
        def draws(device: Any) -> list[Any]:
            weft.manual_seed(7)
            x = weft.ones(1001, device=device)
            return [
                weft.rand(1001, device=device),
                weft.rand(7, device=device, dtype=weft.float64),
                weft.rand(9, device=device, dtype=weft.bfloat16),
                weft.randint(0, 10**12, (50,), device=device),
                weft.randperm(64, device=device),
                weft.bernoulli(x * 0.3),
                nn.functional.dropout(x, 0.4),
                weft.nn.init.kaiming_uniform_(weft.empty(8, 4, device=device)),
            ]

        for a, b in zip(draws(XLA), draws("cpu"), strict=True):
            np.testing.assert_array_equal(a.numpy(), b.numpy())
        weft.manual_seed(7)
        a = weft.randn(1001, device=XLA)
        weft.manual_seed(7)
        np.testing.assert_allclose(a.numpy(), weft.randn(1001).numpy(), rtol=1e-5, atol=1e-6)

    def test_a_generator_of_its_own(self) -> None:
        g = weft.Generator(device="xla:cpu").manual_seed(3)
        h = weft.Generator().manual_seed(3)
        assert g.device is XLA
        x = weft.rand(4, generator=g, device=XLA)
        np.testing.assert_array_equal(x.numpy(), weft.rand(4, generator=h).numpy())


class TestModules:
    def test_state_goes_from_device_to_device(self, tmp_path: Path) -> None:
        a, b = nn.Linear(2, 3), nn.Linear(2, 3, device=XLA)
        b.load_state_dict(a.state_dict())
        assert b.weight.device is XLA
        np.testing.assert_array_equal(a.weight.detach().numpy(), b.weight.detach().numpy())
        for name in ("x.safetensors", "x.pt"):
            weft.save(b.state_dict(), tmp_path / name)
            found = weft.load(tmp_path / name)
            assert found["weight"].device == "cpu"
            found = weft.load(tmp_path / name, map_location="xla:cpu")
            assert found["weight"].device is XLA
            np.testing.assert_array_equal(found["bias"].numpy(), b.bias.detach().numpy())

    def test_moving_keeps_parameters_and_gradients(self) -> None:
        model = nn.Linear(2, 2)
        weight = model.weight
        model(weft.ones(1, 2)).sum().backward()
        assert model.to(XLA).weight is weight
        assert weight.device is XLA
        assert weight.grad is not None
        assert weight.grad.device is XLA
        assert weight.is_leaf
        assert weight.requires_grad
        model(weft.ones(1, 2, device=XLA)).sum().backward()
        assert weight.grad.tolist() == [[2, 2], [2, 2]]
        assert model.to(XLA, weft.bfloat16).weight.dtype is weft.bfloat16

    def test_a_batch_on_another_device(self) -> None:
        model = nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 2)).to(XLA)
        with pytest.raises(
            DeviceError,
            match=r"two devices(.|\n)*module '0' \(Linear\)(.|\n)*'weight' is on xla:cpu, "
            r"argument 0 on cpu: write x = x.to\('xla:cpu'\)",
        ):
            model(weft.ones(1, 2))
        with pytest.raises(DeviceError, match=r"is on cpu(.|\n)*write model.to\('xla:cpu'\)"):
            model.cpu()(weft.ones(1, 2, device=XLA))

    def test_a_state_on_another_device(self) -> None:
        state = (weft.zeros(1, 1, 3), weft.zeros(1, 1, 3))
        with pytest.raises(DeviceError, match=r"is on xla:cpu, argument 1\[0\] on cpu: write"):
            nn.LSTM(2, 3).to(XLA)(weft.ones(4, 1, 2, device=XLA), state)

    def test_an_attribute_that_was_not_moved(self) -> None:
        class Scaled(nn.Linear):
            def __init__(self) -> None:
                super().__init__(2, 2)
                self.scale = weft.ones(2)

            def forward(self, x: Any) -> Any:
                return super().forward(x) * self.scale

        with pytest.raises(DeviceError, match=r"'scale' is on cpu, .*register_buffer\('scale'"):
            Scaled().to(XLA)(weft.ones(1, 2, device=XLA))

    def test_a_model_on_two_devices(self) -> None:
        model = nn.Linear(2, 2).to(XLA)
        model.bias.data = weft.zeros(2)
        with pytest.raises(DeviceError, match=r"'weight' is on xla:cpu, .*'bias' is on cpu"):
            model(weft.ones(1, 2, device=XLA))


X, Y = weft.ones(1, 2, device=XLA), weft.ones(1, 2)
I = weft.zeros(1, dtype=weft.int64)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: nn.functional.cross_entropy(X, I), r"cross_entropy: .* target.to\('xla:cpu'\)"),
        (lambda: nn.CrossEntropyLoss()(X, I), r"cross_entropy: .* target.to(.|\n)*CrossEntropyLo"),
        (lambda: nn.functional.mse_loss(Y, X), r"mse_loss: .* input.to\('xla:cpu'\)"),
        (lambda: nn.functional.embedding(I, X), r"embedding: .* input.to"),
        (lambda: X.gather(1, I[None]), r"gather: .* index.to"),
        (lambda: X + Y, r"add: .* x.to\('xla:cpu'\)"),
        (lambda: weft.cat([X, Y]), r"cat: "),
        (lambda: nn.Linear(2, 2).to(XLA)(Y), r"linear: "),
    ],
)
def test_the_function_that_was_called_is_named(call: Any, message: str) -> None:
    with pytest.raises(DeviceError, match=message):
        call()


def test_gradients_on_two_devices_are_clipped_together() -> None:
    a, b = nn.Linear(2, 2), nn.Linear(2, 2).to(XLA)
    b(a(weft.ones(1, 2)).to(XLA)).sum().backward()
    parameters = [*a.parameters(), *b.parameters()]
    total = nn.utils.clip_grad_norm_(parameters, 0.1)
    assert total > 0.1
    assert b.weight.grad.device is XLA
    assert nn.utils.clip_grad_norm_(parameters, 0.1).item() == pytest.approx(0.1, rel=1e-3)


def test_streams_and_events(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (weft.cuda, weft.cuda.memory, weft.cuda.which, weft.cuda.streams):
        monkeypatch.setattr(module, "gpu", lambda which: XLA)
    start, end = (weft.cuda.Event(enable_timing=True) for _ in range(2))
    with pytest.raises(ValueError, match="recorded"):
        start.elapsed_time(end)
    start.record()
    stream = weft.cuda.Stream()
    with weft.cuda.stream(stream):
        x = weft.ones(3, device=XLA) + 1
    weft.cuda.current_stream().wait_stream(stream)
    end.record(stream)
    end.synchronize()
    assert start.elapsed_time(end) > 0
    assert stream.query()
    assert x.tolist() == [2, 2, 2]
    with pytest.warns(UserWarning, match="cannot be reset"):
        weft.cuda.reset_peak_memory_stats()
    with weft.cuda.StreamContext(stream), stream:
        assert isinstance(weft.cuda.memory_summary(), str)


def test_memory_by_pytorchs_names(monkeypatch: pytest.MonkeyPatch) -> None:
    """As JAX counts it on GPUs."""

    class Described:
        def memory_stats(self) -> dict[str, int]:
            return {"bytes_in_use": 5, "peak_bytes_in_use": 8, "bytes_limit": 100, "pool_bytes": 7}

    memory = weft.cuda.memory
    monkeypatch.setattr(memory, "described", lambda which: Described())
    monkeypatch.setattr(memory, "gpu", lambda which: XLA)
    monkeypatch.setattr(weft.engine.xla.platform, "devices", lambda kind: [Described()])
    assert weft.cuda.memory_stats()["allocated_bytes.all.peak"] == 8
    assert (weft.cuda.memory_allocated(), weft.cuda.max_memory_allocated()) == (5, 8)
    assert (weft.cuda.memory_reserved(), weft.cuda.max_memory_reserved()) == (7, 8)
    assert weft.cuda.mem_get_info() == (95, 100)
    assert "bytes_limit: 100" in weft.cuda.memory_summary()
    with pytest.raises(DeviceError, match="Call it first"):
        weft.cuda.set_per_process_memory_fraction(0.5)
    with pytest.raises(ValueError, match="between 0 and 1"):
        weft.cuda.set_per_process_memory_fraction(2)


class TestMissing:
    @pytest.mark.parametrize("name", ["cuda", "cuda:1", "tpu"])
    def test_a_device_that_is_not_there(self, name: str) -> None:
        kind = name.partition(":")[0]
        if weft.engine.xla.platform.devices(kind):
            pytest.skip(f"there is a {kind} device here")
        with pytest.raises(DeviceError, match=rf"'{name}' is not available: .*device='cpu'"):
            weft.ones(1, device=name)

    def test_another_of_a_kind(self) -> None:
        with pytest.raises(DeviceError, match=r"'xla:cpu:9' is not available: there (is|are) only"):
            weft.ones(1, device="xla:cpu:9")

    @pytest.mark.parametrize("name", ["gpu", "mps", "cuda:x", "cpu:1", "xla", ""])
    def test_no_name_of_a_device(self, name: str) -> None:
        with pytest.raises(DeviceError, match="is not available"):
            weft.device(name)

    def test_names(self) -> None:
        assert weft.device("cuda", 1) is weft.device("cuda:1") is weft.device(1)
        assert repr(weft.device("cuda:1")) == "device(type='cuda', index=1)"
        assert weft.device("cpu:0") is weft.device("cpu")
        assert pickle.loads(pickle.dumps(XLA)) is XLA
        assert str(weft.device("tpu")) == "tpu"

    def test_cuda_says_what_there_is(self) -> None:
        if weft.cuda.is_available():
            pytest.skip("there is a GPU here")
        assert weft.cuda.device_count() == 0
        assert not weft.cuda.is_bf16_supported()
        for ask in (weft.cuda.current_device, weft.cuda.synchronize, weft.cuda.mem_get_info):
            with pytest.raises(DeviceError, match=r"'cuda' is not available"):
                ask()

    def test_memory_is_not_taken_ahead_and_64_bits_stay_off(self) -> None:
        """What weft sets is JAX's setting in weft only."""
        script = (
            "import os, weft, jax, jax.numpy as jnp\n"
            "weft.cuda.set_per_process_memory_fraction(0.5)\n"
            "assert os.environ['XLA_PYTHON_CLIENT_MEM_FRACTION'] == '0.5'\n"
            "assert weft.cuda.get_per_process_memory_fraction() == 0.5\n"
            "x = weft.arange(3, device='xla:cpu').double()\n"
            "assert x.tolist() == [0, 1, 2] and x.dtype is weft.float64\n"
            "assert os.environ['XLA_PYTHON_CLIENT_PREALLOCATE'] == 'false'\n"
            "assert jnp.arange(3).dtype == jnp.int32\n"
        )
        subprocess.run([sys.executable, "-c", script], check=True)


def test_precision() -> None:
    assert weft.get_float32_matmul_precision() == "highest"
    try:
        weft.backends.cuda.matmul.allow_tf32 = True
        assert weft.get_float32_matmul_precision() == "high"
        weft.set_float32_matmul_precision("medium")
        x = weft.ones(2, 2, device=XLA)
        assert (x @ x).tolist() == [[2, 2], [2, 2]]
        weft.backends.cudnn.allow_tf32 = False
        assert not weft.backends.cudnn.allow_tf32
        with pytest.raises(ValueError, match="'low'"):
            weft.set_float32_matmul_precision("low")
    finally:
        weft.set_float32_matmul_precision("highest")
        weft.backends.cudnn.allow_tf32 = True


def test_a_rounding_that_was_asked_for_stays() -> None:
    x = weft.tensor([1.001], device=XLA)
    assert x.bfloat16().float().item() == 1.0


def test_explain() -> None:
    model = nn.Linear(8, 4).to(XLA)
    x = weft.randn(16, 8, device=XLA)
    text = weft.explain(lambda: model(x).sum())
    assert "XLA program on xla:cpu" in text
    assert "collectives: none" in text
    (flops,) = re.findall(r"([\d.]+) k floating-point operations", text)
    assert 1.02 <= float(flops) < 2  # 2 * 16 * 8 * 4 of the product, and those of bias and sum


def test_a_forked_process_says_that_it_has_the_cpu_only() -> None:
    script = (
        "import os, weft, warnings\n"
        "warnings.simplefilter('ignore')\n"
        "x = weft.ones(2, device='xla:cpu')\n"
        "weft.realize(x)\n"
        "child = os.fork()\n"
        "if child == 0:\n"
        "    assert weft.ones(2).tolist() == [1, 1]\n"
        "    try: (x + 1).tolist()\n"
        "    except weft.errors.DeviceError as error: os._exit('spawn' not in str(error))\n"
        "    os._exit(2)\n"
        "raise SystemExit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))\n"
    )
    subprocess.run([sys.executable, "-c", script], check=True, timeout=300)
