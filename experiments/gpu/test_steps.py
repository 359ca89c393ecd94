"""The workload of the campaigns: training steps on a device, of which some may be planted in addition."""

from __future__ import annotations

import os
from typing import Any

import torch
from torch import nn
from torch.nn import functional

NUM_STEPS = 20
"""Steps in a call: one step more is 5 %."""


def test_steps(benchmark: Any) -> None:
    """Train a perceptron; ``PLANTED_STEPS`` are added in a call."""
    device, width = os.environ["STEPS_DEVICE"], int(os.environ["STEPS_WIDTH"])
    torch.manual_seed(0)
    network = nn.Sequential(nn.Linear(784, width), nn.ReLU(), nn.Linear(width, 10)).to(device)
    optimizer = torch.optim.SGD(network.parameters(), lr=0.01)
    images, labels = torch.rand(512, 784, device=device), torch.randint(0, 10, (512,), device=device)

    def steps() -> None:
        for _ in range(NUM_STEPS + int(os.environ["PLANTED_STEPS"])):
            optimizer.zero_grad()
            functional.cross_entropy(network(images), labels).backward()
            optimizer.step()

    benchmark(steps)
