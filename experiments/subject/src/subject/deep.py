"""A training step with torch."""

from __future__ import annotations

import torch


def new_model(num_inputs: int, num_hidden: int) -> torch.nn.Sequential:
    """A network with one hidden layer."""
    return torch.nn.Sequential(
        torch.nn.Linear(num_inputs, num_hidden), torch.nn.ReLU(), torch.nn.Linear(num_hidden, 10)
    )


def train_step(
    model: torch.nn.Sequential, optimizer: torch.optim.Optimizer, inputs: torch.Tensor, labels: torch.Tensor
) -> torch.Tensor:
    """One step; the loss stays on the device."""
    optimizer.zero_grad(set_to_none=True)
    loss = torch.nn.functional.cross_entropy(model(inputs), labels)
    loss.backward()
    optimizer.step()
    return loss.detach()
