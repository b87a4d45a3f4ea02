"""What holds while an op is recorded: grad mode, the module that is running, the user's line.

Each is a context variable, so threads and coroutines do not see one another's.
"""

from __future__ import annotations

import sys
import warnings
from contextvars import ContextVar
from pathlib import Path
from types import CodeType

#: Are gradients recorded? Read through ``grad_enabled()``, changed by the classes in ``autograd``.
grad_mode: ContextVar[bool] = ContextVar("grad_mode", default=True)
grad_enabled = grad_mode.get

#: Dotted path of the module whose ``forward`` is running, "" outside any.
module_path: ContextVar[str] = ContextVar("module_path", default="")
_path = module_path.get

#: Where an op was recorded: module path, and the code object and instruction of the user's line.
#: The frame itself is never kept: it would keep every local of the user alive.
Where = tuple[str, CodeType, int]

#: Set while code of weft records on the user's behalf (backward, an optimiser's step), so that
#: those nodes carry the place that caused them.
on_behalf_of: ContextVar[Where | None] = ContextVar("on_behalf_of", default=None)
_on_behalf = on_behalf_of.get

_PACKAGE = str(Path(__file__).parents[1] / "_")[:-1]  # with the separator at its end
_BELOW = tuple([f"{_PACKAGE}{name}" for name in ("graph", "ops", "calls")])  # what records
_getframe = sys._getframe


class _Own(dict[str, bool]):
    """Does a source file belong to weft?"""

    def __missing__(self, filename: str) -> bool:
        self[filename] = own = filename.startswith(_PACKAGE)
        return own


own_file = _Own()


def here(depth: int = 3) -> Where:
    """The innermost line of code outside weft. About 0.1 µs, and 0.06 µs a frame of our own."""
    where = _on_behalf()
    if where is not None:
        return where
    frame = _getframe(depth)
    code = frame.f_code
    while own_file[code.co_filename]:
        outer = frame.f_back
        if outer is None:
            break
        frame = outer
        code = frame.f_code
    return (_path(), code, frame.f_lasti)


def called() -> tuple[str, dict[str, object]]:
    """The public function of weft that the user's code, or a layer of weft's, has called; "" if
    there is none. And what it was called with, by the names of its parameters.
    """
    frame = _getframe(1)
    name, arguments = "", dict[str, object]()
    while own_file[frame.f_code.co_filename] and frame.f_back is not None:
        code = frame.f_code
        if code.co_name == "forward":
            break
        hidden = code.co_name.startswith(("_", "<")) or "<locals>" in code.co_qualname
        if not hidden and not code.co_filename.startswith(_BELOW):
            count = code.co_argcount + code.co_kwonlyargcount
            name = code.co_name
            arguments = {k: frame.f_locals.get(k) for k in code.co_varnames[:count]}
        frame = frame.f_back
    return name, arguments


def user_warning(text: str, category: type[Warning] = UserWarning) -> None:
    """Warns at the innermost line outside weft."""
    level = 2
    frame = sys._getframe(1)
    while own_file[frame.f_code.co_filename] and frame.f_back is not None:
        frame = frame.f_back
        level += 1
    warnings.warn(text, category, stacklevel=level)


def describe(where: Where) -> str:
    """``model.py:12 in forward, module 'encoder.fc'``."""
    path, code, lasti = where
    line = code.co_firstlineno
    for start, end, number in code.co_lines():
        if start <= lasti < end and number is not None:
            line = number
    text = f"{code.co_filename}:{line} in {code.co_name}"
    if path:
        return f"{text}, module '{path}'"
    outermost = getattr(path, "root", "")  # a Place knows the class of the outermost module
    return f"{text}, module {outermost}" if outermost else text
