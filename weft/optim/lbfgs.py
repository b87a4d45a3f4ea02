"""L-BFGS: a quasi-Newton method that evaluates the loss several times a step."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ..autograd.modes import enable_grad, no_grad
from ..tensors.complex import view_as_real
from ..tensors.creation import zeros_like
from ..tensors.shape import cat, stack
from ..tensors.tensor import Tensor
from .line_search import Point, strong_wolfe
from .optimizer import Optimizer, Params


class LBFGS(Optimizer):
    """L-BFGS (Nocedal, 1980; Liu and Nocedal, 1989). One group of parameters only.

    Each iteration decides by the loss and the gradient's size how to go on, so that, unlike the
    other optimisers', its steps wait for values.

    Args:
        lr: step size (the first one tried, with a line search).
        max_iter: iterations in a step.
        max_eval: evaluations of the loss in a step; by default 1.25 ``max_iter``.
        tolerance_grad: stop when no element of the gradient is larger.
        tolerance_change: stop when no parameter, or not the loss, changes by more.
        history_size: how many changes the estimate of the curvature is made of.
        line_search_fn: None, or "strong_wolfe".

    Raises:
        ValueError: for several groups, or options out of range.

    Example:
        >>> x = weft.tensor([3.0, -2.0], requires_grad=True)
        >>> optimiser = weft.optim.LBFGS([x])
        >>> def closure():
        ...     optimiser.zero_grad()
        ...     loss = (x * x).sum()
        ...     loss.backward()
        ...     return loss
        >>> optimiser.step(closure)
        tensor(13., grad_fn=<SumBackward>)
    """

    def __init__(
        self,
        params: Params,
        lr: float = 1,
        max_iter: int = 20,
        max_eval: int | None = None,
        tolerance_grad: float = 1e-7,
        tolerance_change: float = 1e-9,
        history_size: int = 100,
        line_search_fn: str | None = None,
    ) -> None:
        defaults = {
            "lr": lr,
            "max_iter": max_iter,
            "max_eval": max_iter * 5 // 4 if max_eval is None else max_eval,
            "tolerance_grad": tolerance_grad,
            "tolerance_change": tolerance_change,
            "history_size": history_size,
            "line_search_fn": line_search_fn,
        }
        super().__init__(params, defaults)

    def add_param_group(self, param_group: dict[str, Any]) -> None:
        super().add_param_group(param_group)
        if len(self.param_groups) > 1:
            del self.param_groups[1]
            raise ValueError(
                "LBFGS doesn't support per-parameter options (parameter groups): it has one group, "
                "whose parameters it looks at as one vector. Give them in one list"
            )

    def check_group(self, group: dict[str, Any]) -> None:
        super().check_group(group)
        if group["line_search_fn"] not in (None, "strong_wolfe"):
            raise ValueError(
                f"LBFGS: line_search_fn={group['line_search_fn']!r} must be 'strong_wolfe' or None"
            )
        if group["history_size"] < 1:
            raise ValueError(f"LBFGS: history_size={group['history_size']} must be at least 1")

    def state_fits(self, name: str, shape: tuple[int, ...], param: Tensor) -> bool:
        return shape == (sum(_vector(p).numel() for p in self.param_groups[0]["params"]),)

    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """Evaluates ``closure`` and moves, up to ``max_iter`` times; its first result is returned.

        Raises:
            TypeError: without a closure.
        """
        if closure is None:
            raise TypeError(
                "LBFGS evaluates the loss several times: step(closure) needs a function that "
                "computes it and its gradients, and returns it"
            )
        with no_grad():
            return _Step(self, closure).run()


def _vector(x: Tensor) -> Tensor:
    """All elements; of complex ones both parts, each a number of its own."""
    return (view_as_real(x.resolve_conj()) if x.is_complex() else x).reshape(-1)


class _Step:
    """One call of ``step``: the options, what is remembered, and the iterations."""

    def __init__(self, optimiser: LBFGS, closure: Callable[[], Any]) -> None:
        self.options = optimiser.param_groups[0]
        self.params: list[Tensor] = self.options["params"]
        self.rate = float(self.options["lr"])
        # All state is kept with the first parameter, as PyTorch does.
        state = self.state = optimiser.state[self.params[0]]
        self.n_iter: int = state.setdefault("n_iter", 0)
        state.setdefault("func_evals", 0)
        self.closure = closure
        self.evaluations = 0
        self.direction: Any = state.get("d")  # a Tensor, from the first iteration on
        self.t = float(state.get("t", 0))
        self.old_dirs: list[Tensor] = list(state.get("old_dirs") or ())
        self.old_stps: list[Tensor] = list(state.get("old_stps") or ())
        self.ro = [float(r) for r in state.get("ro") or ()]
        self.scale = float(state.get("H_diag", 1))
        self.last_grad: Any = state.get("prev_flat_grad")
        self.last_loss = float(state.get("prev_loss", 0))

    def run(self) -> Any:
        first = self._call_closure()
        loss, grad = float(first), self._flat_grad()
        if grad.abs().max() <= self.options["tolerance_grad"]:
            self.state["func_evals"] += self.evaluations
            return first
        most = self.options["max_iter"]
        for k in range(1, most + 1):
            self._turn(grad)
            self.last_grad, self.last_loss = grad, loss
            start = Point(0.0, loss, grad, self._slope(grad))
            if start.slope > -self.options["tolerance_change"]:
                break
            loss, grad = self._move(start, last=k == most)
            if k == most or self._is_over(loss, grad):
                break
        self._remember()
        return first

    def _call_closure(self) -> Any:
        self.evaluations += 1
        with enable_grad():
            return self.closure()

    def _flat_grad(self) -> Tensor:
        parts = [zeros_like(p) if p.grad is None else p.grad for p in self.params]
        return cat([_vector(g) for g in parts])

    def _add(self, t: float) -> None:
        """Moves the parameters along the direction."""
        start = 0
        for p in self.params:
            pairs = view_as_real(p) if p.is_complex() else p
            part = self.direction[start : start + pairs.numel()]
            pairs.add_(part.reshape(pairs.shape) * t)
            start += pairs.numel()

    def _turn(self, grad: Tensor) -> None:
        """A new direction: the gradient's, corrected for curvature by the last changes."""
        self.n_iter += 1
        if self.n_iter == 1:
            self.direction = -grad
            self.t = min(1.0, 1.0 / float(grad.abs().sum())) * self.rate
            return
        y, s = grad - self.last_grad, self.direction * self.t
        ys, yy = stack([y.dot(s), y.dot(y)]).tolist()
        if ys > 1e-10:  # curved upwards, beyond rounding errors
            kept = self.options["history_size"]
            self.old_dirs = [*self.old_dirs, y][-kept:]
            self.old_stps = [*self.old_stps, s][-kept:]
            self.ro = [*self.ro, 1.0 / ys][-kept:]
            self.scale = ys / yy
        self.direction = self._two_loops(-grad)
        self.t = self.rate

    def _two_loops(self, q: Tensor) -> Tensor:
        """The inverse curvature times a vector (Nocedal and Wright, 2006, algorithm 7.4)."""
        memory = list(zip(self.old_dirs, self.old_stps, self.ro, strict=True))
        shares = []
        for y, s, r in reversed(memory):
            shares.append(s.dot(q) * r)
            q = q - y * shares[-1]
        q = q * self.scale
        for (y, s, r), share in zip(memory, reversed(shares), strict=True):
            q = q + s * (share - y.dot(q) * r)
        return q

    def _move(self, start: Point, *, last: bool) -> tuple[float, Tensor]:
        """Goes along the direction; returns loss and gradient there."""
        if self.options["line_search_fn"] is None:
            self._add(self.t)
            if last:  # nobody looks at them: the next batch may be another
                return start.loss, start.grad
            return float(self._call_closure()), self._flat_grad()
        point, _ = strong_wolfe(
            self._evaluate_from([p.clone() for p in self.params]),
            start,
            self.t,
            self.options["max_eval"] - self.evaluations,
            float(self.direction.abs().max()),
            self.options["tolerance_change"],
        )
        self.t = float(point.t)
        self._add(self.t)
        return point.loss, point.grad

    def _evaluate_from(self, values: list[Tensor]) -> Callable[[float], Point]:
        def evaluate(t: float) -> Point:
            self._add(t)
            loss, grad = float(self._call_closure()), self._flat_grad()
            for p, value in zip(self.params, values, strict=True):
                p.copy_(value)
            return Point(t, loss, grad, self._slope(grad))

        return evaluate

    def _slope(self, grad: Tensor) -> Any:
        """Of the line, in the gradient's dtype."""
        return grad.dot(self.direction).numpy()[()]

    def _is_over(self, loss: float, grad: Tensor) -> bool:
        least = self.options["tolerance_change"]
        steepest, longest = stack([grad.abs().max(), self.direction.abs().max()]).tolist()
        return any(
            [
                self.evaluations >= self.options["max_eval"],
                steepest <= self.options["tolerance_grad"],
                longest * abs(self.t) <= least,
                abs(loss - self.last_loss) < least,
            ]
        )

    def _remember(self) -> None:
        self.state["func_evals"] += self.evaluations
        self.state.update(
            n_iter=self.n_iter,
            d=self.direction,
            t=self.t,
            old_dirs=self.old_dirs,
            old_stps=self.old_stps,
            ro=self.ro,
            H_diag=self.scale,
            prev_flat_grad=self.last_grad,
            prev_loss=self.last_loss,
        )
