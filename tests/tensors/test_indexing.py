"""``x[...]`` and ``x[...] = y``: basic, boolean and integer indices and their mixtures."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from sampling import In, build, idx, these

import weft
from weft.errors import DTypeError, IndexOutOfRange, ShapeError

SHAPE = (4, 3, 5)
ALL = slice(None)

BASIC = [
    *(0, -1, 3, (1, 2), (-1, -1, -1), (0, ALL, 2), (ALL, -2)),
    *(ALL, slice(1, 3), slice(-2, None), slice(None, -1), slice(None, None, 2), slice(1, 9, 3)),
    *(slice(3, 1), slice(9, 12), slice(-9, 2), (slice(1, 2), slice(0, 3, 2), slice(-3, -1))),
    *(..., (..., 0), (0, ...), (1, ..., slice(2, 4)), (..., ALL), ()),
    *(None, (None, 0), (0, None), (ALL, None, 1), (..., None), (None, None, ..., None)),
    *((slice(0, 0), None), (2, slice(1, 1)), (None, slice(1, 3), ..., 0, None)),
]
MASK_3D = np.arange(60).reshape(SHAPE) % 7 < 3
BOOLEAN = [
    *(these(MASK_3D, "bool"), these([True, False, True, True], "bool")),
    *(these(MASK_3D[..., 0], "bool"), (ALL, these([False, True, True], "bool"))),
    *((..., these(MASK_3D[0, 0], "bool")), these(np.zeros(SHAPE, bool), "bool")),
    *((ALL, these(MASK_3D[0], "bool")), (slice(1, 3), these([True, False, True], "bool"), None)),
    *(True, False, (True, 1), these(True, "bool"), these(False, "bool")),
]
INTEGER = [
    *(idx([0, 2]), idx([3, 0, 3]), idx([-1, 0, -4]), idx([[0, 1], [2, 3]]), idx([[1], [2]])),
    *((idx([0, 1]), idx([2, 0])), (idx([0, 1]), idx([2, 0]), idx([4, -5])), (ALL, idx([2, 0]))),
    *((..., idx([4, 0])), (ALL, ALL, idx([[0], [1]])), (idx([[0], [3]]), idx([0, 2]))),
    *((idx([1, 2]), ALL, idx([0, 4])), (idx([1, 2]), ..., idx([0])), (None, idx([1, 2]))),
    *((idx([1, 2]), None), (idx([1, 0]), None, idx([2, 1])), (slice(1, 3), idx([1, 1]))),
    *((slice(None, None, 2), ALL, idx([0, 1])), these(np.zeros((0,), np.int64), "int64")),
    *((idx([0, 1]), slice(0, 2)), (idx([0]), slice(0, 2), slice(1, 4, 2)), [0, 2], [[0], [1]]),
    *((ALL, [2, 0, 0]), range(3), idx([0, 1, 2, 3, 0, 1])),
]
# NumPy counts an int among the integer arrays; PyTorch (and weft) takes it first, as a view.
MIXED = [
    *((0, idx([1, 2])), (0, ALL, idx([1, 2])), (idx([1, 2]), ALL, 0), (idx(1), slice(0, 2))),
    *((1, these([True, False, True], "bool")), (these(MASK_3D[:, 0, 0], "bool"), 0)),
    *((these(MASK_3D[:, 0, 0], "bool"), idx([1])), (idx([0, 1]), 2, idx([3, 4])), (idx(-1),)),
    *((these(MASK_3D[0, :, 0], "bool"),)[:0] or (..., -1, idx([1, 0])), (None, 3, idx([[0, 2]]))),
]
AS_IN_NUMPY = [*BASIC, *BOOLEAN, *INTEGER]
EVERY = [*AS_IN_NUMPY, *MIXED]


def name_of(index: Any) -> str:
    return repr(index).replace("slice(None, None, None)", ":")


def numpy_index(index: Any) -> Any:
    if isinstance(index, In):
        return index.array("int64", 0).astype(index.dtype)
    if isinstance(index, tuple):
        return tuple([numpy_index(i) for i in index])
    return index
