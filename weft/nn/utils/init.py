"""Modules made without drawing their first weights."""

from __future__ import annotations

import inspect
from typing import Any

from ..module import Module


def skip_init(module_cls: Any, *args: Any, **kwargs: Any) -> Any:
    """Makes a module whose parameters are to be filled afterwards, by loading for example.

    Nothing needs to be skipped: drawing is recorded only, and never done if the values are replaced
    before anything runs. So this is the same as calling the class.

    Args:
        args, kwargs: for ``module_cls``.

    Raises:
        RuntimeError: for what is no Module class, or one without the argument ``device``.
    """
    if not (isinstance(module_cls, type) and issubclass(module_cls, Module)):
        raise RuntimeError(f"skip_init takes a Module class, not {module_cls!r}")  # noqa: TRY004
    if "device" not in inspect.signature(module_cls).parameters:
        raise RuntimeError(
            f"skip_init: {module_cls.__name__}.__init__ has no argument `device`. Call the class "
            "itself: weights that are replaced at once are never drawn"
        )
    return module_cls(*args, **kwargs)
