"""Exceptions that come from another process."""

from __future__ import annotations

import pickle
import traceback
from pathlib import Path
from types import TracebackType

_HERE = str(Path(__file__).parent)


class Remote:
    """An exception on its way out of a worker process."""

    def __init__(self, error: Exception, worker: int) -> None:
        kind = type(error).__name__
        lines = traceback.format_exception(type(error), error, _from_the_user(error.__traceback__))
        self._text = (
            f"Caught {kind} in DataLoader worker process {worker}.\n"
            f"Original {''.join(lines).rstrip()}"
        )
        self._short = f"{kind}: {_said_by(error)}"
        self._pickled = _pickled(error)

    def error(self) -> Exception:
        """The exception as it was raised, telling where; a RuntimeError if it cannot be sent."""
        error = self._rebuilt()
        if len(error.args) == 1 and isinstance(error.args[0], str):
            error.args = (_Verbatim(f"{error.args[0]}\n\n{self._text}"),)
        if self._text not in str(error):
            error.add_note(self._text)
        return error

    def _rebuilt(self) -> Exception:
        if self._pickled is not None:
            try:
                error = pickle.loads(self._pickled)  # noqa: S301 (our own worker's)
            except Exception:  # noqa: BLE001 (as in _pickled, here for modules that are not the same)
                error = None
            if isinstance(error, Exception):
                error.__dict__.pop("__notes__", None)  # the text has them
                return error
        return RuntimeError(self._short)


def _from_the_user(trace: TracebackType | None) -> TracebackType | None:
    """A traceback without the worker's own calls that led to the dataset."""
    while trace is not None and trace.tb_next is not None:
        if not trace.tb_frame.f_code.co_filename.startswith(_HERE):
            break
        trace = trace.tb_next
    return trace


class _Verbatim(str):
    """Text that KeyError shows as it is, with line ends."""

    __slots__ = ()

    def __repr__(self) -> str:
        return str(self)


def _said_by(error: Exception) -> str:
    try:
        return str(error)
    except Exception:  # noqa: BLE001 (a user's __str__)
        return "(its text cannot be made)"


def _pickled(error: Exception) -> bytes | None:
    try:
        content = pickle.dumps(error)
        str(pickle.loads(content))  # noqa: S301 (our own) (many exceptions fail only here)
    except Exception:  # noqa: BLE001 (pickling runs code of any kind)
        return None
    return content
