"""Emitters of native code, made into functions on arrays."""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from typing import Any

from weft.engine.native import jit
from weft.engine.native.ir import Module, Value, element, vector
from weft.engine.native.target import Target, host


class Kernels:
    """Functions that apply an emitter to arrays whose lengths are multiples of the lanes."""

    def __init__(self, processor: Target | None = None) -> None:
        self.module = Module(avx512=(processor or host()).avx512)
        self._names: list[str] = []
        self._library: jit.Library | None = None

    def add(
        self, name: str, emit: Callable[..., Value], kinds: str | list[str], lanes: int
    ) -> None:
        """``kinds``: the type of each operand."""
        kinds = [kinds] if isinstance(kinds, str) else kinds
        arguments = [("out", "ptr"), ("n", "i64")] + [(f"x{k}", "ptr") for k in range(len(kinds))]
        fn = self.module.function(name, arguments)
        out, n, *inputs = fn.arguments
        with fn.loop(0, n, lanes) as i:
            values = [
                fn.load(vector(kind, lanes), x, i) for kind, x in zip(kinds, inputs, strict=True)
            ]
            result = emit(fn, *values)
            if element(result.type) == "i1":
                result = fn.convert("zext", result, "i8")
            fn.store(result, out, i)
        self._names.append(name)

    def run(self, name: str, out: Any, *inputs: Any) -> Any:
        """``out``, filled."""
        if self._library is None:
            self._library = jit.compile_module(self.module.text(), self._names)
        call = ctypes.CFUNCTYPE(None, *[ctypes.c_void_p] * (2 + len(inputs)))(
            self._library.address(name)
        )
        call(out.ctypes.data, out.size, *[x.ctypes.data for x in inputs])
        return out
