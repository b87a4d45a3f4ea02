"""class Tensor: the table of its methods. Each line says in which file a method is defined.

The less common families are listed in ``families.py``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, Self

from .. import dtypes
from ..dtypes import dtype
from ..graph.node import Node
from ..ops import elementwise as ew
from ..ops.base import normal_dim
from ..ops.movement import full
from . import (
    complex as cx,
    creation,
    differentiate,
    elementwise as el,
    indexing,
    interop,
    legacy,
    linalg,
    printing,
    random,
    reductions,
    shape as sh,
)
from .core import TensorCore, bind_class, is_number, node_of, wrap
from .families import FamilyMethods
from .inplace import in_place
from .memory import contiguous_format, memory_format, preserve_format
from .shape import Size


def in_place_binary(function: Callable[..., Tensor]) -> Callable[..., Tensor]:
    """The same for functions of two operands, which are called often: without copying arguments."""

    def method(self: Tensor, other: Any) -> Tensor:
        return self._rebind(function(self, other)._node)

    method.__name__ = method.__qualname__ = function.__name__ + "_"
    method.__doc__ = f"In-place version of :func:`{function.__name__}`."
    return method


def _scaled_in_place(function: Callable[..., Tensor], name: str) -> Callable[..., Tensor]:
    """``add_`` and ``sub_``: with a factor for the other operand."""

    def method(self: Tensor, other: Any, *, alpha: float = 1) -> Tensor:
        return self._rebind(function(self, other if alpha == 1 else el.mul(other, alpha))._node)

    method.__name__ = method.__qualname__ = name
    method.__doc__ = f"In-place version of :func:`{name.rstrip('_')}`."
    return method


def _reflected(function: Callable[..., Tensor]) -> Callable[..., Tensor]:
    def method(self: Tensor, other: Any) -> Tensor:
        return function(other, self)

    return method


def _operator(function: Callable[..., Tensor]) -> Callable[..., Any]:
    """A comparison as an operator: NotImplemented for what is no operand, as Python wants it."""

    def method(self: Tensor, other: Any) -> Any:
        if isinstance(other, TensorCore) or is_number(other):
            return function(self, other)
        return _compare_other(function, self, other)

    return method


def _conversion(to: dtype) -> Callable[..., Tensor]:
    def method(self: Tensor, memory_format: memory_format = preserve_format) -> Tensor:
        return self.to(to)

    method.__name__ = method.__qualname__ = to.name
    method.__doc__ = f"In {to.name}."
    return method


def _compare_other(function: Callable[..., Tensor], self: Tensor, other: Any) -> Any:
    return function(self, other) if hasattr(other, "__array__") else NotImplemented


class Tensor(FamilyMethods):
    """An n-dimensional array of numbers that remembers how it was computed.

    Operations on Tensors are recorded and run when a value is needed (``item``, ``numpy``,
    ``print``, ``bool``, ``tolist``, an optimiser's ``step``, ``weft.realize``). See
    :func:`weft.tensor` for making one. ``weft.Tensor(2, 3)`` has that shape, and
    ``weft.Tensor([2, 3])`` these values, both in the default dtype.
    """

    __slots__ = ()
    __array_priority__ = 1000  # NumPy's operators leave the work to ours
    __hash__ = object.__hash__

    def __new__(cls, *data: Any, device: Any = None, requires_grad: bool = False) -> Self:
        out = object.__new__(cls)
        out._node = legacy.made_of(cls.__name__, data, None, device)
        out._base, out._version = None, 0
        if requires_grad:
            creation.require_grad(out)
        return out

    # ---- what it is

    @property
    def shape(self) -> Size:
        """The sizes of all dimensions."""
        return Size((self._node if self._base is None else self._sync()).type.shape)

    def size(self, dim: int | None = None) -> Any:
        """The shape, or the size of one dimension."""
        if dim is None:
            return self.shape
        kind = node_of(self).type
        return kind.shape[normal_dim("size", dim, kind.ndim)]

    @property
    def dtype(self) -> dtype:
        """The dtype of the elements."""
        return self._node.type.dtype

    @property
    def ndim(self) -> int:
        """The number of dimensions."""
        return node_of(self).type.ndim

    def dim(self) -> int:
        """The number of dimensions."""
        return node_of(self).type.ndim

    ndimension = dim

    def numel(self) -> int:
        """The number of elements."""
        return node_of(self).type.size

    nelement = numel

    @property
    def itemsize(self) -> int:
        """Bytes of one element."""
        return self.dtype.itemsize

    def element_size(self) -> int:
        """Bytes of one element."""
        return self.dtype.itemsize

    @property
    def nbytes(self) -> int:
        """Bytes of all elements."""
        return self.numel() * self.dtype.itemsize

    def is_floating_point(self) -> bool:
        """Is the dtype a floating one?"""
        return self.dtype.is_floating_point

    def is_complex(self) -> bool:
        """Is the dtype a complex one?"""
        return self.dtype.is_complex

    def is_signed(self) -> bool:
        """Has the dtype negative values?"""
        return self.dtype.is_signed

    def stride(self, dim: int | None = None) -> Any:
        """Steps in memory, in elements, between neighbours of each dimension."""
        node_of(self)
        a = self._layout()
        strides = tuple([step // a.itemsize for step in a.strides])
        return strides if dim is None else strides[dim]

    def is_contiguous(self, memory_format: memory_format = contiguous_format) -> bool:
        """Are the elements in order in memory?"""
        node_of(self)
        return memory_format.describes(self._layout())

    def contiguous(self, memory_format: memory_format = contiguous_format) -> Tensor:
        """This tensor if its elements are in order, else a copy in order."""
        return self if self.is_contiguous() else self.clone()

    @property
    def _is_view(self) -> bool:
        return self._base is not None

    def clone(self, *, memory_format: memory_format = preserve_format) -> Tensor:
        """A copy, with this tensor's history."""
        return wrap(ew.same(node_of(self)))

    # ---- arithmetic (elementwise.py)

    add, sub, subtract, mul, multiply = el.add, el.sub, el.sub, el.mul, el.mul
    div = divide = true_divide = el.div
    floor_divide, remainder, fmod, pow = el.floor_divide, el.remainder, el.fmod, el.pow
    maximum, minimum, atan2, arctan2 = el.maximum, el.minimum, el.atan2, el.atan2
    neg = negative = el.neg
    abs = absolute = el.abs
    sign, square, positive = el.sign, el.square, el.positive
    exp, exp2, expm1 = el.exp, el.exp2, el.expm1
    log, log2, log10, log1p = el.log, el.log2, el.log10, el.log1p
    sqrt, rsqrt, reciprocal = el.sqrt, el.rsqrt, el.reciprocal
    sin, cos, tan, sinh, cosh, tanh = el.sin, el.cos, el.tan, el.sinh, el.cosh, el.tanh
    asin = arcsin = el.asin
    acos = arccos = el.acos
    atan = arctan = el.atan
    asinh = arcsinh = el.asinh
    acosh = arccosh = el.acosh
    atanh = arctanh = el.atanh
    sigmoid, relu, erf, erfc = el.sigmoid, el.relu, el.erf, el.erfc
    lgamma, digamma = el.lgamma, el.digamma
    floor, ceil, trunc, fix, frac, round = el.floor, el.ceil, el.trunc, el.trunc, el.frac, el.round
    deg2rad, rad2deg = el.deg2rad, el.rad2deg
    clamp = clip = el.clamp
    clamp_min, clamp_max = el.clamp_min, el.clamp_max
    lerp, addcmul, addcdiv = el.lerp, el.addcmul, el.addcdiv
    eq, ne, lt, le, gt, ge = el.eq, el.ne, el.lt, el.le, el.gt, el.ge
    not_equal, less, less_equal, greater, greater_equal = el.ne, el.lt, el.le, el.gt, el.ge
    logical_and, logical_or, logical_xor = el.logical_and, el.logical_or, el.logical_xor
    logical_not = el.logical_not
    bitwise_and, bitwise_or, bitwise_xor = el.bitwise_and, el.bitwise_or, el.bitwise_xor
    bitwise_not = el.bitwise_not
    bitwise_left_shift, bitwise_right_shift = el.bitwise_left_shift, el.bitwise_right_shift
    isnan, isinf, isfinite, isclose = el.isnan, el.isinf, el.isfinite, el.isclose
    nan_to_num, masked_fill = el.nan_to_num, el.masked_fill
    allclose, equal = el.allclose, el.equal

    def where(self, condition: Tensor, other: Any) -> Tensor:
        """This tensor where ``condition`` holds, else ``other``."""
        return el.where(condition, self, other)

    __add__ = __radd__ = el._add
    __sub__, __rsub__ = el._sub, el.rsub
    __mul__ = __rmul__ = el.mul
    __truediv__, __rtruediv__ = el._true_divide, _reflected(el._true_divide)
    __floordiv__, __rfloordiv__ = el.floor_divide, _reflected(el.floor_divide)
    __mod__, __rmod__ = el.remainder, _reflected(el.remainder)
    __pow__, __rpow__ = el.pow, _reflected(el.pow)
    __neg__, __pos__, __abs__ = el.neg, el.positive, el.abs
    __eq__, __ne__ = _operator(el.eq), _operator(el.ne)
    __lt__, __le__ = _operator(el.lt), _operator(el.le)
    __gt__, __ge__ = _operator(el.gt), _operator(el.ge)
    __and__ = __rand__ = el.bitwise_and
    __or__ = __ror__ = el.bitwise_or
    __xor__ = __rxor__ = el.bitwise_xor
    __invert__ = el.bitwise_not
    __lshift__, __rshift__ = el.bitwise_left_shift, el.bitwise_right_shift

    # ---- products (linalg.py)

    matmul, mm, mv, bmm, dot = linalg.matmul, linalg.mm, linalg.mv, linalg.bmm, linalg.dot
    outer = ger = linalg.outer
    addmm = linalg.addmm
    __matmul__, __rmatmul__ = linalg.matmul, _reflected(linalg.matmul)

    # ---- reductions and scans (reductions.py)

    sum, mean, prod = reductions.sum, reductions.mean, reductions.prod
    var, std, norm, logsumexp = (
        reductions.var,
        reductions.std,
        reductions.norm,
        reductions.logsumexp,
    )
    max, min, amax, amin = reductions.max, reductions.min, reductions.amax, reductions.amin
    argmax, argmin, argsort = reductions.argmax, reductions.argmin, reductions.argsort
    sort, topk = reductions.sort, reductions.topk
    any, all, count_nonzero = reductions.any, reductions.all, reductions.count_nonzero
    cumsum, cumprod = reductions.cumsum, reductions.cumprod

    # ---- shape (shape.py)

    reshape, view, view_as, reshape_as = sh.reshape, sh.view, sh.view_as, sh.reshape_as
    flatten, unflatten, ravel = sh.flatten, sh.unflatten, sh.ravel
    permute, transpose, t, movedim = sh.permute, sh.transpose, sh.t, sh.movedim
    swapaxes = swapdims = sh.transpose
    moveaxis = sh.movedim
    squeeze, unsqueeze = sh.squeeze, sh.unsqueeze
    expand, expand_as, broadcast_to = sh.expand, sh.expand_as, sh.broadcast_to
    narrow, select, split, chunk = sh.narrow, sh.select, sh.split, sh.chunk
    split_with_sizes = unsafe_split = unsafe_split_with_sizes = sh.split
    unsafe_chunk = sh.chunk
    unbind, diagonal = sh.unbind, sh.diagonal
    flip, roll, repeat, tile = sh.flip, sh.roll, sh.repeat, sh.tile
    tril, triu = sh.tril, sh.triu

    @property
    def T(self) -> Tensor:
        """All dimensions in reverse order."""
        return self.permute(tuple(range(self.ndim))[::-1])

    @property
    def mT(self) -> Tensor:
        """The last two dimensions swapped."""
        return self.transpose(-2, -1)

    mH = property(cx.adjoint)  # noqa: N815 (PyTorch's name)
    H = property(cx.conj_of_matrix)
    real = property(cx.real, cx.set_real)
    imag = property(cx.imag, cx.set_imag)

    # ---- indexing (indexing.py)

    __getitem__, __setitem__ = indexing.getitem, indexing.setitem
    index_select, gather, scatter = indexing.index_select, indexing.gather, indexing.scatter
    scatter_add, index_add, index_put = (
        indexing.scatter_add,
        indexing.index_add,
        indexing.index_put,
    )
    masked_select, nonzero = indexing.masked_select, indexing.nonzero

    def __len__(self) -> int:
        sizes = node_of(self).type.shape
        if not sizes:
            raise TypeError("a zero-dimensional tensor has no len()")
        return sizes[0]

    def __iter__(self) -> Iterator[Tensor]:
        if not node_of(self).type.shape:
            raise TypeError("a zero-dimensional tensor cannot be iterated; use .item()")
        return iter(self.unbind(0))

    def __contains__(self, value: Any) -> bool:
        return bool((self == value).any())

    # ---- random (random.py)

    uniform_, normal_, bernoulli_ = random.uniform_, random.normal_, random.bernoulli_
    random_, exponential_ = random.random_, random.exponential_
    bernoulli, multinomial = random.bernoulli, random.multinomial

    # ---- dtype, device, and the world outside (interop.py)

    to, numpy, item, tolist = interop.to, interop.numpy, interop.item, interop.tolist
    __array__, __bool__, __index__ = interop.array, interop.truth, interop.index
    __dlpack__, __dlpack_device__ = interop.dlpack, interop.dlpack_device
    __reduce_ex__, __deepcopy__ = interop.reduced, interop.deepcopy

    def __float__(self) -> float:
        return float(self.item())

    def __complex__(self) -> complex:
        return complex(self.item())

    def __int__(self) -> int:
        return int(self.item())

    type, new = legacy.type_of_elements, legacy.new

    def type_as(self, other: Tensor) -> Tensor:
        """This tensor in the dtype of ``other``."""
        return self.to(other.dtype)

    float, double = _conversion(dtypes.float32), _conversion(dtypes.float64)
    half, bfloat16 = _conversion(dtypes.float16), _conversion(dtypes.bfloat16)
    cfloat, cdouble = _conversion(dtypes.complex64), _conversion(dtypes.complex128)
    long, int = _conversion(dtypes.int64), _conversion(dtypes.int32)
    short, char = _conversion(dtypes.int16), _conversion(dtypes.int8)
    byte, bool = _conversion(dtypes.uint8), _conversion(dtypes.bool_)

    # ---- like this one (creation.py)

    def new_tensor(
        self, data: Any, *, dtype: Any = None, device: Any = None, requires_grad: Any = False
    ) -> Tensor:
        """``weft.tensor(data)`` in this tensor's dtype."""
        kind = self.dtype if dtype is None else dtype
        return creation.tensor(
            data,
            dtype=kind,
            device=self.device if device is None else device,
            requires_grad=requires_grad,
        )

    def new_zeros(
        self,
        *sizes: Any,
        size: Any = None,
        dtype: Any = None,
        device: Any = None,
        requires_grad: Any = False,
    ) -> Tensor:
        """Zeros in this tensor's dtype."""
        shape = sh.sizes_of("new_zeros", sizes, size)
        return self.new_full(shape, 0, dtype=dtype, device=device, requires_grad=requires_grad)

    def new_ones(
        self,
        *sizes: Any,
        size: Any = None,
        dtype: Any = None,
        device: Any = None,
        requires_grad: Any = False,
    ) -> Tensor:
        """Ones in this tensor's dtype."""
        shape = sh.sizes_of("new_ones", sizes, size)
        return self.new_full(shape, 1, dtype=dtype, device=device, requires_grad=requires_grad)

    def new_full(
        self,
        size: Any,
        fill_value: Any,
        *,
        dtype: Any = None,
        device: Any = None,
        requires_grad: Any = False,
    ) -> Tensor:
        """``fill_value`` in this tensor's dtype."""
        return creation.full(
            size,
            fill_value,
            dtype=self.dtype if dtype is None else dtype,
            device=self.device if device is None else device,
            requires_grad=requires_grad,
        )

    new_empty = new_zeros

    # ---- gradients (differentiate.py)

    backward = differentiate.backward_method
    requires_grad_ = differentiate.requires_grad_
    detach, detach_ = differentiate.detach, differentiate.detach_
    register_hook, retain_grad = differentiate.register_hook, differentiate.retain_grad
    register_post_accumulate_grad_hook = differentiate.register_post_accumulate_grad_hook
    requires_grad = property(differentiate.get_requires_grad, differentiate.set_requires_grad)
    grad = property(
        differentiate.get_grad,
        differentiate.set_grad,
        doc="The gradient that backward() has added up, or None.",
    )
    grad_fn = property(differentiate.grad_fn)
    is_leaf = property(differentiate.is_leaf)
    retains_grad = property(differentiate.retains_grad)

    @property
    def data(self) -> Tensor:
        """The values without history, shared both ways."""
        return self.detach()

    @data.setter
    def data(self, value: Tensor) -> None:
        self._replace(node_of(value))

    def _replace(self, node: Node) -> None:
        """Takes over another value, also of another shape or dtype, and keeps being what it is."""
        node = ew.detach(node)
        self._base = None
        self._node = self._as_leaf_like(node) if self._node.tracks else node
        self._version += 1

    # ---- in place: changes of the value, made from the functions above

    add_, sub_ = _scaled_in_place(el._add, "add_"), _scaled_in_place(el._sub, "sub_")
    mul_, div_ = in_place_binary(el.mul), in_place(el.div)
    subtract_, multiply_, divide_ = sub_, mul_, div_
    floor_divide_, remainder_ = in_place(el.floor_divide), in_place(el.remainder)
    fmod_, pow_ = in_place(el.fmod), in_place(el.pow)
    neg_, abs_, sign_, square_ = (
        in_place(el.neg),
        in_place(el.abs),
        in_place(el.sign),
        in_place(el.square),
    )
    exp_, exp2_, expm1_ = in_place(el.exp), in_place(el.exp2), in_place(el.expm1)
    log_, log2_, log10_, log1p_ = (
        in_place(el.log),
        in_place(el.log2),
        in_place(el.log10),
        in_place(el.log1p),
    )
    sqrt_, rsqrt_, reciprocal_ = in_place(el.sqrt), in_place(el.rsqrt), in_place(el.reciprocal)
    sin_, cos_, tan_, tanh_ = (
        in_place(el.sin),
        in_place(el.cos),
        in_place(el.tan),
        in_place(el.tanh),
    )
    sinh_, cosh_, asin_, acos_ = (
        in_place(el.sinh),
        in_place(el.cosh),
        in_place(el.asin),
        in_place(el.acos),
    )
    atan_, asinh_, acosh_, atanh_ = (
        in_place(el.atan),
        in_place(el.asinh),
        in_place(el.acosh),
        in_place(el.atanh),
    )
    sigmoid_, relu_, erf_, erfc_ = (
        in_place(el.sigmoid),
        in_place(el.relu),
        in_place(el.erf),
        in_place(el.erfc),
    )
    floor_, ceil_, trunc_, round_, frac_ = (
        in_place(el.floor),
        in_place(el.ceil),
        in_place(el.trunc),
        in_place(el.round),
        in_place(el.frac),
    )
    clamp_ = clip_ = in_place(el.clamp)
    clamp_min_, clamp_max_ = in_place(el.clamp_min), in_place(el.clamp_max)
    lerp_, addcmul_, addcdiv_ = in_place(el.lerp), in_place(el.addcmul), in_place(el.addcdiv)
    masked_fill_, nan_to_num_ = in_place(el.masked_fill), in_place(el.nan_to_num)
    logical_not_, logical_and_, logical_or_ = (
        in_place(el.logical_not),
        in_place(el.logical_and),
        in_place(el.logical_or),
    )
    bitwise_and_, bitwise_or_, bitwise_xor_ = (
        in_place(el.bitwise_and),
        in_place(el.bitwise_or),
        in_place(el.bitwise_xor),
    )
    eq_, ne_, lt_, le_, gt_, ge_ = (
        in_place(el.eq),
        in_place(el.ne),
        in_place(el.lt),
        in_place(el.le),
        in_place(el.gt),
        in_place(el.ge),
    )
    cumsum_, cumprod_ = in_place(reductions.cumsum), in_place(reductions.cumprod)
    tril_, triu_ = in_place(sh.tril), in_place(sh.triu)
    scatter_, scatter_add_ = in_place(indexing.scatter), in_place(indexing.scatter_add)
    index_add_, index_put_ = in_place(indexing.index_add), in_place(indexing.index_put)
    addmm_ = in_place(linalg.addmm)

    absolute_, negative_, fix_, true_divide_ = abs_, neg_, trunc_, div_
    arcsin_, arccos_, arctan_ = asin_, acos_, atan_
    arcsinh_, arccosh_, arctanh_ = asinh_, acosh_, atanh_
    not_equal_, less_, less_equal_, greater_, greater_equal_ = ne_, lt_, le_, gt_, ge_

    __iadd__, __isub__, __imul__, __itruediv__ = add_, sub_, mul_, div_
    __ifloordiv__, __imod__, __ipow__ = floor_divide_, remainder_, pow_
    __iand__, __ior__, __ixor__ = bitwise_and_, bitwise_or_, bitwise_xor_

    def copy_(self, src: Any, non_blocking: Any = False) -> Tensor:
        """Takes the values of ``src``, broadcast and converted."""
        return indexing.copy_into(self, el.operand(src, node_of(self).type.dtype))

    fill_ = indexing.fill_

    def zero_(self) -> Tensor:
        """All zeros."""
        return indexing.copy_into(self, full(node_of(self).type, 0))

    # ---- printing

    def __repr__(self) -> str:
        return printing.tensor_repr(self)

    def __format__(self, spec: str) -> str:
        if node_of(self).type.ndim == 0:
            return format(self.item(), spec)
        if spec:
            raise TypeError(
                f"the format '{spec}' is for one number, but this tensor has shape "
                f"{list(self.shape)}: format its elements, or set weft.set_printoptions(precision=)"
            )
        return str(self)

    def __dir__(self) -> list[str]:
        return sorted(set(object.__dir__(self)) - {"__dict__"})


bind_class(Tensor)
