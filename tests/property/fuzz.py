"""Random programs in weft and in PyTorch, compared step by step.

python tests/property/fuzz.py FIRST COUNT     the programs of these seeds
python tests/property/fuzz.py SEED            one, with its steps
"""

from __future__ import annotations

import collections
import sys
import traceback
import warnings
from contextlib import nullcontext
from typing import Any

import numpy as np
import torch
from torch._C._autograd import CreationMeta, _get_creation_meta

import weft

from .programs import (
    ERRORS,
    Choices,
    Difference,
    Function,
    Machine,
    Seeded,
    Stop,
    Value,
    array_of,
    dtype_name,
)

# PyTorch has saved a value for backward that was changed in place since; weft gives the gradient.
CHANGED = "modified by an inplace operation"
# What only PyTorch refuses, by a part of its message. The program ends there.
TORCH_ONLY = {
    CHANGED: "a value needed for backward was changed in place",
    "is a view and is being modified inplace": "a view that may not be changed in place",
    "This view is the output of a function that returns multiple views": "likewise, of several",
    "A view was created in no_grad mode": "a view made under no_grad",
    "Autograd not support dtype": "integers that require grad, after x[...] = y",
    "with a bool tensor is not supported": "a minus of bools",
    "please report a bug to PyTorch": "a failure of its own",
    "has been detached in-place": "detach_ of a value needed for backward",
    "moved into the graph interior": "a leaf that got a history after detach_",
    "a view of a leaf Variable that requires grad": "a view of a leaf is changed",
}
# What only weft refuses.
WEFT_ONLY = {
    "history has been let go": "second backward",
    "several elements are one and the same": "a part of an expanded tensor is changed in place",
}


# Its mode that keeps what is changed in place knows a value by its address: not when a view that
# begins elsewhere is changed.
torch.autograd.graph._get_sid = lambda x: (x.untyped_storage().data_ptr(), x._version)


class Compared(Machine):
    """A program in both."""

    def __init__(self, choices: Choices, stats: collections.Counter[str]) -> None:
        super().__init__(choices, weft, torch)
        self.stats = stats
        self.watchful = choices.chance(50)
        # Float32 anywhere leaves its rounding in what is float64 later on.
        self.float32 = not self.only_float64

    def attempt(self, name: str, function: Function, *values: Value) -> Value | None:
        ours, theirs = ([v[k] for v in values] for k in (0, 1))
        try:
            for y in theirs:
                y.grad_fn  # brings a view up to date, without which some of PyTorch's checks fail
            wanted = function(torch, *theirs)
            if any(y.requires_grad and not y.dtype.is_floating_point for y in theirs):
                raise Stop("PyTorch only: integers that require grad, after x[...] = y")
        except ERRORS as error:
            self._only_if_known(name, function, ours, error)
            return None
        try:
            found = function(weft, *ours)
        except ERRORS as error:
            for part, reason in WEFT_ONLY.items():
                if part in str(error):
                    raise Stop(f"weft only: {reason}") from None
            raise Difference(f"{name}: only weft raises {type(error).__name__}: {error}") from error
        if name in {"backward", "grad"}:
            self.stats[f"{name} done"] += 1
        if wanted is None or found is None:
            return found, wanted
        self.float32 |= wanted.dtype == torch.float32
        return found, wanted

    def _only_if_known(self, name: str, function: Function, ours: list[Any], error: Any) -> None:
        """PyTorch has raised ``error``: so does weft, or the reason is known."""
        try:
            function(weft, *ours)
        except ERRORS:
            if name == "backward" or (
                name == "grad" and any(not p.is_leaf for _, p in self.leaves)
            ):
                raise Stop(f"both refuse {name}()") from None  # PyTorch may have done half of it
            self.stats["both raise"] += 1
            return
        stop_if_known(error)
        raise Difference(f"{name}: only PyTorch raises {type(error).__name__}: {error}")

    def observe(self, value: Value, what: str, *, gradient: bool = False) -> None:
        x, y = value
        if gradient and x.requires_grad != y.requires_grad:
            self._check_constant(x, y, what)
        else:
            self._compare_kind(value, what)
        found, wanted = array_of(x), array_of(y)
        tolerance = 3e-4 if self.float32 else 1e-9
        size = np.abs(wanted[np.isfinite(wanted)]).max(initial=1) if wanted.size else 1
        if not np.allclose(found, wanted, tolerance, tolerance * size, equal_nan=True):
            if gradient and self._shares_with_another(y):
                raise Stop("PyTorch only: gradients of two leaves in one memory")
            raise Difference(f"{what}:\n{found}\nin PyTorch:\n{wanted}")

    def _shares_with_another(self, gradient: Any) -> bool:
        """As after ``stack([a, b]).sum().backward()``: adding to one gradient adds to both."""
        others = [p.grad for _, p in self.leaves if p.grad is not None and p.grad is not gradient]
        return any(self.storage(g) == self.storage(gradient) for g in others)

    def _check_constant(self, x: Any, y: Any, what: str) -> None:
        """A gradient that does not depend on anything may say so or not."""
        L, g, leaves = (
            (weft, x, [p for p, _ in self.leaves])
            if x.requires_grad
            else (torch, y, [p for _, p in self.leaves])
        )
        if not all(p.is_leaf for p in leaves):
            return  # to ask would change the gradients that are kept
        leaves = [p for p in leaves if p.requires_grad]
        try:
            second = L.autograd.grad(g.sum(), leaves, retain_graph=True, allow_unused=True)
        except RuntimeError:
            return  # what it depends on has been let go
        if any(h is not None and np.any(array_of(h)) for h in second):
            raise Difference(
                f"{what}: requires_grad {x.requires_grad}, in PyTorch {y.requires_grad}"
            )

    @staticmethod
    def _compare_kind(value: Value, what: str) -> None:
        y = value[1]
        for name, of in KINDS.items():
            found, wanted = map(of, value)
            if found != wanted:
                if y._is_view() and _get_creation_meta(y) == CreationMeta.NO_GRAD_MODE:
                    raise Stop("PyTorch only: a view made under no_grad says requires_grad")
                raise Difference(f"{what}: {name} {found}, in PyTorch {wanted}")

    def after_step(self) -> None:
        if self.watchful:
            for k, value in enumerate(self.pool):
                self._compare_kind(value, f"#{k} after {self.steps[-1] if self.steps else ''}")

    def storage(self, x: Any) -> Any:
        return x.untyped_storage().data_ptr()


def stop_if_known(error: Exception) -> None:
    """An error of PyTorch alone that is known ends the program."""
    for part, reason in TORCH_ONLY.items():
        if part in str(error):
            raise Stop(f"PyTorch only: {reason}")


KINDS = {
    "dtype": dtype_name,
    "shape": lambda x: tuple(x.shape),
    "requires_grad": lambda x: x.requires_grad,
    "is_leaf": lambda x: x.is_leaf,
}


def run(choices: Choices, stats: collections.Counter[str]) -> list[str]:
    """Runs one program and returns its steps.

    Raises:
        Difference: with its steps as a note.
    """
    weft.realize()
    # With it, PyTorch keeps what it needs when that is changed in place, so that those gradients
    # can be compared as well; without it, it complains.
    keeps = choices.chance(50)
    machine = Compared(choices, stats)
    context = torch.autograd.graph.allow_mutation_on_saved_tensors() if keeps else nullcontext()
    try:
        with warnings.catch_warnings(), context:
            warnings.simplefilter("ignore")  # create_graph=True in PyTorch's backward()
            try:
                machine.run()
            except RuntimeError as error:
                stop_if_known(error)  # also y.requires_grad raises such
                raise
    except Stop as stop:
        stats[f"ended early: {stop}"] += 1
    except Exception as error:
        error.add_note("\n".join([f"limit {machine.limit}, keeps {keeps}", *machine.steps]))
        raise
    else:
        stats["complete"] += 1
    return machine.steps


def main(first: int, count: int) -> int:
    stats: collections.Counter[str] = collections.Counter()
    failed = 0
    for seed in range(first, first + count):
        try:
            steps = run(Seeded(seed), stats)
        except (Difference, *ERRORS) as error:
            failed += 1
            if failed <= 10:
                print(f"---- seed {seed}: {type(error).__name__}: {error}")
                print("\n".join(error.__notes__ if hasattr(error, "__notes__") else []))
                if not isinstance(error, Difference):
                    traceback.print_exc()
        else:
            if count == 1:
                print("\n".join(steps))
    print(f"{count} programs, {failed} differ")
    for what, times in stats.most_common():
        print(f"{times:8} {what}")
    return int(failed > 0)


if __name__ == "__main__":
    torch.set_num_threads(1)
    arguments = [int(a) for a in sys.argv[1:]]
    sys.exit(main(arguments[0], arguments[1] if len(arguments) > 1 else 1))
