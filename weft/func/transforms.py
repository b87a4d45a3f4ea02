"""Functions made of functions: gradients, Jacobians, and their products with vectors."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import wraps
from typing import Any

from ..autograd.modes import enable_grad
from ..errors import GradientError, ShapeError
from ..tensors.creation import eye, zeros, zeros_like
from ..tensors.shape import stack
from ..tensors.tensor import Tensor
from .level import Level
from .tree import flatten

Function = Callable[..., Any]
Argnums = int | tuple[int, ...]


# ---- arguments


def _chosen(name: str, argnums: Argnums, args: tuple[Any, ...]) -> Any:
    """The arguments that are differentiated by: one, or a tuple."""
    for k in (argnums,) if isinstance(argnums, int) else argnums:
        if not -len(args) <= k < len(args):
            raise GradientError(
                f"{name}: argnums={argnums}, but the function was called with {len(args)} "
                "positional arguments"
            )
    return args[argnums] if isinstance(argnums, int) else tuple([args[k] for k in argnums])


def _with(args: tuple[Any, ...], argnums: Argnums, new: Any) -> tuple[Any, ...]:
    out = list(args)
    numbers = (argnums,) if isinstance(argnums, int) else argnums
    for k, value in zip(numbers, (new,) if isinstance(argnums, int) else new, strict=True):
        out[k] = value
    return tuple(out)


def _called(
    name: str, func: Function, has_aux: bool, args: tuple[Any, ...], kwargs: dict[str, Any]
) -> tuple[Any, Any]:
    """Result and auxiliary result."""
    with enable_grad():
        result = func(*args, **kwargs)
    if not has_aux:
        return result, None
    if not isinstance(result, tuple) or len(result) != 2:
        raise GradientError(f"{name}: with has_aux=True the function must give (output, aux)")
    return result


# ---- gradients


def grad_and_value(func: Function, argnums: Argnums = 0, has_aux: bool = False) -> Function:
    """A function that gives the gradient of ``func`` and its value. See :func:`grad`.

    Returns:
        ``(gradient, value)``, or with ``has_aux`` ``(gradient, (value, aux))``.
    """

    @wraps(func)
    def wrapped(*args: Any, **kwargs: Any) -> tuple[Any, Any]:
        level = Level("grad", _chosen("grad", argnums, args))
        inner = _with(args, argnums, level.arguments())
        value, aux = _called("grad", func, has_aux, inner, kwargs)
        y = level.check_number(value)
        grads = level.build_inputs(level.gradients([y], level.inputs, [None]))
        found, value = level.left(grads), level.left(y)
        return found, (value, level.left(aux)) if has_aux else value

    return wrapped


def grad(func: Function, argnums: Argnums = 0, has_aux: bool = False) -> Function:
    """A function that gives the gradient of ``func``.

    Args:
        func: gives one number (with ``has_aux``, that and anything else).
        argnums: by which argument, or a tuple of several. An argument may be a Tensor, or hold them
            in tuples, lists and dicts; the gradient is built likewise.
        has_aux: ``func`` gives ``(output, aux)``, and the new function ``(gradient, aux)``.

    Raises:
        GradientError: from the new function, if ``func`` gives no single number, or there is no
            such argument.

    Example:
        >>> slope = weft.func.grad(lambda x: x**3)
        >>> slope(weft.tensor(2.0)), weft.func.grad(slope)(weft.tensor(2.0))
        (tensor(12.), tensor(12.))
    """
    both = grad_and_value(func, argnums, has_aux)

    @wraps(func)
    def wrapped(*args: Any, **kwargs: Any) -> Any:
        found, rest = both(*args, **kwargs)
        return (found, rest[1]) if has_aux else found

    return wrapped


# ---- products with vectors


def vjp(func: Function, *primals: Any, has_aux: bool = False) -> Any:
    """The value of ``func``, and a function: the product of a vector with its Jacobian.

    Args:
        primals: arguments of ``func``.
        has_aux: ``func`` gives ``(output, aux)``.

    Returns:
        ``(output, vjp_fn)``, with ``has_aux`` and ``aux``. ``vjp_fn`` takes what is built like the
        output and gives a tuple, an entry for each primal.

    Raises:
        TypeError: if ``func`` gives anything but Tensors.
        ShapeError: from ``vjp_fn``, for a vector of another shape than the output.
    """
    level = Level("vjp", primals)
    value, aux = _called("vjp", func, has_aux, level.arguments(), {})
    outputs, build = level.outputs(value)

    def vjp_fn(*cotangents: Any) -> tuple[Any, ...]:
        given = cotangents[0] if len(cotangents) == 1 else cotangents
        seeds = _alike("vjp", given, outputs, "output")
        found = level.build_inputs(level.gradients(outputs, level.inputs, seeds))
        return level.left(found)  # type: ignore[no-any-return]

    output = level.left(build(outputs))
    return (output, vjp_fn, level.left(aux)) if has_aux else (output, vjp_fn)


def _alike(name: str, given: Any, like: Sequence[Tensor], what: str) -> list[Any]:
    vectors, _ = flatten(given)
    shapes = [list(getattr(v, "shape", ())) for v in vectors]
    wanted = [list(x.shape) for x in like]
    if shapes != wanted:
        raise ShapeError(f"{name}: the vector has shapes {shapes}, but the {what} has {wanted}")
    return vectors


def _linear(
    name: str, func: Function, primals: tuple[Any, ...], has_aux: bool
) -> tuple[Any, Function, Any]:
    """The value, the product of the Jacobian with a vector as a function, and ``aux``.

    The gradient with respect to ``left`` of the product with ``left``: linear in it, so that its
    value does not matter.
    """
    level = Level(name, primals)
    value, aux = _called(name, func, has_aux, level.arguments(), {})
    outputs, build = level.outputs(value)
    left = [level.own(zeros_like(y)) for y in outputs]
    along = level.gradients(outputs, level.inputs, left)

    def product(*tangents: Any) -> Any:
        vectors = _alike(name, tangents, level.inputs, "input")
        return level.left(build(level.gradients(along, left, vectors)))

    return level.left(build(outputs)), product, level.left(aux)


def jvp(
    func: Function, primals: Any, tangents: Any, *, strict: bool = False, has_aux: bool = False
) -> Any:
    """The value of ``func``, and the product of its Jacobian with a vector.

    Args:
        primals: a tuple of arguments.
        tangents: a tuple of the same shapes: the vector.
        strict: raise where the output does not depend on the primals, in place of zeros.
        has_aux: ``func`` gives ``(output, aux)``.

    Returns:
        ``(output, product)``, with ``has_aux`` and ``aux``.

    Raises:
        TypeError: if the primals or tangents are no tuple.
        ShapeError: for tangents of other shapes than the primals.
        GradientError: see ``strict``.
    """
    for name, value in (("primals", primals), ("tangents", tangents)):
        if not isinstance(value, (tuple, list)):
            raise TypeError(
                f"jvp: {name} must be a tuple with an entry for each argument, not "
                f"{type(value).__name__}: ({name[:-1]},)"
            )
    output, product, aux = _linear("jvp", _checking(func, strict), tuple(primals), has_aux)
    result = product(*tangents)
    return (output, result, aux) if has_aux else (output, result)


def _checking(func: Function, strict: bool) -> Function:
    if not strict:
        return func

    def wrapped(*args: Any) -> Any:
        value = func(*args)
        for y in flatten(value)[0]:
            if isinstance(y, Tensor) and not y.requires_grad:
                raise GradientError(
                    "jvp: an output does not depend on the primals, and strict=True was given"
                )
        return value

    return wrapped


def linearize(func: Function, *primals: Any) -> tuple[Any, Function]:
    """The value of ``func``, and a function: the product of its Jacobian with a vector.

    For several vectors at one point, where :func:`jvp` would call ``func`` for each.

    Raises:
        ShapeError: from that function, for tangents of other shapes than the primals.
    """
    output, product, _ = _linear("linearize", func, primals, False)
    return output, product


# ---- whole matrices


def jacrev(
    func: Function,
    argnums: Argnums = 0,
    *,
    has_aux: bool = False,
    chunk_size: int | None = None,
) -> Function:
    """A function that gives the derivative of each element of the output by each of the inputs.

    Args:
        argnums, has_aux: see :func:`grad`.
        chunk_size: PyTorch's, for memory; all is recorded first here.

    Returns:
        A function that gives what is built like the output and, in each place, like the inputs: for
        an output of shape ``S`` and an input of shape ``T`` a Tensor of shape ``S + T``.

    Example:
        >>> weft.func.jacrev(lambda x: x**2)(weft.tensor([1.0, 2.0]))
        tensor([[2., 0.],
                [0., 4.]])
    """

    @wraps(func)
    def wrapped(*args: Any, **kwargs: Any) -> Any:
        level = Level("jacrev", _chosen("jacrev", argnums, args))
        inner = _with(args, argnums, level.arguments())
        value, aux = _called("jacrev", func, has_aux, inner, kwargs)
        outputs, build = level.outputs(value)
        rows = [level.left(level.build_inputs(_rows(level, y))) for y in outputs]
        return (build(rows), level.left(aux)) if has_aux else build(rows)

    return wrapped


def _rows(level: Level, y: Tensor) -> list[Tensor]:
    shapes = [(*y.shape, *x.shape) for x in level.inputs]
    count = y.numel()
    if count == 0:
        return [
            zeros(s, dtype=x.dtype, device=x.device)
            for s, x in zip(shapes, level.inputs, strict=True)
        ]
    basis = eye(count, dtype=y.dtype, device=y.device).reshape(count, *y.shape).unbind(0)
    with enable_grad():
        found = [level.gradients([y], level.inputs, [seed]) for seed in basis]
        columns = zip(*found, strict=True)
        return [stack(c).reshape(s) for c, s in zip(columns, shapes, strict=True)]


def jacfwd(
    func: Function, argnums: Argnums = 0, has_aux: bool = False, *, randomness: str = "error"
) -> Function:
    """The same as :func:`jacrev`: there is reverse mode only."""
    return jacrev(func, argnums, has_aux=has_aux)


def hessian(func: Function, argnums: Argnums = 0) -> Function:
    """A function that gives the second derivatives of ``func``: the Jacobian of its Jacobian.

    See :func:`jacrev`.
    """
    return jacrev(jacrev(func, argnums), argnums)
