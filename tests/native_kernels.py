"""Running kernels of the native engine by themselves."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from weft.engine.native.ir import Module
from weft.engine.native.jit import compile_module
from weft.engine.native.threads import launch, runtime_address


class Compiled:
    """The machine code of a module's kernels."""

    def __init__(self, module: Module, *names: str) -> None:
        self._library = compile_module(module.text(), names)

    def run(
        self,
        name: str,
        arrays: Sequence[Any],
        workspace: int,
        threads: int,
        extra: Sequence[Any] = (),
    ) -> None:
        """Calls a kernel on as many threads.

        Args:
            arrays: inputs, then the output.
            workspace: bytes of it; they are full of NaN, and so is a guard behind them.
            extra: what an epilogue reads.
        """
        guard = 64
        space = np.full(workspace + 2 * guard, 0xFF, np.uint8)
        space = space[-space.ctypes.data % 64 :]
        addresses = [a.ctypes.data for a in (*arrays, space, *extra)]
        args = np.array([runtime_address(), *addresses], np.int64)
        launch(self._library.address(name), args.ctypes.data, threads)
        assert (space[workspace:] == 0xFF).all(), "beyond its workspace"
