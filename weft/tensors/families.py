"""Methods of Tensor, continued: the families of functions beyond the common ones.

A table as in ``tensor.py``: each line says in which file a method is defined.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from . import (
    absent,
    activations,
    asked,
    bessel,
    complex as cx,
    decompositions as de,
    devices,
    elementwise as el,
    gammas,
    histograms,
    joining,
    legacy,
    lesser,
    lu as factors,
    placing,
    products,
    searching,
    shape as sh,
    special,
    statistics,
)
from .core import TensorCore
from .inplace import in_place, shape_in_place


class FamilyMethods(TensorCore):
    """The methods that :class:`weft.Tensor` has from these families."""

    __slots__ = ()

    # ---- pieces, turns (joining.py)

    tensor_split, hsplit, vsplit = joining.tensor_split, joining.hsplit, joining.vsplit
    dsplit, flipud, fliplr, rot90 = joining.dsplit, joining.flipud, joining.fliplr, joining.rot90

    # ---- devices (devices.py)

    device, is_cuda = property(devices.device_of), property(devices.is_cuda)
    is_cpu, is_meta = property(devices.is_cpu), property(devices.is_meta)
    cpu, cuda, get_device = devices.cpu, devices.cuda, devices.get_device
    is_pinned, pin_memory = devices.is_pinned, devices.pin_memory

    # ---- products (products.py)

    baddbmm, addbmm, addmv, addr = products.baddbmm, products.addbmm, products.addmv, products.addr
    inner, vdot, kron, cross = products.inner, products.vdot, products.kron, products.cross
    trace, dist = products.trace, products.dist
    baddbmm_, addbmm_ = in_place(products.baddbmm), in_place(products.addbmm)
    addmv_, addr_ = in_place(products.addmv), in_place(products.addr)

    # ---- diagonals, places (placing.py)

    diag, diagflat, diag_embed = placing.diag, placing.diagflat, placing.diag_embed
    take, take_along_dim, unfold = placing.take, placing.take_along_dim, placing.unfold
    as_strided, index_copy, index_fill = placing.as_strided, placing.index_copy, placing.index_fill
    masked_scatter, select_scatter = placing.masked_scatter, placing.select_scatter
    as_strided_scatter = placing.as_strided_scatter
    slice_scatter, diagonal_scatter = placing.slice_scatter, placing.diagonal_scatter
    scatter_reduce = placing.scatter_reduce
    index_copy_, index_fill_ = in_place(placing.index_copy), in_place(placing.index_fill)
    masked_scatter_ = in_place(placing.masked_scatter)
    scatter_reduce_ = in_place(placing.scatter_reduce)

    # ---- elementwise (special.py)

    softmax, log_softmax, logaddexp = special.softmax, special.log_softmax, special.logaddexp
    logaddexp2, xlogy, logit = special.logaddexp2, special.xlogy, special.logit
    erfinv, sinc, mvlgamma = special.erfinv, special.sinc, special.mvlgamma
    signbit, sgn, isposinf = special.signbit, cx.sgn, special.isposinf
    isneginf, isreal, hypot, gcd = special.isneginf, cx.isreal, special.hypot, special.gcd
    lcm, heaviside, copysign, fmax = special.lcm, special.heaviside, special.copysign, special.fmax
    fmin, float_power, ldexp = special.fmin, special.float_power, special.ldexp
    polygamma = special.polygamma_method
    frexp = special.frexp
    nextafter, i0 = special.nextafter, bessel.i0
    igamma, igammac = gammas.gammainc, gammas.gammaincc
    nextafter_ = in_place(special.nextafter)
    i0_, igamma_, igammac_ = in_place(bessel.i0), in_place(igamma), in_place(igammac)
    xlogy_, logit_ = in_place(special.xlogy), in_place(special.logit)
    erfinv_, sinc_ = in_place(special.erfinv), in_place(special.sinc)
    mvlgamma_, sgn_ = in_place(special.mvlgamma), in_place(cx.sgn)
    hypot_, gcd_, lcm_ = in_place(special.hypot), in_place(special.gcd), in_place(special.lcm)
    heaviside_, copysign_ = in_place(special.heaviside), in_place(special.copysign)
    ldexp_ = in_place(special.ldexp)

    # ---- statistics and scans (statistics.py)

    median, nanmedian, kthvalue = statistics.median, statistics.nanmedian, statistics.kthvalue
    mode, quantile, nanquantile = statistics.mode, statistics.quantile, statistics.nanquantile
    nansum, nanmean, aminmax = statistics.nansum, statistics.nanmean, statistics.aminmax
    cummax, cummin, logcumsumexp = statistics.cummax, statistics.cummin, statistics.logcumsumexp
    diff, cov, corrcoef = statistics.diff, statistics.cov, statistics.corrcoef

    # ---- searching (searching.py)

    argwhere, msort, bincount = searching.argwhere, searching.msort, searching.bincount
    repeat_interleave, unique = searching.repeat_interleave, searching.unique
    unique_consecutive = searching.unique_consecutive

    # ---- linear algebra (decompositions.py)

    det, slogdet, logdet, inverse = de.det, de.slogdet, de.logdet, de.inverse
    matrix_power, pinverse = de.matrix_power, de.pinverse
    matrix_exp = de.matrix_exp
    lu, lu_solve = legacy.lu, legacy.lu_solve
    orgqr, ormqr = factors.householder_product, factors.ormqr

    cholesky, qr, svd = legacy.cholesky, legacy.qr, legacy.svd  # of old (legacy.py)

    # ---- complex numbers (complex.py)

    conj, conj_physical, resolve_conj = cx.conj, cx.conj_physical, cx.resolve_conj
    is_conj, angle, adjoint = cx.is_conj, cx.angle, cx.adjoint
    conj_physical_ = in_place(cx.conj_physical)

    def stft(self: Any, *args: Any, **kwargs: Any) -> Any:
        """See :func:`weft.stft`."""
        from .spectral import stft  # here, not above: few programs need it

        return stft(self, *args, **kwargs)

    def istft(self: Any, *args: Any, **kwargs: Any) -> Any:
        """See :func:`weft.istft`."""
        from .spectral import istft

        return istft(self, *args, **kwargs)

    # ---- what is seldom used (lesser.py, activations.py)

    hardshrink, prelu = activations.hardshrink, activations.prelu
    put = lesser.put
    is_nonzero, is_same_size = lesser.is_nonzero, lesser.is_same_size
    sum_to_size, renorm, histc = lesser.sum_to_size, lesser.renorm, lesser.histc
    index_reduce, narrow_copy = lesser.index_reduce, lesser.narrow_copy
    histogram, is_signed = histograms.histogram, asked.is_signed
    nonzero_static = asked.nonzero_static
    renorm_, put_ = in_place(lesser.renorm), in_place(lesser.put)
    index_reduce_ = in_place(lesser.index_reduce)
    fill_diagonal_, apply_, map_ = lesser.fill_diagonal_, lesser.apply_, lesser.map_
    cauchy_, log_normal_ = lesser.cauchy_, lesser.log_normal_
    geometric_ = lesser.geometric_

    # ---- further changes in place (elementwise.py, shape.py)

    lgamma_, digamma_ = in_place(el.lgamma), in_place(el.digamma)
    deg2rad_, rad2deg_ = in_place(el.deg2rad), in_place(el.rad2deg)
    atan2_ = arctan2_ = in_place(el.atan2)
    logical_xor_, bitwise_not_ = in_place(el.logical_xor), in_place(el.bitwise_not)
    bitwise_left_shift_ = in_place(el.bitwise_left_shift)
    bitwise_right_shift_ = in_place(el.bitwise_right_shift)
    squeeze_, unsqueeze_ = shape_in_place(sh.squeeze), shape_in_place(sh.unsqueeze)
    t_, transpose_ = shape_in_place(sh.t), shape_in_place(sh.transpose)
    swapaxes_ = swapdims_ = transpose_
    polygamma_ = in_place(special.polygamma_method)

    # ---- what is so for all of weft's tensors (lesser.py)

    is_sparse = is_sparse_csr = is_quantized = is_nested = property(lesser.no)
    is_mkldnn = is_mps = is_xpu = property(lesser.no)
    layout = property(lesser.layout_of)
    is_neg = is_inference = lesser.no
    resolve_neg = el.positive
    cholesky_solve, cholesky_inverse = de.cholesky_solve, de.cholesky_inverse

    # ---- what is not there (absent.py); type checkers are to say so themselves

    if not TYPE_CHECKING:
        __getattr__ = absent.attribute
