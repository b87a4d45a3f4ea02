"""What ``torch.cuda`` has and weft has not, and why."""

from __future__ import annotations

from typing import Any

from ..errors import UnsupportedOp

_ALLOCATES = "JAX allocates memory, see XLA_PYTHON_CLIENT_ALLOCATOR in its documentation"
_GRAPHS = "weft.compile runs a step as one program"
_LIBRARIES = "JAX calls CUDA and its libraries"
_SENSORS = "`nvidia-smi` shows it"
_STREAMS = "XLA itself finds out what may run side by side"
_STORED = "tensors are values in a recorded graph; x.numpy() copies them to the CPU"
_TRACES = "weft.explain shows programs and their cost, and jax.profiler traces what runs"

_ALLOCATORS = (
    *("CUDAPluggableAllocator", "MemPool", "caching_allocator_alloc", "caching_allocator_delete"),
    *("caching_allocator_disabled", "caching_allocator_enable", "change_current_allocator"),
    *("get_allocator_backend", "host_memory_stats", "host_memory_stats_as_nested_dict"),
    *("memory_snapshot", "memory_stats_as_nested_dict", "reset_accumulated_host_memory_stats"),
    *("reset_peak_host_memory_stats", "use_mem_pool"),
)
_KINDS = (
    *("BFloat16", "Bool", "Byte", "Char", "ComplexDouble", "ComplexFloat", "Double", "Float"),
    *("Half", "Int", "Long", "Short"),
)

WHY: dict[str, str] = {
    **dict.fromkeys(_ALLOCATORS, _ALLOCATES),
    **dict.fromkeys(("CUDAGraph", "graph", "graphs", "graph_pool_handle"), _GRAPHS),
    "make_graphed_callables": _GRAPHS,
    **dict.fromkeys(("DeferredCudaCallError", "check_error", "cudaStatus", "cudart"), _LIBRARIES),
    **dict.fromkeys(("current_blas_handle", "current_solver_handle", "gds"), _LIBRARIES),
    **dict.fromkeys(("get_gencode_flags", "sparse"), _LIBRARIES),
    **dict.fromkeys(("utilization", "memory_usage", "temperature", "power_draw"), _SENSORS),
    **dict.fromkeys(("clock_rate", "list_gpu_processes", "device_memory_used"), _SENSORS),
    **dict.fromkeys(("ExternalStream", "GreenContext", "green_contexts"), _STREAMS),
    "get_stream_from_external": _STREAMS,
    **{f"{kind}Storage": _STORED for kind in _KINDS},
    **dict.fromkeys(("nvtx", "profiler", "get_sync_debug_mode", "set_sync_debug_mode"), _TRACES),
    **dict.fromkeys(("jiterator", "tunable"), "XLA makes and chooses kernels itself"),
    **dict.fromkeys(("nccl", "comm"), "XLA exchanges values between devices itself"),
    "can_device_access_peer": "x.to('cuda:1') takes the shortest way that there is",
}

_CLASSES = ("CUDAGraph", "MemPool", "CUDAPluggableAllocator", "ExternalStream", "GreenContext")


def absent(name: str) -> Any:
    """For a class, which may stand in annotations and in isinstance(), one that cannot be called.

    Raises:
        AttributeError: for anything else, saying what there is instead.
    """
    if name in _CLASSES:
        return type(name, (), {"__new__": _raise})
    why = f": {WHY[name]}" if name in WHY else ""
    raise AttributeError(f"module 'weft.cuda' has no attribute '{name}'{why}")


def _raise(cls: type, *args: Any, **kwargs: Any) -> Any:
    """
    Raises:
        UnsupportedOp: always.
    """
    raise UnsupportedOp(f"weft.cuda has no {cls.__name__}: {WHY[cls.__name__]}")
