"""Calls in both libraries, by what autocast does to them; ``t(3, 4)`` makes a tensor."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np


class Maker:
    """Operands of a library in a dtype."""

    def __init__(self, lib: Any, dtype: str) -> None:
        self.lib, self.dtype = lib, getattr(lib, dtype)
        self._draw = np.random.default_rng(0)

    def __call__(self, *shape: int) -> Any:
        values = self._draw.random(shape).astype("f4") * 0.8 + 0.1
        return self.lib.tensor(values).to(self.dtype)

    def positive(self, n: int = 4) -> Any:
        """A positive definite matrix."""
        a = self._draw.random((n, n)).astype("f4")
        return self.lib.tensor(a @ a.T + n * np.eye(n, dtype="f4")).to(self.dtype)

    def classes(self, *shape: int, below: int = 3) -> Any:
        return self.lib.tensor(self._draw.integers(0, below, size=shape))


Call = Callable[[Any, Any, Maker], Any]  # (library, functional, maker) -> result

LOW: dict[str, Call] = {
    "matmul": lambda w, F, t: w.matmul(t(4, 4), t(4, 4)),
    "@": lambda w, F, t: t(2, 4, 4) @ t(4, 4),
    "matmul of vectors": lambda w, F, t: w.matmul(t(4), t(4)),
    "Tensor.matmul": lambda w, F, t: t(4, 4).matmul(t(4)),
    "mm": lambda w, F, t: w.mm(t(4, 4), t(4, 4)),
    "bmm": lambda w, F, t: w.bmm(t(2, 4, 4), t(2, 4, 4)),
    "inner": lambda w, F, t: w.inner(t(4, 4), t(4, 4)),
    "addmm": lambda w, F, t: w.addmm(t(4, 4), t(4, 4), t(4, 4)),
    "baddbmm": lambda w, F, t: w.baddbmm(t(2, 4, 4), t(2, 4, 4), t(2, 4, 4)),
    "addbmm": lambda w, F, t: w.addbmm(t(4, 4), t(2, 4, 4), t(2, 4, 4)),
    "einsum": lambda w, F, t: w.einsum("ij,jk->ik", t(4, 4), t(4, 4)),
    "einsum to a vector": lambda w, F, t: w.einsum("bij,bij->b", t(2, 4, 4), t(2, 4, 4)),
    "tensordot": lambda w, F, t: w.tensordot(t(4, 4), t(4, 4), 1),
    "matrix_power": lambda w, F, t: w.matrix_power(t(4, 4), 3),
    "linalg.vecdot": lambda w, F, t: w.linalg.vecdot(t(2, 4), t(2, 4)),
    "linalg.multi_dot": lambda w, F, t: w.linalg.multi_dot([t(4, 4), t(4, 4), t(4, 4)]),
    "linalg.matmul": lambda w, F, t: w.linalg.matmul(t(4, 4), t(4, 4)),
    "cov": lambda w, F, t: w.cov(t(4, 4)),
    "corrcoef": lambda w, F, t: w.corrcoef(t(4, 4)),
    "linear": lambda w, F, t: F.linear(t(3, 4), t(2, 4), t(2)),
    "prelu": lambda w, F, t: F.prelu(t(4), t(1)),
    "conv1d": lambda w, F, t: F.conv1d(t(1, 2, 6), t(2, 2, 3), t(2)),
    "conv2d": lambda w, F, t: F.conv2d(t(1, 2, 6, 6), t(2, 2, 3, 3)),
    "conv3d": lambda w, F, t: F.conv3d(t(1, 2, 4, 4, 4), t(2, 2, 3, 3, 3)),
    "conv_transpose1d": lambda w, F, t: F.conv_transpose1d(t(1, 2, 6), t(2, 2, 3), t(2)),
    "conv_transpose2d": lambda w, F, t: F.conv_transpose2d(t(1, 2, 6, 6), t(2, 2, 3, 3)),
    "conv_transpose3d": lambda w, F, t: F.conv_transpose3d(t(1, 2, 4, 4, 4), t(2, 2, 3, 3, 3)),
    "attention": lambda w, F, t: F.scaled_dot_product_attention(
        t(1, 2, 4, 4), t(1, 2, 4, 4), t(1, 2, 4, 4)
    ),
    "affine_grid": lambda w, F, t: F.affine_grid(t(1, 2, 3), [1, 2, 3, 3], align_corners=False),
    "nn.Linear": lambda w, F, t: w.nn.Linear(4, 2)(t(3, 4)),
    "nn.PReLU": lambda w, F, t: w.nn.PReLU()(t(3, 4)),
    "nn.LSTM": lambda w, F, t: w.nn.LSTM(4, 5, 2, bidirectional=True)(t(3, 2, 4)),
    "nn.RNN": lambda w, F, t: w.nn.RNN(4, 5)(t(3, 2, 4)),
    "nn.RNNCell": lambda w, F, t: w.nn.RNNCell(4, 5)(t(3, 4)),
    "nn.MultiheadAttention": lambda w, F, t: w.nn.MultiheadAttention(4, 2)(
        t(3, 2, 4), t(3, 2, 4), t(3, 2, 4)
    ),
    "a small network": lambda w, F, t: w.nn.Sequential(
        w.nn.Conv1d(2, 3, 3),
        w.nn.BatchNorm1d(3),
        w.nn.GroupNorm(3, 3),
        w.nn.InstanceNorm1d(3, affine=True),
        w.nn.LayerNorm(4),
        w.nn.ReLU(),
        w.nn.Flatten(),
        w.nn.Linear(12, 2),
        w.nn.LogSoftmax(1),
    )(t(3, 2, 6)),
}

FULL: dict[str, Call] = {
    "prod": lambda w, F, t: w.prod(t(4)),
    "prod of rows": lambda w, F, t: t(4, 4).prod(1),
    "trace": lambda w, F, t: w.trace(t(4, 4)),
    "cdist": lambda w, F, t: w.cdist(t(4, 4), t(4, 4)),
    "quantile": lambda w, F, t: w.quantile(t(4, 4), 0.5),
    "nanquantile": lambda w, F, t: w.nanquantile(t(4, 4), 0.5),
    "inverse": lambda w, F, t: w.inverse(t.positive()),
    "pinverse": lambda w, F, t: w.pinverse(t.positive()),
    "linalg.inv": lambda w, F, t: w.linalg.inv(t.positive()),
    "linalg.cholesky": lambda w, F, t: w.linalg.cholesky(t.positive()),
    "linalg.svdvals": lambda w, F, t: w.linalg.svdvals(t.positive()),
    "linalg.eigvalsh": lambda w, F, t: w.linalg.eigvalsh(t.positive()),
    "linalg.qr": lambda w, F, t: w.linalg.qr(t.positive())[1].abs(),
    "linalg.svd": lambda w, F, t: w.linalg.svd(t.positive())[1],
    "linalg.eigh": lambda w, F, t: w.linalg.eigh(t.positive())[0],
    "linalg.matrix_rank": lambda w, F, t: w.linalg.matrix_rank(t.positive()),
    "linalg.solve": lambda w, F, t: w.linalg.solve(t.positive(), t(4, 2)),
    "linalg.lstsq": lambda w, F, t: w.linalg.lstsq(t.positive(), t(4, 2))[0],
    "avg_pool3d": lambda w, F, t: F.avg_pool3d(t(1, 2, 4, 4, 4), 2),
    "adaptive_avg_pool3d": lambda w, F, t: F.adaptive_avg_pool3d(t(1, 2, 4, 4, 4), 2),
    "max_pool3d": lambda w, F, t: F.max_pool3d(t(1, 2, 4, 4, 4), 2),
    "adaptive_max_pool3d": lambda w, F, t: F.adaptive_max_pool3d(t(1, 2, 4, 4, 4), 2),
    "lp_pool3d": lambda w, F, t: F.lp_pool3d(t(1, 2, 4, 4, 4), 2.0, 2),
    "max_unpool1d": lambda w, F, t: F.max_unpool1d(
        *F.max_pool1d(t(1, 2, 4), 2, return_indices=True), 2
    ),
    "max_unpool2d": lambda w, F, t: F.max_unpool2d(
        *F.max_pool2d(t(1, 2, 4, 4), 2, return_indices=True), 2
    ),
    "reflect": lambda w, F, t: F.pad(t(1, 2, 4), (1, 1), mode="reflect"),
    "reflect 2d": lambda w, F, t: F.pad(t(1, 2, 4, 4), (1, 1, 1, 1), mode="reflect"),
    "replicate": lambda w, F, t: F.pad(t(1, 2, 4), (1, 1), mode="replicate"),
    "replicate 3d": lambda w, F, t: F.pad(t(1, 2, 4, 4, 4), (1,) * 6, mode="replicate"),
    "grid_sample": lambda w, F, t: F.grid_sample(t(1, 2, 4, 4), t(1, 3, 3, 2), align_corners=False),
    "cross_entropy": lambda w, F, t: F.cross_entropy(t(4, 4), t.classes(4)),
    "cross_entropy of probabilities": lambda w, F, t: F.cross_entropy(t(4, 4), t(4, 4)),
    "nll_loss": lambda w, F, t: F.nll_loss(t(4, 4), t.classes(4)),
    "nll_loss 2d": lambda w, F, t: F.nll_loss(t(2, 4, 3, 3), t.classes(2, 3, 3)),
    "ctc_loss": lambda w, F, t: F.ctc_loss(
        t(8, 2, 5), t.classes(2, 3) + 1, w.tensor([8, 8]), w.tensor([2, 3])
    ),
    "mse_loss": lambda w, F, t: F.mse_loss(t(4), t(4)),
    "l1_loss": lambda w, F, t: F.l1_loss(t(4), t(4)),
    "smooth_l1_loss": lambda w, F, t: F.smooth_l1_loss(t(4), t(4)),
    "huber_loss": lambda w, F, t: F.huber_loss(t(4), t(4)),
    "soft_margin_loss": lambda w, F, t: F.soft_margin_loss(t(4), t(4)),
    "kl_div": lambda w, F, t: F.kl_div(t(4, 4), t(4, 4), reduction="batchmean"),
    "poisson_nll_loss": lambda w, F, t: F.poisson_nll_loss(t(4), t(4)),
    "binary_cross_entropy": lambda w, F, t: F.binary_cross_entropy(t(4), t(4)),
    "binary_cross_entropy_with_logits": lambda w, F, t: F.binary_cross_entropy_with_logits(
        t(4), t(4)
    ),
    "hinge_embedding_loss": lambda w, F, t: F.hinge_embedding_loss(t(4), t(4)),
    "margin_ranking_loss": lambda w, F, t: F.margin_ranking_loss(t(4), t(4), t(4)),
    "cosine_embedding_loss": lambda w, F, t: F.cosine_embedding_loss(t(4, 4), t(4, 4), w.ones(4)),
    "triplet_margin_loss": lambda w, F, t: F.triplet_margin_loss(t(4, 4), t(4, 4), t(4, 4)),
    "multi_margin_loss": lambda w, F, t: F.multi_margin_loss(t(4, 4), t.classes(4)),
    "multilabel_margin_loss": lambda w, F, t: F.multilabel_margin_loss(t(4, 4), t.classes(4, 4)),
}

GIVEN: dict[str, Call] = {
    "mv": lambda w, F, t: w.mv(t(4, 4), t(4)),
    "dot": lambda w, F, t: w.dot(t(4), t(4)),
    "inner of vectors": lambda w, F, t: w.inner(t(4), t(4)),
    "outer": lambda w, F, t: w.outer(t(4), t(4)),
    "addmv": lambda w, F, t: w.addmv(t(4), t(4, 4), t(4)),
    "addr": lambda w, F, t: w.addr(t(4, 4), t(4), t(4)),
    "kron": lambda w, F, t: w.kron(t(2, 2), t(2, 2)),
    "einsum of an outer product": lambda w, F, t: w.einsum("i,j->ij", t(4), t(4)),
    "einsum of one": lambda w, F, t: w.einsum("ij->ji", t(4, 4)),
    "bilinear": lambda w, F, t: F.bilinear(t(3, 4), t(3, 5), t(2, 4, 5), t(2)),
    "embedding": lambda w, F, t: F.embedding(t.classes(3), t(4, 4)),
    "avg_pool2d": lambda w, F, t: F.avg_pool2d(t(1, 2, 4, 4), 2),
    "max_pool1d": lambda w, F, t: F.max_pool1d(t(1, 2, 4), 2),
    "adaptive_avg_pool2d": lambda w, F, t: F.adaptive_avg_pool2d(t(1, 2, 4, 4), 2),
    "pad": lambda w, F, t: F.pad(t(1, 2, 4), (1, 1)),
    "circular": lambda w, F, t: F.pad(t(1, 2, 4), (1, 1), mode="circular"),
    "reflect 3d": lambda w, F, t: F.pad(t(1, 2, 4, 4, 4), (1,) * 6, mode="reflect"),
    "relu": lambda w, F, t: F.relu(t(4)),
    "gelu": lambda w, F, t: F.gelu(t(4)),
    "softmax": lambda w, F, t: F.softmax(t(4, 4), dim=1),
    "log_softmax": lambda w, F, t: F.log_softmax(t(4, 4), dim=1),
    "layer_norm": lambda w, F, t: F.layer_norm(t(4, 4), (4,), t(4), t(4)),
    "batch_norm": lambda w, F, t: F.batch_norm(t(4, 4), t(4), t(4)),
    "group_norm": lambda w, F, t: F.group_norm(t(2, 4, 4), 2, t(4), t(4)),
    "rms_norm": lambda w, F, t: F.rms_norm(t(4, 4), (4,), t(4)),
    "normalize": lambda w, F, t: F.normalize(t(4, 4)),
    "cosine_similarity": lambda w, F, t: F.cosine_similarity(t(4, 4), t(4, 4)),
    "interpolate": lambda w, F, t: F.interpolate(t(1, 2, 4, 4), scale_factor=2, mode="bilinear"),
    "multilabel_soft_margin_loss": lambda w, F, t: F.multilabel_soft_margin_loss(t(4, 4), t(4, 4)),
    "gaussian_nll_loss": lambda w, F, t: F.gaussian_nll_loss(t(4), t(4), t(4)),
    "sum": lambda w, F, t: t(4, 4).sum(),
    "mean": lambda w, F, t: t(4, 4).mean(1),
    "var": lambda w, F, t: t(4, 4).var(),
    "cumsum": lambda w, F, t: t(4, 4).cumsum(1),
    "norm": lambda w, F, t: t(4, 4).norm(),
    "logsumexp": lambda w, F, t: t(4, 4).logsumexp(1),
    "exp": lambda w, F, t: t(4).exp(),
    "pow": lambda w, F, t: t(4) ** 2,
    "add, mixed": lambda w, F, t: t(4).float() + t(4).bfloat16(),
    "where": lambda w, F, t: w.where(t(4) > 0.5, t(4), t(4)),
    "addcmul": lambda w, F, t: w.addcmul(t(4), t(4), t(4)),
    "nn.GRU": lambda w, F, t: w.nn.GRU(4, 5)(t(3, 2, 4)),
    "nn.LSTMCell": lambda w, F, t: w.nn.LSTMCell(4, 5)(t(3, 4)),
    "nn.GRUCell": lambda w, F, t: w.nn.GRUCell(4, 5)(t(3, 4)),
    "nn.BatchNorm1d": lambda w, F, t: w.nn.BatchNorm1d(2)(t(3, 2, 4)),
    "nn.TransformerEncoderLayer": lambda w, F, t: w.nn.TransformerEncoderLayer(4, 2, 8, dropout=0)(
        t(3, 2, 4)
    ),
    "nn.Embedding": lambda w, F, t: w.nn.Embedding(4, 4)(t.classes(3)),
    "mm of float64": lambda w, F, t: w.mm(t(4, 4).double(), t(4, 4).double()),
    "mse_loss of float64": lambda w, F, t: F.mse_loss(t(4).double(), t(4).double()),
}

PROMOTE: dict[str, Call] = {
    "cat": lambda w, F, t: w.cat([t(4).float(), t(4)]),
    "stack": lambda w, F, t: w.stack([t(4), t(4).float()]),
    "index_copy": lambda w, F, t: w.index_copy(t(4).float(), 0, w.tensor([0, 2]), t(2)),
}
