"""Programs that run, or partly run, on other devices than the CPU."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from sys import getrefcount
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from ...graph.device import CPU, device
from ...graph.liveness import Work
from ...graph.modes import Where
from ...graph.node import Node, Signature
from .. import precision
from ..devices import Packed, host, put
from ..reference import Failure, Outcome, Program
from . import platform
from .faults import FallibleOp, Watch, translated, watch
from .lowering import ELEMENTWISE, RULES, WORDS, can_fail, lower
from .packs import joined, split
from .partition import Part, partition, sources
from .rules import Checked, Setting

#: The first failure of a part: its place in the order, and what it is.
First = tuple[int, Failure] | None
Watched = Callable[[], list[Any] | None]


#: Steps of a program of XLA, which holds machine code, count so many times in the limit of all.
_WEIGHT = 50


class Placed:
    """A plan for all graphs of one structure of which something is not for the CPU."""

    def __init__(self, work: Work, changes: Sequence[Any], watched: Watched) -> None:
        """
        Args:
            changes: in place, since the last run; their ``before`` may be needed to undo them.
            watched: gives the list in which programs that run are to be noted, or None.
        """
        self.size = len(work.order) * _WEIGHT
        self.stored = [node.mark for node in work.stored]
        self.parts = [
            OnCPU(part, work) if part.device is CPU else Compiled(part, work, changes, watched)
            for part in partition(work, RULES.__contains__)
        ]

    def run(self, work: Work) -> Outcome:
        """The stored values, most of them still being computed, and the first failure."""
        values = [v.cut() if (v := n.value).__class__ is Packed else v for n in work.leaves]
        values += [None] * len(work.order)
        failures = [part.run(values, work) for part in self.parts]
        first = min([f for f in failures if f is not None], default=None, key=lambda f: f[0])
        return [values[place] for place in self.stored], first

    def obstacle(self) -> str:
        """Why calls that run it cannot be repeated without Python."""
        alone = len(self.parts) == 1 and isinstance(self.parts[0], Compiled)
        return "" if alone else "parts of it run on different devices"


class OnCPU:
    """A part that the reference interpreter runs."""

    def __init__(self, part: Part, work: Work) -> None:
        self._part = part
        nodes = [*work.leaves, *work.order]
        inside = {place: k for k, place in enumerate([*part.inputs, *part.places])}
        sub = Work()
        sub.leaves = [nodes[p] for p in part.inputs]
        sub.order = [nodes[p] for p in part.places]
        sub.stored = [nodes[p] for p in part.outputs]
        try:
            for node in sub.order:  # what is history only is not there: any value will do
                for other in node.inputs[len(sources(node)) :]:
                    other.mark = 0
            for place, k in inside.items():
                nodes[place].mark = k
            self._program = Program(sub)
        finally:
            for place, node in enumerate(nodes):
                node.mark = place

    def run(self, values: list[Any], work: Work) -> First:
        part, first = self._part, len(work.leaves)
        inputs = [values[p] for p in part.inputs]
        inputs = [v if v.__class__ is Failure else host(v) for v in inputs]
        order = [work.order[p - first] for p in part.places]
        outcome, failure = self._program.run(inputs, order)
        for place, value in zip(part.outputs, outcome, strict=True):
            values[place] = value
        return None if failure is None else (part.places[failure[0]] - first, failure[1])


Step = tuple[Signature, tuple[int, ...], int]  # places of the inputs, place of the result
#: What ``jax.jit`` has made, the places that it gives after packs, and those of ops that can fail.
Jitted = tuple[Callable[..., Any], list[int], list[int]]


class Packing(NamedTuple):
    """A flat array among the arguments, or the results, or in place of one another among both.

    Attributes:
        inputs: numbers of those that lie in it, one after another.
        outputs: places of those.
    """

    inputs: tuple[int, ...] = ()
    outputs: tuple[int, ...] = ()


class Compiled:
    """A part that XLA compiles as one program."""

    def __init__(self, part: Part, work: Work, changes: Sequence[Any], watched: Watched) -> None:
        nodes = [*work.leaves, *work.order]
        self._part, self._changes, self._watched = part, changes, watched
        #: Of its inputs.
        self.kinds = [nodes[p].type for p in part.inputs]
        self._steps: list[Step] = [
            (nodes[p].sig, tuple([i.mark for i in sources(nodes[p])]), p) for p in part.places
        ]
        self._far = [
            k for k, p in enumerate(part.inputs) if nodes[p].type.device is not part.device
        ]
        self._outputs = frozenset(part.outputs)
        #: Inputs that can give their memory to an output, by number, and the output's place.
        self.donations = _donations(part, nodes, len(work.leaves))
        self._uses = Counter(i.mark for node in work.order for i in node.inputs)
        self._can_fail = any(can_fail(sig) for sig, _, _ in self._steps)
        #: Of its inputs, by place.
        self.number = {place: k for k, place in enumerate(part.inputs)}
        self._first = len(work.leaves)
        self._jitted: dict[Any, Jitted] = {}
        self._ahead: dict[Callable[..., Any], Callable[..., Any]] = {}
        #: The latest call, for explain.
        self.latest: tuple[Any, Sequence[Any]] | None = None

    @property
    def device(self) -> device:
        return self._part.device

    @property
    def ops(self) -> list[Signature]:
        return [sig for sig, _, _ in self._steps]

    def run(self, values: list[Any], work: Work) -> First:
        arguments = [values[p] for p in self._part.inputs]
        for k in self._far:  # (NumPy's values go along by themselves)
            if isinstance(arguments[k], jax.Array):
                arguments[k] = put(arguments[k], self.device)
        bad = {
            p: value
            for p, value in zip(self._part.inputs, arguments, strict=True)
            if value.__class__ is Failure
        }
        arguments = [None if value.__class__ is Failure else value for value in arguments]
        given = () if bad else tuple(sorted(self._given(work, values, arguments)))
        undone = self._changed_in_place(work)
        call, places, fallible = self.jitted(given, undone, frozenset(bad))
        if (watched := self._watched()) is not None:
            self.latest = call, [_like(a) for a in arguments]
            watched.append(self)
        out, found = self.called(call, [platform.token(self.device), *arguments])
        for k in given:  # nobody has these, unless it be to undo a change, after Ctrl-C
            work.leaves[self._part.inputs[k]].value = _GIVEN_AWAY
        for place, value in zip(places, out, strict=True):
            values[place] = value
        if fallible:
            where = [node.where for node in work.order]
            watch(Watch(found, self.fallible_ops(fallible, where)))
        return self._lost(values, bad) if bad else None

    def called(self, call: Callable[..., Any], arguments: list[Any], wide: bool = True) -> Any:
        """What a program gives for its arguments, of which the first is the device's token.

        Args:
            wide: may it have to be traced, or are there NumPy's arrays of 64 bits among them?
        """
        try:
            with platform.wide() if wide else platform.as_it_is():
                return call(*arguments)
        except jax.errors.JaxRuntimeError as error:
            raise translated(error, self.device) from None

    def ahead(self, call: Callable[..., Any], arguments: list[Any]) -> Callable[..., Any]:
        """What :meth:`jitted` gave, compiled for such arguments: a call of it takes less time."""
        found = self._ahead.get(call)
        if found is None:

            def compiled(*arguments: Any) -> Any:
                return call.lower(*arguments).compile()  # type: ignore[attr-defined]

            found = self._ahead[call] = self.called(compiled, arguments)
        return found

    def fallible_ops(self, places: list[int], where: list[Where | None]) -> list[FallibleOp]:
        """The ops that can fail, for their errors. ``where``: each of the graph was recorded."""
        sigs = {place: sig for sig, _, place in self._steps}
        return [(sigs[p], where[p - self._first], WORDS[sigs[p].op.name]) for p in places]

    def _lost(self, values: list[Any], bad: dict[int, Any]) -> First:
        """Carries failures along."""
        found: First = None
        for _, inputs, place in self._steps:
            source = next((p for p in inputs if p in bad), None)
            if source is not None:
                bad[place] = values[place] = bad[source]
                found = found or (place - self._first, bad[place])
        return found

    def _given(self, work: Work, values: list[Any], arguments: list[Any]) -> Iterator[int]:
        """Inputs that nobody will read again: XLA may write results into their memory."""
        kept: set[int] = set()
        for node in work.history:
            kept |= {
                source.mark
                for k, source in enumerate(node.inputs)
                if source is not None and (source.tracks or k in node.sig.needs)
            }
        changed: Counter[int] | None = None
        for k in self.donations:
            place = self._part.inputs[k]
            leaf, value = work.leaves[place], arguments[k]
            if leaf.value is not value:  # it is part of an array of several
                continue
            # The value is in the leaf and in two lists here; the leaf in its list, in the inputs
            # of nodes, and in the means to undo changes. Whatever more there is, somebody has it.
            # (2: the local variable and the argument)
            if place in kept or not isinstance(value, jax.Array) or getrefcount(value) > 3 + 2:
                continue
            if changed is None:
                changed = Counter(id(change.before) for change in self._changes)
            if getrefcount(leaf) <= 1 + self._uses[place] + changed[id(leaf)] + 2:
                yield k

    def _changed_in_place(self, work: Work) -> tuple[tuple[int, int], ...]:
        """Results that tensors were changed to, and the inputs that these had before.

        Where an op has failed before such a change, the program keeps the earlier value: a step of
        an optimiser on wrong data changes nothing.
        """
        first = self._first
        found: dict[int, int] = {}
        for change in self._changes:
            place, handle = change.before.mark, change.handle()
            if handle is None or place >= first or work.leaves[place] is not change.before:
                continue
            new = handle._node
            after = new.mark
            if (
                place in self.number
                and first <= after < first + len(work.order)
                and work.order[after - first] is new
                and after in self._outputs
                and new.type is change.before.type
            ):
                found.setdefault(after, self.number[place])
        return tuple(sorted(found.items()))

    def jitted(
        self,
        given: tuple[int, ...],
        undone: tuple[tuple[int, int], ...],
        bad: frozenset[int] = frozenset(),
        packs: tuple[Packing, ...] = (),
    ) -> Jitted:
        """
        Args:
            given: numbers of the inputs that nobody will read again. Those of packs follow.
            undone: (place of an output, number of an input) where a tensor is changed in place:
                it keeps the input's value if an op has failed before.
            bad: places of inputs that have no value, for an op has failed earlier.
            packs: flat arrays in place of inputs and outputs. They follow the inputs that are left
                among the arguments, and come first among the results.
        """
        undone = undone if self._can_fail else ()
        setting = Setting(
            platform.device_of_jax(self.device).platform,
            precision.get_precision(),
            platform.has_attention(self.device),
        )
        key = setting, given, bad, undone, packs
        found = self._jitted.get(key)
        if found is None:
            found = self._jitted[key] = self._built(*key)
        return found

    def alone(self, packs: tuple[Packing, ...]) -> list[int]:
        """The inputs that are arguments by themselves."""
        taken = {k for pack in packs for k in pack.inputs}
        return [k for k in range(len(self._part.inputs)) if k not in taken]

    def _built(
        self,
        setting: Setting,
        given: tuple[int, ...],
        bad: frozenset[int],
        undone: tuple[tuple[int, int], ...],
        packs: tuple[Packing, ...],
    ) -> Jitted:
        steps, lost = [], set(bad)
        for step in self._steps:
            if lost.intersection(step[1]):
                lost.add(step[2])
            else:
                steps.append(step)
        inputs = self._part.inputs
        taken = [pack.inputs for pack in packs if pack.inputs]
        made = [pack.outputs for pack in packs if pack.outputs]
        alone = self.alone(packs)
        order = (*alone, *range(len(inputs), len(inputs) + len(taken)))
        at = {k: place for place, k in enumerate(order, 1)}
        # JAX gives an argument's memory to the first result of its type.
        in_place = [self.donations[k] for k in given if k < len(inputs)]
        done = {*lost, *in_place, *[p for places in made for p in places]}
        outputs = in_place + [p for p in self._part.outputs if p not in done]

        def weft_graph(token: Any, *arguments: Any) -> Any:
            values = {inputs[k]: x for k, x in zip(alone, arguments, strict=False)}
            for numbers, array in zip(taken, arguments[len(alone) :], strict=True):
                shapes = [self.kinds[k].shape for k in numbers]
                for k, x in zip(numbers, split(array, shapes), strict=True):
                    values[inputs[k]] = x
            before = [values[p] for p in inputs]
            failed, wrong = [], []
            fallible: list[int] = []
            for sig, sources_of, place in steps:
                found = lower(sig, setting, *[jnp.asarray(values[p]) for p in sources_of])
                if isinstance(found, Checked):
                    failed.append(found.failed)
                    wrong.append(jnp.asarray(found.wrong, jnp.float64))
                    fallible.append(place)
                    found = found.value
                values[place] = found
            for place, k in undone:
                earlier = [f for f, p in zip(failed, fallible, strict=True) if p < place]
                if earlier and place not in lost:
                    stays = jnp.stack(earlier).any()
                    values[place] = jnp.where(stays, before[k], values[place])
            results = [joined([values[p] for p in places]) for places in made]
            return results + [values[p] for p in outputs], _stacked(failed, wrong)

        call = jax.jit(weft_graph, donate_argnums=[at[k] for k in given], keep_unused=True)
        return call, outputs, [place for sig, _, place in steps if can_fail(sig)]


_GIVEN_AWAY = Failure(RuntimeError, "its memory was given to a run that was interrupted")


def _stacked(failed: list[Any], wrong: list[Any]) -> Any:
    """Two rows: 1 where an op has failed, else 0; what was wrong."""
    return jnp.stack([jnp.stack(failed).astype(jnp.float64), jnp.stack(wrong)]) if failed else None


def _like(value: Any) -> Any:
    if value is None:
        return None
    if isinstance(value, jax.Array):
        return jax.ShapeDtypeStruct(value.shape, value.dtype, sharding=value.sharding)
    return jax.ShapeDtypeStruct(value.shape, value.dtype)


#: How many ops an output may be away from what it is written over.
_FAR = 30


def _donations(part: Part, nodes: list[Node], first: int) -> dict[int, int]:
    """Which input may give its memory to which output, by number and place.

    An output is written in place without a copy if it is made of the input element by element: new
    weights of old ones. Where several are, the nearest is taken.
    """
    near: list[tuple[int, int, int]] = []
    number = {place: k for k, place in enumerate(part.inputs)}
    inside = set(part.places)
    for output in part.outputs:
        kind = nodes[output].type
        reached, frontier, distance = {output}, [output], 0
        while frontier and distance < _FAR:
            distance += 1
            places = [
                source.mark
                for place in frontier
                if place in inside and nodes[place].sig.op.name in ELEMENTWISE
                for source in sources(nodes[place])
            ]
            frontier = [
                p
                for p in dict.fromkeys(places)
                if p not in reached and nodes[p].type.shape == kind.shape
            ]
            reached.update(frontier)
            near += [
                (distance, number[p], output)
                for p in frontier
                if p < first and p not in part.shared and nodes[p].type is kind
            ]
    found: dict[int, int] = {}
    for _, k, output in sorted(near):
        if k not in found and output not in found.values():
            found[k] = output
    return found
