"""Where the data of NumPy arrays lie, for many arrays at once.

NumPy's own ways make a dict or an object for each array. Here native code reads the pointers from
the arrays' heads, whose layout is part of NumPy's binary interface (``PyArrayObject_fields``:
data, nd, dimensions, strides, base, descr, flags). The first call checks that against an array.
"""

from __future__ import annotations

import ctypes
from collections.abc import Sequence
from functools import cache
from typing import Any

import numpy as np

from . import jit
from .ir import Module

_HEAD = 2 * ctypes.sizeof(ctypes.c_void_p)  # an object's count of references and its type
_DATA, _FLAGS = _HEAD, _HEAD + 6 * 8
_CONTIGUOUS = 1  # NPY_ARRAY_C_CONTIGUOUS


class Addresses:
    """The addresses of as many arrays at a time.

    Attributes:
        found: the addresses of those that were looked at last.
    """

    def __init__(self, count: int) -> None:
        self._count = count
        self._ids = (ctypes.c_int64 * count)()
        self.found = np.zeros(count, np.int64)
        self._at = ctypes.addressof(self._ids), int(self.found.ctypes.data)

    def look(self, arrays: Sequence[Any]) -> bool:
        """Finds them. False if an array is not C-contiguous."""
        reader = _reader()
        if reader is None:
            self.found[:] = [a.__array_interface__["data"][0] for a in arrays]
            return all([a.flags.c_contiguous for a in arrays])
        self._ids[:] = list(map(id, arrays))
        return bool(reader(*self._at, self._count))


@cache
def _reader() -> Any:
    """Native code that does it, or None where arrays are made in another way."""
    library = _library()
    word = ctypes.c_void_p
    kind = ctypes.CFUNCTYPE(ctypes.c_int64, word, word, ctypes.c_int64)
    function = kind(library.address("weft_addresses"))
    samples = [np.zeros((2, 3)), np.zeros((2, 3)).T]
    out = np.zeros(3, np.int64)
    ids = np.array([id(a) for a in samples], np.int64)
    found = [
        function(ids.ctypes.data, out.ctypes.data, 1),
        function(ids.ctypes.data + 8, out.ctypes.data + 8, 1),
        *out[:2].tolist(),
    ]
    wanted = [1, 0, *[a.__array_interface__["data"][0] for a in samples]]
    return function if found == wanted else None


@cache
def _library() -> jit.Library:
    return jit.compile_module(_text(), ["weft_addresses"])


def _text() -> str:
    module = Module()
    arguments = [("ids", "ptr"), ("out", "ptr"), ("count", "i64")]
    fn = module.function("weft_addresses", arguments, result="i64")
    ids, out, count = fn.arguments
    good = fn.variable("i64", _CONTIGUOUS)
    with fn.loop(0, count) as k:
        array = fn.load("ptr", ids, k)
        fn.store(fn.load("i64", fn.address(array, _DATA, "i8")), out, k)
        flags = fn.convert("zext", fn.load("i32", fn.address(array, _FLAGS, "i8")), "i64")
        fn.store(fn.load("i64", good) & flags, good)
    fn.ret(fn.load("i64", good))
    return module.text()
