"""Linear algebra: ``weft.linalg.solve(a, b)``. Names and meaning are those of ``torch.linalg``."""

from __future__ import annotations

from typing import Any

from .errors import LinAlgError, did_you_mean
from .tensors.checked_solvers import cholesky_ex, inv_ex, solve_ex
from .tensors.decompositions import (
    cholesky,
    cond,
    cross,
    det,
    diagonal,
    eig,
    eigh,
    eigvals,
    eigvalsh,
    inv,
    lstsq,
    matrix_exp,
    matrix_norm,
    matrix_power,
    matrix_rank,
    multi_dot,
    norm,
    pinv,
    qr,
    slogdet,
    solve,
    solve_triangular,
    svd,
    svdvals,
    tensorinv,
    tensorsolve,
    vecdot,
    vector_norm,
)
from .tensors.linalg import matmul
from .tensors.lu import householder_product, lu, lu_factor, lu_factor_ex, lu_solve
from .tensors.numeric import powers as vander

__all__ = [
    "LinAlgError",
    "cholesky",
    "cholesky_ex",
    "cond",
    "cross",
    "det",
    "diagonal",
    "eig",
    "eigh",
    "eigvals",
    "eigvalsh",
    "householder_product",
    "inv",
    "inv_ex",
    "lstsq",
    "lu",
    "lu_factor",
    "lu_factor_ex",
    "lu_solve",
    "matmul",
    "matrix_exp",
    "matrix_norm",
    "matrix_power",
    "matrix_rank",
    "multi_dot",
    "norm",
    "pinv",
    "qr",
    "slogdet",
    "solve",
    "solve_ex",
    "solve_triangular",
    "svd",
    "svdvals",
    "tensorinv",
    "tensorsolve",
    "vander",
    "vecdot",
    "vector_norm",
]


def __getattr__(name: str) -> Any:
    raise AttributeError(
        f"module 'weft.linalg' has no attribute '{name}'.{did_you_mean(name, __all__)}"
    )
