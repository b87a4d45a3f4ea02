"""The vision transformer. (Dosovitskiy et al., 2020, arXiv:2010.11929)

Names and shapes of the parameters are those of timm's ``vit_*_patch*`` models.
"""

from __future__ import annotations

from typing import Any

from .. import nn
from ..errors import OptionError, ShapeError
from ..tensors.creation import zeros
from ..tensors.shape import cat
from ..tensors.tensor import Tensor


class PatchEmbed(nn.Module):
    """Images cut into squares, each as a vector: ``[N, C, H, W]`` to ``[N, patches, dim]``."""

    def __init__(self, patch_size: int, in_chans: int, dim: int) -> None:
        super().__init__()
        self.proj = nn.Conv2d(in_chans, dim, patch_size, patch_size)

    def forward(self, x: Tensor) -> Tensor:
        patches: Tensor = self.proj(x).flatten(2).transpose(1, 2)
        return patches


class Attention(nn.Module):
    """Self-attention in several heads, their projections in one."""

    def __init__(self, dim: int, num_heads: int) -> None:
        super().__init__()
        self.num_heads = num_heads
        self.qkv = nn.Linear(dim, 3 * dim)
        self.proj = nn.Linear(dim, dim)

    def forward(self, x: Tensor) -> Tensor:
        parts = self.qkv(x).unflatten(-1, (3, self.num_heads, -1)).permute(2, 0, 3, 1, 4)
        q, k, v = parts.unbind(0)
        attended = nn.functional.scaled_dot_product_attention(q, k, v)
        return self.proj(attended.transpose(1, 2).flatten(2))


class Mlp(nn.Module):
    """Two linear layers with a GELU between them."""

    def __init__(self, dim: int, hidden: int) -> None:
        super().__init__()
        self.fc1 = nn.Linear(dim, hidden)
        self.act = nn.GELU()
        self.fc2 = nn.Linear(hidden, dim)

    def forward(self, x: Tensor) -> Tensor:
        return self.fc2(self.act(self.fc1(x)))


class Block(nn.Module):
    """Attention and MLP, each on normalised input and added to it."""

    def __init__(self, dim: int, num_heads: int, mlp_ratio: float, drop_path: float) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(dim, eps=1e-6)
        self.attn = Attention(dim, num_heads)
        self.norm2 = nn.LayerNorm(dim, eps=1e-6)
        self.mlp = Mlp(dim, int(dim * mlp_ratio))
        self.drop_path = nn.DropPath(drop_path)

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.drop_path(self.attn(self.norm1(x)))
        return x + self.drop_path(self.mlp(self.norm2(x)))


class ViT(nn.Module):
    """Classifies images by a transformer of their patches.

    Args:
        img_size, patch_size: the sides of an image and of a patch, which divides it.
        in_chans: channels of the images.
        num_classes: the number of scores.
        embed_dim: features of a patch.
        depth: the number of blocks.
        num_heads: of each attention.
        mlp_ratio: hidden features of an MLP, as a multiple of ``embed_dim``.
        drop_path_rate: of the last block; the others' rise to it in equal steps.

    Shape:
        Input ``[N, in_chans, img_size, img_size]``, output ``[N, num_classes]``.

    Raises:
        ShapeError: for images of another size.
    """

    def __init__(
        self,
        img_size: int = 224,
        patch_size: int = 16,
        in_chans: int = 3,
        num_classes: int = 1000,
        embed_dim: int = 192,
        depth: int = 12,
        num_heads: int = 3,
        mlp_ratio: float = 4.0,
        drop_path_rate: float = 0.0,
    ) -> None:
        super().__init__()
        if img_size % patch_size or embed_dim % num_heads:
            raise OptionError(
                f"ViT: patch_size={patch_size} must divide img_size={img_size}, and "
                f"num_heads={num_heads} embed_dim={embed_dim}"
            )
        self.input_shape = (in_chans, img_size, img_size)
        self.cls_token = nn.Parameter(zeros(1, 1, embed_dim))
        self.pos_embed = nn.Parameter(zeros(1, (img_size // patch_size) ** 2 + 1, embed_dim))
        self.patch_embed = PatchEmbed(patch_size, in_chans, embed_dim)
        rates = [drop_path_rate * k / max(depth - 1, 1) for k in range(depth)]
        self.blocks = nn.Sequential(*(Block(embed_dim, num_heads, mlp_ratio, r) for r in rates))
        self.norm = nn.LayerNorm(embed_dim, eps=1e-6)
        self.head = nn.Linear(embed_dim, num_classes)
        self._start()

    def _start(self) -> None:
        nn.init.trunc_normal_(self.pos_embed, std=0.02)
        nn.init.normal_(self.cls_token, std=1e-6)
        for module in self.modules():
            if isinstance(module, nn.Linear):
                nn.init.trunc_normal_(module.weight, std=0.02)
                if module.bias is not None:
                    nn.init.zeros_(module.bias)

    def forward(self, x: Tensor) -> Tensor:
        if tuple(x.shape[1:]) != self.input_shape:
            raise ShapeError(
                f"ViT takes [batch, {', '.join(map(str, self.input_shape))}], not {list(x.shape)}"
            )
        first = self.cls_token.expand(x.shape[0], -1, -1)
        x = cat([first, self.patch_embed(x)], 1) + self.pos_embed
        scores: Tensor = self.head(self.norm(self.blocks(x))[:, 0])
        return scores


def vit_tiny(**options: Any) -> ViT:
    """192 features, 12 blocks, 3 heads (Touvron et al., 2020, arXiv:2012.12877); options of ViT."""
    return ViT(**{"embed_dim": 192, "depth": 12, "num_heads": 3, **options})


__all__ = ["ViT", "vit_tiny"]
