"""Writing LLVM IR as text: modules, functions, and values with Python's operators.

Values of vector type behave as scalars do (``a * b + c``), Python numbers become constants of the
other operand's type, and additions of 0 and products with 1 of indices vanish while writing.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

_FLOATS = {"half": 2, "bfloat": 2, "float": 4, "double": 8}
_SUFFIX = {"half": "f16", "bfloat": "bf16", "float": "f32", "double": "f64"}


def vector(element: str, lanes: int) -> str:
    """The type of ``lanes`` elements; the element's own for one."""
    return element if lanes == 1 else f"<{lanes} x {element}>"


def element(kind: str) -> str:
    return kind[kind.index(" x ") + 3 : -1] if kind[0] == "<" else kind


def lanes(kind: str) -> int:
    return int(kind[1 : kind.index(" ")]) if kind[0] == "<" else 1


def is_float(kind: str) -> bool:
    return element(kind) in _FLOATS


def size_of(kind: str) -> int:
    """Bytes of one element in memory."""
    kind = element(kind)
    if kind == "ptr":
        return 8
    return _FLOATS.get(kind) or max(1, int(kind[1:]) // 8)


def suffix(kind: str) -> str:
    """As in the names of intrinsics: ``v16f32``, ``i64``."""
    one = element(kind)
    text = _SUFFIX.get(one, "p0" if one == "ptr" else one)
    return text if kind[0] != "<" else f"v{lanes(kind)}{text}"


def constant(value: float, kind: str) -> str:
    """The text of a number, repeated for each lane."""
    one = element(kind)
    if one in _FLOATS:
        text = _float_constant(float(value), one)
    elif one == "i1":
        text = "true" if value else "false"
    else:
        text = str(int(value))
    if kind[0] != "<":
        return text
    return "<" + ", ".join([f"{one} {text}"] * lanes(kind)) + ">"


def _float_constant(value: float, kind: str) -> str:
    if kind == "float":
        try:
            value = struct.unpack("<f", struct.pack("<f", value))[0]
        except OverflowError:
            value = float("inf") if value > 0 else float("-inf")
    return f"0x{struct.unpack('<Q', struct.pack('<d', value))[0]:016X}"


class Value:
    """A value in a function: its text, its type, and the function that it belongs to."""

    __slots__ = ("fn", "text", "type")

    def __init__(self, text: str, kind: str, fn: Function) -> None:
        self.text, self.type, self.fn = text, kind, fn

    def __repr__(self) -> str:
        return f"{self.type} {self.text}"

    def __add__(self, other: Any) -> Value:
        return self.fn.binary("add", self, other)

    __radd__ = __add__

    def __sub__(self, other: Any) -> Value:
        return self.fn.binary("sub", self, other)

    def __rsub__(self, other: Any) -> Value:
        return self.fn.binary("sub", self.fn.const(other, self.type), self)

    def __mul__(self, other: Any) -> Value:
        return self.fn.binary("mul", self, other)

    __rmul__ = __mul__

    def __truediv__(self, other: Any) -> Value:
        return self.fn.binary("div", self, other)

    def __rtruediv__(self, other: Any) -> Value:
        return self.fn.binary("div", self.fn.const(other, self.type), self)

    def __floordiv__(self, other: Any) -> Value:
        """Of unsigned integers (indices)."""
        return self.fn.binary("udiv", self, other)

    def __mod__(self, other: Any) -> Value:
        """Of unsigned integers (indices)."""
        return self.fn.binary("urem", self, other)

    def __and__(self, other: Any) -> Value:
        return self.fn.binary("and", self, other)

    def __or__(self, other: Any) -> Value:
        return self.fn.binary("or", self, other)

    def __xor__(self, other: Any) -> Value:
        return self.fn.binary("xor", self, other)

    def __lshift__(self, other: Any) -> Value:
        return self.fn.binary("shl", self, other)

    def __rshift__(self, other: Any) -> Value:
        """Logical: zeros come in."""
        return self.fn.binary("lshr", self, other)

    def __neg__(self) -> Value:
        if is_float(self.type):
            return self.fn.op(self.type, f"fneg {self.type} {self.text}")
        return 0 - self

    def __invert__(self) -> Value:
        return self ^ (1 if element(self.type) == "i1" else -1)


class Function:
    """``void name(arguments)``. Code is added where the last call left off.

    Attributes:
        flags: what LLVM may do to float arithmetic: ``contract`` (fuse into multiply-adds).
    """

    def __init__(
        self,
        module: Module,
        name: str,
        arguments: Sequence[tuple[str, str]],
        attributes: str = "",
        result: str = "void",
    ) -> None:
        self.module, self.name, self.result = module, name, result
        self.flags = "contract"
        self._count = 0
        self._allocas: list[str] = []
        self._body: list[str] = []
        self.arguments = [Value(f"%{a}", kind, self) for a, kind in arguments]
        listed = ", ".join(
            f"ptr noalias %{a}" if kind == "ptr" else f"{kind} %{a}" for a, kind in arguments
        )
        self._head = f"{result} @{name}({listed}) #0 {attributes}"

    # ---- instructions

    def emit(self, line: str) -> None:
        self._body.append("  " + line)

    def op(self, kind: str, text: str) -> Value:
        self._count += 1
        value = Value(f"%v{self._count}", kind, self)
        self.emit(f"{value.text} = {text}")
        return value

    def const(self, value: Any, kind: str) -> Value:
        if isinstance(value, Value):
            return value
        return Value(constant(value, kind), kind, self)

    def binary(self, name: str, a: Value, b: Any) -> Value:
        if not isinstance(b, Value):
            if a.type == "i64":
                if b == 0 and name in ("add", "sub", "shl", "or", "lshr"):
                    return a
                if b == 1 and name in ("mul", "udiv"):
                    return a
                if (b == 0 and name == "mul") or (b == 1 and name == "urem"):
                    return self.const(0, "i64")
            b = self.const(b, a.type)
        if is_float(a.type):
            name = f"f{name} {self.flags}"
        elif name == "div":
            name = "sdiv"
        return self.op(a.type, f"{name} {a.type} {a.text}, {b.text}")

    def call(self, kind: str, name: str, *arguments: Value) -> Value:
        """A call of a function that gives a value; declared if the module does not define it."""
        self.module.declare(name, kind, [a.type for a in arguments])
        flags = f"{self.flags} " if is_float(kind) and self.flags else ""
        return self.op(kind, f"call {flags}{kind} @{name}({_listed(arguments)})")

    def call_void(self, name: str, *arguments: Value) -> None:
        self.module.declare(name, "void", [a.type for a in arguments])
        self.emit(f"call void @{name}({_listed(arguments)})")

    def call_pointer(self, pointer: Value, *arguments: Value) -> None:
        """A call of the function at an address; it gives no value."""
        self.emit(f"call void {pointer.text}({_listed(arguments)})")

    def intrinsic(self, name: str, *arguments: Value) -> Value:
        """``llvm.name`` overloaded on the type of its first argument, which it returns."""
        kind = arguments[0].type
        return self.call(kind, f"llvm.{name}.{suffix(kind)}", *arguments)

    def fma(self, a: Value, b: Any, c: Any) -> Value:
        return self.intrinsic("fma", a, self.const(b, a.type), self.const(c, a.type))

    def compare(self, condition: str, a: Value, b: Any) -> Value:
        """``condition`` as in LLVM: ``olt``, ``une``, ... for floats, ``slt``, ``eq``, ... else."""
        b = self.const(b, a.type)
        name = "fcmp" if is_float(a.type) else "icmp"
        kind = vector("i1", lanes(a.type))
        return self.op(kind, f"{name} {condition} {a.type} {a.text}, {b.text}")

    def select(self, mask: Value, a: Any, b: Any) -> Value:
        kind = a.type if isinstance(a, Value) else b.type
        a, b = self.const(a, kind), self.const(b, kind)
        return self.op(kind, f"select {mask.type} {mask.text}, {kind} {a.text}, {kind} {b.text}")

    def least(self, a: Value, b: Any) -> Value:
        """The lesser of two signed integers."""
        return self.select(self.compare("slt", a, b), a, b)

    def convert(self, how: str, value: Value, to: str) -> Value:
        """``how`` as in LLVM (``sitofp``, ``fpext``, ``zext``, ``bitcast``, ...), lane by lane."""
        kind = vector(element(to), lanes(value.type)) if how != "bitcast" else to
        return self.op(kind, f"{how} {value.type} {value.text} to {kind}")

    # ---- memory; offsets count elements

    def address(self, pointer: Value, offset: Any, kind: str) -> Value:
        if not isinstance(offset, Value):
            if offset == 0:
                return pointer
            offset = self.const(offset, "i64")
        one = "i8" if element(kind) == "i1" else element(kind)
        return self.op("ptr", f"getelementptr {one}, ptr {pointer.text}, i64 {offset.text}")

    def load(self, kind: str, pointer: Value, offset: Any = 0, mask: Value | None = None) -> Value:
        """A scalar or consecutive elements; where ``mask`` does not hold, 0 without a read."""
        at = self.address(pointer, offset, kind)
        align = size_of(kind)
        if mask is None:
            return self.op(kind, f"load {kind}, ptr {at.text}, align {align}")
        name = f"llvm.masked.load.{suffix(kind)}.p0"
        self.module.declare(name, kind, ["ptr", "i32", mask.type, kind])
        return self.op(
            kind,
            f"call {kind} @{name}(ptr {at.text}, i32 {align}, {mask.type} {mask.text}, "
            f"{kind} zeroinitializer)",
        )

    def store(
        self, value: Value, pointer: Value, offset: Any = 0, mask: Value | None = None
    ) -> None:
        at = self.address(pointer, offset, value.type)
        align = size_of(value.type)
        if mask is None:
            self.emit(f"store {value.type} {value.text}, ptr {at.text}, align {align}")
            return
        if align < 4:
            mask = self._hidden(mask)
        name = f"llvm.masked.store.{suffix(value.type)}.p0"
        self.module.declare(name, "void", [value.type, "ptr", "i32", mask.type])
        self.emit(
            f"call void @{name}({value.type} {value.text}, ptr {at.text}, i32 {align}, "
            f"{mask.type} {mask.text})"
        )

    def _hidden(self, mask: Value) -> Value:
        """The same mask, which LLVM takes for one that it does not know.

        Where only one lane is to be stored, of 8 or 16 bits that were 32 before, LLVM 22 stores all
        of the 32 for AVX-512 if it knows the mask (``reduceMaskedStoreToScalarStore``).
        """
        count = lanes(mask.type)
        bits = self.op(f"i{count}", f"bitcast {mask.type} {mask.text} to i{count}")
        wide = bits if count == 64 else self.op("i64", f"zext {bits.type} {bits.text} to i64")
        unknown = self.op("i64", f'call i64 asm "", "=r,0"(i64 {wide.text})')
        if count < 64:
            unknown = self.op(bits.type, f"trunc i64 {unknown.text} to {bits.type}")
        return self.op(mask.type, f"bitcast {bits.type} {unknown.text} to {mask.type}")

    def prefetch(self, pointer: Value, *, write: bool = False) -> None:
        """Asks for a cache line that will be read, or written; it need not exist."""
        self.module.declare("llvm.prefetch.p0", "void", ["ptr", "i32", "i32", "i32"])
        how = int(write)
        self.emit(f"call void @llvm.prefetch.p0(ptr {pointer.text}, i32 {how}, i32 3, i32 1)")

    def variable(self, kind: str, start: Any = None) -> Value:
        """A place on the stack; LLVM turns it into registers."""
        self._count += 1
        place = Value(f"%v{self._count}", "ptr", self)
        self._allocas.append(f"  {place.text} = alloca {kind}, align 64")
        if start is not None:
            self.store(self.const(start, kind), place)
        return place

    # ---- vectors

    def splat(self, value: Value, count: int) -> Value:
        if count == 1:
            return value
        kind = vector(value.type, count)
        one = self.op(kind, f"insertelement {kind} poison, {value.type} {value.text}, i32 0")
        return self.shuffle(one, one, [0] * count)

    def shuffle(self, a: Value, b: Value, order: Sequence[int]) -> Value:
        kind = vector(element(a.type), len(order))
        picks = ", ".join(f"i32 {k}" for k in order)
        return self.op(
            kind,
            f"shufflevector {a.type} {a.text}, {b.type} {b.text}, <{len(order)} x i32> <{picks}>",
        )

    def extract(self, value: Value, lane: Any) -> Value:
        lane = self.const(lane, "i64")
        return self.op(
            element(value.type), f"extractelement {value.type} {value.text}, i64 {lane.text}"
        )

    def insert(self, value: Value, one: Value, lane: int) -> Value:
        return self.op(
            value.type,
            f"insertelement {value.type} {value.text}, {one.type} {one.text}, i64 {lane}",
        )

    def iota(self, count: int, kind: str = "i64") -> Value:
        """0, 1, 2, ... in the lanes."""
        if count == 1:
            return self.const(0, kind)
        text = "<" + ", ".join(f"{kind} {k}" for k in range(count)) + ">"
        return Value(text, vector(kind, count), self)

    def first_lanes(self, count: int, live: Any) -> Value:
        """The mask of the first ``live`` of ``count`` lanes."""
        if not isinstance(live, Value):
            text = "<" + ", ".join(f"i1 {'true' if k < live else 'false'}" for k in range(count))
            return Value(text + ">", vector("i1", count), self)
        return self.compare("slt", self.iota(count), self.splat(live, count))

    # ---- control

    def label(self) -> str:
        self._count += 1
        return f"L{self._count}"

    def _jump(self, label: str) -> None:
        self.emit(f"br label %{label}")

    def _place(self, label: str) -> None:
        self._body.append(f"{label}:")

    def _branch(self, condition: Value, yes: str, no: str) -> None:
        self.emit(f"br i1 {condition.text}, label %{yes}, label %{no}")

    @contextmanager
    def loop(self, start: Any, stop: Any, step: int = 1) -> Iterator[Value]:
        """``for i in range(start, stop, step)``, i an ``i64``; it may run no time at all."""
        place = self.variable("i64", start)
        head, body, done = self.label(), self.label(), self.label()
        self._jump(head)
        self._place(head)
        i = self.load("i64", place)
        self._branch(self.compare("slt", i, stop), body, done)
        self._place(body)
        yield i
        self.store(i + step, place)
        self.emit(f"br label %{head}, !llvm.loop !0")
        self._place(done)

    @contextmanager
    def when(self, condition: Value) -> Iterator[None]:
        body, done = self.label(), self.label()
        self._branch(condition, body, done)
        self._place(body)
        yield
        self._jump(done)
        self._place(done)

    def choose(self, condition: Value, yes: Callable[[], None], no: Callable[[], None]) -> None:
        first, second, done = self.label(), self.label(), self.label()
        self._branch(condition, first, second)
        self._place(first)
        yes()
        self._jump(done)
        self._place(second)
        no()
        self._jump(done)
        self._place(done)

    def ret(self, value: Value) -> None:
        """Ends a function that gives a value."""
        self.emit(f"ret {value.type} {value.text}")

    @contextmanager
    def exact(self) -> Iterator[None]:
        """Arithmetic as written, for sums whose rounding errors are used."""
        with self.flagged(""):
            yield

    @contextmanager
    def flagged(self, flags: str) -> Iterator[None]:
        """Meanwhile LLVM may do this to float arithmetic."""
        before, self.flags = self.flags, flags
        yield
        self.flags = before

    def text(self) -> str:
        end = ["  ret void"] if self.result == "void" else []
        return "\n".join(
            ["define " + self._head + " {", "entry:", *self._allocas, *self._body, *end, "}"]
        )


def _listed(arguments: Sequence[Value]) -> str:
    return ", ".join(f"{a.type} {a.text}" for a in arguments)


class Module:
    """Functions that are compiled together.

    Attributes:
        avx512: may its functions use what only that has?
    """

    def __init__(self, vector_bytes: int = 64, avx512: bool = False) -> None:
        self._vector_bits = vector_bytes * 8
        self.avx512 = avx512
        self._functions: dict[str, Function] = {}
        self._declared: dict[str, str] = {}

    def function(
        self,
        name: str,
        arguments: Sequence[tuple[str, str]],
        attributes: str = "",
        result: str = "void",
    ) -> Function:
        """A new function. Pointers among its arguments must not overlap one another."""
        fn = self._functions[name] = Function(self, name, arguments, attributes, result)
        return fn

    def shared(
        self,
        name: str,
        arguments: Sequence[tuple[str, str]],
        build: Callable[[Function], None],
        result: str = "void",
    ) -> str:
        """The name of a function of the module's own, built the first time it is asked for.

        What many places call is compiled once: this keeps compilation short.
        """
        if name not in self._functions:
            fn = self.function(name, arguments, "noinline", result)
            fn._head = "internal " + fn._head
            build(fn)
        return name

    def declare(self, name: str, result: str, arguments: Sequence[str]) -> None:
        if name not in self._functions:
            self._declared[name] = f"declare {result} @{name}({', '.join(arguments)})"

    def text(self) -> str:
        declared = [d for name, d in self._declared.items() if name not in self._functions]
        return "\n".join(
            [
                *declared,
                *[f.text() for f in self._functions.values()],
                f'attributes #0 = {{ nounwind "prefer-vector-width"="{self._vector_bits}" }}',
                "!0 = distinct !{!0, !1}",
                '!1 = !{!"llvm.loop.unroll.disable"}',
                "",
            ]
        )
