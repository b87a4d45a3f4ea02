"""One transformation at work: what it differentiates by, and which histories leave it.

Transformations nest. Within one, a Tensor may belong to another around it, or to the user, who may
call ``backward`` on what comes out. So results keep their history if, and only if, it reaches
something that is not this level's own.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ..autograd.modes import enable_grad, is_grad_enabled
from ..errors import GradientError
from ..graph.node import HISTORY, LEAF, RELEASED, Node
from ..tensors.core import TensorCore, node_of, not_a_tensor
from ..tensors.creation import zeros_like
from ..tensors.differentiate import grad
from ..tensors.tensor import Tensor
from .tree import Build, flatten, mapped


class Level:
    """One call of a transformation.

    Args:
        name: of the transformation, for errors.
        value: what is differentiated by: Tensors, within tuples, lists and dicts.
    """

    def __init__(self, name: str, value: Any) -> None:
        self.name = name
        self._outside_tracks = is_grad_enabled()
        leaves, self.build_inputs = flatten(value)
        self.inputs = [self._entered(x) for x in leaves]
        self._own = {id(x) for x in self.inputs}

    def _entered(self, x: Any) -> Tensor:
        if not isinstance(x, TensorCore):
            raise not_a_tensor(x, f"{self.name} differentiates by Tensors; among the inputs is")
        tensor: Tensor = x  # type: ignore[assignment]
        if self._outside_tracks and node_of(tensor).tracks & (LEAF | HISTORY):
            return tensor.clone()
        return tensor.detach().clone().requires_grad_()

    def arguments(self) -> Any:
        """What the function is called with: copies, which it may change in place."""
        with enable_grad():
            return self.build_inputs([x.clone() for x in self.inputs])

    def outputs(self, value: Any) -> tuple[list[Tensor], Build]:
        """The Tensors that the function gave.

        Raises:
            TypeError: if it gave anything else.
        """
        leaves, build = flatten(value)
        for y in leaves:
            if not isinstance(y, TensorCore):
                raise not_a_tensor(y, f"{self.name}: the function must give Tensors, but gave")
        return leaves, build

    def left(self, value: Any) -> Any:
        """``value`` as it leaves this level."""
        return mapped(self._left, value)

    def _left(self, x: Tensor) -> Tensor:
        node = node_of(x)
        if not node.tracks or (self._outside_tracks and self._reaches_out(node)):
            return x
        return x.detach()

    def _reaches_out(self, root: Node) -> bool:
        seen, stack = {root}, [root]
        while stack:
            node = stack.pop()
            if node.tracks & LEAF:
                if id(node.extra()) not in self._own:
                    return True
            elif node.tracks & RELEASED:  # an earlier backward() has used up what was outside
                return True
            for source in node.inputs:
                if source is not None and source.tracks and source not in seen:
                    seen.add(source)
                    stack.append(source)
        return False

    def own(self, x: Tensor) -> Tensor:
        """Makes ``x`` a variable of this level."""
        x.requires_grad_()
        self._own.add(id(x))
        return x

    def gradients(
        self, outputs: Sequence[Tensor], inputs: Sequence[Tensor], seeds: Sequence[Any]
    ) -> list[Tensor]:
        """Gradients that can be differentiated themselves; zeros where there are none."""
        pairs = [(y, s) for y, s in zip(outputs, seeds, strict=True) if y.requires_grad]
        if not pairs:
            return [zeros_like(x) for x in inputs]
        roots, given = [y for y, _ in pairs], [s for _, s in pairs]
        with enable_grad():
            found = grad(roots, list(inputs), given, create_graph=True, materialize_grads=True)
        return list(found)

    def check_number(self, y: Any) -> Tensor:
        """Raises GradientError unless ``y`` is a Tensor without dimensions."""
        if not isinstance(y, TensorCore) or y.ndim != 0:  # type: ignore[attr-defined]
            what = (
                f"a Tensor of shape {list(y.shape)}"  # type: ignore[attr-defined]
                if isinstance(y, TensorCore)
                else type(y).__name__
            )
            raise GradientError(
                f"{self.name}: the function must give one number, but gave {what}: reduce it, for "
                "example with .sum(), or use jacrev"
            )
        return y  # type: ignore[return-value]
