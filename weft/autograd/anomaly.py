"""Finding the first gradient that is not a number."""

from __future__ import annotations

from ..gradient import Anomaly


class set_detect_anomaly:  # noqa: N801 (PyTorch's name)
    """From now on, or within a ``with``, ``backward()`` looks for NaNs in what ops give.

    The error names the op and the line that recorded it. Gradients are then computed at once, and
    each is read once more.

    Args:
        mode: whether it is to be so.
        check_nan: without it, nothing is looked for: an op's line is part of its errors anyway.
    """

    def __init__(self, mode: bool, check_nan: bool = True) -> None:
        self._before = Anomaly.on
        Anomaly.on = mode and check_nan

    def __enter__(self) -> None:
        pass

    def __exit__(self, *error: object) -> None:
        Anomaly.on = self._before


class detect_anomaly(set_detect_anomaly):  # noqa: N801 (PyTorch's name)
    """``with weft.autograd.detect_anomaly():``, see :class:`set_detect_anomaly`."""

    def __init__(self, check_nan: bool = True) -> None:
        super().__init__(True, check_nan)


def is_anomaly_enabled() -> bool:
    """Does ``backward()`` look for NaNs?"""
    return Anomaly.on
