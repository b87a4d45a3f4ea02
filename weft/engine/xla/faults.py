"""Errors of data on devices that work ahead: found in a run, raised when a value is read.

A program whose ops can fail (an index out of range) gives, besides its values, for each such op
whether it failed and the value that was wrong. Nobody waits for these; they are looked at when a
value is read.
"""

from __future__ import annotations

from collections.abc import Sequence
from threading import Lock
from typing import Any, NamedTuple

import numpy as np

from ...errors import IndexOutOfRange, OutOfMemoryError
from ...graph.modes import Where, describe
from ...graph.node import Signature
from .rules import Words

#: An op that can fail, and what is said then.
FallibleOp = tuple[Signature, Where | None, Words]


class Watch(NamedTuple):
    """What a run has found out about its ops that can fail.

    Attributes:
        found: on the device, float64: for each whether it failed; for each the wrong value.
        ops: signature, place of recording, and words, for each.
    """

    found: Any
    ops: Sequence[FallibleOp]


_watched: list[Watch] = []
_lock = Lock()


def watch(found: Watch) -> None:
    """Remembers a run; forgets those that are known to have gone well."""
    with _lock:
        _watched[:] = [
            w for w in _watched if not w.found.is_ready() or np.asarray(w.found)[0].any()
        ]
        _watched.append(found)


def raise_faults() -> None:
    """Waits for the runs so far, and raises the first error that they met."""
    if not _watched:
        return
    with _lock:
        watched = list(_watched)
        _watched.clear()  # what ran after an error ran on values that are wrong
    for run in watched:
        failed, wrong = np.asarray(run.found)
        if failed.any():
            k = int(failed.argmax())
            raise _error(*run.ops[k], float(wrong[k]))


def translated(error: Exception, where: object = "") -> Exception:
    """What JAX raised, in weft's terms where there are any."""
    text = str(error)
    if not text.startswith("RESOURCE_EXHAUSTED"):
        return error
    place = f" on {where}" if where else ""
    return OutOfMemoryError(
        f"there is not enough memory{place}: {text.partition(': ')[2]} Take a smaller batch, "
        "16-bit floats, or weft.utils.checkpoint for parts of the model; and let go of results "
        "that you do not need"
    )


def _error(sig: Signature, where: Where | None, words: Words, wrong: float) -> Exception:
    kind, text = words(sig, wrong)
    place = "" if where is None else f"\n  recorded at {describe(where)}"
    return (IndexOutOfRange if kind is IndexError else kind)(f"{sig.op.name}: {text}{place}")
