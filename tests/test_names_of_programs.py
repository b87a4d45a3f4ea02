"""Names that programs use around their networks, as scripts for PyTorch have them."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

import weft
from weft.testing import assert_close


def test_where_a_script_wants_to_compute() -> None:
    if weft.accelerator.is_available():
        found = weft.accelerator.current_accelerator()
        assert found is not None
        assert found.type in ("cuda", "tpu")
    else:
        assert weft.accelerator.current_accelerator() is None
        assert weft.accelerator.device_count() == 0
    weft.accelerator.synchronize()
    for name in ("mps", "mkl", "mkldnn", "openmp"):
        assert not getattr(weft.backends, name).is_available()
    assert not weft.distributed.is_available()
    assert not weft.distributed.is_initialized()
    with pytest.raises(AttributeError, match=r"init_process_group.*one process"):
        weft.distributed.init_process_group("nccl")
    with pytest.raises(weft.errors.UnsupportedOp, match="use the module as it is"):
        weft.nn.parallel.DistributedDataParallel(weft.nn.Linear(1, 1))
    assert weft.version.cuda is None
    assert weft.version.__version__ == weft.__version__
    assert issubclass(weft.OutOfMemoryError, RuntimeError)
    with pytest.raises(AttributeError, match=r"weft\.load"):
        getattr(weft.utils, "model_zoo")  # noqa: B009
    with pytest.raises(AttributeError, match="tensorboardX"):
        getattr(weft.utils, "tensorboard")  # noqa: B009


def test_names_of_torch_cuda_without_a_gpu() -> None:
    if weft.cuda.is_available():
        pytest.skip("there is a GPU here")
    cuda = weft.cuda
    assert cuda.memory_allocated() == cuda.max_memory_reserved() == 0
    assert cuda.memory_stats() == {}
    assert cuda.get_arch_list() == []
    assert cuda.default_generators == ()
    assert not cuda.is_initialized()
    assert not cuda.is_tf32_supported()
    cuda.empty_cache()
    weft.cuda.random.manual_seed_all(3)
    state = cuda.get_rng_state()
    first = weft.rand(2)
    weft.cuda.random.set_rng_state(state)
    assert weft.equal(weft.rand(2), first)
    for ask in (cuda.Event, cuda.Stream, cuda.get_device_properties, cuda.reset_peak_memory_stats):
        with pytest.raises(weft.errors.DeviceError, match="'cuda' is not available"):
            ask()
    assert not hasattr(cuda, "nvtx")
    with pytest.raises(AttributeError, match=r"'utilization': `nvidia-smi` shows it"):
        cuda.utilization()
    with pytest.raises(weft.errors.UnsupportedOp, match=r"weft\.compile runs a step"):
        cuda.CUDAGraph()


@pytest.mark.parity
def test_no_name_of_torch_cuda_is_passed_over(torch: Any) -> None:
    """Each function and class is there, or it is said what there is instead."""
    silent = []
    for name in torch.cuda.__all__:
        try:
            getattr(weft.cuda, name)
        except AttributeError as error:
            if f"'{name}':" not in str(error):
                silent.append(name)
    assert silent == []


def test_options_of_compile_have_no_effect() -> None:
    @weft.compile(mode="max-autotune", fullgraph=True, dynamic=False, backend="inductor")
    def double(x: weft.Tensor) -> weft.Tensor:
        return x * 2

    assert double(weft.ones(2)).tolist() == [2, 2]

    def plain(x: weft.Tensor) -> weft.Tensor:
        return x

    assert weft.compile(plain, disable=True) is plain
    assert weft.compile(disable=True)(plain) is plain


def test_creators_take_what_is_said_of_memory() -> None:
    for make in (weft.zeros, weft.ones, weft.empty, weft.rand, weft.randn):
        assert make(2, pin_memory=True, layout=weft.strided).shape == (2,)
    assert weft.zeros_like(weft.ones(2), pin_memory=True).tolist() == [0, 0]


def test_memory_of_others_as_a_tensor() -> None:
    numbers = np.arange(6, dtype=np.int16)
    for given in (numbers, numbers.tobytes(), bytearray(numbers.tobytes())):
        assert weft.frombuffer(given, dtype=weft.int16).tolist() == list(range(6))
    x = weft.frombuffer(numbers, dtype=weft.int16, count=2, offset=4)
    assert x.tolist() == [2, 3]
    numbers[:] = 0
    assert x.tolist() == [2, 3]
    for options in ({"offset": 13}, {"count": 7}, {"offset": 1}):
        with pytest.raises(ValueError, match="frombuffer"):
            weft.frombuffer(numbers, dtype=weft.int16, **options)
    with pytest.raises(TypeError):
        weft.frombuffer(3, dtype=weft.int16)


def test_what_tensors_have_not_is_said() -> None:
    x = weft.ones(2)
    for name, hint in (
        ("data_ptr", r"x\.numpy\(\)"),
        ("untyped_storage", "engine"),
        ("share_memory_", "pickle"),
        ("to_sparse", "dense"),
        ("resize_", r"x\.reshape"),
    ):
        assert not hasattr(weft.Tensor, name)
        with pytest.raises(AttributeError, match=f"'Tensor' object has no attribute.*{hint}"):
            getattr(x, name)
    with pytest.raises(AttributeError, match=r"^'Parameter' object has no attribute 'nothing'$"):
        getattr(weft.nn.Parameter(x), "nothing")  # noqa: B009
    assert getattr(x, "nothing", 3) == 3


# ---- anomalies


class Root(weft.nn.Module):
    def forward(self, x: weft.Tensor) -> weft.Tensor:
        return x.sqrt()


def test_the_first_nan_among_gradients_is_named() -> None:
    x = weft.tensor([4.0, 0.0], requires_grad=True)
    model = weft.nn.Sequential(Root())
    for enter in (weft.autograd.detect_anomaly, lambda: weft.autograd.set_detect_anomaly(True)):
        with enter():
            assert weft.is_anomaly_enabled()
            loss = (model(x) * weft.tensor([1.0, 0.0])).sum()
            with pytest.raises(weft.errors.DataError, match=r"'sqrt' \(shape \[2\]\).*nan") as info:
                loss.backward()
            assert "test_names_of_programs.py" in str(info.value)
        assert not weft.is_anomaly_enabled()
    loss = (model(x) * weft.tensor([1.0, 0.0])).sum()
    loss.backward()
    assert x.grad is not None
    assert math.isnan(x.grad[1].item())


def test_gradients_without_nans_are_the_same() -> None:
    x = weft.tensor([math.inf, -2.0, 0.0], requires_grad=True)
    (plain,) = weft.autograd.grad((x * x).sum(), x)
    with weft.autograd.detect_anomaly():
        (checked,) = weft.autograd.grad((x * x).sum(), x)
        loss = (x.sin() ** 3).sum()
        (g,) = weft.autograd.grad(x.cos().sum(), x[1:].detach().requires_grad_(), allow_unused=True)
    assert plain.tolist() == checked.tolist()
    assert g is None
    assert loss.requires_grad


# ---- assert_close

PAIRS: list[tuple[Any, Any, dict[str, Any]]] = [
    (1.0, 1.0 + 1e-8, {}),
    (1.0, 1.1, {}),
    (1, 2, {}),
    ([1.0, 2.0], [1.0, 2.0 + 1e-9], {}),
    ([1.0, [2.0, 3.0]], [1.0, [2.0, 4.0]], {}),
    ([1.0], [1.0, 2.0], {}),
    ({"a": 1.0}, {"a": 1.0}, {}),
    ({"a": 1.0}, {"b": 1.0}, {}),
    (math.nan, math.nan, {}),
    (math.nan, math.nan, {"equal_nan": True}),
    (1.0, 1.1, {"rtol": 0.2, "atol": 0}),
    (1.0, 1.1, {"rtol": 0, "atol": 0.05}),
]
TENSORS: list[tuple[Any, str, Any, str, dict[str, Any]]] = [
    ([1.0, 2.0], "float32", [1.0, 2.000001], "float32", {}),
    ([1.0, 2.0], "float32", [1.0, 2.001], "float32", {}),
    ([1.0, 2.0], "float64", [1.0, 2.000001], "float64", {}),
    ([1.0, 2.0], "bfloat16", [1.0, 2.0156], "bfloat16", {}),
    ([1.0, 2.0], "float16", [1.0, 2.001], "float16", {}),
    ([1.0, 2.0], "float32", [1.0, 2.0], "float64", {}),
    ([1.0, 2.0], "float32", [1.0, 2.0], "float64", {"check_dtype": False}),
    ([1, 2], "int64", [1, 3], "int64", {}),
    ([2**60], "int64", [2**60 + 1], "int64", {}),
    ([True], "bool", [False], "bool", {}),
    ([[1.0]], "float32", [1.0], "float32", {}),
    ([], "float32", [], "float32", {}),
    ([math.inf], "float32", [math.inf], "float32", {}),
    ([math.inf], "float32", [-math.inf], "float32", {}),
]


def outcome(compare: Any, a: Any, b: Any, options: dict[str, Any]) -> bool:
    try:
        compare(a, b, **options)
    except AssertionError:
        return False
    return True


@pytest.mark.parity
def test_what_is_close_is_pytorchs_choice() -> None:
    torch = pytest.importorskip("torch", reason="compares with PyTorch: pip install 'weft[parity]'")
    theirs = torch.testing.assert_close
    for a, b, options in PAIRS:
        assert outcome(assert_close, a, b, options) == outcome(theirs, a, b, options), (a, b)
    for x, kind, y, other, options in TENSORS:
        results = [
            outcome(
                compare,
                lib.tensor(x, dtype=getattr(lib, kind)),
                lib.tensor(y, dtype=getattr(lib, other)),
                options,
            )
            for lib, compare in ((weft, assert_close), (torch, theirs))
        ]
        assert results[0] == results[1], (x, y, kind)


def test_what_is_said_of_differences() -> None:
    with pytest.raises(AssertionError, match=r"1 of 2 differ(.|\n)*0\.5 at \(1,\)"):
        assert_close(weft.tensor([1.0, 2.5]), weft.tensor([1.0, 2.0]))
    with pytest.raises(AssertionError, match=r"at \['a'\]\[1\]"):
        assert_close({"a": [1.0, 2.0]}, {"a": [1.0, 3.0]})
    with pytest.raises(AssertionError, match=r"^mine$"):
        assert_close(1.0, 2.0, msg="mine")
    with pytest.raises(AssertionError, match=r"^so: The values"):
        assert_close(1.0, 2.0, msg=lambda text: f"so: {text}")
    with pytest.raises(ValueError, match="go together"):
        assert_close(1.0, 2.0, rtol=1)
    with pytest.raises(TypeError, match="not str"):
        assert_close("a", "a")
