"""The common loop: all images scaled once into tensors, a ``TensorDataset`` in a ``DataLoader``, ``torch.optim.Adam``.

python -m experiments.peers.dataloader --data FOLDER
"""

from __future__ import annotations

from experiments.peers.common import (
    BATCH_SIZE,
    LEARNING_RATE,
    Clock,
    layer_widths,
    parsed_options,
    scaled_mnist,
)


def main() -> None:
    """Train and print what it took."""
    options = parsed_options(__doc__)
    clock = Clock()
    import torch
    from torch import nn
    from torch.nn import functional
    from torch.utils.data import DataLoader, TensorDataset

    clock.imported()
    torch.manual_seed(options.seed)
    train_images, train_labels, test_images, test_labels = map(torch.from_numpy, scaled_mnist(options.data))
    batches = DataLoader(TensorDataset(train_images, train_labels.long()), batch_size=BATCH_SIZE, shuffle=True)
    first, second, last = (nn.Linear(*widths) for widths in layer_widths())
    model = nn.Sequential(first, nn.ReLU(), second, nn.ReLU(), last).to(options.device)
    optimizer = torch.optim.Adam(model.parameters(), lr=LEARNING_RATE)
    clock.ready()
    for _ in range(options.epochs):
        for images, labels in batches:
            optimizer.zero_grad()
            logits = model(images.to(options.device, non_blocking=True))
            functional.cross_entropy(logits, labels.to(options.device, non_blocking=True)).backward()
            optimizer.step()
        clock.epoch_done()
    with torch.inference_mode():
        accuracy = float((model(test_images.to(options.device)).argmax(1).cpu() == test_labels).float().mean())
    clock.print_report("dataloader", accuracy)


if __name__ == "__main__":
    main()
