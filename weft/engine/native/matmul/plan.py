"""How a product is cut: tiles, blocks, slices, and what is packed."""

from __future__ import annotations

from dataclasses import dataclass
from math import prod

from ..ir import size_of
from .spec import Matmul, useful_threads


@dataclass(frozen=True)
class Plan:
    """Sizes that are fixed when a product is emitted.

    Attributes:
        lanes: of a vector.
        vectors: across a tile.
        heights: of the tiles from the top down: how high, how many.
        panels: tiles that cover N.
        row_blocks, column_blocks: into how many blocks the tiles are shared out.
        most_tiles: of A, packed at once.
        depth: of a slice of K; ``slices`` of them.
        pack_a, pack_b: whether an operand is copied; else it is read where it is.
        dots: if vectors lie along K, how many columns are summed at once; else 0.
        to_c: whether a kernel's sums go straight to C.
        size: bytes of an element.
    """

    lanes: int
    vectors: int
    heights: tuple[tuple[int, int], ...]
    panels: int
    row_blocks: int
    column_blocks: int
    most_tiles: int
    depth: int
    slices: int
    pack_a: bool
    pack_b: bool
    dots: int
    to_c: bool
    size: int

    @property
    def width(self) -> int:
        return self.vectors * self.lanes

    @property
    def tiles(self) -> int:
        return sum(count for _, count in self.heights)

    @property
    def block_tiles(self) -> int:
        return -(-self.tiles // self.row_blocks)

    @property
    def block_panels(self) -> int:
        return -(-self.panels // self.column_blocks)

    @property
    def slot(self) -> int:
        """Elements that a packed tile of A takes."""
        return self.heights[0][0] * self.depth + self.lanes

    @property
    def panel(self) -> int:
        """Elements that a packed panel of B takes: a row too many, for panels side by side that lie
        a power of two apart would share few lines of the cache.
        """
        return self.width * (self.depth + 1)

    def areas(self) -> tuple[int, int, int]:
        """Elements of workspace for packed A, packed B and sums."""
        a = min(self.block_tiles, self.most_tiles) * self.slot * self.pack_a
        b = self.block_panels * self.panel * self.pack_b
        tiles = 1 if self.slices == 1 else self.block_tiles * self.block_panels
        return _up(a, 64), _up(b, 64), _up(tiles * self.heights[0][0] * self.width, 64)

    @property
    def workspace(self) -> int:
        return sum(self.areas()) * self.size


DEPTH = 1024  # sums of a tile stay in registers as long as may be
_BLOCK_BYTES = 240 * 256 * 4  # of packed A, in the second-level cache
_PANEL_BYTES = 1 << 20  # of packed B, beside it
_DOT_ROWS = 4


def _up(n: int, unit: int) -> int:
    return -(-n // unit) * unit


def better_transposed(spec: Matmul, lanes: int) -> bool:
    """Whether rows and columns should change places.

    The smaller operand is the one to be turned, if one is: a weight in front of a small batch is
    read as it lies.
    """
    turned = _cost(spec.transposed(), lanes) + 0.5 * spec.m * spec.n
    return turned < 0.95 * _cost(spec, lanes)


def _cost(spec: Matmul, lanes: int) -> float:
    return min(_tile_cost(spec, lanes), _dot_cost(spec, lanes))


def _tile_cost(spec: Matmul, lanes: int) -> float:
    """Roughly the cycles of multiply-adds, and of turning B."""
    step, column = spec.b[-2:]
    turn = 0 if column == 1 else spec.k * spec.n * (1 if step == 1 else 2)
    return spec.m * spec.k * _up(spec.n, lanes) / lanes + turn


def _dot_cost(spec: Matmul, lanes: int) -> float:
    """Likewise of dot products, with the sums over the lanes that end them."""
    along_k = spec.b[-2] == 1 != spec.b[-1] and (spec.a[-1] == 1 or spec.m == 1)
    if not along_k or spec.k < lanes:
        return float("inf")
    return spec.m * spec.n * (_up(spec.k, lanes) / lanes + 6)


def plan_of(spec: Matmul, lanes: int, registers: int, threads: int, *, plain: bool) -> Plan:
    """How a product is cut; ``plain``: without an epilogue."""
    size = size_of(spec.kind)
    dots = _dot_cost(spec, lanes) < 0.9 * _tile_cost(spec, lanes)
    vectors, most_rows = (2, _DOT_ROWS) if dots else _tile(spec.m, spec.n, lanes, registers)
    heights = _near_equal(spec.m, most_rows)
    tiles, height = sum(count for _, count in heights), heights[0][0]
    panels = -(-spec.n // (vectors * lanes))
    b_in_place = dots or (
        spec.b[-1] == 1 and (tiles <= 3 or min(spec.k, DEPTH) * spec.b[-2] * size <= 32 << 10)
    )
    deepest = max(1, spec.k) if dots else 64 if b_in_place and tiles == 1 else DEPTH
    slices = max(1, -(-spec.k // deepest))
    depth = _up(max(1, -(-spec.k // slices)), 16)
    most_panels = max(1, _PANEL_BYTES // (depth * size * vectors * lanes))
    row_blocks, column_blocks = _blocks(
        spec, threads, tiles, panels, (height, vectors * lanes), most_panels
    )
    a_span = (height * abs(spec.a[-2]) + depth * abs(spec.a[-1])) * size
    if dots:
        a_in_place = spec.a[-1] == 1
    else:
        a_in_place = -(-panels // column_blocks) <= 2 or a_span <= 16 << 10
    return Plan(
        lanes,
        vectors,
        heights,
        panels,
        row_blocks,
        column_blocks,
        max(1, _BLOCK_BYTES // (depth * size * height)),
        depth,
        max(1, -(-spec.k // depth)),
        not a_in_place,
        not b_in_place,
        dots and _columns_at_once(height, min(spec.n, vectors * lanes), registers),
        plain and spec.c[-1] == 1,
        size,
    )


def _tile(m: int, n: int, lanes: int, registers: int) -> tuple[int, int]:
    """Vectors across a tile and its rows at most: little of it should stick out over C."""
    across = -(-n // lanes)

    def rows(vectors: int) -> int:
        return (registers - vectors - 1) // vectors

    def cost(vectors: int) -> float:
        height = _near_equal(m, rows(vectors))[0][0]
        waiting = max(1.0, 8 / (height * vectors))  # too few sums at once wait for each other
        return _up(across, vectors) * waiting

    best = min((2, 3, 1, 4, 5, 6, 8), key=lambda v: cost(v) if 2 * v < registers else 1e30)
    return best, rows(best)


def _columns_at_once(height: int, columns: int, registers: int) -> int:
    """Of dot products: what is left over is done column by column."""

    def cost(count: int) -> int:
        whole = max(height * count, height + count, 4)  # multiply-adds, loads, waiting for sums
        return columns // count * whole + columns % count * max(height + 1, 4)

    return min(range(1, max(1, min(8, registers // 2 // height)) + 1), key=lambda c: (cost(c), -c))


def _near_equal(n: int, most: int) -> tuple[tuple[int, int], ...]:
    """Parts of at most ``most`` that add up to n: (size, how many), the greater ones first."""
    count = -(-n // most)
    size, greater = divmod(n, count)
    parts = ((size + 1, greater), (size, count - greater))
    return tuple(part for part in parts if part[1])


def _blocks(
    spec: Matmul,
    threads: int,
    tiles: int,
    panels: int,
    tile: tuple[int, int],
    most_panels: int,
) -> tuple[int, int]:
    """Blocks along M and N: small enough for the caches, and a fair share for each thread."""
    threads = min(threads, useful_threads(spec))
    columns = -(-panels // most_panels)
    batch = prod(spec.batch)

    def cost(cut: tuple[int, int]) -> float:
        height = -(-tiles // cut[0]) * tile[0]
        width = -(-panels // cut[1]) * tile[1]
        rounds = -(-batch * cut[0] * cut[1] // threads)
        return rounds * (height + 4) * (width + 4)  # packing costs about four more rows, columns

    cuts = [
        (r, c)
        for r in range(1, min(tiles, threads) + 1)
        for c in range(columns, min(panels, columns + threads) + 1)
    ]
    return min(cuts, key=cost)
