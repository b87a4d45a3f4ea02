"""What weft raises.

    WeftError
    ├── ShapeError       (RuntimeError, ValueError)  shapes that do not fit one another
    ├── DTypeError       (RuntimeError, TypeError, ValueError)  a dtype that an op or a layer
    │                                                cannot take
    ├── DeviceError      (RuntimeError)              a device that is not there, or two that differ
    ├── DataError        (RuntimeError, ValueError)  values that an op cannot take, found when run
    │   └── LinAlgError  (numpy.linalg.LinAlgError)  matrices that cannot be solved or decomposed
    ├── OptionError      (RuntimeError, ValueError)  an option that an op cannot take
    ├── OutOfMemoryError (RuntimeError, MemoryError) a device's memory does not suffice
    ├── GradientError    (RuntimeError)              a backward() that cannot be done
    ├── IndexOutOfRange  (IndexError, RuntimeError)  an index beyond the end
    ├── IndexingError    (ShapeError, DTypeError, IndexError)  what cannot be an index here
    ├── CompileError     (RuntimeError)              a function that weft.compile cannot record
    ├── UnsupportedOp    (NotImplementedError)       a feature that weft does not have (yet)
    ├── CheckpointError  (RuntimeError, ValueError, pickle.UnpicklingError)  a file or state that
    │                                                cannot be read, or saved
    ├── DatasetError     (ShapeError, TypeError, AssertionError)  data that do not fit together
    ├── WorkerError      (RuntimeError)              a DataLoader's worker that died, or is late
    └── InternalError    (RuntimeError)              a fault of weft's own, not of its user

Each also derives from the built-in exception that PyTorch raises in the same place, so that an
``except RuntimeError`` written for PyTorch goes on working.

An error that leaves a module's ``forward`` carries that module's path (``encoder.layers.3.attn``):
``Module.__call__`` fills in ``module`` once, and the message shows it.
"""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches
from pickle import UnpicklingError

import numpy as np


class WeftError(Exception):
    """Base of all errors that weft raises itself."""

    module: str | None = None  # where it happened, set by Module.__call__

    def __str__(self) -> str:
        text = super().__str__()
        return text if self.module is None else f"{text}\n  in module {self.module}"


class ShapeError(WeftError, RuntimeError, ValueError):
    """Shapes that do not fit one another."""


class DTypeError(WeftError, RuntimeError, TypeError, ValueError):
    """A dtype that an op or a layer cannot take."""


class DeviceError(WeftError, RuntimeError):
    """A device that is not there, or tensors on two devices in one op."""


class DataError(WeftError, RuntimeError, ValueError):
    """Values that an op cannot take; raised when it is run."""


class LinAlgError(DataError, np.linalg.LinAlgError):
    """Matrices that cannot be solved for, or decomposed."""


class OptionError(WeftError, RuntimeError, ValueError):
    """An option that an op cannot take."""


class OutOfMemoryError(WeftError, RuntimeError, MemoryError):
    """The memory of a device does not suffice for what is to be computed on it."""


class GradientError(WeftError, RuntimeError):
    """A gradient that cannot be computed."""


class IndexOutOfRange(WeftError, IndexError, RuntimeError):
    """An index beyond the end of a dimension."""


class IndexingError(ShapeError, DTypeError, IndexError):
    """What cannot be an index of this tensor: a mask of another shape, floats."""


class CompileError(WeftError, RuntimeError):
    """A function that cannot be recorded as a whole."""


class UnsupportedOp(WeftError, NotImplementedError):
    """A feature that weft does not have."""


class CheckpointError(WeftError, RuntimeError, ValueError, UnpicklingError):
    """A file or state that cannot be read whole, or a file that could not be written."""


class DatasetError(ShapeError, TypeError, AssertionError):
    """Datasets, or tensors of one, that do not fit together."""


class WorkerError(WeftError, RuntimeError):
    """A worker of a DataLoader that has died, or does not answer in time."""


class InternalError(WeftError, RuntimeError):
    """A fault of weft's own, not of its user. Please report it."""

    text: str | None = None  # the code that could not be compiled


def did_you_mean(name: str, names: Iterable[str], limit: int = 3) -> str:
    """`` Did you mean 'add_module'?`` or ``""``: the names nearest to a mistyped one.

    Names that begin with the whole of ``name`` come first, shortest first, so that ``nn.Conv``
    suggests ``Conv1d, Conv2d, Conv3d``.
    """
    if name.startswith("__"):  # asked for by Python and its tools, which want no advice, but speed
        return ""
    names = sorted(set(names) - {name}, key=lambda n: (len(n), n))
    lower = name.lower()
    begins = [n for n in names if n.lower().startswith(lower)] if len(name) > 2 else []
    if begins:
        shortest = len(begins[0])
        found = [n for n in begins if len(n) <= shortest + 1][:limit]
    else:
        by_lower: dict[str, list[str]] = {}
        for n in names:
            by_lower.setdefault(n.lower(), []).append(n)
        near = get_close_matches(lower, by_lower, n=limit, cutoff=0.72)
        found = [n for each in near for n in by_lower[each]][:limit]
    if not found:
        return ""
    if len(found) == 1:
        return f" Did you mean '{found[0]}'?"
    return f" Did you mean one of {', '.join(found)}?"
