"""The older names of ``torch.cuda.amp``, on a machine without a GPU."""

from __future__ import annotations

import pytest

import weft
import weft.cuda.amp
from weft import nn
from weft.errors import DeviceError, UnsupportedOp

no_gpu = pytest.mark.skipif(weft.cuda.is_available(), reason="there is a GPU")


@no_gpu
def test_without_a_gpu_they_are_off_as_in_pytorch() -> None:
    with (
        pytest.warns(FutureWarning, match=r"write weft\.amp\.autocast\('cuda'"),
        pytest.warns(UserWarning, match="CUDA is not available"),
    ):
        context = weft.cuda.amp.autocast()
    with context:
        assert nn.Linear(2, 2)(weft.ones(1, 2)).dtype is weft.float32
    with (
        pytest.warns(FutureWarning, match=r"write weft\.amp\.GradScaler\('cuda'"),
        pytest.warns(UserWarning, match="CUDA is not available"),
    ):
        scaler = weft.cuda.amp.GradScaler(init_scale=4.0)
    assert not scaler.is_enabled()
    with pytest.warns(FutureWarning):
        assert not weft.cuda.amp.GradScaler(enabled=False).is_enabled()


def test_decorators() -> None:
    class Double(weft.autograd.Function):
        @staticmethod
        @weft.cuda.amp.custom_fwd
        def forward(ctx, x):  # type: ignore[no-untyped-def]
            return x * 2

        @staticmethod
        @weft.cuda.amp.custom_bwd
        def backward(ctx, g):  # type: ignore[no-untyped-def]
            return g * 2

    x = weft.ones(1, requires_grad=True)
    Double.apply(x).backward()
    assert x.grad.tolist() == [2.0]


def test_what_is_not_there_stands_in_annotations_and_raises_when_called() -> None:
    found = weft.cuda.CUDAGraph
    assert found | None
    assert not isinstance(weft.ones(1), found)
    with pytest.raises(UnsupportedOp, match=r"weft.cuda has no CUDAGraph: "):
        found()


@no_gpu
@pytest.mark.parametrize("name", ["Stream", "Event", "current_stream", "reset_peak_memory_stats"])
def test_what_needs_a_gpu_says_so(name: str) -> None:
    with pytest.raises(DeviceError, match=r"'cuda' is not available"):
        getattr(weft.cuda, name)()


def test_random_numbers_are_one_stream() -> None:
    state, states = weft.cuda.get_rng_state(), weft.cuda.get_rng_state_all()
    first = weft.rand(3).tolist()
    weft.cuda.set_rng_state(state)
    assert weft.rand(3).tolist() == first
    weft.cuda.set_rng_state_all(states)
    assert weft.rand(3).tolist() == first
    weft.cuda.manual_seed(5)
    assert weft.cuda.initial_seed() == weft.initial_seed() == 5


def test_contexts_that_change_nothing() -> None:
    with weft.cuda.device(None), weft.cuda.device(-1), weft.cuda.device_of(weft.ones(1)):
        assert weft.ones(1).device == "cpu"
    with weft.accelerator.device_index(None), weft.cuda.stream(None):
        assert weft.ones(1).device == "cpu"


def test_settings_are_kept() -> None:
    cuda, cudnn = weft.backends.cuda, weft.backends.cudnn
    for name in ("flash", "mem_efficient", "math"):
        getattr(cuda, f"enable_{name}_sdp")(False)
        assert not getattr(cuda, f"{name}_sdp_enabled")()
        getattr(cuda, f"enable_{name}_sdp")(True)
    with cudnn.flags(enabled=True, benchmark=True, allow_tf32=False):
        assert cudnn.benchmark
        assert not cudnn.allow_tf32
    assert not cudnn.benchmark
    assert cudnn.allow_tf32
