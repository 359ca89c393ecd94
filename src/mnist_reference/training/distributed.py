"""Training of one model by several processes: each uses its share of every batch, and all make the same step.

``torchrun --nproc-per-node 2 -m mnist_reference train`` starts them; gloo connects them on CPUs, NCCL on GPUs. The
gradient of a mean over a batch is the mean of the gradients over equal shares of the batch, and batch normalisation
computes its statistics over all shares. So the result equals that of one process, except for the order of the sums.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from mnist_reference.errors import RecipeError


@dataclass(frozen=True, kw_only=True, slots=True)
class DataParallelGroup:
    """The processes that train together.

    Attributes:
        rank: Number of this process, from 0; process 0 writes and prints.
        size: Number of processes.
    """

    rank: int
    size: int

    def require_even_shares(self, batch_size: int) -> None:
        """Refuse batches that cannot be shared evenly.

        Raises:
            RecipeError: If they cannot be; the message names the nearest batch size that can.
        """
        if batch_size % self.size:
            nearest = max(round(batch_size / self.size), 1) * self.size
            raise RecipeError(
                f"a batch_size of {batch_size} cannot be shared evenly among {self.size} processes",
                next_step=f"the nearest that can is {nearest}",
            )

    def share(self, batch: Tensor) -> Tensor:
        """The examples of a batch for this process, (N / size,); all examples if the batch cannot be shared evenly.

        The last batch of an epoch may be of that kind: if every process uses the whole batch, its gradient is the same
        mean.

        Example:
            >>> second = DataParallelGroup(rank=1, size=2)
            >>> second.share(torch.arange(6)), second.share(torch.arange(3))
            (tensor([3, 4, 5]), tensor([0, 1, 2]))
        """
        return batch if len(batch) % self.size else batch.chunk(self.size)[self.rank]

    def mean(self, values: Tensor) -> Tensor:
        """The mean over the processes of each value, same shape; every process gets it."""
        if self.size > 1:
            torch.distributed.all_reduce(values)
            values /= self.size
        return values

    def sharing(self, model: nn.Module) -> nn.Module:
        """A model whose gradients, and whose batch statistics, are means over the processes; the same parameters."""
        if self.size == 1:
            return model
        synchronise_normalisation(model)
        return nn.parallel.DistributedDataParallel(model, broadcast_buffers=False)


ALONE = DataParallelGroup(rank=0, size=1)
"""A group of one process."""


class SynchronisedBatchNorm2d(nn.BatchNorm2d):
    """Batch normalisation over the shares of all processes; shares must be of equal size.

    torch's own ``SyncBatchNorm`` does the same, but only on GPUs. ``eval()`` behaves as in batch normalisation.
    """

    running_mean: Tensor
    running_var: Tensor
    num_batches_tracked: Tensor

    def forward(self, input: Tensor) -> Tensor:
        """Normalise each channel of (N, channels, height, width)."""
        if not self.training:
            return super().forward(input)
        values = input.movedim(1, -1)  # (N, height, width, channels)
        values = values.to(torch.promote_types(values.dtype, torch.float32))
        mean = mean_over_processes(values.mean((0, 1, 2)))
        variance = mean_over_processes((values - mean).square().mean((0, 1, 2)))
        with torch.no_grad():
            num_values = values[..., 0].numel() * torch.distributed.get_world_size()
            momentum = self.momentum or 0.0
            self.running_mean.lerp_(mean, momentum)
            self.running_var.lerp_(variance * num_values / (num_values - 1), momentum)
            self.num_batches_tracked += 1
        normalised = (values - mean) * (variance + self.eps).rsqrt() * self.weight + self.bias
        return normalised.movedim(-1, 1)


def mean_over_processes(values: Tensor) -> Tensor:
    """The mean over the processes of each value, with its gradient."""
    from torch.distributed.nn.functional import all_reduce

    total: Tensor = all_reduce(values)
    return total / torch.distributed.get_world_size()


def synchronise_normalisation(model: nn.Module) -> None:
    """Make each batch normalisation of a model use statistics over all processes; names and values are kept."""
    for module in model.modules():
        if type(module) is nn.BatchNorm2d:
            module.__class__ = SynchronisedBatchNorm2d


@contextmanager
def joined_group(device: torch.device, environment: Mapping[str, str] = os.environ) -> Iterator[DataParallelGroup]:
    """The connected group of processes that ``torchrun`` has started; a group of this process alone without torchrun.

    Args:
        device: Device of this process.
        environment: Environment variables, in which ``torchrun`` sets ``WORLD_SIZE``.
    """
    if int(environment.get("WORLD_SIZE", "1")) == 1:
        yield ALONE
        return
    torch.distributed.init_process_group("nccl" if device.type == "cuda" else "gloo")
    try:
        yield DataParallelGroup(rank=torch.distributed.get_rank(), size=torch.distributed.get_world_size())
    finally:
        torch.distributed.destroy_process_group()
