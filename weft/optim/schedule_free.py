"""AdamW without a schedule."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ..autograd.modes import no_grad
from ..dtypes import float64
from ..tensors.creation import tensor, zeros_like
from ..tensors.elementwise import maximum
from .optimizer import Optimizer, Params


class AdamWScheduleFree(Optimizer):
    """Schedule-free AdamW (Defazio et al., 2024, arXiv:2405.15682): an average of the weights does
    what a falling rate is for, without knowing when training ends.

    While training, the parameters are the point where gradients are taken; the weights to use are
    an average. :meth:`eval` puts the average in place, :meth:`train` the other back: call them with
    those of the model, and ``eval()`` before saving it.

    Args:
        lr: step size, after the warm-up.
        betas: how near to the average gradients are taken, and how much of the running mean of
            squares is kept at each step.
        eps: added to the root of the square.
        weight_decay: decoupled decay.
        warmup_steps: over so many, the rate rises linearly.
        r: step k has the weight ``k ** r`` in the average.
        weight_lr_power: and the largest rate so far, to this power.
        maximize: climb instead.

    Raises:
        ValueError: for options out of range.

    Example:
        >>> model = nn.Linear(2, 1)
        >>> optimizer = weft.optim.AdamWScheduleFree(model)
        >>> model(weft.ones(1, 2)).sum().backward()
        >>> optimizer.step()
        >>> optimizer.eval()  # the model now has the averaged weights
    """

    def __init__(
        self,
        params: Params,
        lr: float = 2.5e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0,
        warmup_steps: int = 0,
        r: float = 0.0,
        weight_lr_power: float = 2.0,
        *,
        maximize: bool = False,
        **options: Any,
    ) -> None:
        defaults = {
            "lr": lr,
            "betas": betas,
            "eps": eps,
            "weight_decay": weight_decay,
            "warmup_steps": warmup_steps,
            "r": r,
            "weight_lr_power": weight_lr_power,
            "maximize": maximize,
            "train_mode": True,
        }
        super().__init__(params, defaults, options)

    def check_group(self, group: dict[str, Any]) -> None:
        super().check_group(group)
        self.check_betas(group)
        self.check_not_negative(group, "warmup_steps")
        if group["betas"][0] == 0:
            raise self.invalid("betas[0]", 0, "must be above 0: there would be no average")

    def train(self) -> None:
        """Puts the parameters where gradients are taken."""
        for group in self.param_groups:
            if not group["train_mode"]:
                self._move(group, 1 - group["betas"][0])
                group["train_mode"] = True

    def eval(self) -> None:
        """Puts the averaged weights in place."""
        for group in self.param_groups:
            if group["train_mode"]:
                self._move(group, 1 - 1 / group["betas"][0])
                group["train_mode"] = False

    def _move(self, group: dict[str, Any], share: float) -> None:
        with no_grad():
            for p in group["params"]:
                state = self.state.get(p)
                if state:
                    p.lerp_(state["z"], share)

    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """See :meth:`Optimizer.step`.

        Raises:
            RuntimeError: after :meth:`eval`, before :meth:`train`.
        """
        if not all(group["train_mode"] for group in self.param_groups):
            raise RuntimeError(
                "AdamWScheduleFree.step(): the averaged weights are in place since eval(), and a "
                "step from there would spoil them. Call optimizer.train() first, where the model's "
                "train() is called"
            )
        return super().step(closure)

    def update(self, group: dict[str, Any], params: list[Any]) -> None:
        beta1, beta2 = group["betas"]
        for p in params:
            g = -p.grad if group["maximize"] else p.grad
            state = self.state[p]
            if not state:
                state["step"] = tensor(0.0, device=p.device)
                state["z"] = p.detach().clone()
                state["exp_avg_sq"] = zeros_like(p)
                state["lr_max"] = tensor(0.0, dtype=float64, device=p.device)
                state["weight_sum"] = tensor(0.0, dtype=float64, device=p.device)
            step = state["step"].add_(1).double()
            lr = group["lr"] * (step / max(group["warmup_steps"], 1)).clamp(max=1.0)
            largest = state["lr_max"].copy_(maximum(state["lr_max"], lr))
            weight = step ** group["r"] * largest ** group["weight_lr_power"]
            total = state["weight_sum"].add_(weight)
            share = weight / (total + (total == 0))  # 0 while all rates were 0
            square = state["exp_avg_sq"].mul_(beta2).add_(g * g * (1 - beta2))
            change = g / ((square / (1 - beta2**step)).sqrt() + group["eps"])
            if group["weight_decay"]:
                change = change + p * group["weight_decay"]
            z = state["z"]
            p.add_((z - p) * share).add_(change * (lr * (beta1 * (1 - share) - 1)))
            z.sub_(change * lr)
