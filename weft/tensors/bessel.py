"""Bessel functions, by Chebyshev series: of each function near 0, and of what is left far away.

The coefficients are those of the interpolating polynomials of the exact functions, computed with 40
digits; they are cut where doubles end. Splitting as in the Cephes library (Moshier, 1989) and in
Abramowitz and Stegun, 9.4 and 9.8. Derivatives: 9.1.27, 9.1.28, 9.6.26 and 9.6.27.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TYPE_CHECKING

from ..calls import by_element
from ..dtypes import float32
from ..graph.node import Node
from ..ops import elementwise as ew
from .core import wrap
from .out import with_out
from .special import floating

if TYPE_CHECKING:
    from .tensor import Tensor

    Function = Callable[[Tensor], Tensor]

Rule = Callable[[Node], Node]

# ---- coefficients

_I0_NEAR = (
    0.33839763720473803, -0.3046826723431984, 0.17162090152220877, -0.09490109704804764,
    0.04930528423967071, -0.02373741480589947, 0.010546460394594998, -0.004324309995050576,
    0.0016394756169413357, -0.0005763755745385824, 0.00018850288509584165,
    -5.754195010082104e-05, 1.6448448070728896e-05, -4.4167383584587505e-06,
    1.1173875391201037e-06, -2.670793853940612e-07, 6.046995022541919e-08,
    -1.300025009986248e-08, 2.6598237246823866e-09, -5.189795601635263e-10,
    9.675809035373237e-11, -1.726826291441556e-11, 2.95505266312964e-12, -4.856446783111929e-13,
    7.676185498604936e-14, -1.1685332877993451e-14, 1.715391285555133e-15,
    -2.431279846547955e-16, 3.3307945188222384e-17,
)  # fmt: skip
_I1_NEAR = (
    0.12629359322181682, -0.17641651835783406, 0.1026436586898471, -0.05294598120809499,
    0.024726449030626516, -0.010564084894626197, 0.004156422944312888, -0.0015135724506312532,
    0.0005122859561685758, -0.00016176081582589674, 4.781565107550054e-05,
    -1.3273163656039436e-05, 3.4702513081376785e-06, -8.568720264695455e-07,
    2.0032947535521353e-07, -4.445059128796328e-08, 9.381537386495773e-09,
    -1.8872497517228294e-09, 3.625590281552117e-10, -6.663489723502027e-11,
    1.1736186298890901e-11, -1.9839743977649436e-12, 3.223793365945575e-13,
    -5.042185504727912e-14, 7.600684294735408e-15, -1.1055969477353862e-15,
    1.5536319577362005e-16, -2.111421214358166e-17, 2.7779141127610464e-18,
)  # fmt: skip
_I0_FAR = (
    0.4022452055070544, 0.0033691164782556943, 6.889758346916825e-05, 2.8913705208347567e-06,
    2.0489185894690638e-07, 2.266668990498178e-08, 3.3962320257083865e-09, 4.94060238822497e-10,
    1.1889147107846439e-11, -3.1499165279632416e-11, -1.3215811840447713e-11,
    -1.7941785315068062e-12, 7.180124451383666e-13, 3.8527783827421426e-13,
    1.54008621752141e-14, -4.150569347287222e-14, -9.554846698828307e-15,
    3.8116806693526224e-15, 1.7725601330565263e-15, -3.425485619677219e-16,
    -2.8276239805165836e-16, 3.461222867697461e-17, 4.46562142029676e-17,
    -4.830504485944182e-18, -7.233180487874754e-18,
)  # fmt: skip
_I1_FAR = (
    0.38928811750914005, -0.009761097491361469, -0.00011058893876262371, -3.882564808877691e-06,
    -2.512236237870209e-07, -2.6314688468895196e-08, -3.835380385964237e-09,
    -5.589743462196584e-10, -1.8974958123505413e-11, 3.2526035830154884e-11,
    1.4125807436613782e-11, 2.0356285441470896e-12, -7.198551776245908e-13,
    -4.0835511110921974e-13, -2.1015418427726643e-14, 4.272440016711951e-14,
    1.0420276984128802e-14, -3.8144030724370075e-15, -1.8803547755107825e-15,
    3.3082023109209285e-16, 2.96262899764595e-16, -3.209525921993424e-17,
    -4.6503053684893586e-17, 4.414348323071708e-18, 7.517296310842105e-18,
)  # fmt: skip
_K0_NEAR = (
    -0.2676636966169514, 0.3442898999246285, 0.0359799365153615, 0.001264615411446926,
    2.286212103119452e-05, 2.5347910790261494e-07, 1.904516377220209e-09,
    1.0349695257633625e-11, 4.2598161427910826e-14, 1.3744654358807508e-16,
)  # fmt: skip
_K1_NEAR = (
    0.7626501136694739, -0.3531559607765449, -0.12261118082265715, -0.006975723859639864,
    -0.0001730288957513052, -2.4334061415659684e-06, -2.213387630734726e-08,
    -1.4114883926335278e-10, -6.666901694199329e-13, -2.427449850519366e-15,
)  # fmt: skip
_K0_FAR = (
    1.2201515410329777, -0.0314481013119645, 0.0015698838857300533, -0.00012849549581627802,
    1.39498137188765e-05, -1.8317555227191195e-06, 2.766813639445015e-07,
    -4.660489897687948e-08, 8.574034017414225e-09, -1.6975345093890614e-09,
    3.5773972814003283e-10, -7.957489244477396e-11, 1.8559491149549264e-11,
    -4.514597883374519e-12, 1.1403405882073441e-12, -2.9800969231481784e-13,
    8.032890775068375e-14, -2.2275133267462965e-14, 6.340076476276646e-15,
    -1.848593377920907e-15, 5.5120559994043335e-16, -1.6782311257549006e-16,
    5.2103917776435543e-17,
)  # fmt: skip
_K1_FAR = (
    1.3603130952422213, 0.10392373657681724, -0.002857816859622779, 0.00019521551847135162,
    -1.936197974166083e-05, 2.406484947837217e-06, -3.5019606030878126e-07,
    5.7410841254500495e-08, -1.0345762465678097e-08, 2.0150497551970347e-09,
    -4.1903547593419254e-10, 9.218315187605315e-11, -2.129967838427791e-11,
    5.139639673482343e-12, -1.2891739609498229e-12, 3.348419666052243e-13,
    -8.976705182010146e-14, 2.4771544242195988e-14, -7.0198370892147685e-15,
    2.038703166239861e-15, -6.057047270643018e-16, 1.8380935752430455e-16,
    -5.689462849193648e-17,
)  # fmt: skip
_J0_NEAR = (
    0.15772797147489012, -0.008723442352852221, 0.2651786132033368, -0.37009499387264977,
    0.15806710233209725, -0.034893769411408884, 0.004819180069467605, -0.00046062616620627504,
    3.246032882100508e-05, -1.7619469077621507e-06, 7.608163592418782e-08,
    -2.679253530557673e-09, 7.848696314479465e-11, -1.9438346867370164e-12,
    4.125320595634374e-14, -7.588508125447546e-16, 1.2218515873961411e-17,
)  # fmt: skip
_J1_NEAR = (
    0.08104484632565812, -0.1489751450676521, 0.1609992623572097, -0.08268049176681791,
    0.022213639654966037, -0.003646940600769276, 0.0004050337728354822, -3.255554866857259e-05,
    1.9858774049915165e-06, -9.521984756750436e-08, 3.687133759097148e-09,
    -1.178026622695885e-10, 3.160154580348003e-12, -7.221755239651773e-14,
    1.4232144003513942e-15, -2.4441972916190464e-17,
)  # fmt: skip
_Y0_NEAR = (
    0.03645469809116044, -0.2783237094075825, 0.2960499990207148, 0.09825508408187864,
    -0.10755155280627783, 0.031799074084414514, -0.005161397105810715, 0.0005498525320039012,
    -4.1996983149420134e-05, 2.4290361107923793e-06, -1.1049969793472957e-07,
    4.06651736597911e-09, -1.2374148898289854e-10, 3.1685725528945945e-12,
    -6.926956032431002e-14, 1.3086308625876684e-15, -2.1586201986914482e-17,
)  # fmt: skip
_Y1_NEAR = (
    0.038300769852423776, -0.08182561412732826, -0.0248677076121964, 0.047967452752746984,
    -0.01852588451089802, 0.003680607687823511, -0.0004627254060293369, 4.06940026958087e-05,
    -2.6617695125295625e-06, 1.350602691325434e-07, -5.483524110336276e-09,
    1.8245086841229007e-10, -5.070666636591129e-12, 1.1956162517587948e-13,
    -2.423162442712473e-15, 4.268126513072962e-17,
)  # fmt: skip
_P0_FAR = (
    0.9994603493475187, -0.0005365220468132117, 3.0751847875194745e-06, -5.1705945376060975e-08,
    1.6306464635151382e-09, -7.86409137723707e-11, 5.168262387349193e-12,
    -4.3045788699253914e-13, 4.3265957431549404e-14, -5.069034095935236e-15,
    6.748072215733873e-16, -1.0011513723467786e-16, 1.6305919233744186e-17,
)  # fmt: skip
_Q0_FAR = (
    -0.015555854605337009, 6.838519942611649e-05, -7.414498411060647e-07,
    1.7972457247968992e-08, -7.27191593686632e-10, 4.2201219046687385e-11,
    -3.206747420996635e-12, 3.006145125351706e-13, -3.336328185322427e-14,
    4.255225040245461e-15, -6.09993013164005e-16, 9.662128970303257e-17,
    -1.6686065214378146e-17, 3.1082440486738143e-18, -6.191115787358145e-19,
)  # fmt: skip
_P1_FAR = (
    1.0009030408600137, 0.0008989898330859408, -3.987284300488908e-06, 6.177633960644299e-08,
    -1.8718907491063067e-09, 8.816898659582339e-11, -5.704863640395645e-12,
    4.699195515230542e-13, -4.6842237839904895e-14, 5.452674896044717e-15,
    -7.221180842274018e-16, 1.0667689114335412e-16, -1.7312313216116335e-17,
)  # fmt: skip
_Q1_FAR = (
    0.04677778706953532, -9.62772354915708e-05, 9.138615257955454e-07, -2.0959781384083424e-08,
    8.229193327650554e-10, -4.686363688176945e-11, 3.5152187949686082e-12, -3.2643156743279e-13,
    3.5967765829165294e-14, -4.5612523950772974e-15, 6.508282957783384e-16,
    -1.0269147531823243e-16, 1.767635548776479e-17, -3.2834519872981614e-18,
)  # fmt: skip


def series(y: Node, coefficients: tuple[float, ...]) -> Node:
    """The sum of Chebyshev polynomials with these coefficients, by Clenshaw's recurrence."""
    double = ew.mul(y, 2.0)
    last, before = ew.add(ew.mul(y, 0.0), coefficients[-1]), None
    for c in coefficients[-2:0:-1]:
        step = ew.mul(double, last)
        step = step if before is None else ew.sub(step, before)
        last, before = ew.add(step, c), last
    result = ew.mul(y, last)
    return ew.add(result if before is None else ew.sub(result, before), coefficients[0])


def _at_least(x: Node, low: float) -> Node:
    return ew.where(ew.lt(x, low), low, x)


def _at_most(x: Node, high: float) -> Node:
    return ew.where(ew.gt(x, high), high, x)


# ---- of purely imaginary arguments: I and K


def _scaled_i(x: Node, near: tuple[float, ...], far: tuple[float, ...]) -> Node:
    """exp(-|x|) times I0, or I1 (without its factor x near 0, and without its sign)."""
    a = ew.abs_(x)
    inside, outside = _at_most(a, 8.0), _at_least(a, 8.0)
    small = series(ew.sub(ew.mul(inside, 0.25), 1.0), near)
    large = series(ew.sub(ew.mul(ew.reciprocal(outside), 16.0), 1.0), far)
    return ew.where(ew.le(a, 8.0), small, ew.mul(large, ew.rsqrt(outside)))


def _i0e(x: Node) -> Node:
    return _scaled_i(x, _I0_NEAR, _I0_FAR)


def _i1e(x: Node) -> Node:
    y = _scaled_i(x, _I1_NEAR, _I1_FAR)
    return ew.mul(y, ew.where(ew.le(ew.abs_(x), 8.0), x, ew.sign(x)))


def _i0(x: Node) -> Node:
    return ew.mul(ew.exp(ew.abs_(x)), _i0e(x))


def _i1(x: Node) -> Node:
    return ew.mul(ew.exp(ew.abs_(x)), _i1e(x))


def _over(y: Node, x: Node, at_zero: float) -> Node:
    """``y / x``, and its limit at 0."""
    zero = ew.eq(x, 0.0)
    return ew.where(zero, at_zero, ew.div(y, ew.where(zero, 1.0, x)))


def _i0e_slope(x: Node) -> Node:
    return ew.sub(_i1e(x), ew.mul(ew.sign(x), _i0e(x)))


def _i1_slope(x: Node) -> Node:
    return ew.sub(_i0(x), _over(_i1(x), x, 0.5))


def _i1e_slope(x: Node) -> Node:
    y = _i1e(x)
    return ew.sub(ew.sub(_i0e(x), _over(y, x, 0.5)), ew.mul(ew.sign(x), y))


def _scaled_k(
    x: Node, order: int, near: tuple[float, ...], far: tuple[float, ...], i: Rule
) -> Node:
    """exp(x) times K0 or K1: infinite at 0, and NaN below."""
    inside, outside = _at_most(_at_least(x, 0.0), 2.0), _at_least(x, 2.0)
    square = ew.mul(inside, inside)
    small = series(ew.sub(ew.mul(square, 0.5), 1.0), near)
    log = ew.log(ew.mul(inside, 0.5))
    if order:
        small = ew.add(ew.div(small, inside), ew.mul(log, i(inside)))
    else:
        small = ew.sub(small, ew.mul(log, i(inside)))
    small = ew.where(ew.eq(x, 0.0), math.inf, ew.mul(small, ew.exp(inside)))
    large = series(ew.sub(ew.mul(ew.reciprocal(outside), 4.0), 1.0), far)
    y = ew.where(ew.le(x, 2.0), small, ew.mul(large, ew.rsqrt(outside)))
    return ew.where(ew.lt(x, 0.0), math.nan, y)


def _k0e(x: Node) -> Node:
    return _scaled_k(x, 0, _K0_NEAR, _K0_FAR, _i0)


def _k1e(x: Node) -> Node:
    return _scaled_k(x, 1, _K1_NEAR, _K1_FAR, _i1)


def _k0(x: Node) -> Node:
    return ew.mul(_k0e(x), ew.exp(ew.neg(x)))


def _k1(x: Node) -> Node:
    return ew.mul(_k1e(x), ew.exp(ew.neg(x)))


def _k1e_slope(x: Node) -> Node:
    y = _k1e(x)
    return ew.sub(ew.sub(y, _k0e(x)), ew.div(y, x))


# ---- J and Y


def _far(x: Node, order: int, cosine: bool) -> Node:
    """J (``cosine``) or Y of x >= 8, by modulus and phase."""
    p, q = (_P1_FAR, _Q1_FAR) if order else (_P0_FAR, _Q0_FAR)
    z = ew.mul(ew.reciprocal(x), 8.0)
    y = ew.sub(ew.mul(ew.mul(z, z), 2.0), 1.0)
    angle = ew.sub(x, (2 * order + 1) * math.pi / 4)
    one, other = ew.cos(angle), ew.sin(angle)
    if not cosine:
        one, other = other, ew.neg(one)
    wave = ew.sub(ew.mul(series(y, p), one), ew.mul(ew.mul(z, series(y, q)), other))
    return ew.mul(ew.mul(wave, ew.rsqrt(x)), math.sqrt(2 / math.pi))


def _square(x: Node) -> Node:
    inside = _at_most(x, 8.0)
    return ew.sub(ew.mul(ew.mul(inside, inside), 1 / 32), 1.0)


def _j0(x: Node) -> Node:
    a = ew.abs_(x)
    return ew.where(ew.le(a, 8.0), series(_square(a), _J0_NEAR), _far(_at_least(a, 8.0), 0, True))


def _j1(x: Node) -> Node:
    a = ew.abs_(x)
    near = ew.mul(x, series(_square(a), _J1_NEAR))
    return ew.where(ew.le(a, 8.0), near, ew.mul(ew.sign(x), _far(_at_least(a, 8.0), 1, True)))


def _y0(x: Node) -> Node:
    inside = _at_most(_at_least(x, 0.0), 8.0)
    log = ew.mul(ew.log(ew.mul(inside, 0.5)), 2 / math.pi)
    near = ew.add(series(_square(inside), _Y0_NEAR), ew.mul(log, _j0(inside)))
    y = ew.where(ew.le(x, 8.0), near, _far(_at_least(x, 8.0), 0, False))
    return ew.where(ew.lt(x, 0.0), math.nan, y)


def _y1(x: Node) -> Node:
    inside = _at_most(_at_least(x, 0.0), 8.0)
    pole = ew.eq(inside, 0.0)
    safe = ew.where(pole, 1.0, inside)
    part = ew.sub(ew.mul(ew.log(ew.mul(safe, 0.5)), _j1(safe)), ew.reciprocal(safe))
    near = ew.add(ew.mul(safe, series(_square(safe), _Y1_NEAR)), ew.mul(part, 2 / math.pi))
    near = ew.where(pole, -math.inf, near)
    y = ew.where(ew.le(x, 8.0), near, _far(_at_least(x, 8.0), 1, False))
    return ew.where(ew.lt(x, 0.0), math.nan, y)


def _spherical_j0(x: Node) -> Node:
    end = ew.eq(ew.abs_(x), math.inf)
    finite = ew.where(end, 1.0, x)
    return ew.where(end, 0.0, _over(ew.sin(finite), finite, 1.0))


def _spherical_slope(x: Node) -> Node:
    near = ew.mul(x, ew.sub(ew.mul(ew.mul(x, x), 1 / 30), 1 / 3))  # (where both terms are alike)
    far = _over(ew.sub(ew.cos(x), _spherical_j0(x)), x, 0.0)
    return ew.where(ew.lt(ew.abs_(x), 1e-3), near, far)


# ---- functions of Tensors


def special(name: str, rule: Rule, slope: Rule, doc: str) -> Function:
    """A function of each element and its derivative; 16-bit floats by way of float32."""

    def function(input: Tensor) -> Tensor:
        x = floating(input)
        kind = x.type.dtype
        y = by_element(rule, slope, ew.cast(x, float32) if kind.is_reduced else x)
        return wrap(ew.cast(y, kind))

    function.__name__ = function.__qualname__ = name
    function.__doc__ = doc
    return with_out(function)


_MODIFIED = "The modified Bessel function of the first kind of order"
_SECOND = "The modified Bessel function of the second kind of order"
i0 = special("i0", _i0, _i1, f"{_MODIFIED} 0.")
i0e = special("i0e", _i0e, _i0e_slope, f"{_MODIFIED} 0, times ``exp(-|input|)``.")
i1 = special("i1", _i1, _i1_slope, f"{_MODIFIED} 1.")
i1e = special("i1e", _i1e, _i1e_slope, f"{_MODIFIED} 1, times ``exp(-|input|)``.")
modified_bessel_k0 = special("modified_bessel_k0", _k0, lambda x: ew.neg(_k1(x)), f"{_SECOND} 0.")
modified_bessel_k1 = special(
    "modified_bessel_k1", _k1, lambda x: ew.neg(ew.add(_k0(x), ew.div(_k1(x), x))), f"{_SECOND} 1."
)
scaled_modified_bessel_k0 = special(
    "scaled_modified_bessel_k0",
    _k0e,
    lambda x: ew.sub(_k0e(x), _k1e(x)),
    f"{_SECOND} 0, times ``exp(input)``.",
)
scaled_modified_bessel_k1 = special(
    "scaled_modified_bessel_k1", _k1e, _k1e_slope, f"{_SECOND} 1, times ``exp(input)``."
)
bessel_j0 = special(
    "bessel_j0", _j0, lambda x: ew.neg(_j1(x)), "The Bessel function of the first kind of order 0."
)
bessel_j1 = special(
    "bessel_j1",
    _j1,
    lambda x: ew.sub(_j0(x), _over(_j1(x), x, 0.5)),
    "The Bessel function of the first kind of order 1.",
)
bessel_y0 = special(
    "bessel_y0", _y0, lambda x: ew.neg(_y1(x)), "The Bessel function of the second kind of order 0."
)
bessel_y1 = special(
    "bessel_y1",
    _y1,
    lambda x: ew.sub(_y0(x), ew.div(_y1(x), x)),
    "The Bessel function of the second kind of order 1.",
)
spherical_bessel_j0 = special(
    "spherical_bessel_j0",
    _spherical_j0,
    _spherical_slope,
    "The spherical Bessel function of the first kind of order 0: ``sin(input) / input``.",
)
