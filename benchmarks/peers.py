"""Who is compared, and what each of them runs for a case. Imports no library before it must."""

from __future__ import annotations

from dataclasses import dataclass
from importlib import import_module
from typing import Any

from benchmarks.runs import Run, Weights


@dataclass(frozen=True)
class Peer:
    """A way of running the cases.

    Attributes:
        title: as tables show it.
        library: the package.
        needs: what must be installed.
        compiled: whether the library's own way of compiling is used.
    """

    title: str
    library: str
    needs: tuple[str, ...]
    compiled: bool = False


PEERS = {
    "weft": Peer("weft.compile", "weft", ("weft",), compiled=True),
    "weft loop": Peer("weft, plain loop", "weft", ("weft",)),
    "torch": Peer("PyTorch", "torch", ("torch",)),
    "torch.compile": Peer("torch.compile", "torch", ("torch",), compiled=True),
    "jax": Peer("JAX jit", "jax", ("jax",), compiled=True),
    "flax": Peer("Flax NNX", "flax", ("jax", "flax", "optax"), compiled=True),
    "numpy": Peer("NumPy", "numpy", ("numpy",)),
}

OURS = ("weft", "weft loop")


def version(library: str) -> str:
    """Imports the library: if that fails, the peer cannot take part."""
    return str(import_module(library).__version__)


def run_of(peer: str, group: str, case: str, weights: Weights) -> Run | None:
    """What is timed; None where the library has nothing of the kind."""
    one = PEERS[peer]
    if group == "operations":
        from benchmarks import operations

        return operations.run_of(one.library, case, compiled=one.compiled)
    how = {"steps": "training", "forward": "forward"}[group]
    if one.library in {"weft", "torch"}:
        from benchmarks import with_torch_names

        lib: Any = import_module(one.library)
        made: Run = getattr(with_torch_names, how)(lib, case, weights, compiled=one.compiled)
        return made
    other: Run = getattr(import_module(f"benchmarks.with_{one.library}"), how)(case, weights)
    return other
