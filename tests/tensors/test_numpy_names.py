"""``axis`` and ``keepdims``, in functions and methods."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import weft

BOTH = (
    *("sum", "mean", "std", "var", "prod", "amax", "amin", "max", "min", "argmax", "argmin"),
    *("any", "all", "median", "nanmedian", "nansum", "nanmean", "var_mean", "std_mean"),
)
WITH_DIMS = (*("aminmax", "norm", "logsumexp", "kthvalue", "mode", "quantile", "nanquantile"),)
ALONG = (
    *("cumsum", "cumprod", "cummax", "cummin", "logcumsumexp", "softmax", "log_softmax"),
    *("sort", "argsort", "topk", "unsqueeze", "squeeze", "split", "chunk", "unbind", "diff"),
    *("count_nonzero", "cat", "stack", "index_select", "unique", "repeat_interleave"),
)
MORE: dict[str, Any] = {
    "kthvalue": (2,),
    "quantile": (0.5,),
    "nanquantile": (0.5,),
    "topk": (2,),
    "split": (2,),
    "chunk": (2,),
    "repeat_interleave": (2,),
}


def outcome(lib: Any, name: str, **options: Any) -> Any:
    x = lib.tensor([[3.0, 1.0, 2.0], [0.5, 4.0, -1.0]])
    args: tuple[Any, ...] = (x, *MORE.get(name, ()))
    if name in ("cat", "stack"):
        args = ([x, x],)
    elif name == "index_select":
        options["index"] = lib.tensor([1, 0])
    return flat(getattr(lib, name)(*args, **options))


def flat(value: Any) -> Any:
    if isinstance(value, (tuple, list)):
        return [flat(v) for v in value]
    return value.tolist()


def numbers(nested: Any) -> list[float]:
    if isinstance(nested, list):
        return [n for each in nested for n in numbers(each)]
    return [float(nested)]


@pytest.mark.parametrize("name", [*BOTH, *WITH_DIMS, *ALONG])
def test_axis_is_dim(name: str) -> None:
    for k in (0, 1):
        assert outcome(weft, name, axis=k) == outcome(weft, name, dim=k)
    if name in BOTH or name in ("aminmax", "logsumexp", "quantile"):
        assert outcome(weft, name, axis=1, keepdims=True) == outcome(
            weft, name, dim=1, keepdim=True
        )
    with pytest.raises(TypeError, match="axis= or dim=, not both"):
        outcome(weft, name, axis=0, dim=0)


@pytest.mark.parity
def test_pytorch_takes_them_too() -> None:
    torch = pytest.importorskip("torch", reason="compares with PyTorch: pip install 'weft[parity]'")
    for name in (*BOTH, *ALONG):
        try:
            wanted = outcome(torch, name, axis=1)
        except TypeError:  # some of its functions do not
            continue
        np.testing.assert_allclose(numbers(outcome(weft, name, axis=1)), numbers(wanted), rtol=1e-5)


def test_methods_too() -> None:
    x = weft.arange(6.0).reshape(2, 3)
    assert x.sum(axis=0).tolist() == [3, 5, 7]
    assert x.mean(axis=1, keepdims=True).tolist() == [[1], [4]]
    assert weft.cumprod(1 - x, axis=0).tolist() == [[1, 0, -1], [-2, 0, 4]]
