"""Distributions of each kind, made alike by weft's and by PyTorch's classes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

#: Of a module of distributions and a function that makes tensors.
Make = Callable[[Any, Callable[[Any], Any]], Any]

LOC = np.array([[0.3], [-1.2]])
SCALE = np.array([0.5, 1.5, 2.0])
SHAPES = np.array([[0.7], [8.0]])
PROBS = np.array([[0.1, 0.2, 0.7], [0.0, 0.5, 0.5]])
INSIDE = np.array([[0.1, 0.2, 0.7], [0.25, 0.25, 0.5]])
LOGITS = np.array([[0.3, -1.0, 2.0], [0.0, 0.5, 0.1]])
COVARIANCE = np.array([[2.0, 0.6], [0.6, 1.0]])
CORRELATION = np.array([[1, 0.3, 0.2], [0.3, 1, -0.1], [0.2, -0.1, 1]])

REAL, POSITIVE = np.array([0.4, -0.7, 1.0]), np.array([0.4, 0.7, 1.0])
UNIT, COUNTS = np.array([0.4, 0.7, 0.9]), np.array([0.0, 3.0, 2.0])
VECTOR, SIMPLEX = np.array([0.3, -0.2]), np.array([0.2, 0.3, 0.5])

#: Each with values.
KINDS: dict[str, tuple[Make, Any]] = {
    "normal": (lambda d, t: d.Normal(t(LOC), t(SCALE)), REAL),
    "normal of numbers": (lambda d, _: d.Normal(0.0, 2), np.array([0.4, -0.7])),
    "laplace": (lambda d, t: d.Laplace(t(LOC), t(SCALE)), REAL),
    "cauchy": (lambda d, t: d.Cauchy(t(LOC), t(SCALE)), REAL),
    "gumbel": (lambda d, t: d.Gumbel(t(LOC), t(SCALE)), REAL),
    "von mises": (lambda d, t: d.VonMises(t(LOC), t(SCALE * 4)), REAL),
    "von mises, wide": (lambda d, t: d.VonMises(t(LOC), t(SCALE * 1e-6)), REAL),
    "student": (lambda d, t: d.StudentT(t(SCALE * 3), t(LOC), t(SCALE)), REAL),
    "uniform": (lambda d, t: d.Uniform(t(LOC), t(LOC + SCALE), False), UNIT),
    "exponential": (lambda d, t: d.Exponential(t(SCALE)), POSITIVE),
    "log normal": (lambda d, t: d.LogNormal(t(LOC), t(SCALE / 3)), POSITIVE),
    "half normal": (lambda d, t: d.HalfNormal(t(SCALE)), POSITIVE),
    "half cauchy": (lambda d, t: d.HalfCauchy(t(SCALE)), POSITIVE),
    "pareto": (lambda d, t: d.Pareto(t(SCALE), t(SHAPES + 2)), POSITIVE + 2),
    "generalized pareto": (
        lambda d, t: d.GeneralizedPareto(  # (PyTorch takes no float64)
            *[t(v.astype(np.float32)) for v in (LOC, SCALE, np.array([-0.2, 0.0, 0.3]))]
        ),
        POSITIVE.astype(np.float32),
    ),
    "weibull": (lambda d, t: d.Weibull(t(SCALE), t(SHAPES)), POSITIVE),
    "kumaraswamy": (lambda d, t: d.Kumaraswamy(t(SCALE + 1), t(SHAPES + 1)), UNIT),
    "gamma": (lambda d, t: d.Gamma(t(SCALE), t(SHAPES)), np.array([0.4, 0.7, 9.0])),
    "chi2": (lambda d, t: d.Chi2(t(SCALE * 4)), POSITIVE),
    "inverse gamma": (lambda d, t: d.InverseGamma(t(SCALE * 3), t(SHAPES)), POSITIVE),
    "fisher": (lambda d, t: d.FisherSnedecor(t(SCALE * 3), t(SHAPES * 4)), POSITIVE),
    "beta": (lambda d, t: d.Beta(t(SCALE), t(SHAPES)), UNIT),
    "dirichlet": (lambda d, t: d.Dirichlet(t(SHAPES * SCALE)), SIMPLEX),
    "logistic normal": (lambda d, t: d.LogisticNormal(t(LOC[:, 0]), t(SCALE[:2])), SIMPLEX),
    "continuous bernoulli": (lambda d, t: d.ContinuousBernoulli(t(INSIDE)), UNIT),
    "continuous bernoulli at 1/2": (
        lambda d, t: d.ContinuousBernoulli(t(np.array([0.4999, 0.5, 0.9]))),
        UNIT,
    ),
    "bernoulli": (lambda d, t: d.Bernoulli(t(PROBS)), np.array([0.0, 1.0, 1.0])),
    "bernoulli of logits": (lambda d, t: d.Bernoulli(logits=t(LOGITS)), np.array([0.0, 1.0, 1.0])),
    "geometric": (lambda d, t: d.Geometric(t(INSIDE)), COUNTS),
    "geometric of logits": (lambda d, t: d.Geometric(logits=t(LOGITS)), COUNTS),
    "binomial": (lambda d, t: d.Binomial(5, t(PROBS)), COUNTS),
    "binomial of logits": (lambda d, t: d.Binomial(5, logits=t(LOGITS)), COUNTS),
    "binomial, many": (lambda d, t: d.Binomial(400, t(INSIDE)), COUNTS + 50),
    "negative binomial": (lambda d, t: d.NegativeBinomial(t(SCALE * 3), t(INSIDE)), COUNTS),
    "poisson": (lambda d, t: d.Poisson(t(SCALE * 3)), COUNTS),
    "poisson, many": (lambda d, t: d.Poisson(t(SCALE * 50)), COUNTS + 50),
    "categorical": (lambda d, t: d.Categorical(t(PROBS * 2)), np.array([[2], [1]])),
    "categorical of logits": (lambda d, t: d.Categorical(logits=t(LOGITS)), np.array([2, 0])),
    "one hot": (lambda d, t: d.OneHotCategorical(t(PROBS)), np.eye(3)[[2, 1]]),
    "one hot, straight": (
        lambda d, t: d.OneHotCategoricalStraightThrough(t(PROBS)),
        np.eye(3)[[2, 1]],
    ),
    "multinomial": (lambda d, t: d.Multinomial(6, t(INSIDE)), np.array([1.0, 2.0, 3.0])),
    "relaxed bernoulli": (lambda d, t: d.RelaxedBernoulli(t(np.array(0.7)), t(INSIDE)), UNIT),
    "relaxed one hot": (
        lambda d, t: d.RelaxedOneHotCategorical(t(np.array(0.7)), t(INSIDE)),
        SIMPLEX,
    ),
    "multivariate": (
        lambda d, t: d.MultivariateNormal(t(LOC[:, 0]), t(COVARIANCE)),
        np.array([[[0.1, 0.2]], [[1.0, -2.0]], [[0.0, 3.0]]]),
    ),
    "multivariate by factor": (
        lambda d, t: d.MultivariateNormal(
            t(LOC * [1, 2]), scale_tril=t(np.linalg.cholesky(COVARIANCE))
        ),
        VECTOR,
    ),
    "multivariate by inverse": (
        lambda d, t: d.MultivariateNormal(t(LOC[:, 0]), precision_matrix=t(COVARIANCE)),
        VECTOR,
    ),
    "low rank": (
        lambda d, t: d.LowRankMultivariateNormal(
            t(LOC[:, 0]), t(np.array([[1.0], [0.5]])), t(np.array([0.3, 0.7]))
        ),
        VECTOR,
    ),
    "wishart": (lambda d, t: d.Wishart(t(np.array([3.0, 5.0])), t(COVARIANCE)), COVARIANCE * 3),
    "correlations": (
        lambda d, t: d.LKJCholesky(3, t(np.array([0.7, 2.0]))),
        np.linalg.cholesky(CORRELATION),
    ),
    "mixture": (
        lambda d, t: d.MixtureSameFamily(d.Categorical(t(PROBS)), d.Normal(t(LOGITS), t(SCALE))),
        VECTOR,
    ),
    "mixture of vectors": (
        lambda d, t: d.MixtureSameFamily(
            d.Categorical(t(PROBS[0])), d.Independent(d.Normal(t(LOGITS.T), t(SCALE[:, None])), 1)
        ),
        VECTOR,
    ),
    "independent": (lambda d, t: d.Independent(d.Normal(t(LOC), t(SCALE)), 1), REAL),
    "transformed": (
        lambda d, t: d.TransformedDistribution(
            d.Normal(t(LOC), t(SCALE)), [d.TanhTransform(), d.AffineTransform(1.0, -2.0)]
        ),
        np.array([0.4, 1.5, 1.0]),
    ),
    "transformed to matrices": (
        lambda d, t: d.TransformedDistribution(
            d.Normal(t(np.zeros(6)), t(np.ones(6))),
            [d.ReshapeTransform((6,), (2, 3)), d.AffineTransform(t(LOC), 2.0, event_dim=2)],
        ),
        np.arange(6.0).reshape(2, 3) / 3,
    ),
}
