"""Compiling and running kernels of the native engine by themselves."""

from __future__ import annotations

import ctypes
import threading
from collections.abc import Sequence
from typing import Any

import llvmlite.binding as llvm
import numpy as np

from weft.engine.native.ir import Module

_ENTRY = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_int64, ctypes.c_int64)
_BARRIER = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_int64)


class Compiled:
    """The machine code of a module."""

    def __init__(self, module: Module) -> None:
        llvm.initialize_native_target()
        llvm.initialize_native_asmprinter()
        machine = llvm.Target.from_default_triple().create_target_machine(
            cpu=llvm.get_host_cpu_name(), features=llvm.get_host_cpu_features().flatten(), opt=1
        )
        parsed = llvm.parse_assembly(module.text())
        parsed.verify()
        builder = llvm.create_pass_builder(machine, llvm.create_pipeline_tuning_options(1))
        builder.getModulePassManager().run(parsed, builder)
        self._engine = llvm.create_mcjit_compiler(parsed, machine)
        self._engine.finalize_object()

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
            workspace: bytes of it; they are full of NaN.
            extra: what an epilogue reads.
        """
        entry = _ENTRY(self._engine.get_function_address(name))
        meeting = threading.Barrier(threads)
        barrier = _BARRIER(lambda _context, _threads: meeting.wait() and None)
        runtime = np.array([ctypes.cast(barrier, ctypes.c_void_p).value, 0])
        space = np.full(workspace + 64, 0xFF, np.uint8)
        space = space[-space.ctypes.data % 64 :]
        args = np.array([a.ctypes.data for a in (runtime, *arrays, space, *extra)])
        team = [
            threading.Thread(target=entry, args=(args.ctypes.data, tid, threads))
            for tid in range(threads)
        ]
        for thread in team:
            thread.start()
        for thread in team:
            thread.join()
