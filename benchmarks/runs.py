"""What a library hands over to be timed."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

#: Parameters and buffers as arrays, with PyTorch's names and layouts.
Weights = Mapping[str, Any]


class Run(NamedTuple):
    """A function to call many times.

    Attributes:
        call: one step, or one forward pass.
        finish: waits for what the calls before have begun; libraries that compute at once or
            within ``call`` have nothing to do.
        value: a number of the call's result (the loss), as a float.
    """

    call: Callable[[], Any]
    finish: Callable[[], object]
    value: Callable[[Any], float]
