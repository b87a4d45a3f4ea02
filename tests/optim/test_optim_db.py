"""Every configuration of PyTorch's own database of optimisers, against PyTorch's trajectories."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import weft
import weft.optim

torch = pytest.importorskip("torch", reason="PyTorch is compared with: pip install 'weft[parity]'")
database = pytest.importorskip(
    "torch.testing._internal.common_optimizers", reason="needs expecttest", exc_type=ImportError
)
pytestmark = pytest.mark.parity

CASES = [
    (info.name, case.kwargs)
    for info in database.optim_db
    if info.name != "SparseAdam"  # takes other gradients: below
    for case in info.optim_inputs_func("cpu", torch.float32)
]
STEPS = 100
LBFGS_STEPS = 20  # of 20 iterations each
#: bfloat16 within Muon: its iteration may round the other way, now and then.
FLOAT64 = {"Muon": 1e-3}


def _start(name: str) -> list[Any]:
    shapes: list[tuple[int, ...]] = [(3, 4), (4, 2)] if name == "Muon" else [(3, 4), (4,), ()]
    draw = np.random.default_rng(0)
    return [draw.normal(size=s) for s in shapes]


def _trajectory(lib: Any, name: str, options: dict[str, Any], dtype: str) -> list[Any]:
    options = {
        k: lib.tensor(v.item()) if isinstance(v, torch.Tensor) else v for k, v in options.items()
    }
    params = [lib.tensor(v.astype(dtype), requires_grad=True) for v in _start(name)]
    optimiser = getattr(lib.optim, name)(params, **options)

    def closure() -> Any:
        # Gradients come from NumPy, so that only the optimiser's arithmetic is compared.
        loss = 0.0
        for k, p in enumerate(params):
            x = p.detach().numpy()
            loss += np.logaddexp(x - 0.3 * k, 0.3 * k - x).sum() + 0.05 * (x**2).sum()
            p.grad = lib.tensor((np.tanh(x - 0.3 * k) + 0.1 * x).astype(dtype))
        return lib.tensor(float(loss), dtype=lib.float64)

    seen = []
    steps = LBFGS_STEPS if name == "LBFGS" else STEPS
    for k in range(steps):
        if name == "LBFGS":
            optimiser.step(closure)
        else:
            closure()
            optimiser.step()
        if k % 10 == 0 or k == steps - 1:
            seen.append(np.concatenate([p.detach().numpy().ravel() for p in params]))
    return seen


@pytest.mark.parametrize(("name", "options"), CASES, ids=[f"{n} {o}" for n, o in CASES])
def test_trajectories_are_pytorchs(name: str, options: dict[str, Any]) -> None:
    exact = _trajectory(torch, name, options, "float64")
    tolerance = FLOAT64.get(name, 1e-9)
    np.testing.assert_allclose(
        _trajectory(weft, name, options, "float64"), exact, tolerance, tolerance
    )
    theirs = _trajectory(torch, name, options, "float32")
    ours = _trajectory(weft, name, options, "float32")
    # In float32, PyTorch is itself this far from the exact trajectory: no further than that.
    error = max(np.abs(t - e).max() for t, e in zip(theirs, exact, strict=True))
    np.testing.assert_allclose(ours, theirs, 1e-5, max(4 * error, 1e-6))


def test_the_database_has_no_optimiser_that_weft_has_not() -> None:
    assert {info.name for info in database.optim_db} <= set(weft.optim.__all__)


@pytest.mark.parametrize(
    "options", [case.kwargs for case in database.optim_inputs_func_sparseadam("cpu")], ids=str
)
@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_rows_without_a_gradient_stay_as_with_sparse_gradients(
    options: dict[str, Any], dtype: str
) -> None:
    draw = np.random.default_rng(0)
    start = draw.normal(size=(8, 3)).astype(dtype)
    targets = draw.normal(size=(8, 3)).astype(dtype)
    options = {k: float(v) if k == "lr" else v for k, v in options.items()}
    results = []
    for lib in (weft, torch):
        table = lib.nn.Embedding(8, 3, sparse=True, _weight=lib.tensor(start))
        optimiser = lib.optim.SparseAdam(table.parameters(), **options)
        places = np.random.default_rng(1)
        for _ in range(STEPS):
            rows = lib.tensor(places.integers(0, 6, size=4))  # the last two rows: never
            optimiser.zero_grad()
            (table(rows) - lib.tensor(targets)[rows]).tanh().square().sum().backward()
            optimiser.step()
        results.append(table.weight.detach().numpy())
    np.testing.assert_allclose(*results, 1e-9 if dtype == "float64" else 1e-4, 1e-9)
    assert np.array_equal(results[0][6:], start[6:])


ERRORS = [
    (info.name, case)
    for info in database.optim_db
    for case in info.optim_error_inputs_func("cpu", torch.float32)
    if case.error_on is database.OptimizerErrorEnum.CONSTRUCTION_ERROR
]
#: What PyTorch takes amiss and weft does not: options of implementations, kinds of tensors.
ALLOWED = ("capturable", "either both floats", "dense parameter", "complex")


@pytest.mark.parametrize(("name", "case"), ERRORS, ids=[f"{n} {c.error_regex}" for n, c in ERRORS])
def test_mistakes_of_the_database_raise_pytorchs_errors(name: str, case: Any) -> None:
    if any(word in case.error_regex for word in ALLOWED):
        pytest.skip("no mistake in weft")
    given = case.optimizer_error_input

    def ours(value: Any) -> Any:
        if isinstance(value, torch.Tensor):
            made = weft.tensor(value.detach().numpy(), requires_grad=value.requires_grad)
            return known.setdefault(id(value), made)
        if isinstance(value, dict):
            return {k: ours(v) for k, v in value.items()}
        return type(value)(map(ours, value)) if isinstance(value, (list, tuple)) else value

    known: dict[int, Any] = {}
    params = given.params
    if params is None:
        params = torch.nn.Parameter(torch.randn(1, 1))
        params = [params]
    error = ValueError if case.error_type is UserWarning else case.error_type
    pattern = "twice" if case.error_type is UserWarning else case.error_regex
    with pytest.raises(error, match=pattern):
        getattr(weft.optim, name)(ours(params), **ours(given.kwargs))
