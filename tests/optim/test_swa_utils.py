"""Averages of weights: against PyTorch's, and mistakes. (SWALR is tested with the schedulers.)"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import weft
import weft.optim
from weft import nn
from weft.optim import swa_utils


def _model(lib: Any) -> Any:
    model = lib.nn.Sequential(lib.nn.Linear(3, 4), lib.nn.BatchNorm1d(4), lib.nn.Linear(4, 2))
    draw = np.random.default_rng(0)
    with lib.no_grad():
        for p in model.parameters():
            p.copy_(lib.tensor(draw.normal(size=tuple(p.shape)).astype("f4")))
    return model


def _change(lib: Any, model: Any, k: int) -> None:
    with lib.no_grad():
        for p in model.parameters():
            p.mul_(0.9).add_(0.1 * k)
    model(lib.tensor(np.random.default_rng(k).normal(size=(8, 3)).astype("f4")))


OPTIONS: list[Any] = [
    lambda u: {},
    lambda u: {"use_buffers": True},
    lambda u: {"avg_fn": u.get_ema_avg_fn(0.7)},
    lambda u: {"multi_avg_fn": u.get_ema_multi_avg_fn(0.7), "use_buffers": True},
    lambda u: {"multi_avg_fn": u.get_swa_multi_avg_fn()},
    lambda u: {"avg_fn": lambda mean, new, n: (mean + 3 * new) / 4},
]


@pytest.mark.parity
@pytest.mark.parametrize("options", OPTIONS)
def test_averages_are_pytorchs(options: Any) -> None:
    torch = pytest.importorskip("torch", reason="compares with PyTorch: pip install 'weft[parity]'")
    states = []
    for lib in (weft, torch):
        model = _model(lib)
        average = lib.optim.swa_utils.AveragedModel(model, **options(lib.optim.swa_utils))
        for k in range(5):
            _change(lib, model, k)
            average.update_parameters(model)
        states.append({k: v.numpy() for k, v in average.state_dict().items()})
    ours, theirs = states
    assert list(ours) == list(theirs)
    for name, value in theirs.items():
        np.testing.assert_allclose(ours[name], value, 1e-5, 1e-6)
        assert ours[name].dtype == value.dtype


def test_the_average_is_called_and_the_model_is_left_alone() -> None:
    model = nn.Linear(2, 1)
    average = swa_utils.AveragedModel(model)
    average.update_parameters(model)
    before = model.weight.detach().numpy()
    with weft.no_grad():
        model.weight.add_(2.0)
    average.update_parameters(model)
    x = weft.eye(2)
    assert average(x).shape == (2, 1)
    np.testing.assert_allclose(average.module.weight.detach().numpy(), before + 1, 1e-6)
    np.testing.assert_allclose(model.weight.detach().numpy(), before + 2, 1e-6)
    assert average.n_averaged.item() == 2
    assert average.module.weight.requires_grad


@pytest.mark.parity
def test_update_bn() -> None:
    torch = pytest.importorskip("torch", reason="compares with PyTorch: pip install 'weft[parity]'")
    states = []
    for lib in (weft, torch):
        model = _model(lib)
        model.eval()
        batches = [
            lib.tensor(np.random.default_rng(k).normal(size=(6, 3)).astype("f4")) for k in range(4)
        ]
        lib.optim.swa_utils.update_bn([(b, None) for b in batches[:2]] + batches[2:], model)
        assert not model.training
        assert model[1].momentum == 0.1
        states.append({k: v.numpy() for k, v in model.state_dict().items()})
    for name, value in states[1].items():
        np.testing.assert_allclose(states[0][name], value, 1e-5, 1e-6)


def test_update_bn_that_fails_leaves_the_options() -> None:
    model = _model(weft)
    model.eval()
    with pytest.raises(RuntimeError):
        swa_utils.update_bn([weft.ones(4, 7)], model)
    assert not model.training
    assert model[1].momentum == 0.1


def test_update_bn_without_batch_normalisation_reads_no_data() -> None:
    def data() -> Any:
        raise AssertionError("read")
        yield

    swa_utils.update_bn(data(), nn.Linear(2, 1))


def test_mistakes() -> None:
    with pytest.raises(ValueError, match=r"decay=1\.5"):
        swa_utils.get_ema_avg_fn(1.5)
    with pytest.raises(ValueError, match="decay=-1"):
        swa_utils.get_ema_multi_avg_fn(-1)
    model = nn.Linear(2, 1)
    with pytest.raises(ValueError, match="not both"):
        swa_utils.AveragedModel(
            model, avg_fn=swa_utils.get_swa_avg_fn(), multi_avg_fn=swa_utils.get_swa_multi_avg_fn()
        )
    average = swa_utils.AveragedModel(model)
    with pytest.raises(ValueError, match="not those"):
        average.update_parameters(nn.Linear(3, 1))
    assert average.n_averaged.item() == 0
