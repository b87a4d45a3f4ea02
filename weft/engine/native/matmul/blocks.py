"""The loops over blocks, slices and tiles of a product."""

from __future__ import annotations

from math import prod

from ..conv_layout import transpose
from ..ir import Function, Module, Value, size_of, vector
from .epilogue import Ahead, Epilogue, ahead_of_folded, batch_offset, of_folded, store
from .kernels import dot_kernel, tile_kernel
from .packing import panel_packer, tile_packer
from .plan import Plan, better_transposed, plan_of
from .spec import Matmul


def emit(
    module: Module,
    name: str,
    spec: Matmul,
    epilogue: Epilogue | None = None,
    ahead: Ahead | None = None,
    *,
    vector_bytes: int = 64,
    registers: int = 32,
    threads: int = 2,
) -> int:
    """Adds ``void name(ptr args, i64 tid, i64 nt)`` to the module.

    All of ``nt`` threads enter it, each with its ``tid``; none waits for another.

    Args:
        module: where to.
        name: of the function.
        spec: shapes and strides.
        epilogue: what is done with finished sums, in place of storing them to C.
        ahead: asks for what the epilogue will read, before the sums are computed.
        vector_bytes: the width of a vector register.
        registers: how many of them there are.
        threads: the number that C is cut for; any other works too.

    Returns:
        Bytes of workspace that each thread needs.

    ``args`` is an array of words: a block for the runtime, A, B, C, the workspace of all threads
    together, and what the epilogue needs. Threads are not waited for: two functions that share
    workspace, or of which one reads what the other writes, need a barrier between them.
    """
    fn = module.function(name, [("args", "ptr"), ("tid", "i64"), ("nt", "i64")])
    if 0 in {*spec.batch, spec.m, spec.n}:
        return 0
    folded, operands = spec.folded(), (1, 2)
    epilogue = of_folded(spec, folded, epilogue) if epilogue else None
    if ahead is not None:
        ahead = ahead_of_folded(spec, folded, ahead)
    spec = folded
    lanes = vector_bytes // size_of(spec.kind)
    plain, epilogue = epilogue is None, epilogue or store(spec)
    turned = better_transposed(spec, lanes)
    if turned:
        spec, operands = spec.transposed(), (2, 1)
    plan = plan_of(spec, lanes, registers, threads, plain=plain)
    Blocks(fn, spec, plan, epilogue, ahead, operands, turned).run()
    return plan.workspace


#: A tile of fewer multiply-adds is done before what was asked for has come.
_WORTH_ASKING = 64


class Blocks:
    """The body of one product's function.

    ``turned``: it is the transposed product that is computed, but epilogue and ``ahead`` count rows
    and columns as in the product itself.
    """

    def __init__(
        self,
        fn: Function,
        spec: Matmul,
        plan: Plan,
        epilogue: Epilogue,
        ahead: Ahead | None,
        operands: tuple[int, int],
        turned: bool,
    ) -> None:
        self.turned = turned
        self.fn, self.spec, self.plan, self.epilogue = fn, spec, plan, epilogue
        self.ahead = ahead if spec.k >= _WORTH_ASKING else None
        self.args, self.tid, self.nt = fn.arguments
        self.a, self.b = (fn.load("ptr", self.args, word) for word in operands)
        self.c = fn.load("ptr", self.args, 3)
        area_a, area_b, _ = plan.areas()
        workspace = fn.load("ptr", self.args, 4)
        self.packed_a = fn.address(workspace, self.tid * plan.workspace, "i8")
        self.packed_b = fn.address(self.packed_a, area_a, spec.kind)
        self.sums = fn.address(self.packed_b, area_b, spec.kind)
        self.ragged = bool(spec.n % plan.width)

    def run(self) -> None:
        fn, plan = self.fn, self.plan
        per_batch = plan.row_blocks * plan.column_blocks
        blocks = prod(self.spec.batch) * per_batch
        first = self.tid * blocks // self.nt
        with fn.loop(first, (self.tid + 1) * blocks // self.nt) as block:
            batch, within = block // per_batch, block % per_batch
            begun = fn.compare("eq", block, first)
            self._block(batch, within // plan.row_blocks, within % plan.row_blocks, begun)

    def _share(self, index: Value, units: int, parts: int) -> tuple[Value, Value]:
        return index * units // parts, (index + 1) * units // parts

    def _block(self, batch: Value, column_block: Value, row_block: Value, begun: Value) -> None:
        fn, spec, plan = self.fn, self.spec, self.plan
        tiles = self._share(row_block, plan.tiles, plan.row_blocks)
        panels = self._share(column_block, plan.panels, plan.column_blocks)
        a = fn.address(self.a, batch_offset(fn, batch, spec.batch, spec.a[:-2]), spec.kind)
        b = fn.address(self.b, batch_offset(fn, batch, spec.batch, spec.b[:-2]), spec.kind)
        with fn.loop(0, plan.slices) as index:
            start = index * plan.depth
            depth = fn.least(spec.k - start, fn.const(plan.depth, "i64"))
            slice_a = fn.address(a, start * spec.a[-1], spec.kind)
            slice_b = fn.address(b, start * spec.b[-2], spec.kind)
            if plan.pack_b:
                fresh = fn.compare("eq", row_block, 0) | begun
                if plan.slices > 1:
                    fresh = fn.const(1, "i1")
                with fn.when(fresh):
                    self._pack_panels(slice_b, panels, depth)
            with fn.loop(*tiles, plan.most_tiles) as first:
                part = first, fn.least(first + plan.most_tiles, tiles[1])
                self._tiles(batch, part, tiles[0], panels, slice_a, slice_b, index, depth)

    def _pack_panels(self, b: Value, panels: tuple[Value, Value], depth: Value) -> None:
        fn, spec, plan = self.fn, self.spec, self.plan
        column = panels[0] * plan.width
        fn.call_void(
            panel_packer(fn.module, spec, plan, self.ragged),
            depth,
            fn.address(b, column * spec.b[-1], spec.kind),
            self.packed_b,
            spec.n - column,
            panels[1] - panels[0],
        )

    def _tiles(
        self,
        batch: Value,
        tiles: tuple[Value, Value],
        first: Value,
        panels: tuple[Value, Value],
        a: Value,
        b: Value,
        index: Value,
        depth: Value,
    ) -> None:
        fn, plan = self.fn, self.plan
        top_tile = top = 0
        for height, count in plan.heights:
            start, stop = tiles
            if len(plan.heights) > 1:
                end = fn.const(top_tile + count, "i64")
                begin = fn.const(top_tile, "i64")
                start = fn.select(fn.compare("slt", start, begin), begin, start)
                stop = fn.least(stop, end)

            def row_of(tile: Value, h: int = height, at: int = top - top_tile * height) -> Value:
                return tile * h + at

            if plan.pack_a:
                fn.call_void(
                    tile_packer(fn.module, self.spec, plan, height),
                    depth,
                    fn.address(a, row_of(start) * self.spec.a[-2], self.spec.kind),
                    fn.address(self.packed_a, (start - tiles[0]) * plan.slot, self.spec.kind),
                    stop - start,
                )
            with fn.loop(*panels) as panel, fn.loop(start, stop) as tile:
                place = (panel - panels[0], tile - tiles[0], tile - first)
                self._tile(batch, row_of(tile), panel, place, (height, depth), a, b, index)
            top_tile, top = top_tile + count, top + count * height

    def _tile(
        self,
        batch: Value,
        row: Value,
        panel: Value,
        place: tuple[Value, Value, Value],
        shape: tuple[int, Value],
        a: Value,
        b: Value,
        index: Value,
    ) -> None:
        fn, spec, plan = self.fn, self.spec, self.plan
        height, depth = shape
        column = panel * plan.width
        if plan.pack_a:
            a = fn.address(self.packed_a, place[1] * plan.slot, spec.kind)
        else:
            a = fn.address(a, row * spec.a[-2], spec.kind)
        if plan.pack_b:
            b = fn.address(self.packed_b, place[0] * plan.panel, spec.kind)
        else:
            b = fn.address(b, column * spec.b[-1], spec.kind)
        sums = self.sums
        if plan.to_c:
            at = batch_offset(fn, batch, spec.batch, spec.c[:-2]) + row * spec.c[-2] + column
            sums = fn.address(self.c, at, spec.kind)
        elif plan.slices > 1:
            at = (place[0] * plan.block_tiles + place[2]) * (plan.heights[0][0] * plan.width)
            sums = fn.address(sums, at, spec.kind)
        kernel = dot_kernel if plan.dots else tile_kernel
        live = fn.least(spec.n - column, fn.const(plan.width, "i64"))
        if self.ahead is not None:
            fn.call_void(self._ask(), self.args, batch, row, fn.const(height, "i64"), column)
        name = kernel(fn.module, spec, plan, height, self.ragged)
        fn.call_void(name, depth, a, b, sums, fn.compare("eq", index, 0), live)
        if plan.to_c:
            return
        with fn.when(fn.compare("eq", index, plan.slices - 1)):
            rows = fn.const(height, "i64")
            fn.call_void(self._finish(), self.args, sums, batch, row, rows, column)

    def _ask(self) -> str:
        """The function that asks for what the epilogue of a tile will read."""
        plan, ahead, turned = self.plan, self.ahead, self.turned
        assert ahead is not None

        def build(fn: Function) -> None:
            args, batch, top, rows, left = fn.arguments
            if turned:
                with fn.loop(0, fn.least(self.spec.n - left, fn.const(plan.width, "i64"))) as row:
                    for i in range(0, plan.heights[0][0], plan.lanes):
                        ahead(fn, args, batch, left + row, top + i)
                return
            with fn.loop(0, rows) as row:
                for j in range(plan.vectors):
                    ahead(fn, args, batch, top + row, left + j * plan.lanes)

        arguments = [("args", "ptr"), *[(x, "i64") for x in ("batch", "top", "rows", "left")]]
        return self.fn.module.shared(f"{self.fn.name}_ahead", arguments, build)

    def _finish(self) -> str:
        """The function that gives a tile's sums to the epilogue."""
        build = self._finish_turned if self.turned else self._finish_rows
        arguments = [("args", "ptr"), ("sums", "ptr")]
        arguments += [(x, "i64") for x in ("batch", "top", "rows", "left")]
        return self.fn.module.shared(f"{self.fn.name}_finish", arguments, build)

    def _finish_rows(self, fn: Function) -> None:
        spec, plan = self.spec, self.plan
        kind = vector(spec.kind, plan.lanes)
        args, sums, batch, top, rows, left = fn.arguments
        with fn.loop(0, rows) as row:
            for j in range(plan.vectors):
                column = left + j * plan.lanes
                mask = fn.first_lanes(plan.lanes, spec.n - column) if self.ragged else None
                value = fn.load(kind, sums, row * plan.width + j * plan.lanes)
                self.epilogue(fn, args, value, batch, top + row, column, mask)

    def _finish_turned(self, fn: Function) -> None:
        """Squares of the tile are turned in registers, so that lanes lie along the rows of C."""
        spec, plan = self.spec, self.plan
        lanes, kind = plan.lanes, vector(spec.kind, plan.lanes)
        args, sums, batch, top, rows, left = fn.arguments
        square = fn.variable(f"[{lanes} x {kind}]")
        columns = fn.least(spec.n - left, fn.const(plan.width, "i64"))
        for i in range(0, plan.heights[0][0], lanes):
            mask = fn.first_lanes(lanes, rows - i)
            with fn.loop(0, columns, lanes) as j:
                rows_at = [fn.least(rows - 1, i + k) * plan.width for k in range(lanes)]
                held = transpose(fn, [fn.load(kind, sums, at + j) for at in rows_at])
                for k, value in enumerate(held):
                    fn.store(value, square, k * lanes)
                with fn.loop(0, fn.least(columns - j, fn.const(lanes, "i64"))) as r:
                    value = fn.load(kind, square, r * lanes)
                    self.epilogue(fn, args, value, batch, left + j + r, top + i, mask)
