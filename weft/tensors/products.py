"""Products of several tensors, written with the matrix product: ``einsum`` and its like."""

from __future__ import annotations

from collections.abc import Sequence
from math import inf, prod
from typing import TYPE_CHECKING, Any

from ..errors import DTypeError, OptionError, ShapeError
from ..graph.node import Node
from ..ops import elementwise as ew, movement as mv, reduce as rd
from ..ops.base import normal_dim
from ..ops.contract import matmul as matmul_op
from .autocasting import in_full_precision, in_low_precision, to_low_precision
from .core import TensorCore, node_of, wrap
from .elementwise import promoted
from .linalg import bmm, mv as matrix_by_vector, weighted
from .out import with_out
from .reductions import sum as sum_of
from .shape import diagonal, roll

if TYPE_CHECKING:
    from .tensor import Tensor

# ---- a product with a summand


@with_out
@in_low_precision
def baddbmm(
    input: Tensor, batch1: Tensor, batch2: Tensor, *, beta: float = 1, alpha: float = 1
) -> Tensor:
    """``beta * input + alpha * batch1 @ batch2``, for batches of matrices."""
    return weighted("baddbmm", input, bmm(batch1, batch2), beta, alpha)


@with_out
@in_low_precision
def addbmm(
    input: Tensor, batch1: Tensor, batch2: Tensor, *, beta: float = 1, alpha: float = 1
) -> Tensor:
    """``beta * input + alpha * (batch1 @ batch2).sum(0)``."""
    bmm(batch1, batch2)  # for its checks; nobody asks for its values
    rows = node_of(batch1).type.shape[1]
    # One product over the batch and the inner dimension at once, so that it is rounded once.
    inner = node_of(batch2).type.shape
    left, right = batch1.transpose(0, 1).reshape(rows, inner[0] * inner[1]), batch2.flatten(0, 1)
    return weighted("addbmm", input, left @ right, beta, alpha)


@with_out
def addmv(input: Tensor, mat: Tensor, vec: Tensor, *, beta: float = 1, alpha: float = 1) -> Tensor:
    """``beta * input + alpha * mat @ vec``."""
    return weighted("addmv", input, matrix_by_vector(mat, vec), beta, alpha)


@with_out
def addr(input: Tensor, vec1: Tensor, vec2: Tensor, *, beta: float = 1, alpha: float = 1) -> Tensor:
    """``beta * input + alpha * outer(vec1, vec2)``."""
    return weighted("addr", input, vec1.outer(vec2), beta, alpha)


# ---- tensor products


@with_out
@in_low_precision
def tensordot(a: Tensor, b: Tensor, dims: Any = 2) -> Tensor:
    """The sum of products over pairs of dimensions.

    Args:
        dims: so many last dimensions of ``a`` with the first of ``b``, or two lists of dimensions.

    Raises:
        ShapeError: if the lists differ in length, or the sizes of a pair.
    """
    x, y = node_of(a), node_of(b)
    if isinstance(dims, TensorCore):
        dims = dims.tolist()  # type: ignore[attr-defined]
    if isinstance(dims, int):
        if not 0 <= dims <= min(x.type.ndim, y.type.ndim):
            raise ShapeError(
                f"tensordot over {dims} dimensions of shapes {list(x.type.shape)} and "
                f"{list(y.type.shape)}"
            )
        dims = (list(range(x.type.ndim - dims, x.type.ndim)), list(range(dims)))
    left, right = [[d] if isinstance(d, int) else list(d) for d in dims]
    left = [normal_dim("tensordot", d, x.type.ndim) for d in left]
    right = [normal_dim("tensordot", d, y.type.ndim) for d in right]
    if len(left) != len(right):
        raise ShapeError(f"tensordot: {left} and {right} do not pair up")
    for p, q in zip(left, right, strict=True):
        if x.type.shape[p] != y.type.shape[q] and 1 not in (x.type.shape[p], y.type.shape[q]):
            raise ShapeError(
                f"tensordot: dimension {p} of shape {list(x.type.shape)} does not fit dimension "
                f"{q} of shape {list(y.type.shape)}"
            )
    names = iter(range(x.type.ndim + y.type.ndim))
    of_x = [next(names) for _ in x.type.shape]
    of_y = [of_x[left[right.index(k)]] if k in right else next(names) for k in y.type.dims]
    out = [n for n in of_x + of_y if (n in of_x) != (n in of_y)]
    return wrap(_contracted("tensordot", [x, y], [of_x, of_y], out))


@with_out
def inner(input: Tensor, other: Tensor) -> Tensor:
    """The sum of products over the last dimension of both; of a number, the product."""
    if node_of(input).type.ndim == 0 or node_of(other).type.ndim == 0:
        return input * other
    if input.ndim == 1 and input.shape == other.shape:
        return input.dot(other)
    return tensordot(input, other, ([-1], [-1]))


@with_out
def vdot(input: Tensor, other: Tensor) -> Tensor:
    """Inner product of two vectors, the first of them conjugated."""
    return input.conj().dot(other)


@with_out
def kron(input: Tensor, other: Tensor) -> Tensor:
    """Kronecker product: each element of ``input`` times all of ``other``, side by side."""
    a, b = promoted(input, other)
    n = max(a.type.ndim, b.type.ndim)
    left = (1,) * (n - a.type.ndim) + a.type.shape
    right = (1,) * (n - b.type.ndim) + b.type.shape
    a = mv.reshape(a, tuple([k for size in left for k in (size, 1)]))
    b = mv.reshape(b, tuple([k for size in right for k in (1, size)]))
    shape = tuple([p * q for p, q in zip(left, right, strict=True)])
    return wrap(mv.reshape(ew.mul(a, b), shape))


@with_out
def cross(input: Tensor, other: Tensor, dim: int | None = None) -> Tensor:
    """Vector product along ``dim``, by default the first dimension of size 3.

    Raises:
        ShapeError: if that is not of size 3.
    """
    shape = node_of(input).type.shape
    if len(shape) != node_of(other).type.ndim:
        raise ShapeError(
            f"cross takes vectors in as many dimensions, not shapes {list(shape)} and "
            f"{list(other.shape)}"
        )
    if dim is None:
        found = [k for k, n in enumerate(shape) if n == 3]
        if not found:
            raise ShapeError(f"cross: no dimension of shape {list(shape)} has size 3")
        dim = found[0] - len(shape)
    d = normal_dim("cross", dim, len(shape)) - len(shape)
    if shape[d] != 3 or node_of(other).type.shape[d] != 3:
        raise ShapeError(
            f"cross along dimension {d} of shapes {list(shape)} and "
            f"{list(node_of(other).type.shape)}: its size must be 3"
        )
    return roll(input, -1, d) * roll(other, -2, d) - roll(input, -2, d) * roll(other, -1, d)


@in_full_precision
def trace(input: Tensor) -> Tensor:
    """The sum of a matrix's diagonal.

    Raises:
        ShapeError: unless it is a matrix.
    """
    if node_of(input).type.ndim != 2:
        raise ShapeError(f"trace takes a matrix, not shape {list(node_of(input).type.shape)}")
    return sum_of(diagonal(input))


# ---- distances


def length(difference: Node, p: float) -> Node:
    """The norm of order ``p`` over the last dimension, whose gradient is 0 where it is 0."""
    last = (difference.type.ndim - 1,)
    size = ew.abs_(difference)
    if difference.type.dtype.is_complex:
        difference = size
    if difference.type.shape[-1] == 0:
        return rd.sum_(size, last)
    if p == inf:
        return rd.max_(size, last)
    if p == 0:
        return rd.sum_(ew.sign(size), last)
    if p == 1:
        return rd.sum_(size, last)
    # Also zero elements are kept from pow, whose slope there is infinite for p < 1.
    none = ew.eq(size, 0)
    powers = ew.where(none, 0, ew.pow_(ew.where(none, 1, size), p))
    total = rd.sum_(ew.mul(difference, difference) if p == 2 else powers, last)
    zero = ew.eq(total, 0)
    safe = ew.where(zero, 1, total)
    return ew.where(zero, 0, ew.sqrt(safe) if p == 2 else ew.pow_(safe, 1 / p))


@in_full_precision
def cdist(x1: Tensor, x2: Tensor, p: float = 2.0, compute_mode: str | None = None) -> Tensor:
    """Distances of order ``p`` between all rows of ``x1`` and all rows of ``x2``.

    Shape:
        ``x1 [*, P, M]``, ``x2 [*, R, M]``, output ``[*, P, R]``.

    Raises:
        DTypeError: for integers.
        ShapeError: if the last dimensions differ.
        OptionError: for a negative ``p``.
    """
    a, b = node_of(x1), node_of(x2)
    if not (a.type.dtype.is_floating_point and b.type.dtype.is_floating_point):
        raise DTypeError(
            f"cdist takes floating vectors, not {a.type.dtype} and {b.type.dtype}: convert with "
            ".float()"
        )
    if not p >= 0:
        raise OptionError(f"cdist: p must not be negative: {p}")
    if a.type.ndim < 2 or b.type.ndim < 2 or a.type.shape[-1] != b.type.shape[-1]:
        raise ShapeError(
            f"cdist takes rows of one length, not shapes {list(a.type.shape)} and "
            f"{list(b.type.shape)}"
        )
    left = mv.reshape(a, (*a.type.shape[:-1], 1, a.type.shape[-1]))
    right = mv.reshape(b, (*b.type.shape[:-2], 1, *b.type.shape[-2:]))
    return wrap(length(ew.sub(left, right), p))


def dist(input: Tensor, other: Tensor, p: float = 2) -> Tensor:
    """The norm of order ``p`` of ``input - other``."""
    difference = input - other
    if p == -inf:
        return difference.abs().amin()
    return wrap(length(node_of(difference.reshape(-1)), p))


# ---- einsum

Labels = list[Any]  # a name for each dimension


def einsum(equation: Any, *operands: Any) -> Tensor:
    """Sums of products, with a letter for each dimension: ``einsum("bij,bjk->bik", a, b)``.

    Letters that do not stand on the right are summed over; without ``->`` those that stand there
    once are kept, in the order of the alphabet. ``...`` stands for further dimensions, which
    broadcast. Operands are taken from left to right, two at a time, by a matrix product.

    Args:
        equation: or, as in NumPy, an operand followed by a list of numbers for its dimensions, and
            so on, and at the end the list for the result.

    Raises:
        ShapeError: if sizes or numbers of dimensions do not fit.
        OptionError: for an equation that cannot be read.
    """
    if not isinstance(equation, str):
        equation, operands = _from_lists((equation, *operands))
    if len(operands) == 1 and isinstance(operands[0], (list, tuple)):
        operands = tuple(operands[0])
    nodes = [node_of(x) for x in operands]
    labels, out = _read(equation, nodes)
    if len(nodes) > 1 and any(n not in out for each in labels for n in each):
        nodes = [node_of(x) for x in to_low_precision(list(operands))]
    return wrap(_contracted("einsum", nodes, labels, out))


_ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"


def _from_lists(args: Sequence[Any]) -> tuple[str, tuple[Any, ...]]:
    def letters(numbers: Sequence[Any]) -> str:
        return "".join("..." if n is Ellipsis else _ALPHABET[n] for n in numbers)

    pairs = len(args) // 2
    equation = ",".join(letters(args[2 * k + 1]) for k in range(pairs))
    if len(args) % 2:
        equation += "->" + letters(args[-1])
    return equation, tuple(args[: 2 * pairs : 2])


def _read(equation: str, nodes: list[Node]) -> tuple[list[Labels], Labels]:
    """The names of the dimensions of each operand and of the result; ``...`` as numbers."""
    left, arrow, right = equation.replace(" ", "").partition("->")
    terms = left.split(",")
    if len(terms) != len(nodes):
        raise OptionError(f"einsum: '{equation}' is for {len(terms)} operands, not {len(nodes)}")
    for term in [*terms, right]:
        rest = term.replace("...", "", 1)
        if any(c not in _ALPHABET for c in rest):
            raise OptionError(f"einsum: '{term}' of '{equation}' is not letters and '...'")
    labels: list[Labels] = []
    extra = 0
    for term, node in zip(terms, nodes, strict=True):
        before, dots, after = term.partition("...")
        more = node.type.ndim - len(before) - len(after)
        if more < 0 or (more and not dots):
            raise ShapeError(
                f"einsum: '{term}' does not fit an operand of shape {list(node.type.shape)}"
            )
        extra = max(extra, more)
        labels.append([*before, *range(-more, 0), *after])
    if arrow:
        before, dots, after = right.partition("...")
        out: Labels = [*before, *(range(-extra, 0) if dots else ()), *after]
    else:
        letters = "".join(terms).replace(".", "")
        out = [*range(-extra, 0), *sorted(c for c in set(letters) if letters.count(c) == 1)]
    known = {name for each in labels for name in each}
    if not set(out) <= known or len(set(out)) != len(out):
        raise OptionError(f"einsum: the result of '{equation}' names a letter twice, or a new one")
    return labels, out


def _contracted(name: str, nodes: list[Node], labels: list[Labels], out: Labels) -> Node:
    """The sum of products of all operands, over the names that are not in ``out``."""
    kinds = {n.type.dtype for n in nodes}
    if len(kinds) > 1:
        raise DTypeError(f"{name} takes one dtype, not {' and '.join(sorted(map(str, kinds)))}")
    sizes = _sizes(name, nodes, labels)
    parts = [_spread(*_without_repeats(n, k), sizes) for n, k in zip(nodes, labels, strict=True)]
    node, names = parts[0]
    for k, (other, others) in enumerate(parts[1:], 1):
        later = {*out, *[n for _, each in parts[k + 1 :] for n in each]}
        node, names = _pair(node, names, other, others, later)
    node, names = _summed(node, names, set(out))
    return mv.permute(node, tuple([names.index(n) for n in out]))


def _sizes(name: str, nodes: list[Node], labels: list[Labels]) -> dict[Any, int]:
    sizes: dict[Any, int] = {}
    for node, names in zip(nodes, labels, strict=True):
        for label, size in zip(names, node.type.shape, strict=True):
            known = sizes.setdefault(label, size)
            if known == 1:
                sizes[label] = size
            elif size not in (1, known):
                shapes = " and ".join(str(list(n.type.shape)) for n in nodes)
                raise ShapeError(
                    f"{name} of shapes {shapes}: a dimension has size {known} in one place and "
                    f"{size} in another"
                )
    return sizes


def _without_repeats(node: Node, names: Labels) -> tuple[Node, Labels]:
    """A name that stands twice at one operand stands for its diagonal."""
    names = list(names)
    for label in dict.fromkeys(names):
        while names.count(label) > 1:
            first = names.index(label)
            second = names.index(label, first + 1)
            node = node_of(diagonal(wrap(node), 0, first, second))
            names = [n for k, n in enumerate(names) if k not in (first, second)] + [label]
    return node, names


def _spread(node: Node, names: Labels, sizes: dict[Any, int]) -> tuple[Node, Labels]:
    return mv.expand(node, tuple([sizes[n] for n in names])), names


def _summed(node: Node, names: Labels, keep: set[Any]) -> tuple[Node, Labels]:
    gone = tuple([k for k, n in enumerate(names) if n not in keep])
    return (rd.sum_(node, gone) if gone else node), [n for n in names if n in keep]


def _pair(a: Node, left: Labels, b: Node, right: Labels, later: set[Any]) -> tuple[Node, Labels]:
    """The product of two operands, summed over the names that nobody needs later."""
    a, left = _summed(a, left, later | set(right))
    b, right = _summed(b, right, later | set(left))
    both = [n for n in left if n in right]
    batch, inner_names = [n for n in both if n in later], [n for n in both if n not in later]
    rows, columns = [n for n in left if n not in right], [n for n in right if n not in left]
    size = {
        **dict(zip(left, a.type.shape, strict=True)),
        **dict(zip(right, b.type.shape, strict=True)),
    }

    def matrix(node: Node, names: Labels, groups: list[Labels]) -> Node:
        order = tuple([names.index(n) for group in groups for n in group])
        shape = tuple([prod(size[n] for n in group) for group in groups])
        return mv.reshape(mv.permute(node, order), shape)

    out = [*batch, *rows, *columns]
    x = matrix(a, left, [batch, rows, inner_names])
    y = matrix(b, right, [batch, inner_names, columns])
    product = matmul_op(x, y) if inner_names else ew.mul(x, y)
    return mv.reshape(product, tuple([size[n] for n in out])), out
