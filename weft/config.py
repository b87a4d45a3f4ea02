"""The few settings that come from the environment. No other file reads ``os.environ``."""

from __future__ import annotations

import os

#: The pending graph is run when it holds more nodes than this ...
MAX_PENDING_NODES = int(os.environ.get("WEFT_MAX_PENDING_NODES", "20000"))

#: ... or more bytes of host data that came in since the last run.
MAX_PENDING_BYTES = int(os.environ.get("WEFT_MAX_PENDING_BYTES", "268435456"))


def _threads() -> int | None:
    """The number that ``WEFT_NUM_THREADS`` asks for, else the first of ``OMP_NUM_THREADS``."""
    for name in ("WEFT_NUM_THREADS", "OMP_NUM_THREADS"):
        text = os.environ.get(name, "").partition(",")[0].strip()
        if text.isdecimal() and int(text) > 0:
            return int(text)
    return None


#: Threads of a native kernel, or None: as many as this process has processors.
NUM_THREADS = _threads()

#: Machine code is kept here between processes, ...
CACHE_DIR = os.environ.get("WEFT_CACHE_DIR") or "~/.cache/weft"

#: ... unless this is off, ...
CACHE = os.environ.get("WEFT_CACHE", "1") != "0"

#: ... and at most so many bytes of it.
CACHE_BYTES = int(os.environ.get("WEFT_CACHE_BYTES", "268435456"))

#: Everything is run by the reference interpreter.
REFERENCE = os.environ.get("WEFT_REFERENCE", "0") == "1"

#: A graph is run by native code after so many runs by the reference interpreter.
NATIVE_AFTER = int(os.environ.get("WEFT_NATIVE_AFTER", "2"))

#: Every native run is repeated by the reference interpreter, and the values are compared.
COMPARE = os.environ.get("WEFT_COMPARE", "0") == "1"


def take_gpu_memory_as_needed() -> None:
    """Keeps JAX from taking most of a GPU's memory ahead, unless the environment asks for it."""
    os.environ.setdefault("XLA_PYTHON_CLIENT_PREALLOCATE", "false")


_FRACTION = "XLA_PYTHON_CLIENT_MEM_FRACTION"


def set_gpu_memory_fraction(fraction: float) -> None:
    """The part of a GPU's memory that JAX may take. It looks when it is first asked for a GPU."""
    os.environ[_FRACTION] = str(fraction)


def gpu_memory_fraction() -> float:
    """The same, which is JAX's default unless set."""
    return float(os.environ.get(_FRACTION, "0.75"))
