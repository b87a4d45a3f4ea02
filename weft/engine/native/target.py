"""What a processor has: the numbers by which kernels choose their tiles and blocks."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache
from pathlib import Path

#: Bytes of L1 (data), L2 and L3 where the system does not say: small, so that blocks fit anywhere.
_CACHES = (32 << 10, 512 << 10, 4 << 20)

_CPU = Path("/sys/devices/system/cpu/cpu0/cache")


@dataclass(frozen=True)
class Target:
    """A processor as the emitters of kernels see it.

    Attributes:
        triple, cpu, features: as LLVM writes them.
        vector_bytes: width of the vectors to work with: 64 (AVX-512), 32 (AVX2), 16 (SSE, NEON).
        registers: how many such vectors the processor holds.
        fma: whether a multiply-add is one instruction.
        caches: bytes of L1 (data), L2 and L3.
    """

    triple: str
    cpu: str
    features: str
    vector_bytes: int
    registers: int
    fma: bool
    caches: tuple[int, int, int] = _CACHES

    @property
    def arch(self) -> str:
        """``x86_64``, ``aarch64``; the other names of the latter are turned into this one."""
        name = self.triple.partition("-")[0]
        return "aarch64" if name == "arm64" else name

    @property
    def avx512(self) -> bool:
        return self.vector_bytes == 64

    def lanes(self, itemsize: int) -> int:
        """How many elements of ``itemsize`` bytes are in one vector."""
        return self.vector_bytes // itemsize


@cache
def host() -> Target:
    """The processor that this process runs on."""
    import llvmlite.binding as llvm

    features = llvm.get_host_cpu_features().flatten()
    return named(llvm.get_process_triple(), llvm.get_host_cpu_name(), features, _host_caches())


def named(
    triple: str,
    cpu: str = "",
    features: str = "",
    caches: tuple[int, int, int] = _CACHES,
) -> Target:
    """Any processor; what x86 has beyond SSE2 is read from ``features`` (``"+avx2,+fma"``)."""
    has = {name[1:] for name in features.split(",") if name.startswith("+")}
    arch = triple.partition("-")[0]
    if arch in {"aarch64", "arm64"}:
        width, registers, fma = 16, 32, True
    elif {"avx512f", "avx512vl"} <= has:
        width, registers, fma = 64, 32, True
    else:
        width, registers, fma = 32 if "avx2" in has else 16, 16, "fma" in has
    return Target(triple, cpu, features, width, registers, fma, caches)


def _host_caches() -> tuple[int, int, int]:
    """Read from Linux's ``/sys``; a level that is not there keeps its default."""
    sizes = list(_CACHES)
    for folder in _CPU.glob("index*"):
        try:
            level, kind, size = (
                (folder / name).read_text(encoding="ascii").strip()
                for name in ("level", "type", "size")
            )
        except OSError:
            continue
        found = re.fullmatch(r"(\d+)([KM])", size)
        if kind != "Instruction" and found and level in {"1", "2", "3"}:
            sizes[int(level) - 1] = int(found[1]) << (10 if found[2] == "K" else 20)
    return sizes[0], sizes[1], sizes[2]
