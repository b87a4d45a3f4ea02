"""Lowering of solvers and decompositions. Factors are packed as ``ops/linalg.py`` says."""

from __future__ import annotations

from math import prod
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.scipy.linalg import expm, lu_factor, lu_solve

from ...errors import LinAlgError
from ...graph.node import OPS
from .rules import Checked, Rule, Value, plain, with_attrs


def _solve(a: Value, b: Value) -> Checked:
    if a.size == 0 or b.size == 0:
        shape = jnp.broadcast_shapes(a.shape[:-2], b.shape[:-2]) + b.shape[-2:]
        return Checked(jnp.zeros(shape, b.dtype), jnp.zeros((), bool))
    lu, pivots = lu_factor(a)
    singular = (jnp.diagonal(lu, axis1=-2, axis2=-1) == 0).any()
    batch = jnp.broadcast_shapes(a.shape[:-2], b.shape[:-2])
    lu = jnp.broadcast_to(lu, batch + lu.shape[-2:])
    pivots = jnp.broadcast_to(pivots, batch + pivots.shape[-1:])
    b = jnp.broadcast_to(b, batch + b.shape[-2:])
    return Checked(lu_solve((lu, pivots), b), singular)


def _cholesky(x: Value) -> Checked:
    if x.size == 0:
        return Checked(x, jnp.zeros((), bool))
    lower = jnp.linalg.cholesky(x, symmetrize_input=False)
    return Checked(lower, jnp.isnan(lower).any())


def _eigh(triangle: str, x: Value) -> Value:
    values, vectors = jnp.linalg.eigh(x, UPLO=triangle, symmetrize_input=False)
    return jnp.concatenate([vectors, values[..., None]], axis=-1)


def _svd(full: bool, x: Value) -> Value:
    parts = jnp.linalg.svd(x, full_matrices=full)
    batch = x.shape[:-2]
    flat = [part.reshape(*batch, prod(part.shape[len(batch) :])) for part in parts]
    return jnp.concatenate(flat, axis=-1)


def _pinv(attrs: tuple[float, float], x: Value) -> Value:
    absolute, relative = attrs
    if x.size == 0:
        return jnp.zeros((*x.shape[:-2], x.shape[-1], x.shape[-2]), x.dtype)
    u, s, vh = jnp.linalg.svd(x, full_matrices=False)
    keep = s > jnp.maximum(absolute, relative * s[..., :1])
    inverses = jnp.where(keep, 1 / jnp.where(keep, s, 1), 0).astype(x.dtype)
    turned = vh.swapaxes(-1, -2).conj() * inverses[..., None, :]
    return jnp.matmul(turned, u.swapaxes(-1, -2).conj(), precision="highest")


def _matrix_exp(x: Value) -> Value:
    if x.size == 0:
        return x
    # In float64 and rounded once; so many squarings reach any norm whose exponential is finite.
    return expm(x.astype(jnp.promote_types(x.dtype, jnp.float64)), max_squarings=48).astype(x.dtype)


def _eig(x: Value) -> Value:
    """On the CPU in any case: XLA has no such decomposition elsewhere."""
    shape = (*x.shape[:-1], x.shape[-1] + 1)
    like = jax.ShapeDtypeStruct(shape, jnp.promote_types(x.dtype, jnp.complex64))
    return jax.pure_callback(lambda a: OPS["eig"].reference(np.asarray(a)), like, x)


def _lu(x: Value) -> Value:
    m, n = x.shape[-2:]
    both, pivots, order = jax.lax.linalg.lu(x)
    swaps = jnp.zeros((*x.shape[:-2], m), x.dtype).at[..., : min(m, n)].set(pivots.astype(x.dtype))
    return jnp.concatenate([both, order.astype(x.dtype)[..., None], swaps[..., None]], axis=-1)


def _swapped_rows(m: int, swaps: Value) -> Value:
    order = jax.lax.linalg.lu_pivots_to_permutation(swaps.astype(jnp.int32), m)
    return order.astype(jnp.int64)


def _says(text: str) -> Any:
    return lambda sig, wrong: (LinAlgError, text)


def _qr(x: Value) -> Value:
    return jnp.concatenate(jnp.linalg.qr(x), axis=-2)


RULES: dict[str, Rule] = {
    "solve": plain(_solve),
    "lu": plain(_lu),
    "swapped_rows": with_attrs(_swapped_rows),
    "det": plain(jnp.linalg.det),
    "logabsdet": plain(lambda x: jnp.linalg.slogdet(x)[1]),
    "signdet": plain(lambda x: jnp.linalg.slogdet(x)[0]),
    "cholesky": plain(_cholesky),
    "qr": plain(_qr),
    "eig": plain(_eig),
    "eigh": with_attrs(_eigh),
    "svd": with_attrs(_svd),
    "pinv": with_attrs(_pinv),
    "matrix_exp": plain(_matrix_exp),
}

WORDS = {
    "solve": _says("the matrix is singular"),
    "cholesky": _says("the matrix is not positive definite"),
}
