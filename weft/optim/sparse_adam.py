"""SparseAdam: there are no sparse gradients."""

from __future__ import annotations

from ..errors import UnsupportedOp
from .optimizer import Optimizer, Params


class SparseAdam(Optimizer):
    """Adam for sparse gradients, which weft does not have.

    Raises:
        UnsupportedOp: always, naming what to use instead.
    """

    def __init__(
        self,
        params: Params,
        lr: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        maximize: bool = False,
    ) -> None:
        raise UnsupportedOp(
            "SparseAdam is for sparse gradients, which weft does not have: gradients are dense, "
            "those of embeddings too. Use weft.optim.Adam, with the same options"
        )
