"""Names that PyTorch has for special cases, which here are the common ones."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import weft
import weft.nn.functional as F
from weft import nn
from weft.errors import ShapeError, UnsupportedOp


def test_data_parallel_calls_its_module() -> None:
    model = nn.DataParallel(nn.Linear(3, 2))
    x = weft.randn(4, 3)
    assert weft.equal(model(x), model.module(x))
    assert list(model.state_dict()) == ["module.weight", "module.bias"]
    nn.DataParallel(model, device_ids=[0])
    with pytest.raises(UnsupportedOp, match=r"over the devices \[0, 1\]: .*on one device"):
        nn.DataParallel(model, device_ids=[0, 1])


def test_sync_batch_norm_is_batch_norm() -> None:
    for plain, shape in (
        (nn.BatchNorm1d(3), (4, 3)),
        (nn.BatchNorm2d(3, momentum=None), (2, 3, 4, 4)),
        (nn.BatchNorm3d(3, affine=False), (2, 3, 2, 2, 2)),
        (nn.BatchNorm1d(3, track_running_stats=False), (2, 3, 5)),
    ):
        model = nn.Sequential(nn.Identity(), nn.Sequential(plain))
        same = nn.SyncBatchNorm.convert_sync_batchnorm(model)
        assert same is model
        sync = model[1][0]
        assert isinstance(sync, nn.SyncBatchNorm)
        assert all(a is b for a, b in zip(sync.parameters(), plain.parameters(), strict=True))
        assert list(sync.state_dict()) == list(plain.state_dict())
        x = weft.randn(*shape)
        for training in (True, False):
            y = plain.train(training)(x)
            if training and plain.running_mean is not None:
                plain.reset_running_stats()  # which both move
            np.testing.assert_allclose(sync.train(training)(x).detach(), y.detach(), rtol=1e-5)
    with pytest.raises(ShapeError, match="SyncBatchNorm takes input of shape"):
        nn.SyncBatchNorm(3)(weft.zeros(3))
    with pytest.raises(UnsupportedOp, match="one process"):
        nn.SyncBatchNorm(3, process_group=1)


@pytest.mark.parity
@pytest.mark.parametrize(
    ("name", "shape", "args"),
    [
        ("max_pool1d", (2, 3, 8), (2,)),
        ("max_pool2d", (2, 3, 8, 6), (3, 2, 1)),
        ("max_pool3d", (1, 2, 4, 4, 4), (2,)),
        ("adaptive_max_pool1d", (2, 3, 8), (3,)),
        ("adaptive_max_pool2d", (2, 3, 8, 6), ((3, 2), False)),
        ("adaptive_max_pool3d", (1, 2, 4, 4, 4), (2,)),
    ],
)
def test_pools_with_indices(name: str, shape: Any, args: Any, torch: Any) -> None:
    x = np.random.default_rng(0).normal(size=shape).astype(np.float32)
    ours = getattr(F, f"{name}_with_indices")(weft.tensor(x), *args)
    theirs = getattr(torch.nn.functional, f"{name}_with_indices")(torch.tensor(x), *args)
    for a, b in zip(ours, theirs, strict=True):
        np.testing.assert_array_equal(a, b.numpy())


def test_fractional_pools_with_indices() -> None:
    y, places = F.fractional_max_pool2d_with_indices(weft.rand(1, 2, 8, 8), 2, 4)
    assert y.shape == places.shape == (1, 2, 4, 4)
    assert places.dtype is weft.int64


@pytest.mark.parity
def test_convolution_with_time_first(torch: Any) -> None:
    rng = np.random.default_rng(0)
    arrays = [rng.normal(size=s).astype(np.float32) for s in ((7, 2, 3), (3, 3, 4), (4,))]
    for pad in (0, 2):
        ours = F.conv_tbc(*map(weft.tensor, arrays), pad)
        theirs = torch.nn.functional.conv_tbc(*map(torch.tensor, arrays), pad)
        np.testing.assert_allclose(ours, theirs.numpy(), rtol=1e-4, atol=1e-5)
    with pytest.raises(ShapeError, match=r"takes input \[time, batch, channels\]"):
        F.conv_tbc(weft.ones(3, 2), weft.ones(1, 2, 2), weft.ones(2))


def test_other_names() -> None:
    x = weft.arange(8.0).reshape(1, 4, 2)
    assert weft.equal(F.native_channel_shuffle(x, 2), F.channel_shuffle(x, 2))
    with pytest.warns(FutureWarning, match=r"nn\.Container is deprecated: use nn\.Module"):
        container = nn.Container(a=nn.Linear(2, 1), b=nn.ReLU())
    assert [n for n, _ in container.named_children()] == ["a", "b"]
