"""Attention: scaled dot products, and several heads of them. (Vaswani et al., 2017)"""

from __future__ import annotations

from math import sqrt
from typing import NamedTuple

from ...calls import composed
from ...dtypes import bool_, float32, int64
from ...errors import DTypeError, OptionError, ShapeError
from ...graph.device import CPU
from ...graph.node import Node, Shape, type_of
from ...ops import elementwise as ew, movement as mv, reduce as rd
from ...ops.base import broadcast
from ...ops.contract import matmul
from ...tensors.autocasting import in_low_precision
from ...tensors.core import node_of, wrap
from ...tensors.special import softmax_node
from ...tensors.tensor import Tensor
from .dropout import check_probability, dropout_node
from .linear import linear

# Inside this file a mask is a node that broadcasts to [..., queries, keys]: bool, True where a key
# may be attended to; or floating, added to the scores.


def _causal(queries: int, keys: int) -> Node:
    """Each query sees the keys up to its own place."""
    rows = mv.reshape(mv.arange(queries, int64), (queries, 1))
    return ew.ge(rows, mv.reshape(mv.arange(keys, int64), (1, keys)))


def _masked_softmax(scores: Node, mask: Node) -> Node:
    """Softmax over the keys; all zeros for a query that may attend to none."""
    if mask.type.dtype is bool_:
        scores = ew.where(mask, scores, float("-inf"))
    else:
        scores = ew.add(scores, mask)
    last = (scores.type.ndim - 1,)
    top = ew.detach(rd.max_(scores, last, True))
    e = ew.exp(ew.sub(scores, ew.where(ew.eq(top, float("-inf")), 0, top)))
    total = rd.sum_(e, last, True)
    return ew.div(e, ew.where(ew.eq(total, 0), 1, total))


def attention_weights(q: Node, k: Node, mask: Node | None, scale: float) -> Node:
    """How much each query attends to each key: rows that sum to 1."""
    scores = matmul(ew.mul(q, scale), k, turn_b=True)
    if scores.type.size == 0:
        return scores
    if mask is None:
        return softmax_node(scores, scores.type.ndim - 1)
    return _masked_softmax(scores, mask)


def attention(q: Node, k: Node, v: Node, causal: bool, scale: float, grouped: bool) -> Node:
    """Without dropout or a mask of its own: what some devices have a kernel for.

    (``attention.py`` in ``weft/engine/native/`` and ``weft/engine/xla/`` know it by its name, and
    :func:`masked_attention`.)

    Args:
        grouped: key and value have fewer heads.
    """
    mask = _causal(q.type.shape[-2], k.type.shape[-2]) if causal else None
    return _attended(q, *_by_query(q, k, v, grouped), mask, 0.0, scale)[0]


def masked_attention(q: Node, k: Node, v: Node, mask: Node, scale: float, grouped: bool) -> Node:
    """The same with a mask, bool or of the query's dtype."""
    return _attended(q, *_by_query(q, k, v, grouped), mask, 0.0, scale)[0]


def _attended(
    q: Node, k: Node, v: Node, mask: Node | None, dropout_p: float, scale: float | None
) -> tuple[Node, Node]:
    """The output and the weights. 16-bit floats are computed in float32."""
    kind = q.type.dtype
    if kind.is_reduced:
        q, k, v = (ew.cast(x, float32) for x in (q, k, v))
        mask = mask if mask is None or mask.type.dtype is bool_ else ew.cast(mask, float32)
    weights = attention_weights(q, k, mask, _scale(q) if scale is None else scale)
    if dropout_p > 0:
        weights = dropout_node(weights, dropout_p)
    return ew.cast(matmul(weights, v), kind), ew.cast(weights, kind)


def _output(
    q: Node,
    k: Node,
    v: Node,
    mask: Node | None,
    causal: bool,
    dropout_p: float,
    scale: float | None,
    grouped: bool = False,
) -> Node:
    """What attention gives, where nobody asks for the weights."""
    if grouped and q.type.device is CPU:  # kernels of other devices take them as they are
        (k, v), grouped = _by_query(q, k, v, grouped), False
    if not dropout_p and (mask is None or q.type.dtype.is_reduced):
        factor = _scale(q) if scale is None else float(scale)
        if mask is None:
            return composed(attention, q, k, v, bool(causal), factor, grouped)
        return composed(masked_attention, q, k, v, mask, factor, grouped)
    if causal:
        mask = _causal(q.type.shape[-2], k.type.shape[-2])
    return _attended(q, *_by_query(q, k, v, grouped), mask, dropout_p, scale)[0]


def _scale(q: Node) -> float:
    return 1 / sqrt(max(q.type.shape[-1], 1))


def _by_query(q: Node, k: Node, v: Node, grouped: bool) -> tuple[Node, Node]:
    """Key and value with a head for each of the query's."""
    if not grouped:
        return k, v
    heads = q.type.shape[-3]
    return _repeated(k, heads), _repeated(v, heads)


def _repeated(x: Node, heads: int) -> Node:
    """Each head of ``[..., h, n, d]`` for ``heads / h`` neighbouring heads of the queries."""
    *lead, have, n, d = x.type.shape
    grouped = mv.reshape(x, (*lead, have, 1, n, d))
    return mv.reshape(mv.expand(grouped, (*lead, have, heads // have, n, d)), (*lead, heads, n, d))


def _check_operands(q: Node, k: Node, v: Node, enable_gqa: bool) -> None:
    name = "scaled_dot_product_attention"
    shapes = ", ".join(str(list(x.type.shape)) for x in (q, k, v))
    if min(x.type.ndim for x in (q, k, v)) < (3 if enable_gqa else 2):
        raise ShapeError(
            f"{name} takes [..., heads, length, features], not query, key and value of shapes "
            f"{shapes}"
        )
    if not q.type.dtype is k.type.dtype is v.type.dtype:
        raise DTypeError(
            f"{name} takes one dtype, not {q.type.dtype}, {k.type.dtype} and {v.type.dtype} "
            "(query, key, value)"
        )
    if not q.type.dtype.is_floating_point:
        raise DTypeError(f"{name} takes a floating dtype, not {q.type.dtype}")
    if q.type.shape[-1] != k.type.shape[-1] or k.type.shape[-2] != v.type.shape[-2]:
        raise ShapeError(
            f"{name}: query and key must agree in their last dimension, key and value in their "
            f"second to last, but query, key and value have shapes {shapes}"
        )
    if enable_gqa:
        heads, of_k, of_v = (x.type.shape[-3] for x in (q, k, v))
        if of_k == 0 or of_v == 0 or heads % of_k or heads % of_v:
            raise ShapeError(
                f"{name} with enable_gqa=True: the heads of key ({of_k}) and value ({of_v}) must "
                f"divide those of the query ({heads}); shapes {shapes}"
            )


def _given_mask(attn_mask: Tensor, q: Node, keys: int) -> Node:
    mask = node_of(attn_mask)
    if mask.type.dtype is not bool_ and mask.type.dtype is not q.type.dtype:
        raise DTypeError(
            f"attn_mask must be bool or {q.type.dtype} as the query is, not {mask.type.dtype}"
        )
    wanted = (*q.type.shape[:-1], keys)
    try:
        fits = broadcast("attn_mask", mask.type.shape, wanted) == wanted
    except ShapeError:
        fits = False
    if not fits:
        raise ShapeError(
            f"attn_mask of shape {list(mask.type.shape)} does not broadcast to the scores' shape "
            f"{list(wanted)} [..., queries, keys]"
        )
    return mask


@in_low_precision
def scaled_dot_product_attention(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attn_mask: Tensor | None = None,
    dropout_p: float = 0.0,
    is_causal: bool = False,
    scale: float | None = None,
    enable_gqa: bool = False,
) -> Tensor:
    """``softmax(query key^T * scale + mask) value``.

    Args:
        attn_mask: bool, True where a key may be attended to; or floating, added to the scores.
            A query that may attend to no key gives zeros.
        dropout_p: the probability with which a weight is dropped, always, not only in training.
        is_causal: each query sees the keys up to its own place.
        scale: 1/sqrt(features) if left out.
        enable_gqa: key and value may have fewer heads, which neighbouring heads of the query share.
            (Ainslie et al., 2023, arXiv:2305.13245)

    Shape:
        query ``[..., heads, L, E]``, key ``[..., heads, S, E]``, value ``[..., heads, S, Ev]``,
        mask broadcast to ``[..., L, S]``; result ``[..., heads, L, Ev]``.

    Raises:
        ShapeError: for shapes that do not fit one another.
        DTypeError: for dtypes that differ, or another mask than bool or floating.
        OptionError: for both ``attn_mask`` and ``is_causal``.
    """
    q, k, v = node_of(query), node_of(key), node_of(value)
    _check_operands(q, k, v, enable_gqa)
    check_probability("scaled_dot_product_attention", dropout_p)
    if attn_mask is not None and is_causal:
        raise OptionError(
            "scaled_dot_product_attention takes attn_mask or is_causal=True, not both: make the "
            "mask causal, attn_mask.tril()"
        )
    mask = None if attn_mask is None else _given_mask(attn_mask, q, k.type.shape[-2])
    return wrap(_output(q, k, v, mask, is_causal, dropout_p, scale, enable_gqa))


# ---- several heads


class _Sizes(NamedTuple):
    queries: int
    keys: int
    batch: int
    heads: int


def _check_heads(
    query: Tensor, key: Tensor, value: Tensor, embed_dim: int, heads: int, by_part: bool
) -> None:
    name = "multi_head_attention_forward"
    shapes = ", ".join(str(list(x.shape)) for x in (query, key, value))
    if query.ndim not in (2, 3) or not query.ndim == key.ndim == value.ndim:
        raise ShapeError(
            f"{name} takes query, key and value all [length, batch, features] or all [length, "
            f"features], not shapes {shapes}"
        )
    if query.shape[-1] != embed_dim or heads < 1 or embed_dim % heads:
        raise ShapeError(
            f"{name}: the query's features ({query.shape[-1]}) must be embed_dim={embed_dim}, a "
            f"multiple of num_heads={heads}"
        )
    same = slice(0, -1 if by_part else None)  # by_part: features may differ
    if key.shape[same] != value.shape[same] or key.shape[1:-1] != query.shape[1:-1]:
        raise ShapeError(
            f"{name}: key and value must agree, and in the batch with the query, but query, key "
            f"and value have shapes {shapes}"
        )


def _projected_together(
    query: Tensor, key: Tensor, value: Tensor, weight: Tensor, bias: Tensor | None
) -> list[Tensor]:
    """The three inputs through the parts of one weight ``[3 E, E]``; equal inputs at once."""
    e = weight.shape[1]

    def part(x: Tensor, first: int, last: int) -> Tensor:
        if (first, last) == (0, 3):
            return linear(x, weight, bias)
        rows = slice(first * e, last * e)
        return linear(x, weight[rows], None if bias is None else bias[rows])

    if query is key and key is value:
        return list(part(query, 0, 3).chunk(3, -1))
    if key is value:
        return [part(query, 0, 1), *part(key, 1, 3).chunk(2, -1)]
    return [part(x, k, k + 1) for k, x in enumerate((query, key, value))]


def _projected_apart(
    inputs: tuple[Tensor, Tensor, Tensor],
    weights: tuple[Tensor | None, Tensor | None, Tensor | None],
    bias: Tensor | None,
) -> list[Tensor]:
    out = []
    for k, (x, w) in enumerate(zip(inputs, weights, strict=True)):
        if w is None:
            raise OptionError(
                "multi_head_attention_forward with use_separate_proj_weight=True needs "
                "q_proj_weight, k_proj_weight and v_proj_weight"
            )
        e = w.shape[0]
        out.append(linear(x, w, None if bias is None else bias[k * e : (k + 1) * e]))
    return out


def _by_head(x: Node, heads: int) -> Node:
    """``[length, batch, heads * features]`` as ``[batch, heads, length, features]``."""
    length, batch, features = x.type.shape
    apart = mv.reshape(x, (length, batch, heads, features // heads))
    return mv.permute(apart, (1, 2, 0, 3))


def _extended(x: Node, extra: Tensor | None) -> Node:
    """``[length, batch, E]`` with the vector ``extra`` as one more place."""
    if extra is None:
        return x
    row = mv.expand(node_of(extra), (1, *x.type.shape[1:]))
    return mv.concat((x, row), 0)


def _one_more_zero(x: Node, dim: int) -> Node:
    widths = [(0, 0)] * x.type.ndim
    widths[dim] = (0, 1)
    return mv.pad(x, widths)


def _mask_of(name: str, mask: Tensor, shapes: tuple[Shape, ...], to: Shape) -> Node:
    node = node_of(mask)
    if node.type.dtype is not bool_ and not node.type.dtype.is_floating_point:
        raise DTypeError(f"{name} must be bool or floating, not {node.type.dtype}: write mask != 0")
    if node.type.shape not in shapes:
        raise ShapeError(
            f"{name} of shape {list(node.type.shape)} must have shape "
            + " or ".join(str(list(s)) for s in shapes)
        )
    return mv.reshape(node, to)


def _padded_mask(mask: Node, added: int) -> Node:
    """The added places of key and value are seen by all."""
    widths = [(0, 0)] * mask.type.ndim
    widths[-1] = (0, added)
    return mv.pad(mask, widths) if added else mask


def _additive(mask: Node, q: Node) -> Node:
    """A mask of :class:`MultiheadAttention` (True: hidden) as one that is added."""
    if mask.type.dtype is not bool_:
        return ew.cast(mask, q.type.dtype)
    return ew.where(mask, float("-inf"), mv.zeros(type_of(mask.type.shape, q.type.dtype)))


def _combined(masks: list[Node], q: Node) -> Node | None:
    """Masks of which True hides a key, as one mask of this file."""
    if not masks:
        return None
    if all(m.type.dtype is bool_ for m in masks):
        hidden = masks[0]
        for m in masks[1:]:
            hidden = ew.logical_or(hidden, m)
        return ew.logical_not(hidden)
    total = _additive(masks[0], q)
    for m in masks[1:]:
        total = ew.add(total, _additive(m, q))
    return total


def _masks(
    s: _Sizes, attn_mask: Tensor | None, key_padding_mask: Tensor | None, batched: bool
) -> list[Node]:
    out = []
    if attn_mask is not None:
        whole = (s.batch * s.heads, s.queries, s.keys)
        by_head = (1, 1) if attn_mask.ndim == 2 else (s.batch, s.heads)
        to = (*by_head, s.queries, s.keys)
        out.append(_mask_of("attn_mask", attn_mask, (whole[1:], whole), to))
    if key_padding_mask is not None:
        shape = (s.batch, s.keys) if batched else (s.keys,)
        to = (s.batch, 1, 1, s.keys)
        out.append(_mask_of("key_padding_mask", key_padding_mask, (shape,), to))
    return out


@in_low_precision
def multi_head_attention_forward(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    embed_dim_to_check: int,
    num_heads: int,
    in_proj_weight: Tensor | None,
    in_proj_bias: Tensor | None,
    bias_k: Tensor | None,
    bias_v: Tensor | None,
    add_zero_attn: bool,
    dropout_p: float,
    out_proj_weight: Tensor,
    out_proj_bias: Tensor | None,
    training: bool = True,
    key_padding_mask: Tensor | None = None,
    need_weights: bool = True,
    attn_mask: Tensor | None = None,
    use_separate_proj_weight: bool = False,
    q_proj_weight: Tensor | None = None,
    k_proj_weight: Tensor | None = None,
    v_proj_weight: Tensor | None = None,
    static_k: Tensor | None = None,
    static_v: Tensor | None = None,
    average_attn_weights: bool = True,
    is_causal: bool = False,
) -> tuple[Tensor, Tensor | None]:
    """Projections to several heads, attention in each, and a projection of what they gave.

    Args:
        embed_dim_to_check: the query's features, over all heads.
        bias_k, bias_v: one more key and value for all samples.
        add_zero_attn: one more key and value of zeros.
        key_padding_mask: True (or -inf, added) where a key is only padding.
        attn_mask: True (or -inf, added) where a query may not attend to a key.
        static_k, static_v: keys and values by head, instead of those projected.
        average_attn_weights: weights are averaged over the heads.
        is_causal: each query sees the keys up to its own place; where ``attn_mask`` is given too,
            that alone counts.

    Shape:
        query ``[L, N, E]``, key ``[S, N, Ek]``, value ``[S, N, Ev]``, key_padding_mask ``[N, S]``,
        attn_mask ``[L, S]`` or ``[N * heads, L, S]``; or all without ``N``. Output ``[L, N, E]``,
        weights ``[N, L, S]``, or ``[N, heads, L, S]`` when not averaged.

    Raises:
        ShapeError: for shapes that do not fit one another.
        DTypeError: for masks of integers.
    """
    _check_heads(query, key, value, embed_dim_to_check, num_heads, use_separate_proj_weight)
    if use_separate_proj_weight:
        weights = (q_proj_weight, k_proj_weight, v_proj_weight)
        projected = _projected_apart((query, key, value), weights, in_proj_bias)
    elif in_proj_weight is None:
        raise OptionError(
            "multi_head_attention_forward needs in_proj_weight, or use_separate_proj_weight=True"
        )
    else:
        projected = _projected_together(query, key, value, in_proj_weight, in_proj_bias)
    batched = query.ndim == 3
    q, k, v = (node_of(x if batched else x.unsqueeze(1)) for x in projected)
    sizes = _Sizes(q.type.shape[0], k.type.shape[0], q.type.shape[1], num_heads)
    qh = _by_head(q, num_heads)
    kh, vh = (_by_head(_extended(x, b), num_heads) for x, b in ((k, bias_k), (v, bias_v)))
    if static_k is not None:
        kh = mv.reshape(node_of(static_k), (*qh.type.shape[:2], *static_k.shape[1:]))
        sizes = sizes._replace(keys=static_k.shape[1])
    if static_v is not None:
        vh = mv.reshape(node_of(static_v), (*qh.type.shape[:2], *static_v.shape[1:]))
    masks = _masks(sizes, attn_mask, key_padding_mask, batched)
    if add_zero_attn:
        kh, vh = _one_more_zero(kh, 2), _one_more_zero(vh, 2)
    added = kh.type.shape[2] - sizes.keys
    causal = is_causal and attn_mask is None
    if causal and (masks or added or need_weights):
        masks.append(ew.logical_not(_causal(sizes.queries, sizes.keys)))
        causal = False
    mask = _combined([_padded_mask(m, added) for m in masks], qh)
    p = dropout_p if training else 0.0
    attended: Node | None = None
    if need_weights:
        out, attended = _attended(qh, kh, vh, mask, p, None)
    else:
        out = _output(qh, kh, vh, mask, causal, p, None)
    joined = mv.reshape(mv.permute(out, (2, 0, 1, 3)), q.type.shape)
    output = linear(wrap(joined), out_proj_weight, out_proj_bias)
    if not batched:
        output = output.squeeze(1)
    if attended is None:
        return output, None
    shown = wrap(attended)
    if average_attn_weights:
        shown = shown.mean(1)
    return output, shown if batched else shown.squeeze(0)
