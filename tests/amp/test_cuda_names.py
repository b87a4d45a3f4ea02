"""The older names of ``torch.cuda.amp``, on a machine without a GPU."""

from __future__ import annotations

import pytest

import weft
import weft.cuda.amp
from weft import nn
from weft.errors import UnsupportedOp

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


@pytest.mark.parametrize("name", ["Stream", "Event", "CUDAGraph", "reset_peak_memory_stats"])
def test_what_is_not_there_stands_in_annotations_and_raises_when_called(name: str) -> None:
    found = getattr(weft.cuda, name)
    assert hasattr(weft.cuda, name)
    assert found | None
    assert not isinstance(weft.ones(1), found)
    with pytest.raises(UnsupportedOp, match=f"weft.cuda has no {name}: "):
        found()
