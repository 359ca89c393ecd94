"""A network that is trained, evaluated and compiled as it should be; ``torch_counts.py`` plants regressions here."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor, nn
from torch.nn import functional

BATCH_SIZE = 64
DEVICE = torch.device("cpu")


class Network(nn.Module):
    """A perceptron with one hidden layer."""

    def __init__(self) -> None:
        super().__init__()
        self.hidden = nn.Linear(784, 128)
        self.outer = nn.Linear(128, 10)

    def forward(self, images: Tensor) -> Tensor:
        """Logits of images with shape (N, 784)."""
        hidden = torch.relu(self.hidden(images))
        return self.outer(hidden)  # type: ignore[no-any-return]


class Training:
    """A network with its optimiser, and the loss of its latest steps."""

    def __init__(self) -> None:
        torch.manual_seed(0)
        self.network = Network()
        self.optimizer = torch.optim.SGD(self.network.parameters(), lr=0.1, momentum=0.9)
        self.losses: list[Tensor] = []

    def step(self, images: Tensor, labels: Tensor) -> Tensor:
        """Train on one batch; the loss stays on the device."""
        images = images.to(DEVICE, non_blocking=True)
        labels = labels.to(DEVICE, non_blocking=True)
        logits = self.network(images)
        loss = functional.cross_entropy(logits, labels)
        self.optimizer.zero_grad()
        loss.backward()
        self.optimizer.step()
        return loss.detach()

    def epoch(self, images: Tensor, labels: Tensor) -> float:
        """Train on all batches; their mean loss is read once."""
        total = torch.zeros(())
        for batch, targets in zip(images.split(BATCH_SIZE), labels.split(BATCH_SIZE), strict=True):
            total += self.step(batch, targets)
        return total.item() / (len(images) / BATCH_SIZE)


@torch.no_grad()
def evaluate(network: Network, images: Tensor) -> Tensor:
    """Classes of images."""
    predicted = [network(batch).argmax(1) for batch in images.split(BATCH_SIZE)]
    return torch.cat(predicted)


def padded_batches(images: Tensor) -> Iterator[Tensor]:
    """Batches of one shape: the last one is filled up."""
    for batch in images.split(BATCH_SIZE):
        yield functional.pad(batch, (0, 0, 0, BATCH_SIZE - len(batch)))


@torch.compile
def scores(images: Tensor) -> Tensor:
    """Something that is compiled."""
    centred = images - images.mean(1, keepdim=True)
    return functional.relu(centred).sum(1)


def score_all(images: Tensor) -> Tensor:
    """Scores of images, batch by batch."""
    return torch.cat([scores(batch) for batch in padded_batches(images)])[: len(images)]
