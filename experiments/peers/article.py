"""The article's script as it is printed: torchvision's MNIST through ``ToTensor``, image by image, in a ``DataLoader``.

python -m experiments.peers.article --data FOLDER
"""

from __future__ import annotations

import sys

from experiments.peers.common import (
    BATCH_SIZE,
    HIDDEN_WIDTHS,
    LEARNING_RATE,
    NUM_CLASSES,
    NUM_INPUTS,
    Clock,
    parsed_options,
)


def main() -> None:
    """Train and print what it took."""
    options = parsed_options(__doc__)
    clock = Clock()
    import torch
    from torch import nn, optim
    from torch.utils.data import DataLoader
    from torchvision import datasets, transforms

    clock.imported()

    class Network(nn.Module):
        """The three layers of the article."""

        def __init__(self) -> None:
            super().__init__()
            self.first = nn.Linear(NUM_INPUTS, HIDDEN_WIDTHS[0])
            self.second = nn.Linear(*HIDDEN_WIDTHS)
            self.last = nn.Linear(HIDDEN_WIDTHS[1], NUM_CLASSES)
            self.relu = nn.ReLU()

        def forward(self, images: torch.Tensor) -> torch.Tensor:
            flat = images.view(images.size(0), -1)
            logits: torch.Tensor = self.last(self.relu(self.second(self.relu(self.first(flat)))))
            return logits

    torch.manual_seed(options.seed)
    network = Network()
    adam = optim.Adam(network.parameters(), lr=LEARNING_RATE)
    cross_entropy = nn.CrossEntropyLoss()
    train, test = (
        DataLoader(
            datasets.MNIST(root=options.data, train=is_train, transform=transforms.ToTensor(), download=is_train),
            batch_size=BATCH_SIZE,
            shuffle=is_train,
        )
        for is_train in (True, False)
    )
    clock.ready()
    loss = torch.zeros(())
    for epoch in range(options.epochs):
        for images, labels in train:
            adam.zero_grad()
            loss = cross_entropy(network(images), labels)
            loss.backward()
            adam.step()
        print(f"epoch {epoch + 1} of {options.epochs}: loss {loss.item():.4f}", file=sys.stderr)
        clock.epoch_done()
    num_correct = num_seen = 0
    with torch.no_grad():
        for images, labels in test:
            _, predicted = torch.max(network(images), 1)
            num_correct += (predicted == labels).sum().item()
            num_seen += labels.size(0)
    clock.print_report("article", num_correct / num_seen)


if __name__ == "__main__":
    main()
