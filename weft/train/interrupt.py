"""Ctrl-C that waits until a step is done."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable
from typing import Any, Self


class CtrlC:
    """Within its block, Ctrl-C only calls a function. Pressed again, it stops at once.

    In other threads than the main one, which get no signals, nothing changes.
    """

    def __init__(self, pressed: Callable[[], object]) -> None:
        self._pressed = pressed
        self._again = False

    def __enter__(self) -> Self:
        self._before: Any = None
        if threading.current_thread() is threading.main_thread():
            self._before = signal.signal(signal.SIGINT, self._press)
        return self

    def __exit__(self, *_: object) -> None:
        if self._before is not None:
            signal.signal(signal.SIGINT, self._before)

    def _press(self, *_: object) -> None:
        if self._again:
            raise KeyboardInterrupt
        self._again = True
        self._pressed()
