"""Native elementwise functions against NumPy in a higher precision."""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from weft.engine.native import math as native
from weft.engine.native.ir import Module, vector
from weft.graph.node import OPS

llvm = pytest.importorskip("llvmlite.binding")

DTYPES = {
    "float": np.float32, "double": np.float64,
    "i8": np.int8, "i16": np.int16, "i32": np.int32, "i64": np.int64,
}  # fmt: skip
COUNT = 1 << 14


def machine_code(module: Module) -> Any:
    """The compiled module; it lives as long as what is returned."""
    llvm.initialize_native_target()
    llvm.initialize_native_asmprinter()
    machine = llvm.Target.from_default_triple().create_target_machine(
        cpu=llvm.get_host_cpu_name(), features=llvm.get_host_cpu_features().flatten(), opt=1
    )
    parsed = optimized(module, machine)
    engine = llvm.create_mcjit_compiler(parsed, machine)
    engine.finalize_object()
    return engine


def optimized(module: Module, machine: Any) -> Any:
    parsed = llvm.parse_assembly(module.text())
    parsed.verify()
    builder = llvm.create_pass_builder(machine, llvm.create_pipeline_tuning_options(1))
    builder.getModulePassManager().run(parsed, builder)
    return parsed


def add_kernel(
    module: Module, name: str, emit: Callable[..., Any], kind: str, operands: int, lanes: int
) -> None:
    """``name(out, n, operands...)``: applies ``emit`` to n elements, a multiple of ``lanes``."""
    arguments = [("out", "ptr"), ("n", "i64")] + [(f"x{k}", "ptr") for k in range(operands)]
    fn = module.function(name, arguments)
    out, n, *inputs = fn.arguments
    with fn.loop(0, n, lanes) as i:
        values = [fn.load(vector(kind, lanes), x, i) for x in inputs]
        result = emit(fn, *values)
        if result.type.endswith("i1") or result.type.endswith("i1>"):
            result = fn.convert("zext", result, "i8")
        fn.store(result, out, i)


def run(engine: Any, name: str, out: Any, *inputs: Any) -> Any:
    address = engine.get_function_address(name)
    call = ctypes.CFUNCTYPE(None, *[ctypes.c_void_p] * (2 + len(inputs)))(address)
    call(out.ctypes.data, out.size, *[x.ctypes.data for x in inputs])
    return out


@pytest.fixture(scope="module")
def functions() -> Any:
    """Every function of one argument, of both float types, 16 (or 8) lanes at once."""
    module = Module()
    for name, emit in native.UNARY.items():
        if name != "bitwise_not":
            add_kernel(module, f"{name}_float", emit, "float", 1, 16)
            add_kernel(module, f"{name}_double", emit, "double", 1, 8)
    return machine_code(module)


def sweep(dtype: Any) -> Any:
    """All exponents, both signs; the usual range more densely; what is special."""
    rng = np.random.default_rng(0)
    bits = np.uint32 if dtype is np.float32 else np.uint64
    info = np.finfo(dtype)
    special = [
        0.0, -0.0, np.inf, -np.inf, np.nan, 1, -1, 0.5, -0.5, 1.5, 2.5, 2, 10, 1000,
        info.max, -info.max, info.tiny, -info.tiny, info.smallest_subnormal,
        -info.smallest_subnormal, info.eps, 1 + info.eps, 1 - info.epsneg,
    ]  # fmt: skip
    quarter = COUNT // 4
    x = np.concatenate(
        [
            np.array(special, dtype),
            rng.integers(0, np.iinfo(bits).max, quarter, bits, endpoint=True).view(dtype),
            rng.standard_normal(quarter).astype(dtype) * 3,
            rng.uniform(-1, 1, quarter).astype(dtype),
            rng.uniform(-110, 110, quarter).astype(dtype),
        ]
    )
    return np.ascontiguousarray(x[:COUNT])


def wide(x: Any) -> Any:
    return x.astype(np.float64 if x.dtype == np.float32 else np.longdouble)


def reference(name: str, *inputs: Any) -> Any:
    """What the op's own reference says."""
    with np.errstate(all="ignore"):
        return np.asarray(OPS[name].reference(*inputs))


def precisely(name: str, *inputs: Any) -> Any:
    """Likewise, in a higher precision than that of the inputs."""
    with np.errstate(invalid="ignore"):  # signalling NaNs
        return reference(name, *map(wide, inputs))


def errors(got: Any, want: Any) -> Any:
    """In units of the last place; infinite where one is finite (or NaN) and the other is not."""
    with np.errstate(all="ignore"):
        rounded = want.astype(got.dtype)
        usual = np.isfinite(rounded) & np.isfinite(got)
        unit = np.spacing(np.abs(np.where(usual, rounded, 1)))
        off = np.abs(got.astype(want.dtype) - want) / unit
    same = (got == rounded) | (np.isnan(got) & np.isnan(rounded))
    return np.where(usual, off, np.where(same, 0, np.inf))


EXACT = ("abs", "sign", "floor", "ceil", "trunc", "round", "neg", "relu")
ODD = (
    "expm1", "log1p", "sqrt", "erf",
    "sin", "tan", "asin", "atan", "sinh", "tanh", "asinh", "atanh",
)  # fmt: skip
PREDICATES = ("isnan", "isinf", "logical_not")


@pytest.mark.parametrize("kind", ["float", "double"])
@pytest.mark.parametrize("name", sorted(native.UNARY.keys() - {"bitwise_not", *PREDICATES, *EXACT}))
def test_functions_are_accurate_everywhere(functions: Any, name: str, kind: str) -> None:
    x = sweep(DTYPES[kind])
    got = run(functions, f"{name}_{kind}", np.empty_like(x), x)
    want = precisely(name, x)
    off = errors(got, want)
    worst = np.argmax(off)
    assert off[worst] <= 4, f"{name}({x[worst]!r}) = {got[worst]!r}, not {want[worst]!r}"
    if name in ODD:
        assert np.array_equal(np.signbit(got[:2]), [False, True])


@pytest.mark.parametrize("kind", ["float", "double"])
@pytest.mark.parametrize("name", EXACT)
def test_exact_functions_are_exact(functions: Any, name: str, kind: str) -> None:
    x = sweep(DTYPES[kind])
    got = run(functions, f"{name}_{kind}", np.empty_like(x), x)
    np.testing.assert_array_equal(got, reference(name, x))


@pytest.mark.parametrize("kind", ["float", "double"])
@pytest.mark.parametrize("name", PREDICATES)
def test_predicates(functions: Any, name: str, kind: str) -> None:
    x = sweep(DTYPES[kind])
    got = run(functions, f"{name}_{kind}", np.empty(x.size, np.bool_), x)
    np.testing.assert_array_equal(got, reference(name, x))


def test_any_number_of_lanes_gives_the_same_bits(functions: Any) -> None:
    names = ("exp", "log1p", "tanh", "erf", "sigmoid", "maximum")
    module = Module()
    tables = native.UNARY | native.BINARY
    for name in names:
        for lanes in (1, 4, 16):
            operands = 2 if name in native.BINARY else 1
            add_kernel(module, f"{name}_{lanes}", tables[name], "float", operands, lanes)
    engine = machine_code(module)
    x = sweep(np.float32)
    for name in names:
        inputs = (x, x[::-1].copy()) if name in native.BINARY else (x,)
        one, four, sixteen = (
            run(engine, f"{name}_{lanes}", np.empty_like(x), *inputs) for lanes in (1, 4, 16)
        )
        np.testing.assert_array_equal(one.view(np.int32), sixteen.view(np.int32))
        np.testing.assert_array_equal(four.view(np.int32), sixteen.view(np.int32))


# ---- two arguments


def pairs(dtype: Any) -> tuple[Any, Any]:
    """Operands in which whatever is special meets whatever is special."""
    if np.dtype(dtype).kind == "f":
        values = sweep(dtype)
        special = values[:23]
    else:
        info = np.iinfo(dtype)
        values = np.random.default_rng(0).integers(info.min, info.max, COUNT, dtype, endpoint=True)
        special = np.array([0, 1, 2, 3, 7, 31, info.min, info.max, info.max - 1], dtype)
    a, b = (m.ravel() for m in np.meshgrid(special, special))
    rest = COUNT - a.size
    first, second = values[:rest], values[::-1][:rest]
    return np.concatenate([a, first]), np.concatenate([b, second])


COMPARISONS = {"eq", "ne", "lt", "le", "gt", "ge", "logical_and", "logical_or", "logical_xor"}
INTEGERS_ONLY = {"bitwise_and", "bitwise_or", "bitwise_xor", "shift_left", "shift_right"}


@pytest.mark.parametrize("kind", ["float", "double"])
def test_operators_of_floats(kind: str) -> None:
    names = sorted(native.BINARY.keys() - INTEGERS_ONLY)
    module = Module()
    for name in names:
        add_kernel(module, name, native.BINARY[name], kind, 2, 16)
    engine = machine_code(module)
    a, b = pairs(DTYPES[kind])
    for name in names:
        out = np.empty(a.size, np.bool_ if name in COMPARISONS else a.dtype)
        got = run(engine, name, out, a, b)
        if name in APPROXIMATE:
            off = errors(got, precisely(name, a, b))
            worst = np.argmax(off)
            assert off[worst] <= 4, f"{name}({a[worst]!r}, {b[worst]!r}) = {got[worst]!r}"
        else:
            np.testing.assert_array_equal(got, reference(name, a, b), err_msg=name)


APPROXIMATE = {"atan2"}


@pytest.mark.parametrize("dtype", [np.int8, np.uint8, np.int16, np.int32, np.int64])
def test_operators_of_integers(dtype: Any) -> None:
    signed = np.dtype(dtype).kind == "i"
    kind = f"i{8 * np.dtype(dtype).itemsize}"

    def of_sign(name: str, emit: Callable[..., Any]) -> Callable[..., Any]:
        if name not in native.SIGNED:
            return emit
        return lambda fn, *values: emit(fn, *values, signed=signed)

    tables = {2: native.BINARY, 1: native.UNARY}
    cases = [
        (name, operands, of_sign(name, emit))
        for operands, table in tables.items()
        for name, emit in table.items()
        if name in native.INTEGER
    ]
    module = Module()
    for name, operands, emit in cases:
        add_kernel(module, name, emit, kind, operands, 16)
    engine = machine_code(module)
    a, b = pairs(dtype)
    for name, operands, _ in cases:
        inputs = (a, b)[:operands]
        boolean = name in COMPARISONS or name in PREDICATES
        out = np.empty(a.size, np.bool_ if boolean else dtype)
        want = reference(name, *inputs)
        np.testing.assert_array_equal(run(engine, name, out, *inputs), want, err_msg=name)


@pytest.mark.parametrize(
    "name",
    ["add", "mul", "maximum", "minimum", *sorted(COMPARISONS), "bitwise_and", "bitwise_xor"],
)
def test_operators_of_bools(name: str) -> None:
    def emit(fn: Any, a: Any, b: Any) -> Any:
        return native.BINARY[name](fn, *(fn.compare("ne", x, 0) for x in (a, b)))

    module = Module()
    add_kernel(module, "f", emit, "i8", 2, 4)
    a, b = np.array([0, 0, 1, 1], np.bool_), np.array([0, 1, 0, 1], np.bool_)
    got = run(machine_code(module), "f", np.empty(4, np.bool_), a, b)
    np.testing.assert_array_equal(got, reference(name, a, b))


# ---- other processors


@pytest.mark.parametrize(
    ("triple", "cpu", "call"),
    [("x86_64-unknown-linux-gnu", "haswell", "call"), ("aarch64-unknown-linux-gnu", "", "bl")],
)
def test_no_processor_calls_a_library(triple: str, cpu: str, call: str) -> None:
    llvm.initialize_all_targets()
    llvm.initialize_all_asmprinters()
    machine = llvm.Target.from_triple(triple).create_target_machine(cpu, "", 1, codemodel="default")
    module = Module()
    for name, emit in native.UNARY.items():
        if name != "bitwise_not":
            add_kernel(module, f"one_{name}", emit, "float", 1, 8)
    for name, emit in native.BINARY.items():
        if name not in INTEGERS_ONLY:
            add_kernel(module, f"two_{name}", emit, "double", 2, 4)
    text = machine.emit_assembly(optimized(module, machine))
    called = [
        line.split()[-1] for line in text.splitlines() if line.split()[:1] in ([call], [call + "q"])
    ]
    assert "one_exp:" in text
    assert set(called) <= {"payne_hanek"}  # the module's own
