"""The variational autoencoder. (Kingma and Welling, 2013, arXiv:1312.6114)"""

from __future__ import annotations

from .. import nn
from ..nn import functional as F
from ..tensors.random import randn, randn_like
from ..tensors.tensor import Tensor


class VAE(nn.Module):
    """Draws vectors of values between 0 and 1, such as images, like those it was trained on.

    Args:
        features: of a sample.
        hidden: features of the hidden layers.
        latent: features of the code.

    Shape:
        Input ``[N, *]`` with ``features`` values each, between 0 and 1. ``forward`` returns logits
        of the same shape, and mean and logarithm of the variance of the codes, ``[N, latent]``.
    """

    def __init__(self, features: int = 784, hidden: int = 400, latent: int = 20) -> None:
        super().__init__()
        self.latent = latent
        self.encoder = nn.Sequential(nn.Linear(features, hidden), nn.ReLU())
        self.mean = nn.Linear(hidden, latent)
        self.log_var = nn.Linear(hidden, latent)
        self.decoder = nn.Sequential(
            nn.Linear(latent, hidden), nn.ReLU(), nn.Linear(hidden, features)
        )

    def encode(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Mean and logarithm of the variance of the codes."""
        hidden = self.encoder(x.flatten(1))
        return self.mean(hidden), self.log_var(hidden)

    def decode(self, z: Tensor) -> Tensor:
        """Logits ``[N, features]`` of codes."""
        logits: Tensor = self.decoder(z)
        return logits

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        mean, log_var = self.encode(x)
        z = mean + randn_like(mean) * (log_var / 2).exp()  # the reparametrisation
        return self.decode(z).reshape(x.shape), mean, log_var

    def loss(self, x: Tensor) -> Tensor:
        """The negative evidence lower bound of a sample, in nats, on average over the batch."""
        logits, mean, log_var = self(x)
        rebuilt = F.binary_cross_entropy_with_logits(logits, x, reduction="sum")
        divergence = -0.5 * (1 + log_var - mean * mean - log_var.exp()).sum()
        bound: Tensor = (rebuilt + divergence) / x.shape[0]
        return bound

    def sample(self, count: int) -> Tensor:
        """New samples ``[count, features]``, as probabilities."""
        weight = self.mean.weight
        logits = self.decode(randn(count, self.latent, dtype=weight.dtype))
        return F.sigmoid(logits)


__all__ = ["VAE"]
