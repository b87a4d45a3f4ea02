"""Each process of several its own part of a dataset."""

from __future__ import annotations

from collections.abc import Iterator, Sized
from typing import TypeVar

from ...errors import UnsupportedOp
from ...tensors.random import Generator, randperm
from .dataset import length_of
from .sampler import Sampler

T_co = TypeVar("T_co", covariant=True)


class DistributedSampler(Sampler[T_co]):
    """Every ``num_replicas``-th sample, starting with number ``rank``, of an order that all share.

    Call :meth:`set_epoch` before each pass: the order depends on ``seed`` and the epoch alone, so
    that all processes agree on it.

    Args:
        dataset: what has the samples; only its length is used.
        num_replicas: how many processes share them.
        rank: which of them this is, from 0.
        shuffle: in random order.
        seed: the same in all processes.
        drop_last: leave out what cannot be shared evenly; else the first samples come again.

    Raises:
        UnsupportedOp: without ``num_replicas`` and ``rank``: weft has no process groups to ask.
        ValueError: for a rank that there is not.
    """

    def __init__(
        self,
        dataset: Sized,
        num_replicas: int | None = None,
        rank: int | None = None,
        shuffle: bool = True,
        seed: int = 0,
        drop_last: bool = False,
    ) -> None:
        if num_replicas is None or rank is None:
            raise UnsupportedOp(
                "DistributedSampler cannot find out which process this is, since weft has no "
                "process groups: pass num_replicas=(how many there are) and rank=(which this is)"
            )
        if not 0 <= rank < num_replicas:
            raise ValueError(
                f"Invalid rank {rank}, rank should be in the interval [0, {num_replicas - 1}]"
            )
        self.dataset = dataset
        self.num_replicas = num_replicas
        self.rank = rank
        self.epoch = 0
        self.shuffle = shuffle
        self.seed = seed
        self.drop_last = drop_last
        count = length_of(dataset)
        self.num_samples = count // num_replicas if drop_last else -(-count // num_replicas)
        self.total_size = self.num_samples * num_replicas

    def __iter__(self) -> Iterator[T_co]:
        count = length_of(self.dataset)
        order: list[int] = list(range(count))
        if self.shuffle:
            generator = Generator().manual_seed(self.seed + self.epoch)
            order = randperm(count, generator=generator).tolist()
        if count:
            order = (order * -(-self.total_size // count))[: self.total_size]
        return iter(order[self.rank :: self.num_replicas])  # type: ignore[arg-type]

    def __len__(self) -> int:
        return self.num_samples

    def set_epoch(self, epoch: int) -> None:
        """Chooses the order of the passes that follow."""
        self.epoch = epoch
