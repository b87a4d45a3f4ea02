"""What PyTorch's tensors have and weft's have not, with what there is instead."""

from __future__ import annotations

from typing import Any

_MEMORY = (
    "where values lie is the engine's matter; x.numpy() gives them, x.nbytes says how many bytes "
    "they take"
)
_SHARED = "tensors go to other processes by pickle, or as NumPy arrays in shared memory"
_SPARSE = "all tensors are dense"
_SIZE = "make a tensor of the new size, or take a view: x.reshape(...), x.narrow(...)"

_NOT_HERE = {
    **dict.fromkeys(("const_data_ptr", "data_ptr", "is_set_to", "record_stream"), _MEMORY),
    **dict.fromkeys(("set_", "storage", "storage_offset", "untyped_storage"), _MEMORY),
    **dict.fromkeys(("is_shared", "share_memory_"), _SHARED),
    **dict.fromkeys(("coalesce", "indices", "is_coalesced", "to_sparse", "values"), _SPARSE),
    **dict.fromkeys(("to_sparse_coo", "to_sparse_csr", "sparse_mask"), _SPARSE),
    **dict.fromkeys(("resize", "resize_", "resize_as_"), _SIZE),
}


def attribute(self: Any, name: str) -> Any:
    """
    Raises:
        AttributeError: always: it is asked for what is not there.
    """
    hint = f". It is not part of weft: {_NOT_HERE[name]}" if name in _NOT_HERE else ""
    text = f"'{type(self).__name__}' object has no attribute '{name}'{hint}"
    raise AttributeError(text, name=name, obj=self)
