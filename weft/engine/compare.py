"""The native engine held against the reference interpreter (``WEFT_COMPARE=1``)."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..errors import InternalError
from ..graph.liveness import Work
from ..graph.modes import describe
from .reference import Failure, Outcome

#: How far two computations of one graph may be apart, by the size of an element.
_RELATIVE = {1: 0.25, 2: 2e-2, 4: 2e-4, 8: 1e-9}


def compare(native: Outcome, reference: Outcome, work: Work) -> None:
    """
    Raises:
        InternalError: two values of a node differ by more than rounding, naming it.
    """
    kinds = [n.type.dtype.to_real() for n in (*work.leaves, *work.order)]
    # (what is float64 in the end has the rounding of any float32 on the way)
    tolerance = max([_RELATIVE[d.itemsize] for d in kinds if d.is_floating_point], default=0.0)
    # (a sum that cancels has the rounding of its terms, which are about as large as the leaves)
    scale = max([_largest(leaf.value) for leaf in work.leaves], default=0.0)
    for node, ours, theirs in zip(work.stored, native[0], reference[0], strict=True):
        if isinstance(theirs, Failure):
            agree = isinstance(ours, Failure)
        else:
            agree = _agree(np.asarray(ours), np.asarray(theirs), tolerance, scale)
        if not agree:
            place = "" if node.where is None else f", recorded at {describe(node.where)}"
            raise InternalError(
                f"the native engine and the reference differ in the value of {node!r}{place}:\n"
                f"{ours}\n{theirs}"
            )


def _largest(value: Any) -> float:
    array = np.asarray(value)
    if array.dtype.kind in "iubO" or isinstance(value, Failure):
        return 0.0
    sizes = np.abs(_wide(array))
    return float(np.max(sizes, initial=0.0, where=np.isfinite(sizes)))


def _wide(array: Any) -> Any:
    return array.astype(np.complex128 if array.dtype.kind == "c" else np.float64)


def _agree(ours: Any, theirs: Any, tolerance: float, scale: float) -> bool:
    if ours.shape != theirs.shape or ours.dtype != theirs.dtype:
        return False
    if theirs.dtype.kind in "iub":
        return np.array_equal(ours, theirs)
    a, b = _wide(ours), _wide(theirs)
    scale = max(_largest(b), scale)
    return np.allclose(a, b, rtol=tolerance, atol=tolerance * scale, equal_nan=True)
