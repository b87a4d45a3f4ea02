"""Steps that run as one kernel."""

from __future__ import annotations

from dataclasses import dataclass, field

from .fused import Fused
from .lower import Step
from .views import Shape

#: A loop is not made larger than this.
MAX_STEPS = 64


@dataclass
class Group:
    """Steps that run as one kernel.

    Attributes:
        shape: of a loop, its domain.
        reduced: its reduced dimensions; None as long as there is no reduction.
        after: bit k is set if group k must have run before.
        into: the group that this one was merged with, which has its steps.
        fused: of a loop, its kernel together with the product or convolution (its first step) whose
            sums it reads in registers, and where the loop's buffers begin.
    """

    number: int
    kind: str
    steps: list[Step] = field(default_factory=list)
    shape: Shape = ()
    reduced: tuple[int, ...] | None = None
    after: int = 0
    into: Group | None = None
    fused: tuple[Fused, list[tuple[int, int]]] | None = None

    @property
    def row(self) -> Shape | None:
        """The sizes of the dimensions that are left, without those of size 1."""
        if self.reduced is None:
            return None
        return tuple([n for k, n in enumerate(self.shape) if k not in self.reduced and n != 1])


def domain(step: Step) -> tuple[Shape, tuple[int, ...] | None]:
    """The points over which a step goes, and which of their dimensions it reduces."""
    if step.kind != "reduce":
        return step.shape, None
    return step.operands[0].view.shape, tuple(sorted(step.sig.attrs[0]))


def squeezed(shape: Shape) -> Shape:
    return tuple([n for n in shape if n != 1])
