"""``weft.compile``: functions whose calls are recorded, and run again without Python."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import update_wrapper
from itertools import chain, count
from operator import is_, itemgetter
from types import MethodType
from typing import TYPE_CHECKING, Any

from .. import config
from ..engine import realize
from ..engine.realize import Planned
from ..graph.device import default_device
from ..graph.modes import grad_enabled
from ..graph.node import Node, next_order
from ..graph.tracing import Trace, current
from ..hooks import Changes
from ..nn.hooks import register_module_forward_pre_hook
from ..nn.module import Module
from ..optim.optimizer import Optimizer
from ..tensors.autocasting import autocast_mode
from ..tensors.core import TensorCore, wrap
from .environment import Environment, tensors_in
from .places import Places
from .program import Replay, Slots
from .recording import Obstacle, Recording, recorded

if TYPE_CHECKING:
    from .packs import Changed
    from .placed import PlacedReplay

_values, _params, _chained = dict.values, itemgetter("params"), chain.from_iterable

_PLAIN = (int, float, complex, str, bytes, bool, type(None))
_MOST_KINDS = 64
_MOST_VARIANTS = 4


class _Variant:
    """A recording, and all that it rests on besides the call's signature.

    Attributes:
        steady: has the same been recorded before?
        result: what the recorded call returned.
    """

    def __init__(
        self,
        recording: Recording,
        result: Any,
        trace: Trace,
        environment: Environment,
        optimizers: list[_Options],
        empty: list[Any],
    ) -> None:
        """``empty``: parameters that had no gradient when the call began."""
        self.recording, self.result = recording, result
        self.replay: Replay | PlacedReplay | None = None
        self.steady = False
        self.changes = Changes.count
        self.guards = list(trace.guards.values())
        self.environment, self.optimizers, self.empty = environment, optimizers, empty

    def renew(self, other: _Variant) -> None:
        """The same has been recorded again, perhaps with other things to rest on."""
        self.steady = True
        self.changes, self.guards = other.changes, other.guards
        self.environment, self.optimizers = other.environment, other.optimizers
        self.empty = other.empty
        self.recording.live.update(other.recording.live)

    def holds(self) -> bool:
        """May the recording stand for a call now?"""
        if self.changes != Changes.count or not self.environment.holds():
            return False
        for options in self.optimizers:
            if not options.are_as_before() and not self._take(options):
                return False
        return not (
            any([p._grad is not None for p in self.empty])
            or any([p._grad is not g for p, g in self.recording.held])
        )

    def _take(self, options: _Options) -> bool:
        """New numbers among the options of an optimiser; False if more has changed."""
        if not options.hold():
            return False
        if any([check() != outcome for check, outcome in self.guards]):
            return False
        if self.replay is not None:
            self.replay.take_numbers()
        options.note()
        return True


class _Options:
    """What a recorded call rests on in an optimiser: its groups, options and states."""

    def __init__(self, optimizer: Optimizer, handed: set[int]) -> None:
        """``handed``: ids of groups whose floats are live numbers in the recording."""
        self.optimizer = optimizer
        self._handed = handed
        self._objects: list[Any] = []
        self._unchanged: Callable[[], bool] | None = None
        self.note()

    def note(self) -> None:
        """They are right as they are now."""
        self._groups = list(self.optimizer.param_groups)
        self._options = [dict(g) for g in self._groups]
        self._tensors = self._tensors_now()
        self._objects[:] = self._objects_now()

    def have_options(self) -> bool:
        """Are the options, parameters aside, the same objects?"""
        return all(
            [
                all(map(is_, g.values(), o.values()))
                for g, o in zip(self.optimizer.param_groups, self._options, strict=False)
            ]
        )

    def are_as_before(self) -> bool:
        """Are they the very same objects?"""
        if self._unchanged is not None:
            return self._unchanged()
        if not _are(self._objects_now(), self._objects):
            return False
        self._unchanged = self._compiled()
        return True

    def _compiled(self) -> Callable[[], bool]:
        """Asks whether all of them are where they are now, in the order of :meth:`_objects_now`."""
        places, known = Places(), count()

        def add(container: Any, keys: Iterable[Any]) -> None:
            places.has_size(container, len(container))
            for key in keys:
                places.holds(places.item(container, key), self._objects, next(known))

        groups, states = self.optimizer.param_groups, self.optimizer.state
        self._containers = [groups, *groups, *states.values()]
        here = count()
        places.holds(f"{places.name(self.optimizer)}.param_groups", self._containers, next(here))
        places.has_size(groups, len(groups))
        for k, group in enumerate(groups):
            places.holds(places.item(groups, k), self._containers, next(here))
            add(group, group)
            add(group["params"], range(len(group["params"])))
        places.has_size(states, len(states))
        for tensor, state in states.items():
            at = f"{places.name(states)}.get({places.name(tensor)})"
            places.holds(at, self._containers, next(here))
            add(state, state)
        return places.compiled()

    def _objects_now(self) -> list[Any]:
        """All of them, the options of each group before its parameters."""
        groups = self.optimizer.param_groups
        pairs = zip(map(_values, groups), map(_params, groups), strict=True)
        states = map(_values, self.optimizer.state.values())
        return [*_chained(chain(_chained(pairs), states))]

    def _tensors_now(self) -> list[Any]:
        """Parameters and states, each group's between bounds."""
        groups = self.optimizer.param_groups
        states = map(_values, self.optimizer.state.values())
        return [*_chained(chain(*[((None,), g["params"]) for g in groups], states))]

    def hold(self) -> bool:
        """Are they the same, but for the values of floats?"""
        groups = self.optimizer.param_groups
        return (
            _are(groups, self._groups)
            and _are(self._tensors_now(), self._tensors)
            and all(
                [
                    g.keys() == o.keys()
                    and all([_may_stand_for(g[k], v, id(g) in self._handed) for k, v in o.items()])
                    for g, o in zip(groups, self._options, strict=True)
                ]
            )
        )

    def tensors(self) -> list[Any]:
        """Parameters and states."""
        return tensors_in(self._objects, [])


def _are(now: list[Any], known: list[Any]) -> bool:
    """Are they the same objects?"""
    return len(now) == len(known) and all(map(is_, now, known))


def _may_stand_for(new: Any, old: Any, live: bool) -> bool:
    return (
        new is old
        or (live and new.__class__ is old.__class__ is float)
        or (isinstance(old, _PLAIN) and new.__class__ is old.__class__ and bool(new == old))
    )


class _Kind:
    """Calls of one signature.

    Attributes:
        pins: arguments that are known by their identity, and so must stay alive.
        optimizers: those that made steps in the last call.
        arguments: ids of the Tensors that the last call was given.
        obstacle: why the last call cannot be repeated without Python.
    """

    def __init__(self, pins: list[Any]) -> None:
        self.pins = pins
        self.variants: list[_Variant] = []
        self.optimizers: list[Optimizer] = []
        self.arguments: set[int] = set()
        self.obstacle = ""


class Compiled:
    """A function that runs as native code; see :func:`weft.compile`."""

    def __init__(self, function: Callable[..., Any]) -> None:
        self._function = function
        self._kinds: dict[Any, _Kind] = {}
        self._slots = Slots()
        self._placed: dict[Any, Changed] = {}
        update_wrapper(self, function, updated=())

    def __getattr__(self, name: str) -> Any:
        """What the function, or module, has: ``compiled.parameters()``."""
        if name == "_function":  # not yet there, while it is copied or unpickled
            raise AttributeError(name)
        return getattr(self._function, name)

    def __repr__(self) -> str:
        return f"compiled {self._function!r}"

    def __get__(self, instance: Any, owner: Any = None) -> Any:
        return self if instance is None else MethodType(self, instance)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Calls the function, or runs again what it did when it was called like this before."""
        if current.get() is not None:  # within another compiled function, and part of that
            return self._function(*args, **kwargs)
        if config.REFERENCE or config.COMPARE or realize.is_watched():
            return self._by_python(args, kwargs)
        nodes: list[Node] = []
        pins: list[Any] = []
        low = autocast_mode.get()
        key = (
            grad_enabled(),
            default_device(),
            low and tuple(low.items()),
            *[_signature(a, nodes, pins) for a in args],
        )
        if kwargs:
            key = (*key, *[(n, _signature(a, nodes, pins)) for n, a in kwargs.items()])
        if len(nodes) > 1 and len(ids := [*map(id, nodes)]) != len({*ids}):
            key = (*key, tuple([ids.index(i) for i in ids]))  # which have the same value
        kind = self._kinds.get(key)
        if kind is None:
            if len(self._kinds) >= _MOST_KINDS:
                self._kinds.clear()
            kind = self._kinds[key] = _Kind(pins)
        for variant in kind.variants:
            if variant.steady and variant.holds():
                with realize.LOCK:
                    if variant.replay is None:
                        variant.replay = self._bound(variant.recording)
                    new = variant.replay.run(nodes)
                if new is not None:
                    return _rebuilt(variant.result, new)
                self._let_go()
        kind.arguments = {*map(id, tensors_in([args, kwargs], []))}
        return self._traced(kind, args, kwargs, nodes)

    def obstacles(self) -> list[str]:
        """Why calls are run by Python each time, for each kind of call where they are."""
        return [k.obstacle for k in self._kinds.values() if k.obstacle]

    def _bound(self, recording: Recording) -> Replay | PlacedReplay:
        if isinstance(recording.run.program, Planned):
            return Replay(recording, self._slots)
        from .placed import PlacedReplay  # here, not above: it takes JAX

        return PlacedReplay(recording, self._placed)

    def _let_go(self) -> None:
        """Recordings are bound anew when they are needed: tensors have come, gone or changed."""
        self._slots, self._placed = Slots(), {}
        for kind in self._kinds.values():
            for variant in kind.variants:
                variant.replay = None

    def _by_python(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        with realize.native_at_once():
            result = self._function(*args, **kwargs)
            realize.realize_pending()
        return result

    def _traced(
        self, kind: _Kind, args: tuple[Any, ...], kwargs: dict[str, Any], nodes: list[Node]
    ) -> Any:
        """Calls the function and notes what it does; from the second time on, to repeat it."""
        realize.realize_pending()
        trace = Trace(next_order())
        environment = Environment([self._function, *_forwards(args)], kind.pins)
        optimizers = [_Options(o, set()) for o in kind.optimizers]
        gradients = [p for v in kind.variants for p, _ in v.recording.gradients]
        empty = [p for p in gradients if p._grad is None]
        token = current.set(trace)
        before = Changes.count
        modules, handle = _watch_modules()
        changes = Changes.count
        try:
            with realize.native_at_once():
                result = self._function(*args, **kwargs)
                _finish(trace)
        finally:
            changes = Changes.count - changes
            handle.remove()
            Changes.count = before + changes
            current.reset(token)
        if changes:
            trace.obstacles.append("it changes attributes or hooks of modules")
        kind.optimizers = list({id(o): o for o, _ in trace.optimizers}.values())
        if not all([o.have_options() for o in optimizers]):
            trace.obstacles.append("it changes options of an optimiser")
        if not environment.holds():
            trace.obstacles.append("it changes a global, or a variable of an enclosing function")
        try:
            new = self._variant(kind, trace, list(modules.values()), nodes, result, empty)
            kind.obstacle = self._learn(kind, new)
        except Obstacle as error:
            kind.obstacle = str(error)
        trace.let_go()
        return result

    def _variant(
        self,
        kind: _Kind,
        trace: Trace,
        modules: list[Module],
        nodes: list[Node],
        result: Any,
        empty: list[Any],
    ) -> _Variant:
        environment = Environment([self._function, *_forwards(modules)], kind.pins)
        if any(o.has_step_hooks() for o in kind.optimizers):
            raise Obstacle("an optimiser has hooks of its step")
        _check_result(result)
        options = [_Options(o, trace.handed) for o in kind.optimizers]
        known = _known([*environment.values, *modules], options)
        recording = recorded(trace, nodes, known, tensors_in(result, []))
        if kind.arguments.intersection(recording.changed):
            raise Obstacle("it changes an argument in place")
        made = {id(p) for p, _ in recording.gradients}
        empty = [p for p in empty if id(p) in made]
        return _Variant(recording, result, trace, environment, options, empty)

    def _learn(self, kind: _Kind, new: _Variant) -> str:
        """Keeps a recording; says if it seems that no other will be like it."""
        for variant in kind.variants:
            if new.recording.same_as(variant.recording):
                variant.renew(new)
                return ""
        alike = [v for v in kind.variants if v.recording.run.program is new.recording.run.program]
        kind.variants = [new, *kind.variants[: _MOST_VARIANTS - 1]]
        self._let_go()
        return "it takes in other data or numbers at each call: pass them" if alike else ""


def _finish(trace: Trace) -> None:
    """Runs what a compiled call has recorded."""
    try:
        realize.finish_pending()
    except BaseException:
        for optimizer, known in trace.optimizers:
            optimizer.drop_lost_state(known)
        raise


def _signature(value: Any, nodes: list[Node], pins: list[Any]) -> Any:
    """What must be equal for two arguments to be treated alike. Collects the Tensors' nodes."""
    if isinstance(value, TensorCore):
        node = value._node if value._base is None else value._sync()
        nodes.append(node)
        return node.type if not node.tracks else (node.type, node.tracks)
    if isinstance(value, _PLAIN):
        return value.__class__, value
    if isinstance(value, (tuple, list)):
        return (value.__class__, *[_signature(v, nodes, pins) for v in value])
    if isinstance(value, dict):
        return (value.__class__, *[(k, _signature(v, nodes, pins)) for k, v in value.items()])
    pins.append(value)
    return id(value)


def _forwards(values: Any) -> list[Any]:
    """What is run for the modules among the values."""
    return [type(v).forward for v in values if isinstance(v, Module)]


def _watch_modules() -> tuple[dict[int, Module], Any]:
    """The modules that are called from now on, until the handle is removed."""
    found: dict[int, Module] = {}

    def note(module: Module, args: Any) -> None:
        found[id(module)] = module

    return found, register_module_forward_pre_hook(note)


def _known(held: list[Any], optimizers: list[_Options]) -> list[Any]:
    """Tensors that belong to these values, each once; gradients too."""
    found: dict[int, Any] = {}

    def add(tensors: Any) -> None:
        for t in tensors:
            if isinstance(t, TensorCore) and id(t) not in found:
                found[id(t)] = t
                add([t.__dict__.get("_grad")])

    for value in held:
        if isinstance(value, Module):
            add(value.parameters())
            add(value.buffers())
        elif isinstance(value, Optimizer):
            add(_Options(value, set()).tensors())
        else:
            add(tensors_in(value, []))
    for options in optimizers:
        add(options.tensors())
    return list(found.values())


def _check_result(result: Any) -> None:
    """Raises Obstacle unless the result is made of Tensors and plain values."""
    if isinstance(result, (tuple, list)):
        for each in result:
            _check_result(each)
    elif isinstance(result, dict):
        for each in result.values():
            _check_result(each)
    elif not isinstance(result, (TensorCore, *_PLAIN)):
        raise Obstacle(f"it returns a {type(result).__name__}")


def _rebuilt(model: Any, new: dict[int, Node]) -> Any:
    """The same structure with new Tensors."""
    if isinstance(model, TensorCore):
        return wrap(new[id(model._node)])
    if isinstance(model, tuple) and hasattr(model, "_fields"):
        return type(model)(*[_rebuilt(v, new) for v in model])
    if isinstance(model, (tuple, list)):
        return type(model)([_rebuilt(v, new) for v in model])
    if isinstance(model, dict):
        return type(model)([(k, _rebuilt(v, new)) for k, v in model.items()])
    return model
