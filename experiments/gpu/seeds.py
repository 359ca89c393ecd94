"""Many seeds in one call: the perceptrons of all seeds trained together by ``vmap``, beside one after the other."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.func import functional_call, grad, stack_module_state, vmap
from torch.nn import functional

LEARNING_RATE = 0.05
Parameters = dict[str, Tensor]


def perceptron(seed: int, device: str) -> nn.Module:
    """A network with the weights of a seed."""
    torch.manual_seed(seed)
    return nn.Sequential(nn.Linear(784, 128), nn.ReLU(), nn.Linear(128, 64), nn.ReLU(), nn.Linear(64, 10)).to(device)


def batch_orders(num_seeds: int, *, num_images: int, batch_size: int, num_steps: int) -> Tensor:
    """Positions of the images of each batch, of shape (steps, seeds, batch size); each seed has an order of its own."""
    orders = [
        torch.randint(num_images, (num_steps, batch_size), generator=torch.Generator().manual_seed(seed))
        for seed in range(num_seeds)
    ]
    return torch.stack(orders, dim=1)


def compare(
    *, num_seeds: int, num_steps: int, batch_size: int, device: str, synchronize: Callable[[], object]
) -> dict[str, Any]:
    """Train some seeds together and then one after the other, from equal weights on equal batches.

    Returns:
        Seconds of both, and the largest difference of a weight.
    """
    generator = torch.Generator().manual_seed(0)
    images = torch.rand(4096, 784, generator=generator).to(device)
    labels = torch.randint(10, (4096,), generator=generator).to(device)
    orders = batch_orders(num_seeds, num_images=4096, batch_size=batch_size, num_steps=num_steps).to(device)
    networks = [perceptron(seed, device) for seed in range(num_seeds)]

    def loss(parameters: Parameters, batch: Tensor, targets: Tensor) -> Tensor:
        return functional.cross_entropy(functional_call(networks[0], parameters, (batch,)), targets)

    stacked, _ = stack_module_state(networks)
    together = {name: value.detach().clone() for name, value in stacked.items()}
    gradient = grad(loss)
    gradients = vmap(gradient)

    def train(parameters: Parameters, step: Callable[..., Parameters], batches: Tensor) -> float:
        step(parameters, images[batches[0]], labels[batches[0]])  # the first call sets up what later ones reuse
        synchronize()
        start = time.perf_counter()
        for batch in batches:
            slopes = step(parameters, images[batch], labels[batch])
            for name, value in parameters.items():
                value.sub_(slopes[name], alpha=LEARNING_RATE)
        synchronize()
        return time.perf_counter() - start

    together_s = train(together, gradients, orders)
    alone_s, difference = 0.0, 0.0
    for seed, network in enumerate(networks):
        alone = {name: value.detach().clone() for name, value in network.named_parameters()}
        alone_s += train(alone, gradient, orders[:, seed])
        difference = max(
            [difference, *(float((together[name][seed] - value).abs().max()) for name, value in alone.items())]
        )
    return {
        "num_seeds": num_seeds,
        "num_steps": num_steps,
        "batch_size": batch_size,
        "together_s": together_s,
        "one_after_the_other_s": alone_s,
        "times_as_fast": alone_s / together_s,
        "largest_difference_of_a_weight": difference,
    }
