"""An interpreter for the part of pickle's language in which PyTorch writes tensors.

Python's own unpickler calls what a file names, and a list of permitted names has been got round
more than once (CVE-2025-32434, CVE-2026-24747). Here a name is looked up in a table that the caller
gives, whose entries are functions of weft's own, and no other object is ever called or imported. No
attribute is set, no class is instantiated, no method of an object from the file is looked up.

Every opcode takes time and memory in proportion to its length in the file: lengths are checked
against what is left, dict keys are plain values, whose hashes take no time, and nothing recurses.
No message shows an object of the file, and only plain values are compared: a structure in which
tuples share others can be small, and its text or its hash take for ever.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Mapping
from typing import Any, TypeAlias

from ..errors import CheckpointError, DeviceError, UnsupportedOp

Buffer: TypeAlias = bytes | memoryview


class Named:
    """What a name in a file stands for: inert until the file applies it to arguments."""

    def __init__(self, name: str, make: Callable[..., Any] | None = None) -> None:
        self.name = name
        self.make = make


#: Makes what a name stands for.
Names: TypeAlias = Callable[[str], Any]

_MARK: Any = object()

_LONGEST_NAME = 512
_LONGEST_INT = 1024
_KEYS = (str, int, float, bool, type(None), bytes)


class Unpickler:
    """Runs one pickle.

    Args:
        data: the bytes; what stands behind the pickle is left alone.
        begin: where in ``data`` it begins; afterwards, where it ended.
        named: what a name (``"torch.Size"``) stands for; raises for those unknown.
        persistent: what a persistent id stands for.
        encoding: of Python 2's strings.
    """

    def __init__(
        self,
        data: Buffer,
        begin: int,
        named: Names,
        persistent: Callable[[Any], Any],
        encoding: str = "utf-8",
    ) -> None:
        self.data = data
        self.at = begin
        self._named = named
        self._persistent = persistent
        self._encoding = encoding
        self._stack: list[Any] = []
        self._memo: dict[int, Any] = {}

    def load(self) -> Any:
        """The object.

        Raises:
            CheckpointError: for anything that PyTorch does not write.
        """
        try:
            while True:
                opcode = self._take(1)[0]
                if opcode == 0x2E:  # STOP
                    value = self._stack.pop()
                    if value is _MARK or self._stack:
                        raise CheckpointError("its pickle ends in the middle of something")
                    return value
                run = _OPCODES.get(opcode)
                if run is None:
                    raise CheckpointError(
                        f"its pickle has opcode {bytes([opcode])!r} at byte {self.at - 1:,}, which "
                        "no file of tensors needs"
                    )
                run(self)
        except (CheckpointError, UnsupportedOp, DeviceError):
            raise
        except (
            *(LookupError, TypeError, ValueError),
            *(AttributeError, ArithmeticError, RuntimeError),
        ) as error:
            raise CheckpointError(
                f"its pickle makes no sense near byte {self.at:,} ({error!r:.200})"
            ) from None

    # ---- reading

    def _take(self, count: int) -> Buffer:
        end = self.at + count
        if end > len(self.data):
            raise CheckpointError(f"its pickle ends early: {count:,} bytes are wanted at {self.at}")
        taken = self.data[self.at : end]
        self.at = end
        return taken

    def _number(self, form: str) -> Any:
        return struct.unpack(form, self._take(struct.calcsize(form)))[0]

    def _line(self) -> str:
        text = bytes(self.data[self.at : self.at + _LONGEST_NAME])
        length = text.index(b"\n")
        self.at += length + 1
        return text[:length].decode()

    def _text(self, form: str) -> None:
        text = bytes(self._take(self._number(form)))
        self._stack.append(text.decode("utf-8", "surrogatepass"))

    def _old_text(self, form: str) -> None:
        text = bytes(self._take(self._number(form)))
        self._stack.append(text if self._encoding == "bytes" else text.decode(self._encoding))

    def _bytes(self, form: str) -> None:
        self._stack.append(bytes(self._take(self._number(form))))

    def _int(self, form: str) -> None:
        count = self._number(form)
        if not 0 <= count <= _LONGEST_INT:
            raise CheckpointError(f"its pickle has an int of {count:,} bytes")
        self._stack.append(int.from_bytes(self._take(count), "little", signed=True))

    # ---- the stack

    def _push(self, value: Any) -> None:
        self._stack.append(value)

    def _since_mark(self) -> list[Any]:
        at = len(self._stack) - 1
        while self._stack[at] is not _MARK:
            at -= 1
            if at < 0:
                raise IndexError("no mark")
        items = self._stack[at + 1 :]
        del self._stack[at:]
        return items

    def _tuple(self, count: int) -> None:
        if len(self._stack) < count:
            raise IndexError("the stack is too short")
        items = tuple(self._stack[-count:])
        if any(item is _MARK for item in items):
            raise TypeError("a mark in a tuple")
        self._stack[-count:] = [items]

    def _remember(self, key: int) -> None:
        self._memo[key] = self._stack[-1]

    def _recall(self, form: str) -> None:
        self._stack.append(self._memo[self._number(form)])

    # ---- containers

    def _extend(self, items: list[Any]) -> None:
        target = self._stack[-1]
        if type(target) is not list:
            raise TypeError(f"items for {_kind(target)}")
        target.extend(items)

    def _add(self) -> None:
        items, target = self._since_mark(), self._stack[-1]
        if type(target) is not set:
            raise TypeError(f"items for {_kind(target)}")
        target.update(map(plain_key, items))

    def _set_items(self, items: list[Any]) -> None:
        target = self._stack[-1]
        if not isinstance(target, dict) or len(items) % 2:
            raise TypeError(f"{len(items)} keys and values for {_kind(target)}")
        for key, value in zip(items[::2], items[1::2], strict=True):
            target[plain_key(key)] = value

    def _set_item(self) -> None:
        value, key = self._stack.pop(), self._stack.pop()
        self._set_items([key, value])

    # ---- names

    def _global(self) -> None:
        module = self._line()
        self._stack.append(self._named(f"{module}.{self._line()}"))

    def _stack_global(self) -> None:
        name, module = self._stack.pop(), self._stack.pop()
        if type(name) is not str or type(module) is not str:
            raise TypeError("a name that is no text")
        self._stack.append(self._named(f"{module}.{name}"))

    def _apply(self) -> None:
        arguments, function = self._stack.pop(), self._stack.pop()
        if not isinstance(function, Named) or function.make is None or type(arguments) is not tuple:
            raise TypeError(f"{_kind(function)} is called")
        self._stack.append(function.make(*arguments))

    def _build(self) -> None:
        state, target = self._stack.pop(), self._stack[-1]
        take_state = getattr(type(target), "take_state", None)  # a class of weft's own reader
        metadata = state.get("_metadata") if isinstance(state, dict) else None
        if take_state is not None:
            take_state(target, state)
        elif (
            isinstance(target, dict) and isinstance(metadata, dict) and hasattr(target, "__dict__")
        ):
            target._metadata = metadata  # type: ignore[attr-defined]
        elif not isinstance(target, dict):
            raise TypeError(f"a state for {_kind(target)}")

    def _persistent_id(self) -> None:
        self._stack.append(self._persistent(self._stack.pop()))

    def _protocol(self) -> None:
        version = self._number("<B")
        if not 2 <= version <= 5:
            raise CheckpointError(f"its pickle has protocol {version}; 2 to 5 are read")

    def _frame(self) -> None:
        if self._number("<Q") > len(self.data) - self.at:
            raise CheckpointError("its pickle ends early")


def plain_key(key: Any) -> Any:
    """A key of a dict, or a member of a set.

    Raises:
        TypeError: for tuples (one nested deeply takes for ever to hash), huge ints (they can be
            made to collide) and all else.
    """
    if type(key) not in _KEYS or (type(key) is int and abs(key) >= 1 << 64):
        raise TypeError(
            f"a key {key!r:.40} that is no plain value"
            if isinstance(key, int)
            else f"{_kind(key)} as a key"
        )
    return key


def _kind(value: Any) -> str:
    return value.name if isinstance(value, Named) else type(value).__name__


_U = Unpickler
_OPCODES: Mapping[int, Callable[[Unpickler], None]] = {
    ord(code): run
    for code, run in {
        "\x80": _U._protocol,
        "\x95": _U._frame,
        "(": lambda u: u._push(_MARK),
        "N": lambda u: u._push(None),
        "\x88": lambda u: u._push(True),
        "\x89": lambda u: u._push(False),
        "K": lambda u: u._push(u._number("<B")),
        "M": lambda u: u._push(u._number("<H")),
        "J": lambda u: u._push(u._number("<i")),
        "G": lambda u: u._push(u._number(">d")),
        "\x8a": lambda u: u._int("<B"),
        "\x8b": lambda u: u._int("<i"),
        "\x8c": lambda u: u._text("<B"),
        "X": lambda u: u._text("<I"),
        "\x8d": lambda u: u._text("<Q"),
        "U": lambda u: u._old_text("<B"),
        "T": lambda u: u._old_text("<I"),
        "C": lambda u: u._bytes("<B"),
        "B": lambda u: u._bytes("<I"),
        "\x8e": lambda u: u._bytes("<Q"),
        ")": lambda u: u._push(()),
        "]": lambda u: u._push([]),
        "}": lambda u: u._push({}),
        "\x8f": lambda u: u._push(set()),
        "t": lambda u: u._push(tuple(u._since_mark())),
        "\x85": lambda u: u._tuple(1),
        "\x86": lambda u: u._tuple(2),
        "\x87": lambda u: u._tuple(3),
        "a": lambda u: u._extend([u._stack.pop()]),
        "e": lambda u: u._extend(u._since_mark()),
        "\x90": _U._add,
        "s": _U._set_item,
        "u": lambda u: u._set_items(u._since_mark()),
        "q": lambda u: u._remember(u._number("<B")),
        "r": lambda u: u._remember(u._number("<I")),
        "\x94": lambda u: u._remember(len(u._memo)),
        "h": lambda u: u._recall("<B"),
        "j": lambda u: u._recall("<I"),
        "c": _U._global,
        "\x93": _U._stack_global,
        "R": _U._apply,
        "\x81": _U._apply,  # NEWOBJ
        "b": _U._build,
        "Q": _U._persistent_id,
    }.items()
}
