"""Complex tensors: views of parts, conversion, printing, gradients, and the world outside."""

from __future__ import annotations

import copy
import pickle
from typing import Any

import numpy as np
import pytest

import weft
from weft.autograd import gradcheck, gradgradcheck
from weft.errors import DTypeError, GradientError

Z = np.array([[1 + 2j, -0.5j], [3.25 + 0j, -4 - 1e-3j]])


def fresh() -> Any:
    return weft.tensor(Z)


# ---- views


def test_parts_are_written_to() -> None:
    x = fresh()
    x.real = weft.tensor([7.0, 8.0])
    x.imag[0] *= 2
    assert np.array_equal(x, np.array([[7 + 4j, 8 - 1j], [7, 8 - 1e-3j]]))


def test_a_conjugate_is_a_view() -> None:
    x = fresh()
    y = x.conj()
    assert y.is_conj()
    assert not y.conj().is_conj()
    assert not y.resolve_conj().is_conj()
    y += 1j
    assert np.array_equal(x, Z - 1j)
    x[0, 0] = 5j
    assert y[0, 0].item() == -5j
    assert np.array_equal(x.mH, x.numpy().conj().T)


def test_pairs_share_values_both_ways() -> None:
    x = fresh()
    weft.view_as_real(x)[..., 1] = 0
    assert np.array_equal(x, Z.real)
    pairs = weft.zeros(3, 2)
    weft.view_as_complex(pairs).add_(1 + 2j)
    assert np.array_equal(pairs, [[1, 2]] * 3)
    with pytest.raises(RuntimeError, match="resolve_conj"):
        weft.view_as_real(x.conj())


def test_strides_are_those_of_memory() -> None:
    torch = pytest.importorskip("torch")
    x, t = weft.zeros(3, 4, dtype=weft.complex64), torch.zeros(3, 4, dtype=torch.complex64)
    for cut in (
        lambda z: z.real,
        lambda z: z.imag[1:],
        lambda z: z.T.imag,
        lambda z: z[:, ::2].conj(),
    ):
        assert cut(x).stride() == cut(t).stride()
        assert cut(x).is_contiguous() == cut(t).is_contiguous()
    for lib, z in ((weft, x), (torch, t)):
        pairs = lib.view_as_real(z.T)
        assert pairs.stride() == (2, 8, 1)
        assert lib.view_as_complex(pairs).stride() == (1, 4)


# ---- dtypes


def test_what_loses_the_imaginary_part_warns() -> None:
    with pytest.warns(UserWarning, match="discards the imaginary part"):
        x = fresh().float()
    assert np.array_equal(x, Z.real.astype(np.float32))
    with pytest.warns(UserWarning, match="discards the imaginary part"):
        y = weft.tensor([0j, 1j]).bool()
    assert np.array_equal(y, [False, True])


@pytest.mark.parametrize(
    ("call", "match"),
    [
        (lambda x: x[x], "an index must be int or bool"),
        (lambda x: x < 1, "lt is not defined for weft.complex128"),
        (lambda x: x.max(), "max is not defined"),
        (lambda x: x.sort(), "sort is not defined"),
        (lambda x: x.clamp(0), "lt is not defined"),
        (lambda x: x.floor(), "floor is not defined"),
        (lambda x: x.sign(), "sign is not defined"),
        (lambda x: x // 2, "floor_div is not defined"),
        (lambda x: x.erf(), "erf takes a floating dtype"),
        (lambda x: weft.ones(2) .add_(x[0]), "does not fit into a tensor of weft.float32"),
        (lambda x: weft.full((2,), 1j, dtype=weft.float32), "1j is complex"),
        (lambda x: weft.tensor([1j], dtype=weft.float32), "complex numbers do not fit"),
        (lambda x: weft.zeros(1, dtype="complex32"), "no dtype 'complex32'"),
    ],
)  # fmt: skip
def test_what_complex_numbers_have_not(call: Any, match: str) -> None:
    with pytest.raises(DTypeError, match=match):
        call(fresh())


def test_creation() -> None:
    assert weft.tensor([1 + 2j]).dtype is weft.cfloat
    assert weft.full((2,), 1j).dtype is weft.complex64
    assert weft.linspace(0, 1j, 3).tolist() == [0, 0.5j, 1j]
    assert weft.eye(2, dtype=weft.cdouble).tolist() == [[1, 0], [0, 1]]
    weft.manual_seed(0)
    x = weft.randn(10_000, dtype=weft.complex64)
    assert abs(x.abs().square().mean().item() - 1) < 0.05
    assert abs(x.real.var().item() - 0.5) < 0.05
    y = weft.rand(1000, dtype=weft.complex64)
    assert 0 <= y.imag.min().item() <= y.imag.max().item() < 1
    assert weft.finfo(weft.complex128).eps == weft.finfo(weft.float64).eps
    assert weft.complex64.to_real() is weft.float32
    assert weft.float64.to_complex() is weft.complex128


# ---- gradients


def test_only_real_numbers_start_a_gradient() -> None:
    x = fresh().requires_grad_()
    with pytest.raises(GradientError, match="only for real scalar outputs"):
        x.sum().backward()
    x.sum().backward(gradient=weft.tensor(1j))
    assert np.array_equal(x.grad, np.full((2, 2), 1j))


def test_real_numbers_that_become_complex_have_real_gradients() -> None:
    x = weft.tensor([1.0, 2.0], requires_grad=True)
    (x * (1 + 2j)).imag.sum().backward()
    assert x.grad.dtype is weft.float32
    assert x.grad.tolist() == [2, 2]


def test_rules_of_real_numbers_record_no_conjugates() -> None:
    x = weft.tensor([1.0, 2.0], requires_grad=True)
    y = (x.exp() * x).abs().norm()
    (g,) = weft.autograd.grad(y, x, create_graph=True)
    seen, stack = set(), [g._node]
    while stack:
        node = stack.pop()
        seen.add(node.sig.op.name)
        stack += [i for i in node.inputs if i is not None]
    assert not seen & {"conj", "real", "imag", "complex"}


def test_conjugates_in_a_row_are_none() -> None:
    x = fresh().requires_grad_()
    y = x.exp().sin().exp().sin()
    (g,) = weft.autograd.grad(y, x, weft.ones_like(y), create_graph=True)
    seen, stack = set(), [g._node]
    while stack:
        node = stack.pop()
        if node not in seen:
            seen.add(node)
            stack += [i for i in node.inputs if i is not None]
    assert sum(n.sig.op.name == "conj" for n in seen) <= 2


@pytest.mark.parametrize("check", [gradcheck, gradgradcheck])
def test_a_function_that_is_not_analytic(check: Any) -> None:
    def function(z: Any, a: Any) -> Any:
        return z * z.conj() + a * z.imag, (z.abs() * a).sum()

    a = weft.tensor([0.5, 2.0], dtype=weft.float64, requires_grad=True)
    assert check(function, (fresh().requires_grad_(), a))


# ---- the world outside


@pytest.mark.parametrize("dtype", ["complex64", "complex128"])
def test_copies_of_all_kinds(dtype: str, tmp_path: Any) -> None:
    x = fresh().to(getattr(weft, dtype)).requires_grad_()
    for y in (
        copy.deepcopy(x),
        pickle.loads(pickle.dumps(x)),
        weft.from_numpy(x.detach().numpy()),
        weft.from_dlpack(x.detach()),
        weft.tensor(x.tolist(), dtype=x.dtype),
        x.clone(),
    ):
        assert y.dtype is x.dtype
        assert np.array_equal(y.detach(), x.detach())
    assert complex(x[0, 0]) == x[0, 0].item() == 1 + 2j


def test_printing_is_that_of_pytorch() -> None:
    torch = pytest.importorskip("torch")
    for values in (Z, Z[0], Z[0, 0], Z * 1e6, Z.round(), np.array([1j, -0.0 - 1j]), Z[:0]):
        for dtype in ("complex64", "complex128"):
            ours, theirs = (
                repr(lib.tensor(values, dtype=getattr(lib, dtype))) for lib in (weft, torch)
            )
            # (A line may break elsewhere, since PyTorch's name is longer.)
            assert ours.replace("weft.", "torch.").split() == theirs.split()


def test_anomalies_are_found_in_complex_gradients() -> None:
    x = weft.tensor([0j, 1j], requires_grad=True)
    with weft.autograd.detect_anomaly(), pytest.raises(RuntimeError, match="gradient of 'sqrt'"):
        weft.realize(weft.autograd.grad((x.sqrt() * 0).abs().sum(), x)[0])
