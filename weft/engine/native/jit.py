"""From LLVM IR as text to machine code in this process.

Code is looked for in memory, then on disk (``cache.py``), and compiled only then. llvmlite is
imported at the first call. It lets one thread at a time into LLVM, but for the two calls that take
the time: these are made past its lock (:func:`_past_lock`), so that modules are compiled side by
side.
"""

from __future__ import annotations

import ctypes
import hashlib
import itertools
import os
import threading
import weakref
from collections import OrderedDict, deque
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import cache, lru_cache
from typing import Any

from ...errors import InternalError
from . import cache as disk
from .processors import get_num_threads
from .target import Target, host

#: Part of every key: another number when the same text is to be compiled in another way.
_PIPELINE = 1

#: So many libraries stay in memory although nobody else holds them.
_MAX_LIBRARIES = 4096

#: A linker keeps some 10 kB of each library that it has let go, until it goes itself. It takes
#: 0.1 MB and 1 ms: each links so many libraries, and goes with the last of them.
_LIBRARIES_OF_A_LINKER = 64

_LOCK = threading.RLock()  # around all that reaches LLVM, and what follows
_libraries: OrderedDict[str, Library] = OrderedDict()
_unloading: deque[tuple[Any, Any]] = deque()
_serial = itertools.count()


class Stats:
    """Where code came from, counted since the start of the process."""

    compiled = 0
    loaded = 0  # from disk
    memory_hits = 0


class Library:
    """Machine code of one module. Its addresses hold as long as this object lives."""

    def __init__(self, tracker: Any, linker: Any, names: Sequence[str]) -> None:
        self._addresses = {name: int(tracker[name]) for name in names}
        # Not by the tracker's own __del__: LLVM must be entered under the lock, for fork.
        weakref.finalize(self, _unload, tracker, linker).atexit = False

    def address(self, name: str) -> int:
        """Where a function or global of the module is, one of those asked for when compiling."""
        return self._addresses[name]


def compile_module(text: str, names: Sequence[str], *, opt: int = 1) -> Library:
    """The library of a module, compiled for the host.

    Args:
        text: LLVM IR without target triple and data layout.
        names: the functions and globals whose addresses are wanted; not ``internal`` ones.
        opt: 0 to 3. Explicit vectors need no more than 1; from 2 LLVM makes vectors of loops.

    Raises:
        InternalError: LLVM rejects the text, or a name is not in it, or a function that it calls
            is not to be found. ``text`` of the exception holds the module.
    """
    return compile_modules([(text, names)], opt=opt)[0]


def compile_modules(modules: Sequence[tuple[str, Sequence[str]]], *, opt: int = 1) -> list[Library]:
    """The libraries of several modules, compiled side by side. See :func:`compile_module`."""
    with _LOCK:
        _unload_all()
        keys = [_key(text, names, opt) for text, names in modules]
        missing: dict[str, tuple[str, Sequence[str]]] = {}
        found: dict[str, Library] = {}  # (all of them: the memory may be smaller)
        for key, (text, names) in zip(keys, modules, strict=True):
            library = _libraries.get(key) or found.get(key)
            if library is not None:
                Stats.memory_hits += 1
            elif (library := _from_disk(key, names)) is None:
                missing[key] = text, names
                continue
            found[key] = library
        codes = _object_codes([text for text, _ in missing.values()], opt)
        for (key, (text, names)), code in zip(missing.items(), codes, strict=True):
            found[key] = _made(key, text, names, code)
        for key, library in found.items():
            _libraries[key] = library
            _libraries.move_to_end(key)
        while len(_libraries) > _MAX_LIBRARIES:
            _libraries.popitem(last=False)
        return [found[key] for key in keys]


def _object_codes(texts: list[str], opt: int) -> list[bytes]:
    workers = min(len(texts), get_num_threads())
    if workers < 2:
        return [object_code(text, host(), opt) for text in texts]
    _llvm()  # set up once, before there are several threads
    with ThreadPoolExecutor(workers) as pool:
        return list(pool.map(lambda text: _object_code(text, host(), opt), texts))


def object_code(text: str, target: Target, opt: int = 1) -> bytes:
    """An object file (ELF, Mach-O or COFF) of the module for any processor."""
    with _LOCK:
        return _object_code(text, target, opt)


def _object_code(text: str, target: Target, opt: int) -> bytes:
    with _tools(target, opt) as (machine, builder):
        return _emitted(machine, _optimised(text, target, machine, builder), text)


def _emitted(machine: Any, module: Any, text: str) -> bytes:
    emit = _past_lock("LLVMPY_TargetMachineEmitToMemory")
    if emit is None:
        return bytes(machine.emit_object(module))
    from llvmlite.binding import ffi

    with ffi.OutputString() as error:  # as TargetMachine.emit_object does
        buffer = emit(machine, module, 1, error)
        if not buffer:
            raise _fault(RuntimeError(str(error)), text)
    try:
        size = ffi.lib.LLVMPY_GetBufferSize(buffer)
        return ctypes.string_at(ffi.lib.LLVMPY_GetBufferStart(buffer), size)
    finally:
        ffi.lib.LLVMPY_DisposeMemoryBuffer(buffer)


@cache
def _past_lock(name: str) -> Any:
    """A function of llvmlite's library without the lock around it; None if there is no such thing.

    All that the two functions called so touch (context, module, target machine, pass builder)
    belongs to the calling thread, and LLVM lets threads work on contexts of their own.
    """
    try:
        from llvmlite.binding import ffi

        return getattr(ffi.lib, name)._cfn
    except (ImportError, AttributeError):
        return None


def assembly(text: str, target: Target, opt: int = 1) -> str:
    """What the processor will run, to be read."""
    with _LOCK, _tools(target, opt) as (machine, builder):
        return str(machine.emit_assembly(_optimised(text, target, machine, builder)))


def _key(text: str, names: Sequence[str], opt: int) -> str:
    parts = [_identity(), str(opt), *names, text]
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()


@cache
def _identity() -> str:
    """What else machine code depends on."""
    import llvmlite

    version = ".".join(map(str, _llvm().llvm_version_info))
    target = host()
    parts = [_PIPELINE, llvmlite.__version__, version, target.triple, target.cpu, target.features]
    return "\0".join(map(str, parts))


def _from_disk(key: str, names: Sequence[str]) -> Library | None:
    code = disk.load(key)
    if code is None:
        return None
    try:
        library = _link(code, names)
    except RuntimeError:  # made where another libc was
        return None
    Stats.loaded += 1
    return library


def _made(key: str, text: str, names: Sequence[str], code: bytes) -> Library:
    try:
        library = _link(code, names)
    except RuntimeError as error:
        raise _fault(error, text) from error
    Stats.compiled += 1
    disk.store(key, code)
    return library


def _link(code: bytes, names: Sequence[str]) -> Library:
    builder = _llvm().JITLibraryBuilder()
    builder.add_object_img(code)
    builder.add_current_process()
    for name in names:
        builder.export_symbol(name)
    number = next(_serial)
    linker = _linker(number // _LIBRARIES_OF_A_LINKER)
    return Library(builder.link(linker, f"weft{number}"), linker, names)


#: Target machines and pass builders that lie idle. (Each pass builder that is let go leaks 2 kB.)
_idle: dict[tuple[Target, int], list[tuple[Any, Any]]] = {}


@contextmanager
def _tools(target: Target, opt: int) -> Iterator[tuple[Any, Any]]:
    """(target machine, pass builder), which no other thread uses meanwhile."""
    idle = _idle.setdefault((target, opt), [])
    try:
        tools = idle.pop()
    except IndexError:
        tools = _new_tools(target, opt)
    try:
        yield tools
    finally:
        idle.append(tools)


def _new_tools(target: Target, opt: int) -> tuple[Any, Any]:
    llvm = _llvm()
    if target != host():
        llvm.initialize_all_targets()
        llvm.initialize_all_asmprinters()
    machine = _machine(target, opt)
    options = llvm.create_pipeline_tuning_options(speed_level=opt)
    options.loop_vectorization = options.slp_vectorization = opt >= 2
    return machine, llvm.create_pass_builder(machine, options)


def _optimised(text: str, target: Target, machine: Any, builder: Any) -> Any:
    """The module after LLVM's passes."""
    llvm = _llvm()
    try:
        module = llvm.parse_assembly(text, context=llvm.create_context())
        module.triple = target.triple
        module.data_layout = str(machine.target_data)
        module.verify()
    except RuntimeError as error:
        raise _fault(error, text) from error
    manager = builder.getModulePassManager()
    run = _past_lock("LLVMPY_RunNewModulePassManager")
    if run is None:
        manager.run(module, builder)
    else:
        run(manager, module, builder)
    # Of its two base classes, llvmlite 0.50 takes the _dispose that does nothing: 28 kB would leak.
    llvm.newpassmanagers.NewPassManager._dispose(manager)
    manager.detach()
    return module


def _machine(target: Target, opt: int) -> Any:
    # The passes take most of the time: what selects instructions may do its best from 1 up.
    return (
        _llvm()
        .Target.from_triple(target.triple)
        .create_target_machine(
            cpu=target.cpu, features=target.features, opt=3 if opt else 0, reloc="pic"
        )
    )


def _fault(error: RuntimeError, text: str) -> InternalError:
    fault = InternalError(f"LLVM refuses a module of the native engine: {error}")
    fault.text = text
    return fault


@cache
def _llvm() -> Any:
    """``llvmlite.binding``, made ready for the host."""
    import llvmlite.binding as llvm

    llvm.initialize_native_target()
    llvm.initialize_native_asmprinter()
    llvm.initialize_native_asmparser()
    if hasattr(os, "register_at_fork"):
        # A child made while another thread was inside LLVM would find LLVM locked for ever.
        os.register_at_fork(
            before=_LOCK.acquire, after_in_parent=_LOCK.release, after_in_child=_LOCK.release
        )
    return llvm


@lru_cache(1)
def _linker(number: int) -> Any:
    return _llvm().create_lljit_compiler(
        _machine(host(), 3), use_jit_link=os.name == "posix", suppress_errors=True
    )


def _unload(tracker: Any, linker: Any) -> None:
    """Lets code go, now or when the lock is free.

    A finaliser runs in any thread, in the middle of anything: it must not wait, since who holds the
    lock may be waiting for that thread.
    """
    _unloading.append((tracker, linker))
    if _LOCK.acquire(blocking=False):
        try:
            _unload_all()
        finally:
            _LOCK.release()


def _unload_all() -> None:
    while _unloading:
        try:
            tracker, linker = _unloading.popleft()
        except IndexError:  # another finaliser has come in between
            return
        tracker.close()
        del linker  # it goes with the last of its libraries: here, under the lock
